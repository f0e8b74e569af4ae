"""What moves packets past the filter and the routes, or could. It cannot be modelled: the device must be unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bench.mutation.kinds import Edit, Kind, Place, Places, at_ports, in_each_pair, once
from bench.mutation.leaks_filter import TABLE, base, ends
from bench.mutation.leaks_programs import heard, line
from bench.mutation.subjects import Subject, Way
from tests.unit.audit_support import (
    ACCEPT,
    Artefacts,
    edit_json,
    iif,
    meta,
    payload,
    with_objects,
    with_policy_rule,
    with_rule,
    with_setting,
)
from tests.unit.test_audit_carriers import with_link
from wardnet.audit.records import Verdict


def statement(*expressions: Any, chain_name: str = "forward") -> Callable[[Subject, Way], Artefacts]:
    return lambda subject, way: with_rule(subject.led(way), [*ends(way), *expressions], chain=chain_name)


def in_prerouting(*expressions: Any, priority: int = -150) -> Callable[[Subject, str], Artefacts]:
    def made(subject: Subject, port: str) -> Artefacts:
        edited = with_objects(subject.artefacts, base("early", "prerouting", priority))
        return with_rule(edited, [iif(port), *expressions], chain="early")

    return made


def at_ingress(make: Callable[[Way], list[Any]], hook: str = "ingress") -> Callable[[Subject, Way], Artefacts]:
    """A chain of the netdev family at one port sends what it sees to the other."""

    def made(subject: Subject, way: Way) -> Artefacts:
        table = {"family": "netdev", "table": "early"}
        return with_objects(
            subject.artefacts,
            {"table": {"family": "netdev", "name": "early", "handle": 90}},
            {
                "chain": {
                    **table,
                    "name": "in",
                    "handle": 1,
                    "dev": way.source,
                    "type": "filter",
                    "hook": hook,
                    "prio": 0,
                    "policy": "accept",
                }
            },
            {"rule": {**table, "chain": "in", "handle": 2, "expr": make(way)}},
        )

    return made


def flowtable(subject: Subject, way: Way) -> Artefacts:
    """Connections are handed to a fast path that asks no rule again, nor the routes."""
    table = {
        "flowtable": {
            **TABLE,
            "name": "fast",
            "handle": 803,
            "hook": "ingress",
            "prio": 0,
            "dev": [way.source, way.destination],
        }
    }
    edited = with_objects(subject.led(way), table)
    return with_rule(edited, [*ends(way), {"flow": {"op": "add", "flowtable": "@fast"}}])


def relating(expression: dict[str, Any]) -> Places:
    """What is related may cross by an exception's routes; elsewhere errors alone would, and those are certain."""

    def places(subject: Subject) -> Iterable[Place]:
        for port in subject.ports if subject.exception else ():
            yield Place(port, lambda port=port: with_rule(subject.artefacts, [iif(port), expression]))  # type: ignore[misc]

    return places


def taken(subject: Subject, port: str) -> Artefacts:
    """A local socket takes what is meant for others; the mark leads there, and the input chain lets it in."""
    tproxy = {"tproxy": {"family": "ip", "addr": "127.0.0.1", "port": 3128}}
    marking = {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}}
    edited = in_prerouting(payload("tcp", "dport", 80), tproxy, marking)(subject, port)
    edited = with_policy_rule(edited, 4, priority=900, fwmark="0x1", table="77")
    record = {"type": "local", "dst": "default", "dev": "lo", "table": "77", "flags": []}
    edited = edit_json(edited, "ip-route.json", lambda routes: routes.append(record))
    return heard(
        with_rule(edited, [iif(port), meta("mark", 1), ACCEPT], chain="input"), line("tcp", "*", 3128, "squid", 700, 3)
    )


def own_ends(subject: Subject, port: str) -> Artefacts:
    """Flows of the device itself get other ends."""
    edited = with_objects(subject.artefacts, base("own", "output", -100, "nat"))
    return with_rule(edited, [{"dnat": {"family": "ip", "addr": subject.host(port, 4)}}], chain="own")


def attached(subject: Subject, port: str) -> Artefacts:
    return with_link(subject.artefacts, port, xdp={"mode": 2, "prog": {"id": 5}})


