"""Leaks in the routes: the filter is open, and a table, a policy rule, a setting or a link state leads across."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.mutation.kinds import Kind, between, of_family_of, on_ways
from bench.mutation.leaks_filter import base, ends, of_family
from bench.mutation.subjects import Subject, Way
from tests.unit.audit_support import (
    ACCEPT,
    Artefacts,
    edit_json,
    iif,
    with_objects,
    with_policy_rule,
    with_route,
    with_rule,
    with_setting,
)
from wardnet.audit.records import Verdict

Made = Callable[[Subject, Way], Artefacts]


ROUTES = {4: "ip-route.json", 6: "ip6-route.json"}


RULES = {4: "ip-rule.json", 6: "ip6-rule.json"}


def opened(subject: Subject, way: Way) -> Artefacts:
    """The filter lets the way's packets through; nothing leads them there yet."""
    return with_rule(subject.artefacts, [*ends(way), ACCEPT])


def routed(subject: Subject, way: Way, artefacts: Artefacts, table: str, **more: Any) -> Artefacts:
    return with_route(
        artefacts, way.family, subject.prefix(way.destination, way.family), way.destination, table, **more
    )


def halves(subject: Subject, way: Way) -> Artefacts:
    """Two longer prefixes, whatever their metric."""
    address, length = subject.network(way.destination, way.family)
    return with_route(
        opened(subject, way), way.family, f"{address}/{length + 1}", way.destination, subject.table(way.source), 9999
    )


def in_own_table(subject: Subject, way: Way) -> Artefacts:
    return routed(subject, way, opened(subject, way), subject.table(way.source))


def several_ways(subject: Subject, way: Way) -> Artefacts:
    """One of two ways of a route is the other channel's."""
    own = subject.line(subject.channel(way.source))
    hops = [{"dev": own, "weight": 1, "flags": []}, {"dev": way.destination, "weight": 1, "flags": []}]
    record = {
        "type": "unicast",
        "dst": subject.prefix(way.destination, way.family),
        "nexthops": hops,
        "table": subject.table(way.source),
        "metric": 50,
        "flags": [],
    }
    return edit_json(opened(subject, way), ROUTES[way.family], lambda routes: routes.append(record))


def default_swapped(subject: Subject, way: Way) -> Artefacts:
    """The source's table has its default route by the other channel's port, in front of what there is."""
    return with_route(opened(subject, way), way.family, "default", way.destination, subject.table(way.source), 1)


def failover(subject: Subject, way: Way) -> Artefacts:
    """Only while the channel's own line is down: until then its route is better."""
    own, table = subject.line(subject.channel(way.source)), subject.table(way.source)
    edited = routed(subject, Way(way.source, way.destination, way.family), opened(subject, way), table, metric=500)
    prefix = subject.prefix(way.destination, way.family)
    return with_route(edited, way.family, prefix, own, table, 10)


