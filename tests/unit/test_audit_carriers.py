"""Gateways whose ports stand on others: VLANs of a trunk, and sessions that are dialled over a line."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from collectors.parsers.artefact import Artefact
from collectors.parsers.iproute import parse_links
from tests.unit.audit_support import (
    ACCEPT,
    DROP,
    GATEWAY,
    Artefacts,
    directions,
    edit_json,
    gateway,
    gateway_policy,
    iif,
    oif,
    verdict,
    with_objects,
    with_policy_rule,
    with_route,
    with_rule,
    with_setting,
)
from tests.unit.gateway_support import AS_OF, ROOT, device_policy
from wardnet.audit.problems import kind_of
from wardnet.audit.records import DeviceResult, Verdict
from wardnet.compile import compile_plan, compile_policy
from wardnet.inventory import read_district
from wardnet.model.policy import DevicePolicy

TAGS = {"clerks0": 10, "citizen0": 20}
LINE = "Id       Address              Device\n00000001 02:00:00:00:00:09 {}\n"
ACROSS = {"wan0", "clerks0", "mgmt0"}, {"inet0", "citizen0", "wifi0"}


def with_port(artefacts: Artefacts, name: str, *addresses: dict[str, Any], **more: Any) -> Artefacts:
    """One more port that is up, with the settings of the others."""
    flags = ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"]
    link = {"ifindex": 90, "ifname": name, "flags": flags, "link_type": "ether", **more}
    edited = edit_json(artefacts, "ip-link.json", lambda links: links.append(link))
    edited = edit_json(edited, "ip-addr.json", lambda found: found.append({"ifname": name, "addr_info": [*addresses]}))
    edited = edit_json(edited, "tc-qdisc.json", lambda found: found.append({"kind": "noqueue", "dev": name}))
    lines = edited["sysctl.txt"].decode().splitlines(keepends=True)
    like = [line.replace(".wifi0.", f".{name}.") for line in lines if ".wifi0." in line]
    return {**edited, "sysctl.txt": "".join([*lines, *like]).encode()}


def with_link(artefacts: Artefacts, name: str, **changes: Any) -> Artefacts:
    def change(links: list[dict[str, Any]]) -> None:
        next(link for link in links if link["ifname"] == name).update(changes)

    return edit_json(artefacts, "ip-link.json", change)


def vlan(tag: int, parent: str = "trunk0", protocol: str = "802.1Q") -> dict[str, Any]:
    info = {"info_kind": "vlan", "info_data": {"protocol": protocol, "id": tag, "flags": ["REORDER_HDR"]}}
    return {"link": parent, "linkinfo": info}


def trunked(*addresses: dict[str, Any], shut: bool = True, **more: Any) -> Artefacts:
    """The clerks' LAN and the citizens' as two VLANs of one cable to the switch; what has no tag goes nowhere, if
    `shut`, as the role's filter has it."""
    edited = with_port(gateway(), "trunk0", *addresses, **more)
    for name, tag in TAGS.items():
        edited = with_link(edited, name, **vlan(tag))
    return with_rule(edited, [iif("trunk0"), DROP]) if shut else edited


def trunk_policy() -> DevicePolicy:
    policy = gateway_policy()
    ports = [
        replace(port, parent="trunk0", tag=TAGS[port.interface]) if port.interface in TAGS else port
        for port in policy.ports
    ]
    return replace(policy, ports=tuple(ports))


def dialled(line: str = "eth1", *addresses: dict[str, Any]) -> Artefacts:
    edited = with_link(with_port(gateway(), "eth1", *addresses), "inet0", linkinfo={"info_kind": "ppp"})
    edited = with_rule(edited, [iif("eth1"), DROP])
    return {**edited, "pppoe.txt": LINE.format(line).encode()}


