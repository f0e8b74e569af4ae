"""Verdicts on a real gateway's artefacts: as it is, with leaks edited in, and with harmless edits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any

import pytest

from collectors.parsers.linux import parse_device
from tests.unit.audit_support import (
    ACCEPT,
    DROP,
    UNKNOWN_MATCH,
    Artefacts,
    crossings,
    directions,
    edit_json,
    gateway,
    gateway_policy,
    iif,
    meta,
    oif,
    payload,
    verdict,
    with_objects,
    with_policy_rule,
    with_route,
    with_rule,
    with_setting,
)
from wardnet.audit.records import DeviceResult, Verdict
from wardnet.audit.sets.pipeline import Pipeline

WAN_TO_INTERNET = ("wan", "internet")
INTERNET_TO_WAN = ("internet", "wan")


def test_the_gateway_as_it_was_set_up_is_proved() -> None:
    """24 ordered pairs of ports on different channels, none of which lets anything pass but the exception."""
    result = verdict(gateway())
    assert result.verdict is Verdict.PROVED
    assert not result.problems
    assert len(result.pairs) == 2 * 2 * 3 * 3
    assert {pair.verdict for pair in result.pairs} == {Verdict.PROVED}
    assert all(coverage.unknown == 0 for coverage in result.coverage)


def about(source: str, destination: str) -> list[Any]:
    """An error message about a connection between these two, from the citizens' LAN to the clerks'."""
    ends = [("saddr", source), ("daddr", destination)]
    quoted = [
        {"match": {"op": "==", "left": {"ct": {"key": f"ip {key}", "dir": "original"}}, "right": end}}
        for key, end in ends
    ]
    return [iif("citizen0"), oif("clerks0"), *quoted, ACCEPT]


def test_which_connection_an_error_message_quotes_is_a_chance() -> None:
    related = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "related"}}
    rule = about("172.20.1.11", "10.20.1.20")
    result = verdict(with_rule(gateway(), [related, *rule]))
    assert result.verdict is Verdict.PROVED, "whatever it quotes, it goes to the host of the exception alone"
    assert result.coverage[0].unknown == 0
    assert verdict(with_rule(gateway(), rule)).coverage[0].unknown == 1, "of other packets it is not modelled"
    to_anybody = with_policy_rule(with_rule(gateway(), [related, *rule]), 4, priority=950, iif="citizen0", table="100")
    assert directions(verdict(to_anybody)) == {("internet", "wan", 4)}


# --- leaks


def forwarding_leak() -> Artefacts:
    """An accept, and policy rules that lead from the citizens' LAN to the clerks' and back, in IPv4."""
    edited = with_rule(gateway(), [iif("citizen0"), oif("clerks0"), meta("nfproto", "ipv4"), ACCEPT])
    edited = with_policy_rule(edited, 4, priority=950, iif="citizen0", dst="10.20.1.0", dstlen=24, table="100")
    return with_policy_rule(edited, 4, priority=951, iif="clerks0", dst="172.20.1.0", dstlen=24, table="200")


def leaked_route() -> Artefacts:
    """The WAN's prefixes in the internet's table, and an accept that is too wide."""
    edited = with_rule(gateway(), [iif("citizen0"), ACCEPT])
    edited = with_route(edited, 4, "10.16.0.0/12", "wan0", "200", gateway="10.31.1.1")
    return with_route(edited, 6, "fd20::/16", "wan0", "200", gateway="fd20:31:1::1")


def ipv6_open() -> Artefacts:
    edited = with_rule(gateway(), [meta("nfproto", "ipv6"), ACCEPT])
    edited = with_route(edited, 6, "fd20:20:1::/64", "clerks0", "200")
    return with_route(edited, 6, "2001:db8:20:1::/64", "citizen0", "100")


def test_a_forwarding_rule_is_found_with_its_packet_and_path() -> None:
    result = verdict(forwarding_leak())
    assert result.verdict is Verdict.VIOLATED
    assert (*INTERNET_TO_WAN, 4) in directions(result)
    assert not any(family == 6 for _, _, family in directions(result))
    (crossing,) = [c for c in crossings(result, "citizen0", "clerks0", 4) if c.packet.state == "new"]
    packet = crossing.packet
    assert ip_address(packet.source) in ip_network("172.20.1.0/24")
    assert ip_address(packet.destination) in ip_network("10.20.1.0/24")
    assert (packet.protocol, packet.destination_port, packet.incoming) == (6, 443, "citizen0")
    assert crossing.rule is not None
    assert crossing.rule.span is not None
    assert crossing.rule.span.place == "inet wardnet forward handle 900"
    assert crossing.rule.comment == "by hand"
    assert crossing.policy_rule is not None
    assert crossing.policy_rule.text == "950: from all to 10.20.1.0/24 iif citizen0 lookup 100"
    assert crossing.route is not None
    assert crossing.route.text == "table 100: 10.20.1.0/24 dev clerks0"
    stages = [hop.stage for hop in crossing.path]
    # Twice behind the decision: the priorities of shaping, and the addresses that are taken.
    assert stages == ["enters", "policy rule", "route", "forward", "postrouting", "postrouting", "leaves"]
    assert "nft delete rule inet wardnet forward handle 900" in crossing.suggestion


def test_a_leaked_route_is_found_in_both_families() -> None:
    result = verdict(leaked_route())
    assert result.verdict is Verdict.VIOLATED
    for family, wan in ((4, "10.16.0.0/12"), (6, "fd20::/16")):
        found = [c for c in crossings(result, "citizen0", "wan0", family) if c.packet.state == "new"]
        assert found
        assert ip_address(found[0].packet.destination) in ip_network(wan)
        assert found[0].route is not None
        assert found[0].route.text.startswith("table 200: ")
        assert found[0].verdict is Verdict.VIOLATED


def test_ipv6_left_open_is_found_both_ways_and_ipv4_stays_proved() -> None:
    result = verdict(ipv6_open())
    assert {(*INTERNET_TO_WAN, 6), (*WAN_TO_INTERNET, 6)} <= directions(result)
    assert {pair.verdict for pair in result.pairs if pair.family == 4} == {Verdict.PROVED}
    (crossing,) = [c for c in crossings(result, "clerks0", "citizen0", 6) if c.packet.state == "new"]
    assert ip_address(crossing.packet.source) in ip_network("fd20:20:1::/64")
    assert ip_address(crossing.packet.destination) in ip_network("2001:db8:20:1::/64")


def test_a_failover_route_is_found_in_the_link_state_that_opens_it() -> None:
    """With wan0 down, its route to the WAN is gone and a worse one leads over the internet."""
    edited = with_route(gateway(), 4, "10.16.0.0/12", "inet0", "100", metric=500, gateway="198.51.100.5")
    edited = with_rule(edited, [iif("clerks0"), payload("tcp", "dport", 443), ACCEPT])
    result = verdict(edited)
    found = [c for c in crossings(result, "clerks0", "inet0", 4) if c.packet.state == "new"]
    assert [c.down for c in found] == [("wan0",)]
    assert found[0].verdict is Verdict.VIOLATED
    assert found[0].packet.destination == "10.20.200.10"
    assert found[0].failed == ("buoi-wan (wan0)",)
    assert "it opens when buoi-wan (wan0) is down" in found[0].suggestion


def test_a_failover_that_needs_two_failures_is_found() -> None:
    """The WAN's route has a second way of its own channel, and only behind that one leads over the internet."""
    edited = with_route(gateway(), 4, "10.16.0.0/12", "mgmt0", "100", metric=300, gateway="10.30.1.9")
    edited = with_route(edited, 4, "10.16.0.0/12", "inet0", "100", metric=500, gateway="198.51.100.5")
    edited = with_rule(edited, [iif("clerks0"), payload("tcp", "dport", 443), ACCEPT])
    result = verdict(edited)
    found = [c for c in crossings(result, "clerks0", "inet0", 4) if c.packet.state == "new"]
    assert [c.down for c in found] == [("mgmt0", "wan0")]
    assert found[0].verdict is Verdict.VIOLATED
    assert found[0].route is not None
    assert "dev inet0" in found[0].route.text
    assert "it opens when mgmt0 and buoi-wan (wan0) are down" in found[0].suggestion
    assert {"mgmt0", "wan0", "inet0", "clerks0"} <= set(result.may_fail)


