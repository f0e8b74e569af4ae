"""Bridges that look at VLANs: proved where they keep two channels apart, violated where a VLAN joins them.

The listings are as `bridge -j vlan show` and `ip -j -d link show` print them (bridge(8), iproute2 6.1: a VLAN has flags
only where it is native or leaves without a tag, a range of VLANs is one entry); the kernel here has no bridges.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from collectors.parsers.artefact import Artefact, ParseError
from collectors.parsers.bridge import parse_bridge_vlans
from tests.unit.audit_support import (
    GATEWAY,
    Artefacts,
    gateway,
    gateway_policy,
    iif,
    verdict,
    with_objects,
    with_rule,
    with_setting,
)
from tests.unit.test_audit_bypasses import unknown_for
from tests.unit.test_audit_carriers import vlan, with_link, with_port
from wardnet.audit.records import ZONES, Verdict
from wardnet.model.intent import Channel
from wardnet.model.policy import DevicePolicy, PolicyPort

CLERKS, CITIZENS = 10, 20
NATIVE = ["PVID", "Egress Untagged"]
Entries = dict[str, list[dict[str, Any]]]
# The LANs are VLANs of the bridge; behind lan1 are clerks, behind lan2 citizens.
APART: Entries = {
    "br0": [{"vlan": CLERKS}, {"vlan": CITIZENS}],
    "lan1": [{"vlan": CLERKS, "flags": NATIVE}],
    "lan2": [{"vlan": CITIZENS, "flags": NATIVE}],
}


def listed(entries: Entries) -> bytes:
    return json.dumps([{"ifname": name, "vlans": found} for name, found in entries.items()]).encode()


def bridged(entries: Entries | None = None, **settings: Any) -> Artefacts:
    """The gateway with a bridge under two of its LANs, and these VLANs (those of APART where none are given)."""
    data = {"vlan_filtering": 1, "vlan_protocol": "802.1Q", **settings}
    edited = with_port(gateway(), "br0", linkinfo={"info_kind": "bridge", "info_data": data})
    for name, tag in (("clerks0", CLERKS), ("citizen0", CITIZENS)):
        edited = with_link(edited, name, **vlan(tag, parent="br0"))
    for name in ("lan1", "lan2"):
        edited = with_port(edited, name, master="br0", linkinfo={"info_slave_kind": "bridge"})
    edited = with_rule(edited, [iif("br0"), {"drop": None}])
    for family in ("iptables", "ip6tables"):
        edited = with_setting(edited, f"net.bridge.bridge-nf-call-{family}", "0")
    return {**edited, "bridge-vlan.json": listed(APART if entries is None else entries)}


def bridge_policy() -> DevicePolicy:
    policy = gateway_policy()
    stands = {"clerks0": CLERKS, "citizen0": CITIZENS}
    ports = [
        replace(port, parent="br0", tag=stands[port.interface]) if port.interface in stands else port
        for port in policy.ports
    ]
    behind = [PolicyPort("lan1", Channel.WAN, "lan1", ()), PolicyPort("lan2", Channel.INTERNET, "lan2", ())]
    return replace(policy, ports=(*ports, *behind))


def test_ports_in_vlans_of_their_own_are_proved_apart() -> None:
    result = verdict(bridged(), bridge_policy())
    assert (result.verdict, result.problems) == (Verdict.PROVED, ())
    assert ("lan1", "lan2") in {(pair.from_port, pair.to_port) for pair in result.pairs}
    listing = next(c for c in result.coverage if c.artefact == "bridge-vlan.json")
    assert (listing.modelled, listing.unknown) == (4, 0)


@pytest.mark.parametrize("joining", [{"vlan": CITIZENS}, {"vlan": 15, "vlanEnd": 30}])
def test_a_vlan_that_both_are_in_joins_them(joining: dict[str, Any]) -> None:
    """Tagged on one, untagged on the other: whoever is behind lan1 may send tags."""
    result = verdict(bridged({**APART, "lan1": [*APART["lan1"], joining]}), bridge_policy())
    assert result.verdict is Verdict.VIOLATED
    found = [c for c in result.crossings if (c.from_port, c.to_port) == ("lan1", "lan2")]
    assert found
    assert found[0].rule is not None
    assert found[0].rule.text == "br0 joins lan1 and lan2 in VLAN 20"
    assert str(found[0].rule.span) == f"{GATEWAY} bridge-vlan.json lan1 VLAN 20"


def test_a_bridge_that_does_not_look_at_vlans_joins_all_of_its_ports() -> None:
    result = verdict(bridged(vlan_filtering=0), bridge_policy())
    assert result.verdict is Verdict.VIOLATED
    listing = next(c for c in result.coverage if c.artefact == "bridge-vlan.json")
    assert (listing.modelled, listing.irrelevant) == (0, 4)


@pytest.mark.parametrize("settings", [{"vlan_protocol": "802.1ad"}, {"vlan_protocol": "0x9100"}])
def test_other_tags_are_unknown(settings: dict[str, Any]) -> None:
    assert unknown_for(verdict(bridged(**settings), bridge_policy()), "which is not modelled")


def test_without_the_listing_it_is_unknown() -> None:
    without = {name: content for name, content in bridged().items() if name != "bridge-vlan.json"}
    assert unknown_for(
        verdict(without, bridge_policy()), "which VLANs the ports of bridge br0 are in is not in the snapshot"
    )


def test_chains_of_bridges_leave_a_joining_vlan_unknown() -> None:
    joined = bridged({**APART, "lan1": [*APART["lan1"], {"vlan": CITIZENS}]})
    chain = {"family": "bridge", "table": "b", "name": "f", "handle": 1, "type": "filter", "hook": "forward",
             "prio": 0, "policy": "drop"}  # fmt: skip
    edited = with_objects(joined, {"table": {"family": "bridge", "name": "b", "handle": 9}}, {"chain": chain})
    assert unknown_for(verdict(edited, bridge_policy()), "chains of the bridge family are not modelled")


def test_a_port_in_the_vlan_of_a_lan_of_the_other_channel_is_behind_both() -> None:
    """Nobody else need be in that VLAN: the device itself hears it there."""
    entries = {**APART, "lan1": [{"vlan": CITIZENS, "flags": NATIVE}], "lan2": []}
    result = verdict(bridged(entries), bridge_policy())
    assert unknown_for(result, "port lan1 of channel wan is in VLAN 20 of bridge br0, and so is citizen0")


def test_zones_of_a_channel_are_joined_by_a_vlan_as_channels_are() -> None:
    """Behind lan2 are devices of the WAN, and lan2 is in the clerks' VLAN."""
    zones = {"clerks0": "clerks", "lan1": "clerks", "lan2": "devices"}
    policy = bridge_policy()
    ports = [replace(port, zone=zones.get(port.interface, "")) for port in policy.ports]
    ports = [replace(port, channel=Channel.WAN) if port.interface == "lan2" else port for port in ports]
    result = verdict(bridged({**APART, "lan2": [{"vlan": CLERKS}]}), replace(policy, ports=tuple(ports)))
    found = next(c for c in result.crossings if (c.from_port, c.to_port) == ("lan1", "lan2"))
    assert (found.crosses, found.from_zone, found.to_zone) == (ZONES, "clerks", "devices")
    assert found.path[0].text == "br0 joins lan1 and lan2 in VLAN 10"
    said = "port lan2 of zone devices is in VLAN 10 of bridge br0, and so is clerks0, a port of zone clerks"
    assert any(problem.reason.startswith(said) for problem in result.problems)


