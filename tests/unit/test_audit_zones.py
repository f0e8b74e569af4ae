"""Zones within a channel: what passes between them at one device is what its conduits name, and no more."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from collectors.parsers.linux import parse_device
from tests.unit.audit_support import (
    ACCEPT,
    UNKNOWN_MATCH,
    Artefacts,
    crossings,
    gateway,
    iif,
    meta,
    oif,
    payload,
    policy,
    with_rule,
    zoned_policy,
)
from tests.unit.gateway_support import device_policy, few_sample, fixture
from wardnet.audit.judge import channel_networks, judge
from wardnet.audit.records import CHANNELS, ZONES, DeviceResult, Pair, Verdict
from wardnet.model.policy import AuditPolicy, DevicePolicy

HUB = "tay-ho-hub"
ESTABLISHED = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "established"}}


@cache
def few() -> AuditPolicy:
    return few_sample()[1]


def judged(artefacts: Artefacts, wanted: DevicePolicy | None = None) -> DeviceResult:
    """Of both engines, which must not disagree."""
    asked = wanted or zoned_policy()
    found = judge(parse_device(asked.device, artefacts), asked, channel_networks(policy().devices))
    assert found.disagreements == ()
    return found


def between(result: DeviceResult, what: str) -> set[Verdict]:
    return {pair.verdict for pair in result.pairs if pair.crosses == what}


def unproved(result: DeviceResult) -> set[tuple[str, str, int]]:
    return {ends(pair) for pair in result.pairs if pair.verdict is not Verdict.PROVED}


def ends(pair: Pair) -> tuple[str, str, int]:
    return pair.from_port, pair.to_port, pair.family


def test_the_gateway_is_proved_between_all_its_zones() -> None:
    """Six ports: each ordered pair of them, in both families; 18 of 30 across the channels."""
    result = judged(gateway())
    assert result.verdict is Verdict.PROVED
    assert not result.problems
    assert len(result.pairs) == 2 * 6 * 5
    assert len([pair for pair in result.pairs if pair.crosses == CHANNELS]) == 2 * 2 * 3 * 3
    assert {(pair.verdict, pair.second) for pair in result.pairs} == {(Verdict.PROVED, Verdict.PROVED)}


def test_the_hub_is_proved_between_its_wards_and_its_own_zones() -> None:
    result = judged(fixture(f"few/{HUB}"), device_policy(few(), HUB))
    assert result.verdict is Verdict.PROVED
    assert len(result.pairs) == 2 * 5 * 4
    assert between(result, ZONES) == {Verdict.PROVED}
    assert ("buoi-wan", "nhat-tan-wan", 6) in {ends(pair) for pair in result.pairs}


@pytest.mark.parametrize(
    ("source", "destination", "zones", "sender", "receiver"),
    [
        ("wifi0", "citizen0", ("visitors", "citizens"), "172.21.1.0/24", "172.20.1.0/24"),
        ("mgmt0", "clerks0", ("devices", "clerks"), "10.30.1.0/24", "10.20.1.0/24"),
    ],
)
def test_a_rule_between_two_zones_of_a_channel_is_found(
    source: str, destination: str, zones: tuple[str, str], sender: str, receiver: str
) -> None:
    result = judged(with_rule(gateway(), [iif(source), oif(destination), ACCEPT], last=True))
    assert result.verdict is Verdict.VIOLATED
    assert between(result, CHANNELS) == {Verdict.PROVED}, "the channels are as separate as before"
    for family in (4, 6):
        first = next(c for c in crossings(result, source, destination, family) if c.needs is None)
        assert first.crosses == ZONES
        assert (first.from_zone, first.to_zone) == zones
        assert first.rule is not None
        assert first.rule.span is not None
        assert first.rule.span.place == "inet wardnet forward handle 900"
        assert (first.packet.state, first.packet.incoming) == ("new", source)
        if family == 4:
            assert ip_address(first.packet.source) in ip_network(sender)
            assert ip_address(first.packet.destination) in ip_network(receiver)


def test_a_rule_of_ipv6_alone_is_found_in_ipv6_alone() -> None:
    edited = with_rule(gateway(), [meta("nfproto", "ipv6"), iif("wifi0"), oif("citizen0"), ACCEPT], last=True)
    result = judged(edited)
    assert result.verdict is Verdict.VIOLATED
    assert {family for _, _, family in unproved(result)} == {6}
    assert ("wifi0", "citizen0", 6) in unproved(result)


def test_an_accept_without_addresses_is_more_than_its_conduit() -> None:
    """The conduit leads to the servers; the rule to whoever is on the WAN."""
    result = judged(
        with_rule(gateway(), [iif("clerks0"), oif("wan0"), payload("tcp", "dport", 443), ACCEPT], last=True)
    )
    (first,) = [c for c in crossings(result, "clerks0", "wan0", 4) if c.needs is None]
    assert first.verdict is Verdict.VIOLATED
    assert ip_address(first.packet.destination) not in ip_network("10.20.200.0/24")
    assert between(result, CHANNELS) == {Verdict.PROVED}


def test_answers_before_the_check_of_sources_come_from_another_zone_too() -> None:
    """A clerk's PC has asked a server; an answer with the server's address comes in from the devices."""
    result = judged(with_rule(gateway(), [ESTABLISHED, ACCEPT]))
    found = crossings(result, "mgmt0", "clerks0", 4)
    assert found
    assert {(c.verdict, c.packet.state) for c in found} == {(Verdict.VIOLATED, "established")}
    assert all(c.needs is not None and c.needs.incoming in ("clerks0", "wan0") for c in found)


def test_from_ward_to_ward_by_the_hub_is_found() -> None:
    edited = with_rule(fixture(f"few/{HUB}"), [iif("buoi-wan"), oif("nhat-tan-wan"), ACCEPT])
    result = judged(edited, device_policy(few(), HUB))
    assert result.verdict is Verdict.VIOLATED
    assert ("buoi-wan", "nhat-tan-wan", 4) in unproved(result)
    assert ("buoi-wan", "servers0", 4) not in unproved(result)
    first = next(c for c in crossings(result, "buoi-wan", "nhat-tan-wan", 4) if c.needs is None)
    assert first.packet.state == "new"
    assert ip_address(first.packet.source) not in ip_network("10.20.2.0/24")


def without(wanted: DevicePolicy, conduit: str) -> DevicePolicy:
    kept = tuple(passing for passing in wanted.conduits if passing.id != conduit)
    assert len(kept) < len(wanted.conduits)
    return replace(wanted, conduits=kept)


@pytest.mark.parametrize(
    ("conduit", "way"),
    [("clerks-portal", ("clerks0", "wan0", 4)), ("management-devices", ("wan0", "mgmt0", 6)),
     ("visitors-web", ("wifi0", "inet0", 4))],
)  # fmt: skip
def test_what_no_conduit_names_is_a_violation(conduit: str, way: tuple[str, str, int]) -> None:
    """So nothing was proved because there was nothing to prove."""
    result = judged(gateway(), without(zoned_policy(), conduit))
    assert result.verdict is Verdict.VIOLATED
    assert way in unproved(result)
    assert between(result, CHANNELS) == {Verdict.PROVED}


def test_an_unknown_condition_between_zones_is_unknown() -> None:
    result = judged(with_rule(gateway(), [iif("wifi0"), oif("citizen0"), UNKNOWN_MATCH, ACCEPT], last=True))
    assert result.verdict is Verdict.UNKNOWN
    assert ("wifi0", "citizen0", 4) in unproved(result)
    assert between(result, CHANNELS) == {Verdict.PROVED}


def test_a_policy_without_zones_asks_for_the_channels_alone() -> None:
    wanted: Any = zoned_policy()
    ports = tuple(replace(port, zone="") for port in wanted.ports)
    result = judged(with_rule(gateway(), [iif("wifi0"), oif("citizen0"), ACCEPT], last=True),
                    replace(wanted, ports=ports, conduits=()))  # fmt: skip
    assert result.verdict is Verdict.PROVED
    assert {pair.crosses for pair in result.pairs} == {CHANNELS}


def test_an_answer_of_ping_is_of_the_ping_that_was_sent() -> None:
    """ICMP's kinds belong to a connection: an echo lets no request for a timestamp follow."""
    established = with_rule(gateway(), [ESTABLISHED, payload("icmp", "type", "timestamp-request"), ACCEPT])
    assert judged(established).verdict is Verdict.PROVED