def test_a_mark_to_the_other_table_is_found() -> None:
    """Prerouting marks a service's packets, and a policy rule sends the mark to the WAN's table."""
    base = {"family": "inet", "table": "wardnet", "name": "mark", "handle": 800, "type": "filter",
            "hook": "prerouting", "prio": -150, "policy": "accept"}  # fmt: skip
    edited = with_objects(gateway(), {"chain": base})
    marking = [payload("tcp", "dport", 8443), {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 7}}]
    edited = with_rule(edited, marking, chain="mark")
    edited = with_policy_rule(edited, 4, priority=940, fwmark="0x7", table="100")
    edited = with_rule(edited, [iif("citizen0"), oif("wan0"), ACCEPT])
    result = verdict(edited)
    (crossing,) = [c for c in crossings(result, "citizen0", "wan0", 4) if c.packet.state == "new"]
    assert crossing.packet.destination_port == 8443
    assert crossing.policy_rule is not None
    assert crossing.policy_rule.text.startswith("940:")


def test_a_destination_rewritten_towards_the_other_channel_is_found() -> None:
    """The counterexample is the packet as it is sent, to the address before the rewriting."""
    base = {"family": "inet", "table": "wardnet", "name": "dnat", "handle": 800, "type": "nat",
            "hook": "prerouting", "prio": -100, "policy": "accept"}  # fmt: skip
    edited = with_objects(gateway(), {"chain": base})
    rewriting = [iif("inet0"), payload("tcp", "dport", 8080),
                 {"dnat": {"family": "ip", "addr": "10.20.1.20", "port": 80}}]  # fmt: skip
    edited = with_rule(edited, rewriting, chain="dnat")
    edited = with_rule(edited, [{"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}}, ACCEPT])
    result = verdict(edited)
    (crossing,) = [c for c in crossings(result, "inet0", "clerks0", 4) if c.packet.state == "new"]
    assert crossing.packet.destination_port == 8080
    assert crossing.verdict is Verdict.VIOLATED
    assert crossing.route is not None
    assert "10.20.1.20" in crossing.route.text


def looked_up(*pairs: Any) -> dict[str, Any]:
    """A map by the destination's port."""
    return {"map": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": {"set": list(pairs)}}}


def base_chain(name: str, kind: str, priority: int) -> Artefacts:
    base = {"family": "inet", "table": "wardnet", "name": name, "handle": 800, "type": kind,
            "hook": "prerouting", "prio": priority, "policy": "accept"}  # fmt: skip
    return with_objects(gateway(), {"chain": base})


@pytest.mark.parametrize(("pairs", "ports"), [(([8443, 7], [8080, 8]), {8443}), (([8080, 8],), set())])
def test_a_mark_from_a_map_to_the_other_table_is_found(pairs: Any, ports: set[int]) -> None:
    """Of the map's elements one alone has the mark that the policy rule waits for."""
    marking = [{"mangle": {"key": {"meta": {"key": "mark"}}, "value": looked_up(*pairs)}}]
    edited = with_rule(base_chain("mark", "filter", -150), marking, chain="mark")
    edited = with_policy_rule(edited, 4, priority=940, fwmark="0x7", table="100")
    result = verdict(with_rule(edited, [iif("citizen0"), oif("wan0"), ACCEPT]))
    found = [c for c in crossings(result, "citizen0", "wan0", 4) if c.packet.state == "new"]
    assert {c.packet.destination_port for c in found} == ports
    assert result.verdict is (Verdict.VIOLATED if ports else Verdict.PROVED)


@pytest.mark.parametrize(("inside", "leaks"), [("10.20.1.20", True), ("172.20.1.20", False)])
def test_a_destination_from_a_map_towards_the_other_channel_is_found(inside: str, leaks: bool) -> None:
    mapped = looked_up([8080, inside], [8081, "172.20.1.21"])
    rewriting = [iif("inet0"), {"dnat": {"family": "ip", "addr": mapped, "port": 80}}]
    edited = with_rule(base_chain("dnat", "nat", -100), rewriting, chain="dnat")
    dnat = {"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}}
    result = verdict(with_rule(edited, [iif("inet0"), dnat, ACCEPT]))
    found = [c for c in crossings(result, "inet0", "clerks0", 4) if c.packet.state == "new"]
    assert {c.packet.destination_port for c in found} == ({8080} if leaks else set())


def test_a_mark_that_no_rule_keeps_on_a_connection_picks_no_table() -> None:
    """More of it: test_audit_marks.py."""
    restoring = [{"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"ct": {"key": "mark"}}}}]
    edited = with_rule(base_chain("mark", "filter", -150), restoring, chain="mark")
    edited = with_policy_rule(edited, 4, priority=940, fwmark="0x7", table="100")
    assert verdict(with_rule(edited, [iif("citizen0"), oif("wan0"), ACCEPT])).verdict is Verdict.PROVED


def test_answers_need_a_flow_and_are_found_with_it() -> None:
    """A rule that lets one direction start a flow opens the other one for answers: both are named."""
    edited = with_rule(gateway(), [iif("citizen0"), oif("clerks0"), payload("tcp", "dport", 9100), ACCEPT])
    result = verdict(edited)
    answers = [c for c in crossings(result, "clerks0", "citizen0", 4) if c.packet.state == "established"]
    assert answers
    assert answers[0].needs is not None
    assert answers[0].needs.state == "new"
    assert answers[0].needs.incoming == "citizen0"


def test_the_other_channels_port_in_a_bridge_is_found() -> None:
    def bridge(links: list[dict[str, object]]) -> None:
        for link in links:
            if link["ifname"] in ("clerks0", "citizen0"):
                link["master"] = "br0"
        links.append({"ifindex": 99, "ifname": "br0", "flags": ["BROADCAST", "UP", "LOWER_UP"],
                      "linkinfo": {"info_kind": "bridge"}})  # fmt: skip

    edited = edit_json(gateway(), "ip-link.json", bridge)
    edited = edit_json(edited, "ip-addr.json", lambda links: links.append({"ifname": "br0", "addr_info": []}))
    result = verdict(edited)
    assert {(c.from_port, c.to_port) for c in result.crossings} == {("clerks0", "citizen0"), ("citizen0", "clerks0")}
    assert all("br0" in c.suggestion for c in result.crossings)
    assert result.verdict is Verdict.VIOLATED


def test_an_expired_exception_is_a_crossing() -> None:
    """The policy of a day after it grants nothing, and what is still let through is listed."""
    result = verdict(gateway(), dataclasses.replace(gateway_policy(), grants=()))
    assert result.verdict is Verdict.VIOLATED
    (crossing,) = [c for c in crossings(result, "citizen0", "clerks0", 4) if c.packet.state == "new"]
    assert (crossing.packet.source, crossing.packet.destination) == ("172.20.1.11", "10.20.1.20")
    assert crossing.packet.destination_port == 80
    assert crossing.rule is not None
    assert crossing.rule.comment.startswith("buoi-resident-scan")


def test_an_accept_before_the_check_of_sources_opens_a_way_for_answers() -> None:
    """Between two LANs of one channel, but with any source: with the scanner's address as its source a packet starts a
    flow, and its answer goes to the scanner on the other channel."""
    result = verdict(with_rule(gateway(), [iif("citizen0"), oif("wifi0"), ACCEPT]))
    (crossing,) = crossings(result, "wifi0", "clerks0", 4)
    assert crossing.packet.state == "established"
    assert crossing.packet.destination == "10.20.1.20"
    assert crossing.needs is not None
    assert (crossing.needs.source, crossing.needs.incoming) == ("10.20.1.20", "citizen0")


def test_a_route_across_lets_errors_about_flows_in() -> None:
    """No rule accepts a first packet there, but ICMP errors about a clerk's flow are related to it."""
    result = verdict(with_route(gateway(), 4, "10.20.1.0/24", "clerks0", "200"))
    (crossing,) = crossings(result, "inet0", "clerks0", 4)
    assert (crossing.packet.state, crossing.packet.protocol) == ("related", 1)
    assert crossing.needs is not None
    assert crossing.needs.incoming in ("clerks0", "wan0")


def test_flows_of_the_device_itself_are_not_certain() -> None:
    """From anywhere to one of its addresses: whoever takes that address as a source may answer to the other channel.
    Whether such a flow exists is not in a snapshot."""
    result = verdict(with_rule(gateway(), [payload("tcp", "dport", 22), ACCEPT], chain="input"))
    assert result.verdict is Verdict.UNKNOWN
    assert {c.packet.state for c in result.crossings} == {"established"}
    assert "a flow of the device's own" in reasons(result)


@pytest.mark.parametrize("port", ["8080", "445"])
def test_an_exception_that_is_wider_than_granted_is_a_crossing(port: str) -> None:
    addresses = [payload("ip", "saddr", "172.20.1.11"), payload("ip", "daddr", "10.20.1.20")]
    edited = with_rule(gateway(), [*addresses, payload("tcp", "dport", int(port)), ACCEPT])
    (crossing,) = [c for c in crossings(verdict(edited), "citizen0", "clerks0", 4) if c.packet.state == "new"]
    assert crossing.packet.destination_port == int(port)


# --- unknowns


def reasons(result: DeviceResult) -> str:
    return " | ".join([p.reason for p in result.problems] + [p.reason for c in result.crossings for p in c.open_points])


def test_an_unknown_condition_on_an_accept_is_unknown_with_its_place() -> None:
    """It may hold: then the packet crosses. Nothing is proved, and nothing violated."""
    result = verdict(with_rule(gateway(), [iif("citizen0"), oif("clerks0"), UNKNOWN_MATCH, ACCEPT]))
    assert result.verdict is Verdict.UNKNOWN
    (point,) = {p for c in result.crossings for p in c.open_points if "cgroup" in p.reason}
    assert point.span.place == "inet wardnet forward handle 900"
    assert point.settle


def test_an_unknown_condition_on_a_drop_can_not_save_a_leak() -> None:
    """The drop may miss, so a leak behind it stays possible; and it may hit, so it is not certain."""
    edited = with_rule(forwarding_leak(), [UNKNOWN_MATCH, DROP])
    result = verdict(edited)
    assert result.verdict is Verdict.UNKNOWN
    assert "cgroup" in reasons(result)


def test_an_unknown_that_can_not_matter_does_not() -> None:
    """Between ports of one channel, or where no route leads across: proved all the same."""
    edited = with_rule(gateway(), [iif("wan0"), oif("clerks0"), UNKNOWN_MATCH, ACCEPT], last=True)
    edited = with_rule(edited, [iif("wifi0"), oif("wan0"), UNKNOWN_MATCH, ACCEPT])
    result = verdict(edited)
    assert result.verdict is Verdict.PROVED
    assert result.coverage[0].unknown == 2


def test_a_certain_violation_wins_over_an_unknown_one() -> None:
    edited = with_rule(forwarding_leak(), [iif("wifi0"), UNKNOWN_MATCH, ACCEPT])
    result = verdict(edited)
    assert result.verdict is Verdict.VIOLATED


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: with_setting(a, "net.ipv4.conf.all.accept_source_route", "1"), "source routing"),
        (lambda a: with_setting(a, "net.ipv6.conf.wan0.accept_ra", "2"), "router advertisements on wan0"),
        (lambda a: with_setting(a, "net.mpls.platform_labels", "1000"), "MPLS"),
        (lambda a: {**a, "legacy-tables.txt": b"filter\n"}, "legacy iptables table filter"),
        (lambda a: {**a, "xfrm-policy.txt": b"src 10.0.0.0/8 dst 0.0.0.0/0\n"}, "IPsec"),
        (
            lambda a: edit_json(a, "tc-qdisc.json", lambda q: q.append({"kind": "clsact", "dev": "wan0"})),
            "clsact on wan0",
        ),
        (lambda a: edit_json(a, "ip-link.json", lambda links: links[2].update(xdp={"mode": 2})), "XDP"),
        (lambda a: with_objects(a, {"frobnicator": {"family": "inet"}}), "object of kind frobnicator"),
    ],
)  # fmt: skip
def test_ways_past_the_model_make_everything_unknown(change: Callable[[Artefacts], Artefacts], said: str) -> None:
    result = verdict(change(gateway()))
    assert result.verdict is Verdict.UNKNOWN
    assert said in reasons(result)
    assert {pair.verdict for pair in result.pairs} == {Verdict.UNKNOWN}


def test_a_port_that_the_policy_does_not_know_is_unknown_by_name() -> None:
    edited = edit_json(
        gateway(), "ip-link.json",
        lambda links: links.append({"ifname": "usb0", "flags": ["UP", "LOWER_UP"], "ifindex": 99}),
    )  # fmt: skip
    edited = edit_json(edited, "ip-addr.json", lambda links: links.append({"ifname": "usb0", "addr_info": []}))
    result = verdict(edited)
    assert result.verdict is Verdict.UNKNOWN
    assert "port usb0 is up and the policy does not know it" in reasons(result)


def test_a_port_of_the_policy_that_is_not_there_is_unknown_by_name() -> None:
    def without(links: list[dict[str, object]]) -> list[dict[str, object]]:
        return [link for link in links if link["ifname"] != "wifi0"]

    edited = edit_json(edit_json(gateway(), "ip-link.json", without), "ip-addr.json", without)
    result = verdict(edited)
    assert result.verdict is Verdict.UNKNOWN
    assert "port wifi0 of the policy is not on the device" in reasons(result)


def test_a_port_that_was_down_is_unknown() -> None:
    def down(links: list[dict[str, object]]) -> None:
        next(link for link in links if link["ifname"] == "inet0")["flags"] = ["BROADCAST", "UP"]

    result = verdict(edit_json(gateway(), "ip-link.json", down))
    assert result.verdict is Verdict.UNKNOWN
    assert "port inet0 was down" in reasons(result)


# --- harmless edits

SSHD = b'tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=5,fd=3))\n'
HARMLESS: dict[str, Callable[[Artefacts], Artefacts]] = {
    "a counter that counted": lambda a: {
        **a,
        "nft-ruleset.json": a["nft-ruleset.json"].replace(b'"packets": 0', b'"packets": 77'),
    },
    "a rule that drops": lambda a: with_rule(a, [iif("wan0"), payload("tcp", "dport", 23), DROP]),
    "a rule that logs": lambda a: with_rule(a, [{"log": {"prefix": "seen "}}]),
    "a rule between ports of one channel": lambda a: with_rule(a, [iif("citizen0"), oif("wifi0"), ACCEPT], last=True),
    "an accept for input": lambda a: with_rule(
        a, [payload("ip", "saddr", "10.30.200.20"), payload("tcp", "dport", 161), ACCEPT], chain="input"
    ),
    "an accept without a route across": lambda a: with_rule(a, [iif("wifi0"), oif("wan0"), ACCEPT]),
    "a route across without an accept": lambda a: with_route(a, 4, "10.29.0.0/16", "wan0", "200"),
    "a route within a channel": lambda a: with_route(a, 4, "10.99.0.0/16", "wan0", "100", gateway="10.31.1.1"),
    "a blackhole": lambda a: edit_json(
        a, "ip-route.json", lambda r: r.append({"type": "blackhole", "dst": "192.0.2.0/24", "table": "200"})
    ),
    "a policy rule to an empty table": lambda a: with_policy_rule(a, 4, priority=500, iif="citizen0", table="77"),
    "a sysctl that is not about forwarding": lambda a: with_setting(a, "net.ipv4.tcp_sack", "0"),
    "forwarding off": lambda a: with_setting(a, "net.ipv6.conf.all.forwarding", "0"),
    "strict reverse paths": lambda a: with_setting(a, "net.ipv4.conf.all.rp_filter", "1"),
    "a set that nobody uses": lambda a: with_objects(
        a, {"set": {"family": "inet", "name": "x", "table": "wardnet", "type": "ipv4_addr", "handle": 70, "elem": []}}
    ),
    "a table for ARP": lambda a: with_objects(a, {"table": {"family": "arp", "name": "x", "handle": 9}}),
    "another listener": lambda a: {**a, "listeners.txt": SSHD},
    "a link that is down": lambda a: edit_json(
        edit_json(a, "ip-link.json", lambda x: x.append({"ifname": "sit0", "flags": ["NOARP"], "ifindex": 90})),
        "ip-addr.json", lambda x: x.append({"ifname": "sit0", "addr_info": []}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_edits_are_not_reported(name: str) -> None:
    result = verdict(HARMLESS[name](gateway()))
    assert result.verdict is Verdict.PROVED, reasons(result)


@pytest.mark.parametrize("change", [gateway, forwarding_leak, leaked_route, ipv6_open])
@pytest.mark.parametrize("family", [4, 6])
def test_looking_only_at_what_may_cross_loses_nothing(change: Callable[[], Artefacts], family: int) -> None:
    """As many packets pass between ports of different channels as when all pairs of ports are looked at."""
    device = parse_device("buoi-gw", change())
    sides = (("wan0", "clerks0", "mgmt0"), ("inet0", "citizen0", "wifi0"))
    pairs = [pair for a, b in ((0, 1), (1, 0)) for pair in product(sides[a], sides[b])]
    counts = []
    for between in (pairs, None):
        pipeline = Pipeline(device, family, between=between)
        space, passed = pipeline.space, pipeline.space.certain(pipeline.passage.packets)
        counts.append([space.bdd.count(passed & space.entering(a) & space.leaving(b), 400) for a, b in pairs])
    assert counts[0] == counts[1]


@pytest.mark.long
def test_both_bdd_packages_say_the_same() -> None:
    """dd.autoref is what is left where CUDD is not: same verdicts, same packets, same paths."""
    edited = forwarding_leak()
    assert verdict(edited, backend="dd.cudd") == verdict(edited, backend="dd.autoref")