def discipline(name: str) -> Callable[[Subject, str], Artefacts]:
    record = {"kind": name, "handle": "1:", "root": True, "refcnt": 2, "options": {}}
    return lambda subject, port: edit_json(
        subject.artefacts, "tc-qdisc.json", lambda q: q.append({**record, "dev": port})
    )


def set_for_ports(setting: str, value: str) -> Callable[[Subject, str], Artefacts]:
    return lambda subject, port: with_setting(subject.artefacts, setting.format(port), value)


def lines_of(name: str, text: str) -> Edit:
    return lambda artefacts: {**artefacts, name: artefacts[name] + text.encode()}


def setting(name: str, value: str) -> tuple[str, Edit]:
    return name, lambda artefacts: with_setting(artefacts, name, value)


UNKNOWN: tuple[tuple[str, str, Places], ...] = (
    ("an XDP program", "in front of everything", at_ports(attached)),
    *(
        (f"a filter of tc, {name}", "may redirect", at_ports(discipline(name)))
        for name in ("clsact", "ingress", "htb", "fq_codel")
    ),
    (
        "tproxy",
        "to a local socket",
        at_ports(taken),
    ),
    ("synproxy", "answers by itself", in_each_pair(statement({"synproxy": {"mss": 1460, "wscale": 7}}))),
    ("a flowtable", "past the forward chain", in_each_pair(flowtable)),
    ("fwd", "out by the other port", in_each_pair(at_ingress(lambda way: [{"fwd": {"dev": way.destination}}]))),
    ("dup", "a copy out by the other port", in_each_pair(at_ingress(lambda way: [{"dup": {"addr": way.destination}}]))),
    (
        "dup to an address",
        "a copy to the other channel",
        in_each_pair(
            lambda s, way: with_rule(
                s.artefacts, [iif(way.source), {"dup": {"addr": s.host(way.destination, 4), "dev": way.destination}}]
            )
        ),
    ),
    ("a helper", "lets in related connections", relating({"ct helper": "ftp"})),
    ("an expectation", "the same", relating({"ct expectation": "back"})),
    (
        "a packet type that is set",
        "so that a frame for another is forwarded",
        at_ports(in_prerouting({"mangle": {"key": {"meta": {"key": "pkttype"}}, "value": "host"}})),
    ),
    ("new ends for the device's own flows", "dnat in the output hook", at_ports(own_ends)),
    ("source routing", "of IPv4", once(setting("net.ipv4.conf.all.accept_source_route", "1"))),
    ("router advertisements", "taken at a port", at_ports(set_for_ports("net.ipv6.conf.{}.accept_ra", "2"))),
    ("multicast forwarding", "at a port", at_ports(set_for_ports("net.ipv4.conf.{}.mc_forwarding", "1"))),
    ("broadcast forwarding", "of all", once(setting("net.ipv4.conf.all.bc_forwarding", "1"))),
    (
        "segment routing",
        "SRv6 and RPL, of all",
        once(setting("net.ipv6.conf.all.seg6_enabled", "1"), setting("net.ipv6.conf.all.rpl_seg_enabled", "1")),
    ),
    ("labels", "MPLS", once(setting("net.mpls.platform_labels", "1000"))),
    ("IPVS", "balances past the routes", once(setting("net.ipv4.vs.conntrack", "1"))),
    (
        "a setting that nobody knows",
        "of a later kernel",
        at_ports(set_for_ports("net.ipv4.conf.{}.forwards_by_a_new_way", "1")),
    ),
    ("IPsec", "a policy may tunnel", once(("a policy", lines_of("xfrm-policy.txt", "src 10.0.0.0/8 dst 0.0.0.0/0\n")))),
    (
        "legacy iptables",
        "a table beside nftables",
        once(*((name, lines_of("legacy-tables.txt", f"{name}\n")) for name in ("filter", "nat", "mangle", "raw"))),
    ),
    (
        "an unknown object",
        "of a later nft",
        once(("frobnicator", lambda a: with_objects(a, {"frobnicator": {"family": "inet"}}))),
    ),
)


KINDS = (*(Kind(name, does, places, Verdict.UNKNOWN) for name, does, places in UNKNOWN),)