def test_what_the_bridge_itself_gets_without_a_tag_may_be_anybodys() -> None:
    """As on any port that carries VLANs: it is judged as a port of each channel on it."""
    entries = {**APART, "br0": [*APART["br0"], {"vlan": 1, "flags": NATIVE}], "lan2": [*APART["lan2"], {"vlan": 1}]}
    result = verdict(bridged(entries), bridge_policy())
    assert result.verdict is Verdict.PROVED
    assert ("br0", "clerks0") in {(pair.from_port, pair.to_port) for pair in result.pairs}


def test_a_port_of_the_bridge_that_the_policy_does_not_know_is_unknown() -> None:
    edited = with_port(bridged(), "lan3", master="br0", linkinfo={"info_slave_kind": "bridge"})
    assert unknown_for(verdict(edited, bridge_policy()), "port lan3 is up and the policy does not know it")


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([{"vlan": 0}], "'vlan' must be a number"),
        ([{"vlan": 9, "vlanEnd": 3}], "'vlanEnd' must be a number"),
        ([{"vlan": 9}, {"vlan": 9}], "stands twice"),
        ([{"vlan": 9, "flags": ["Egress Tagged"]}], "flag 'Egress Tagged'"),
        ([{"vlan": 9, "tunnel": 4}], "a VLAN with tunnel"),
        (5, "'vlans' must be a list"),
    ],
)
def test_a_listing_that_says_something_else_is_an_error(entries: Any, reason: str) -> None:
    artefact = Artefact(GATEWAY, "bridge-vlan.json", json.dumps([{"ifname": "lan1", "vlans": entries}]).encode())
    with pytest.raises(ParseError, match=reason):
        parse_bridge_vlans(artefact)