def dialled_policy(tag: int | None = None) -> DevicePolicy:
    policy = gateway_policy()
    ports = [
        replace(port, parent="eth1", tag=tag, dialled=True) if port.interface == "inet0" else port
        for port in policy.ports
    ]
    return replace(policy, ports=tuple(ports))


def reasons(result: DeviceResult) -> str:
    return "\n".join(problem.reason for problem in result.problems)


def unknown_for(result: DeviceResult, reason: str) -> bool:
    return result.verdict is Verdict.UNKNOWN and reason in reasons(result)


LOCAL = {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"}
OWN = {"family": "inet", "local": "192.168.7.1", "prefixlen": 24, "scope": "global"}


@pytest.mark.parametrize("addresses", [(), (LOCAL,)])
def test_vlans_of_a_trunk_that_carries_nothing_itself_are_proved(addresses: tuple[dict[str, Any], ...]) -> None:
    """Untagged frames on the trunk may be anybody's: from it to each port, and from each to it, is judged too."""
    result = verdict(trunked(*addresses), trunk_policy())
    assert (result.verdict, reasons(result)) == (Verdict.PROVED, "")
    pairs = {(pair.from_port, pair.to_port) for pair in result.pairs if pair.family == 4}
    assert {("trunk0", port) for side in ACROSS for port in side} <= pairs
    assert {(port, "trunk0") for side in ACROSS for port in side} <= pairs
    assert all(pair.second is Verdict.PROVED for pair in result.pairs)
    assert {"citizen0", "clerks0", "trunk0"} <= set(result.may_fail)


def test_a_trunk_with_addresses_of_its_own_is_not_proved() -> None:
    result = verdict(trunked(OWN), trunk_policy())
    assert unknown_for(result, "port trunk0 carries VLANs or sessions and has addresses of its own: 192.168.7.1/24")


def test_a_trunk_is_unknown_where_the_policy_does_not_say_what_stands_on_it() -> None:
    assert unknown_for(verdict(trunked()), "port trunk0 is up and the policy does not know it (a network interface)")


def test_untagged_frames_that_get_through_are_a_violation() -> None:
    """Whoever is on the cable without a tag may be of the other channel."""
    edited = with_rule(trunked(shut=False), [iif("trunk0"), ACCEPT])
    edited = with_policy_rule(edited, 4, priority=950, iif="trunk0", table="100")
    result = verdict(edited, trunk_policy())
    assert result.verdict is Verdict.VIOLATED
    assert {("trunk0", port) for port in ACROSS[0]} <= {(c.from_port, c.to_port) for c in result.crossings}
    assert ("internet", "wan", 4) in directions(result)


def _drop_rules(listing: dict[str, Any], comment: str) -> None:
    kept = [entry for entry in listing["nftables"] if entry.get("rule", {}).get("comment") != comment]
    assert len(kept) < len(listing["nftables"])
    listing["nftables"] = kept


def test_untagged_answers_with_the_gateways_own_address_are_a_violation() -> None:
    """No rule lets a first packet in by the trunk. But IPv6 takes the gateway's own addresses as source, policy rules
    lead them to their channel, and a filter without the role's rule on them takes what is of a flow by any port."""
    comment = "from an address of the gateway itself"
    edited = edit_json(trunked(shut=False), "nft-ruleset.json", lambda listing: _drop_rules(listing, comment))
    result = verdict(edited, trunk_policy())
    assert result.verdict is Verdict.VIOLATED
    assert {crossing.from_port for crossing in result.crossings} == {"trunk0"}
    # IPv4 refuses own addresses as sources, until the port that has them is gone.
    assert {(crossing.family, bool(crossing.gone)) for crossing in result.crossings} == {(6, False), (4, True)}
    assert {crossing.packet.state for crossing in result.crossings} == {"established", "related"}


def test_a_route_out_by_the_trunk_without_a_tag_is_a_violation() -> None:
    edited = with_rule(trunked(), [iif("citizen0"), oif("trunk0"), ACCEPT])
    result = verdict(with_route(edited, 4, "10.99.0.0/16", "trunk0", "200"), trunk_policy())
    assert ("citizen0", "trunk0") in {(c.from_port, c.to_port) for c in result.crossings}
    assert result.verdict is Verdict.VIOLATED


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (vlan(20), "port clerks0 is VLAN 20 of trunk0, and VLAN 10 of trunk0 by the policy"),
        (vlan(10, "wan0"), "port clerks0 is VLAN 10 of wan0, and VLAN 10 of trunk0 by the policy"),
        (vlan(10, protocol="802.1ad"), "port clerks0 is VLAN of trunk0, and VLAN 10 of trunk0 by the policy"),
        ({"linkinfo": {"info_kind": "macvlan"}, "link": "trunk0"}, "port clerks0 shares the cable of trunk0 (macvlan)"),
    ],
)
def test_a_port_that_stands_elsewhere_than_the_policy_says_is_unknown(changes: dict[str, Any], said: str) -> None:
    assert unknown_for(verdict(with_link(trunked(), "clerks0", **changes), trunk_policy()), said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (vlan(10, "inet0"), "port clerks0 is of kind vlan over inet0, and a port by itself by the policy"),
        ({"linkinfo": {"info_kind": "wireguard"}}, "port clerks0 is of kind wireguard, and a port by itself"),
        ({"linkinfo": {"info_kind": "veth"}, "link": "inet0"}, "whose other end is inet0, of the same device"),
    ],
)
def test_a_port_that_stands_on_another_and_by_the_policy_on_none_is_unknown(changes: dict[str, Any], said: str) -> None:
    """Its frames leave by the cable of the other channel, or come out there."""
    assert unknown_for(verdict(with_link(gateway(), "clerks0", **changes)), said)