def endless(subject: Subject, way: Way) -> Artefacts:
    """The source's table has no unreachable routes: what it has no other for goes on to the next policy rule."""

    def change(routes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [r for r in routes if not (r["type"] == "unreachable" and r["table"] == subject.table(way.source))]

    return edit_json(opened(subject, way), ROUTES[way.family], change)


def without_end(subject: Subject, way: Way) -> Artefacts:
    """The main table has a default by the other channel: it takes over when the channel's own line is down, and at once
    for what has no other route."""
    return with_route(endless(subject, way), way.family, "default", way.destination, "main", 10)


def thrown(subject: Subject, way: Way) -> Artefacts:
    """The source's table throws, and the next rule looks in the main one, which knows the other channel."""
    prefix = subject.prefix(way.destination, way.family)
    record = {"type": "throw", "dst": prefix, "table": subject.table(way.source), "metric": 1, "flags": []}
    edited = edit_json(opened(subject, way), ROUTES[way.family], lambda routes: routes.append(record))
    return routed(subject, way, edited, "main")


def rule_removed(subject: Subject, way: Way) -> Artefacts:
    """What comes in by the port is looked up in no table of its channel, and the main one has every network."""

    def change(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [rule for rule in rules if rule.get("iif") != way.source]

    edited = edit_json(opened(subject, way), RULES[way.family], change)
    return routed(subject, way, edited, "main")


def other_table(subject: Subject, way: Way) -> Artefacts:
    """The port's own rule names the other channel's table."""

    def change(rules: list[dict[str, Any]]) -> None:
        next(rule for rule in rules if rule.get("iif") == way.source)["table"] = subject.table(way.destination)

    return edit_json(opened(subject, way), RULES[way.family], change)


def ruled(make: Callable[[Subject, Way], dict[str, Any]]) -> Made:
    """One more policy rule leads to the destination's table."""
    return lambda subject, way: with_policy_rule(
        opened(subject, way),
        way.family,
        **{"priority": 940, "table": subject.table(way.destination), **make(subject, way)},
    )


def split(prefix: tuple[str, int], key: str) -> dict[str, Any]:
    return {key: prefix[0], f"{key}len": prefix[1]}


def by_mark(setting: Callable[[Way], list[Any]], **selector: Any) -> Made:
    def made(subject: Subject, way: Way) -> Artefacts:
        edited = with_objects(opened(subject, way), base("marks", "prerouting", -150))
        edited = with_rule(edited, setting(way), chain="marks")
        return with_policy_rule(edited, way.family, priority=940, table=subject.table(way.destination), **selector)

    return made


def marks(value: Any) -> dict[str, Any]:
    return {"mangle": {"key": {"meta": {"key": "mark"}}, "value": value}}


KEPT = {"mangle": {"key": {"ct": {"key": "mark"}}, "value": 7}}


def from_map(way: Way) -> list[Any]:
    data = {"set": [[way.source, 7], ["lo", 8]]}
    return [of_family(way), marks({"map": {"key": {"meta": {"key": "iifname"}}, "data": data}})]


def goto(subject: Subject, way: Way) -> Artefacts:
    """A rule goes past the port's own to one that leads across."""
    edited = with_policy_rule(opened(subject, way), way.family, priority=940, iif=way.source, goto=1950)
    return with_policy_rule(edited, way.family, priority=1950, table=subject.table(way.destination))


def suppressed(subject: Subject, way: Way) -> Artefacts:
    """The port's own rule takes no route but to hosts, and the one behind it leads across. (Unreachable routes would be
    final all the same.)"""

    def change(rules: list[dict[str, Any]]) -> None:
        next(rule for rule in rules if rule.get("iif") == way.source)["suppress_prefixlen"] = (
            126 if way.family == 6 else 31
        )

    edited = edit_json(endless(subject, way), RULES[way.family], change)
    return with_policy_rule(edited, way.family, priority=1950, iif=way.source, table=subject.table(way.destination))


def forwarding_of_all(subject: Subject, way: Way) -> Artefacts:
    """IPv6 forwards nothing, but for what comes in by one port."""
    edited = with_setting(subject.led(way, opened(subject, way)), "net.ipv6.conf.all.forwarding", "0")
    return with_setting(edited, f"net.ipv6.conf.{way.source}.force_forwarding", "1")


def forwarding_of_a_port(subject: Subject, way: Way) -> Artefacts:
    """IPv4 does not forward what comes in by any port but one."""
    edited = subject.led(way, opened(subject, way))
    for port in subject.ports:
        edited = with_setting(edited, f"net.ipv4.conf.{port}.forwarding", str(int(port == way.source)))
    return edited


def _from_a_lan(subject: Subject, way: Way) -> bool:
    """What opens when the line is down is no way for what comes in by the line."""
    return way.source in subject.lans


KINDS = (
    *(
        Kind(name, does, on_ways(made), Verdict.VIOLATED)
        for name, does, made in (
            ("route across", "the source's table has the other channel's network", in_own_table),
            ("longer route across", "half of the network, at a bad metric", halves),
            ("route of several ways", "one of which is the other channel's", several_ways),
            ("default route across", "the default route leads over the other channel", default_swapped),
            ("throw", "a table sends on to the main one", thrown),
            ("policy rule removed", "the main table decides", rule_removed),
            ("policy rule to the other table", "a port's own rule names it", other_table),
            ("policy rule by port", "iif", ruled(lambda _, way: {"iif": way.source})),
            ("policy rule by source", "from", ruled(lambda s, way: split(s.network(way.source, way.family), "src"))),
            (
                "policy rule by destination",
                "to",
                ruled(lambda s, way: split(s.network(way.destination, way.family), "dst")),
            ),
            ("policy rule for all", "from all", ruled(lambda _, way: {})),
            (
                "policy rule by protocol and port",
                "ipproto, dport",
                ruled(lambda _, way: {"ipproto": "udp", "dport": 500}),
            ),
            ("policy rule that is turned round", "not", ruled(lambda _, way: {"not": None, "iif": "lo"})),
            ("policy rule that goes past", "goto", goto),
            ("policy rule that suppresses", "suppress_prefixlength", suppressed),
            (
                "policy rule by mark",
                "fwmark",
                by_mark(lambda way: [iif(way.source), of_family(way), marks(7)], fwmark="0x7"),
            ),
            (
                "policy rule by some bits of a mark",
                "fwmark with a mask",
                by_mark(lambda way: [iif(way.source), marks(0x37)], fwmark="0x7", fwmask="0xf"),
            ),
            ("policy rule by a mark from a map", "a map of ports to marks", by_mark(from_map, fwmark="0x7")),
        )
    ),
    Kind(
        "failover",
        "a route of the other channel takes over when the line is down",
        between(_from_a_lan, failover),
        Verdict.VIOLATED,
    ),
    Kind(
        "no unreachable default",
        "lookups fall through to the main table",
        between(_from_a_lan, without_end),
        Verdict.VIOLATED,
    ),
    Kind(
        "policy rule by what is not modelled",
        "tos",
        on_ways(ruled(lambda _, way: {"tos": "0x10", "iif": way.source})),
        Verdict.UNKNOWN,
    ),
    Kind(
        "policy rule by user",
        "uidrange",
        on_ways(ruled(lambda _, way: {"uid_start": 0, "uid_end": 9})),
        Verdict.UNKNOWN,
    ),
    Kind(
        "route with an encapsulation",
        "encap",
        on_ways(lambda s, way: routed(s, way, opened(s, way), s.table(way.source), encap="mpls")),
        Verdict.UNKNOWN,
    ),
    Kind(
        "policy rule by the mark of a connection",
        "the mark is kept with the connection, and restored",
        on_ways(by_mark(lambda way: [iif(way.source), KEPT, marks({"ct": {"key": "mark"}})], fwmark="0x7")),
        Verdict.VIOLATED,
    ),
    Kind(
        "forwarding of all of IPv6 off, and forced at a port",
        "force_forwarding",
        of_family_of(6, forwarding_of_all),
        Verdict.VIOLATED,
    ),
    Kind(
        "forwarding of IPv4 at a port alone",
        "the port of the leak",
        of_family_of(4, forwarding_of_a_port),
        Verdict.VIOLATED,
    ),
)
