"""Settings, and what each has to do with a packet on its way."""

from __future__ import annotations

import pytest

from collectors.parsers.artefact import Artefact, ParseError
from collectors.parsers.sysctl import parse_settings
from tests.unit.audit_support import gateway
from wardnet.model.span import Treated, Treatment

LISTED = gateway()["sysctl.txt"].decode()


def artefact(text: str) -> Artefact:
    return Artefact("gw", "sysctl.txt", text.encode())


def test_settings_are_by_name() -> None:
    found, _ = parse_settings(artefact("net.ipv4.ip_forward = 1\nnet.ipv4.conf.a/1.forwarding = 0\n"))
    assert found == {"net.ipv4.ip_forward": "1", "net.ipv4.conf.a/1.forwarding": "0"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "offset 0: no setting of net.ipv4"),
        ("kernel.x = 1\n", "no setting of net.ipv4"),
        ("net.ipv4.ip_forward = 1", "offset 23: the last line has no end: truncated"),
        ("net.ipv4.ip_forward = 1\nnonsense\n", "line 2: not a setting: 'nonsense'"),
        ("net.ipv4.ip_forward = 1\nnet.ipv4.ip_forward = 0\n", "line 2: net.ipv4.ip_forward stands twice"),
    ],
)
def test_a_damaged_list_of_settings_is_an_error(text: str, said: str) -> None:
    with pytest.raises(ParseError, match=r"gw: sysctl\.txt") as raised:
        parse_settings(artefact(text))
    assert said in str(raised.value)


def treated(name: str, value: str, *others: str) -> Treated:
    """What becomes of one setting in a listing with others."""
    lines = [f"{name} = {value}", *others, "net.ipv4.ip_forward = 1", ""]
    _, coverage = parse_settings(artefact("\n".join(lines)))
    return next(found for found in coverage.treated if any("line 1" in place for place in found.places))


def test_every_setting_of_a_gateway_is_in_a_row() -> None:
    _, coverage = parse_settings(artefact(LISTED))
    assert coverage.unknown == 0
    assert all(found.reason for found in coverage.treated if found.treatment is not Treatment.MODELLED)


@pytest.mark.parametrize(
    "name",
    [
        "net.ipv4.conf.wan0.new_forwarding",
        "net.ipv6.conf.all.new_forwarding",
        "net.ipv4.forward_otherwise",
        "net.ipv6.route.leads_elsewhere",
        "net.core.redirects_all",
        "net.netfilter.nf_conntrack_new",
        "net.bridge.bridge-nf-new",
        "net.x25.x25_forward",
        "net.ipv4.vs.drop_entry",
        "kernels.unheard_of",
    ],
)
@pytest.mark.parametrize("value", ["0", "1"])
def test_a_setting_in_no_row_is_unknown_whatever_its_value(name: str, value: str) -> None:
    found = treated(name, value)
    assert (found.treatment, found.places) == (Treatment.UNKNOWN, (f"{name} (line 1)",))
    assert found.settle


@pytest.mark.parametrize(
    ("name", "harmless", "harmful", "others"),
    [
        ("net.ipv4.conf.all.accept_source_route", "0", "1", ()),
        ("net.ipv4.conf.all.bc_forwarding", "0", "1", ()),
        ("net.ipv4.conf.wan0.mc_forwarding", "0", "1", ("net.ipv4.conf.all.mc_forwarding = 0",)),
        ("net.ipv6.conf.all.seg6_enabled", "0", "1", ()),
        ("net.ipv6.conf.all.rpl_seg_enabled", "0", "1", ()),
        ("net.ipv6.conf.wan0.accept_ra", "0", "2", ("net.ipv6.conf.wan0.forwarding = 1",)),
        ("net.ipv6.conf.wan0.accept_ra", "1", "2", ("net.ipv6.conf.wan0.forwarding = 1",)),
        ("net.ipv6.conf.wan0.accept_ra", "0", "1", ("net.ipv6.conf.wan0.forwarding = 0",)),
        ("net.mpls.platform_labels", "0", "1000", ()),
    ],
)
def test_a_setting_that_opens_another_way_is_unknown(
    name: str, harmless: str, harmful: str, others: tuple[str, ...]
) -> None:
    assert treated(name, harmless, *others).treatment is Treatment.IRRELEVANT
    found = treated(name, harmful, *others)
    assert found.treatment is Treatment.UNKNOWN
    assert f"{name} is {harmful}" in found.reason


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("net.ipv4.conf.wan0.accept_redirects", "names another neighbour on the port"),
        ("net.ipv6.conf.wan0.accept_redirects", "names another neighbour on the port"),
        ("net.ipv4.conf.wan0.proxy_arp", "attracts packets"),
        ("net.ipv6.conf.wan0.proxy_ndp", "attracts packets"),
        ("net.ipv4.neigh.wan0.proxy_qlen", "attracts packets"),
        ("net.ipv4.neigh.wan0.retrans_time_ms", "neighbour on a port"),
        ("net.ipv4.conf.wan0.arp_ignore", "attracts packets"),
        ("net.ipv4.conf.wan0.arp_accept", "neighbour on a port"),
        ("net.ipv4.conf.wan0.ignore_routes_with_linkdown", "up and down"),
        ("net.ipv6.conf.wan0.keep_addr_on_down", "which addresses a port has"),
        ("net.bridge.bridge-nf-call-iptables", "where a bridge has several members"),
        ("net.ipv4.tcp_rmem", "connections of the device itself"),
        ("kernel.hostname", "no setting of the network"),
    ],
)
def test_a_setting_without_a_part_has_the_reason(name: str, said: str) -> None:
    found = treated(name, "1")
    assert found.treatment is Treatment.IRRELEVANT
    assert said in found.reason


@pytest.mark.parametrize("setting", ["forwarding", "rp_filter", "accept_local", "route_localnet", "src_valid_mark"])
def test_what_the_engines_read_is_modelled(setting: str) -> None:
    assert treated(f"net.ipv4.conf.wan0/10.{setting}", "1").treatment is Treatment.MODELLED