@pytest.mark.parametrize("kind", ["bridge", "bond", "dummy"])
def test_a_port_that_has_only_members_of_its_own_is_proved(kind: str) -> None:
    assert verdict(with_link(gateway(), "clerks0", linkinfo={"info_kind": kind})).verdict is Verdict.PROVED


@pytest.mark.parametrize(("persist", "expected"), [(True, Verdict.PROVED), (False, Verdict.UNKNOWN)])
def test_a_cable_to_a_program_stays_when_that_ends_and_a_tunnel_does_not(persist: bool, expected: Verdict) -> None:
    tap = {"info_kind": "tun", "info_data": {"type": "tap", "persist": persist}}
    assert verdict(with_link(gateway(), "clerks0", linkinfo=tap)).verdict is expected


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"linkinfo": {"info_kind": "bridge"}}, "is itself of kind bridge"),
        ({"master": "wan0"}, "port trunk0 carries VLANs or sessions and belongs to wan0"),
    ],
)
def test_a_trunk_that_is_more_than_a_port_is_unknown(changes: dict[str, Any], said: str) -> None:
    assert unknown_for(verdict(trunked(**changes), trunk_policy()), said)


def test_a_chain_at_the_trunk_sees_tagged_frames_and_is_unknown() -> None:
    objects = (
        {"table": {"family": "netdev", "name": "nd", "handle": 90}},
        {"chain": {"family": "netdev", "table": "nd", "name": "in", "handle": 1, "dev": "trunk0", "type": "filter",
                   "hook": "ingress", "prio": 0, "policy": "accept"}},
        {"rule": {"family": "netdev", "table": "nd", "chain": "in", "handle": 2, "expr": [{"counter": None}]}},
    )  # fmt: skip
    assert unknown_for(verdict(with_objects(trunked(), *objects), trunk_policy()), "a chain at trunk0 sees the frames")


def test_a_dialled_line_that_carries_nothing_itself_is_proved() -> None:
    result = verdict(dialled(), dialled_policy())
    assert (result.verdict, reasons(result)) == (Verdict.PROVED, "")
    pairs = {(pair.from_port, pair.to_port) for pair in result.pairs if "eth1" in (pair.from_port, pair.to_port)}
    assert pairs == {("eth1", port) for port in ACROSS[0]} | {(port, "eth1") for port in ACROSS[0]}


