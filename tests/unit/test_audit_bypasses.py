"""What moves packets past what is modelled makes a gateway unknown, and never leaves it proved."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.audit_support import (
    Artefacts,
    edit_json,
    gateway,
    meta,
    verdict,
    with_objects,
    with_rule,
    with_setting,
)
from wardnet.audit.records import DeviceResult, Verdict


def unknown_for(result: DeviceResult, reason: str) -> bool:
    """Nothing is proved, and the reason is named; whether or not something is violated beside it."""
    told = [problem.reason for problem in result.problems]
    told += [point.reason for crossing in result.crossings for point in crossing.open_points]
    return result.verdict is Verdict.UNKNOWN and any(reason in text for text in told)


@pytest.mark.parametrize("kind", ["htb", "prio", "hfsc", "drr", "fq_codel"])
def test_filters_of_a_discipline_with_classes_are_unknown(kind: str) -> None:
    def add(disciplines: list[dict[str, Any]]) -> None:
        disciplines.append({"kind": kind, "handle": "1:", "dev": "inet0", "root": True, "refcnt": 2, "options": {}})

    assert unknown_for(verdict(edit_json(gateway(), "tc-qdisc.json", add)), f"discipline {kind} on inet0")


@pytest.mark.parametrize(
    "statement",
    [
        {"ct expectation": "back"},
        {"ct helper": "ftp"},
        {"mangle": {"key": {"ct": {"key": "expectation"}}, "value": "back"}},
    ],
)
def test_an_expectation_lets_in_related_connections_like_a_helper(statement: dict[str, Any]) -> None:
    assert unknown_for(verdict(with_rule(gateway(), [statement])), "let in related connections")


def test_a_rule_that_sets_the_packet_type_makes_conditions_on_it_unknown() -> None:
    """With it what `meta pkttype` tells elsewhere is not what came in."""
    setting = {"mangle": {"key": {"meta": {"key": "pkttype"}}, "value": "multicast"}}
    edited = with_rule(gateway(), [meta("pkttype", "multicast"), {"accept": None}])
    assert verdict(edited).verdict is Verdict.PROVED
    assert unknown_for(verdict(with_rule(edited, [setting])), "sets the packet type")


def enslaved(port: str, master: str, kind: str = "bridge") -> Artefacts:
    def change(links: list[dict[str, Any]]) -> None:
        for link in links:
            if link["ifname"] == master:
                link["linkinfo"] = {"info_kind": kind}
            if link["ifname"] == port:
                link["master"] = master

    return edit_json(gateway(), "ip-link.json", change)


@pytest.mark.parametrize(("port", "master"), [("citizen0", "clerks0"), ("inet0", "wan0"), ("clerks0", "wifi0")])
@pytest.mark.parametrize("kind", ["bridge", "bond", "team"])
def test_a_port_that_belongs_to_a_port_of_the_other_channel_is_unknown(port: str, master: str, kind: str) -> None:
    assert unknown_for(verdict(enslaved(port, master, kind)), f"belongs to {master} of channel")


def test_a_port_that_belongs_to_a_port_of_its_own_channel_changes_nothing() -> None:
    assert verdict(enslaved("mgmt0", "clerks0")).verdict is Verdict.PROVED


def test_a_port_that_calls_itself_a_loopback_is_unknown() -> None:
    """Nothing would enter by it."""

    def change(links: list[dict[str, Any]]) -> None:
        next(link for link in links if link["ifname"] == "clerks0")["flags"].append("LOOPBACK")

    edited = edit_json(gateway(), "ip-link.json", change)
    assert unknown_for(verdict(edited), "port clerks0 of the policy is a loopback interface")


def test_a_port_of_a_bridge_that_the_policy_does_not_know_is_unknown_even_where_it_is_down() -> None:
    def change(links: list[dict[str, Any]]) -> None:
        next(link for link in links if link["ifname"] == "clerks0")["master"] = "br0"
        links.append({"ifindex": 99, "ifname": "br0", "flags": ["BROADCAST"], "linkinfo": {"info_kind": "bridge"}})

    edited = edit_json(gateway(), "ip-link.json", change)
    edited = edit_json(edited, "ip-addr.json", lambda links: links.append({"ifname": "br0", "addr_info": []}))
    assert unknown_for(verdict(edited), "belongs to br0, which the policy does not know")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("net.ipv6.conf.all.rpl_seg_enabled", "1", "rpl_seg_enabled is 1"),
        ("net.ipv6.conf.all.seg6_enabled", "1", "seg6_enabled is 1"),
        ("net.ipv4.vs.conntrack", "0", "IPVS is loaded"),
        ("net.ipv4.conf.all.bc_forwarding", "1", "bc_forwarding is 1"),
    ],
)
def test_a_setting_that_opens_another_way_is_unknown(name: str, value: str, reason: str) -> None:
    assert unknown_for(verdict(with_setting(gateway(), name, value)), reason)


@pytest.mark.parametrize(
    "name", ["net.ipv4.conf.wan0.forwards_by_a_new_way", "net.ipv6.forward_anyway", "net.x25.x25_forward"]
)
def test_a_setting_that_nothing_here_knows_is_unknown(name: str) -> None:
    assert unknown_for(verdict(with_setting(gateway(), name, "0")), "a setting that this version does not know")


@pytest.mark.parametrize(("value", "forwarding"), [("2", "1"), ("1", "0")])
def test_a_port_that_takes_router_advertisements_is_unknown(value: str, forwarding: str) -> None:
    edited = with_setting(gateway(), "net.ipv6.conf.wan0.forwarding", forwarding)
    edited = with_setting(edited, "net.ipv6.conf.wan0.accept_ra", value)
    assert unknown_for(verdict(edited), "router advertisements on wan0")


@pytest.mark.parametrize("call", ["0", "1"])
def test_what_begins_within_a_bridge_is_unknown_where_chains_of_ip_see_its_frames(call: str) -> None:
    """Between two ports of one channel connections begin that no route tells of; what belongs to them goes anywhere."""

    pcs = ("pc1", "pc2")

    def change(links: list[dict[str, Any]]) -> None:
        for link in links:
            if link["ifname"] == "clerks0":
                link["linkinfo"] = {"info_kind": "bridge"}
        links += [{"ifindex": 90, "ifname": name, "flags": ["BROADCAST"], "master": "clerks0"} for name in pcs]

    edited = edit_json(gateway(), "ip-link.json", change)
    edited = edit_json(edited, "ip-addr.json", lambda old: old + [{"ifname": name, "addr_info": []} for name in pcs])
    for family in ("iptables", "ip6tables"):
        edited = with_setting(edited, f"net.bridge.bridge-nf-call-{family}", call)
    result = verdict(edited)
    if call == "0":
        assert result.verdict is Verdict.PROVED
    else:
        assert unknown_for(result, "connections that begin within bridge clerks0 are tracked")


def test_new_ends_for_flows_of_the_device_itself_are_unknown() -> None:
    base = {"family": "inet", "table": "wardnet", "name": "own", "handle": 800, "type": "nat",
            "hook": "output", "prio": -100, "policy": "accept"}  # fmt: skip
    edited = with_objects(gateway(), {"chain": base})
    edited = with_rule(edited, [{"dnat": {"family": "ip", "addr": "10.20.1.20"}}], chain="own")
    assert unknown_for(verdict(edited), "flows of the device itself other ends")


def without_settings(*names: str) -> Artefacts:
    lines = gateway()["sysctl.txt"].decode().splitlines(keepends=True)
    kept = [line for line in lines if line.split(" = ")[0].strip() not in names]
    assert len(kept) < len(lines)
    return {**gateway(), "sysctl.txt": "".join(kept).encode()}


@pytest.mark.parametrize(
    "name",
    [
        "net.ipv4.conf.all.accept_source_route",
        "net.ipv4.conf.wan0.accept_source_route",
        "net.ipv4.conf.all.bc_forwarding",
        "net.ipv4.conf.citizen0.mc_forwarding",
        "net.ipv4.conf.default.forwarding",
        "net.ipv6.conf.all.accept_source_route",
        "net.ipv6.conf.all.seg6_enabled",
        "net.ipv6.conf.all.rpl_seg_enabled",
        "net.ipv6.conf.clerks0.forwarding",
        "net.ipv6.conf.inet0.mc_forwarding",
    ],
)
def test_a_setting_that_is_not_listed_is_unknown(name: str) -> None:
    setting = name.rpartition(".")[2]
    assert unknown_for(verdict(without_settings(name)), f"is not wholly listed: {setting}")


def test_a_kernel_without_multicast_routing_of_ipv6_lists_no_setting_for_it() -> None:
    names = [line.split(" = ")[0] for line in gateway()["sysctl.txt"].decode().splitlines()]
    gone = [name for name in names if name.startswith("net.ipv6.conf.") and name.endswith(".mc_forwarding")]
    assert verdict(without_settings(*gone)).verdict is Verdict.PROVED


def test_settings_of_one_line_prove_nothing() -> None:
    result = verdict({**gateway(), "sysctl.txt": b"net.ipv4.ip_forward = 1\n"})
    assert result.verdict is Verdict.UNKNOWN
    assert all(pair.verdict is Verdict.UNKNOWN for pair in result.pairs)
