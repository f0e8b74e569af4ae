"""Artefacts of plain lines, and a whole Linux device."""

from __future__ import annotations

import pytest

from collectors.parsers import plain
from collectors.parsers.artefact import Artefact, ParseError
from collectors.parsers.linux import parse_device
from tests.unit.audit_support import gateway
from wardnet.model.snapshot import LINUX


def artefact(name: str, text: str) -> Artefact:
    return Artefact("gw", name, text.encode())


def test_listeners_have_address_port_and_process() -> None:
    line = 'tcp LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=10,fd=3))\n'
    (found,) = plain.parse_listeners(artefact("listeners.txt", line))
    assert (found.protocol, found.address, found.port) == ("tcp", "::", "22")
    assert "sshd" in found.process
    with pytest.raises(ParseError, match="line 1: not a listener"):
        plain.parse_listeners(artefact("listeners.txt", "tcp LISTEN\n"))


def test_what_moves_packets_past_the_filter_is_unknown() -> None:
    disciplines = '[{"kind": "noqueue", "dev": "lo"}, {"kind": "clsact", "dev": "wan0"}]'
    (unknown,) = plain.parse_disciplines(artefact("tc-qdisc.json", disciplines), ["wan0"])
    assert "clsact on wan0" in unknown.reason
    assert plain.parse_ipsec(artefact("xfrm-policy.txt", "\n")) == ()
    assert len(plain.parse_ipsec(artefact("xfrm-policy.txt", "src ::/0 dst ::/0\n"))) == 1
    assert len(plain.parse_legacy_tables(artefact("legacy-tables.txt", "filter\nnat\n"))) == 2


@pytest.mark.parametrize("kind", ["htb", "prio", "hfsc", "drr", "fq_codel", "ingress", "clsact", "one-to-come"])
def test_a_discipline_that_filters_can_hang_on_is_unknown(kind: str) -> None:
    listing = f'[{{"kind": "mq", "dev": "wan0"}}, {{"kind": "{kind}", "dev": "wan0"}}]'
    (unknown,) = plain.parse_disciplines(artefact("tc-qdisc.json", listing), ["wan0"])
    assert f"discipline {kind} on wan0" in unknown.reason
    assert "dev wan0" in unknown.settle


@pytest.mark.parametrize("kind", ["noqueue", "mq", "pfifo_fast", "fq"])
def test_a_discipline_that_no_filter_can_hang_on_is_nothing_to_settle(kind: str) -> None:
    listing = artefact("tc-qdisc.json", f'[{{"kind": "{kind}", "dev": "wan0"}}]')
    assert plain.parse_disciplines(listing, ["wan0"]) == ()


def test_disciplines_that_are_not_listed_are_unknown() -> None:
    listing = artefact("tc-qdisc.json", '[{"kind": "noqueue", "dev": "lo"}]')
    (unknown,) = plain.parse_disciplines(listing, ["wan0"])
    assert "no queueing discipline of wan0" in unknown.reason
    with pytest.raises(ParseError, match="no queueing discipline at all"):
        plain.parse_disciplines(artefact("tc-qdisc.json", "[]"), ["wan0"])


def test_a_device_is_its_artefacts_together() -> None:
    device = parse_device("buoi-gw", gateway())
    link = device.link("clerks0")
    assert link is not None
    assert "10.20.1.1/24" in map(str, link.addresses)
    assert device.unknowns == ()


@pytest.mark.parametrize("name", sorted(artefact.name for artefact in LINUX if not artefact.later))
def test_a_missing_artefact_is_an_error_by_name(name: str) -> None:
    artefacts = gateway()
    del artefacts[name]
    with pytest.raises(ParseError, match=f"buoi-gw: {name}: file: missing from the snapshot"):
        parse_device("buoi-gw", artefacts)


def test_listings_of_two_moments_are_an_error() -> None:
    """An interface that came between two of the commands."""
    artefacts = {**gateway(), "ip-addr.json": b'[{"ifname": "lo", "addr_info": []}]'}
    with pytest.raises(ParseError, match=r"ip-addr\.json: item 0: other interfaces than in ip-link\.json"):
        parse_device("buoi-gw", artefacts)