def test_a_session_over_a_tagged_line_is_proved_whatever_the_lines_name() -> None:
    edited = with_port(dialled("inet0-line"), "inet0-line", **vlan(35, "eth1"))
    result = verdict(with_rule(edited, [iif("inet0-line"), DROP]), dialled_policy(35))
    assert result.verdict is Verdict.PROVED
    assert {"eth1", "inet0", "inet0-line"} <= set(result.may_fail)
    other = with_port(dialled("inet0-line"), "inet0-line", **vlan(36, "eth1"))
    assert unknown_for(verdict(other, dialled_policy(35)), "there is no VLAN 35 of eth1")


@pytest.mark.parametrize(
    ("edited", "said"),
    [
        (dialled("eth1", OWN), "port eth1 carries VLANs or sessions and has addresses of its own"),
        (dialled("clerks0"), "a session is dialled over clerks0, which the policy does not know of"),
        (with_link(dialled(), "inet0", linkinfo={"info_kind": "veth"}), "port inet0 is no dialled session"),
        ({name: content for name, content in dialled().items() if name != "pppoe.txt"}, "is not in the snapshot"),
        (with_setting(dialled(), "net.ipv6.conf.eth1.accept_ra", "2"), "router advertisements on eth1"),
    ],
)
def test_a_dialled_line_that_is_not_as_the_policy_has_it_is_unknown(edited: Artefacts, said: str) -> None:
    assert unknown_for(verdict(edited, dialled_policy()), said)


def test_the_policy_of_an_inventory_says_what_a_port_stands_on() -> None:
    district = read_district(ROOT / "inventory" / "tay-ho")
    plan = compile_plan(district, AS_OF)
    gateways = [
        replace(each, ports=tuple(replace(port, parent="trunk0", tag=port.vlan) for port in each.ports))
        if each.id == GATEWAY
        else each
        for each in plan.gateways
    ]
    policy = device_policy(compile_policy(district, replace(plan, gateways=tuple(gateways))), GATEWAY)
    tags = {port.interface: (port.parent, port.tag, port.dialled) for port in policy.ports}
    assert tags["clerks0"] == ("trunk0", 10, False)


TAP = {"info_kind": "tun", "info_data": {"type": "tap", "persist": True}}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"ifname": "wlan0"}, "a Wi-Fi interface"),
        ({"ifname": "wlx0013ef", "parentbus": "usb"}, "a Wi-Fi interface"),
        ({"ifname": "usb0"}, "a USB tether or adapter"),
        ({"ifname": "enx0013ef", "parentbus": "usb"}, "a USB tether or adapter"),
        ({"ifname": "wwan0"}, "a modem"),
        ({"ifname": "wg0", "linkinfo": {"info_kind": "wireguard"}}, "a tunnel, wireguard"),
        ({"ifname": "tap1", "linkinfo": {"info_kind": "tun"}}, "a tunnel, tun"),
        ({"ifname": "tap2", "linkinfo": TAP}, "a virtual cable"),
        ({"ifname": "br0", "linkinfo": {"info_kind": "bridge"}}, "a bridge"),
        ({"ifname": "ppp1", "linkinfo": {"info_kind": "ppp"}}, "a dialled session"),
        ({"ifname": "x", **vlan(7, "eth0")}, "VLAN 7 of eth0"),
        ({"ifname": "eth5"}, "a network interface"),
    ],
)
def test_a_port_that_nobody_knows_is_told_by_its_kind(record: dict[str, Any], said: str) -> None:
    listing = json.dumps([{"flags": ["UP"], **record}]).encode()
    (link,) = parse_links(Artefact("gw", "ip-link.json", listing))
    assert kind_of(link) == said
