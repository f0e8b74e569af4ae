"""Leaks by what belongs to a flow: new destinations, answers, errors, and an exception that is too wide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.mutation.kinds import Kind, between, of_family_of
from bench.mutation.leaks_filter import base, ends
from bench.mutation.leaks_routes import Made, routed
from bench.mutation.subjects import Subject, Way
from tests.unit.audit_support import (
    ACCEPT,
    Artefacts,
    edit_json,
    iif,
    meta,
    payload,
    with_objects,
    with_rule,
)
from wardnet.audit.records import Verdict


def translated(make: Callable[[Subject, Way], list[Any]], *, priority: int = -100) -> Made:
    """What is sent to the port's own channel gets a destination in the other one; accepted is what was rewritten."""

    def made(subject: Subject, way: Way) -> Artefacts:
        edited = with_objects(subject.led(way), base("dnat", "prerouting", priority, "nat"))
        edited = with_rule(edited, make(subject, way), chain="dnat")
        dnat = {"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}}
        return with_rule(edited, [iif(way.source), dnat, ACCEPT])

    return made


def to_host(subject: Subject, way: Way, **more: Any) -> dict[str, Any]:
    return {"dnat": {"family": way.word, "addr": subject.host(way.destination, way.family), **more}}


def to_mapped(subject: Subject, way: Way) -> list[Any]:
    elements = [[8080, subject.host(way.destination, way.family)], [8081, subject.host(way.source, way.family)]]
    mapped = {"map": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": {"set": elements}}}
    return [iif(way.source), {"dnat": {"family": way.word, "addr": mapped}}]


def ipv6_open(subject: Subject, way: Way) -> Artefacts:
    """All of IPv6 is accepted, and each table has the other channel's network."""
    edited = with_rule(subject.artefacts, [meta("nfproto", "ipv6"), ACCEPT])
    return routed(subject, way, edited, subject.table(way.source))


def unguarded(artefacts: Artefacts) -> Artefacts:
    """Without the rules that drop what is about a connection of the other channel, which older gateways lack."""

    def change(listing: dict[str, list[dict[str, Any]]]) -> None:
        guard = "about a connection of the other channel"
        listing["nftables"] = [e for e in listing["nftables"] if e.get("rule", {}).get("comment") != guard]

    return edit_json(artefacts, "nft-ruleset.json", change)


def errors_only(subject: Subject, way: Way) -> Artefacts:
    """No rule accepts a first packet there. Errors about flows that exist are related to them, and follow the route,
    where no rule drops those of the other channel."""
    return routed(subject, way, unguarded(subject.artefacts), subject.table(way.source))


def without_check(subject: Subject, way: Way) -> Artefacts:
    """The check of sources at the port that comes in is gone: with an address of the exception's other end as source a
    packet belongs to its connection."""
    kind = "elsewhere than" if way.source in ("wan0", "inet0") else "not from"

    def change(listing: dict[str, list[dict[str, Any]]]) -> None:
        listing["nftables"] = [
            e
            for e in listing["nftables"]
            if not (
                e.get("rule", {}).get("comment") == f"{kind} {way.source}"
                and f'"protocol": "{way.word}"' in repr(e).replace("'", '"')
            )
        ]

    return edit_json(subject.artefacts, "nft-ruleset.json", change)


def answers_first(subject: Subject, way: Way) -> Artefacts:
    """What belongs to a connection is accepted before its source is checked."""

    def change(listing: dict[str, list[dict[str, Any]]]) -> None:
        objects = listing["nftables"]
        rules = [e for e in objects if e.get("rule", {}).get("chain") == "forward"]
        answers = next(e for e in rules if e["rule"].get("comment") == "answers")
        objects.remove(answers)
        objects.insert(objects.index(rules[0]), answers)

    return edit_json(subject.artefacts, "nft-ruleset.json", change)


def wider(make: Callable[[Subject, Way], list[Any]]) -> Made:
    """A rule that lets through more than the exception grants, between its hosts' ports."""
    return lambda subject, way: with_rule(subject.artefacts, [*ends(way), *make(subject, way), ACCEPT], last=True)


GRANTED = {4: ("172.20.1.11", "10.20.1.20"), 6: ("2001:db8:20:1::11", "fd20:20:1::20")}


def hosts(way: Way, *, sender: bool = True) -> list[Any]:
    found = [payload(way.word, "daddr", GRANTED[way.family][1])]
    return [payload(way.word, "saddr", GRANTED[way.family][0]), *found] if sender else found


def _of_exception(subject: Subject, way: Way) -> bool:
    return subject.exception and (way.source, way.destination) == ("citizen0", "clerks0")


def _answers(subject: Subject, way: Way) -> bool:
    """From a port where the exception's end is not, to the port where its other end is. The LAN of either end may send
    with any address of its own, and the exception is its own."""
    ways = {("inet0", "clerks0"), ("wifi0", "clerks0"), ("wan0", "citizen0"), ("mgmt0", "citizen0")}
    return subject.exception and (way.source, way.destination) in ways


def _to_a_lan(subject: Subject, way: Way) -> bool:
    return way.destination in subject.lans


KINDS = (
    Kind(
        "IPv6 left open",
        "all of IPv6 is accepted, and a route leads across",
        of_family_of(6, ipv6_open),
        Verdict.VIOLATED,
    ),
    Kind(
        "errors about flows",
        "a route across, and no rule that accepts",
        between(_to_a_lan, errors_only),
        Verdict.VIOLATED,
    ),
    Kind(
        "dnat to a host",
        "of the other channel",
        between(
            _to_a_lan,
            translated(lambda s, way: [iif(way.source), payload("tcp", "dport", 8080), to_host(s, way, port=80)]),
        ),
        Verdict.VIOLATED,
    ),
    Kind(
        "dnat of all",
        "whatever the protocol",
        between(_to_a_lan, translated(lambda s, way: [iif(way.source), to_host(s, way)])),
        Verdict.VIOLATED,
    ),
    Kind("dnat from a map", "by destination port", between(_to_a_lan, translated(to_mapped)), Verdict.VIOLATED),
    Kind(
        "a check of sources that is gone",
        "a drop at the head of the chain",
        between(_answers, without_check),
        Verdict.VIOLATED,
    ),
    Kind(
        "answers before the checks of sources",
        "the order of two rules",
        between(_answers, answers_first),
        Verdict.VIOLATED,
    ),
    Kind(
        "exception for other ports",
        "80-89",
        between(_of_exception, wider(lambda _, way: [*hosts(way), payload("tcp", "dport", {"range": [80, 89]})])),
        Verdict.VIOLATED,
    ),
    Kind(
        "exception for another protocol",
        "UDP",
        between(_of_exception, wider(lambda _, way: [*hosts(way), payload("udp", "dport", 80)])),
        Verdict.VIOLATED,
    ),
    Kind(
        "exception for all protocols",
        "no port named",
        between(_of_exception, wider(lambda _, way: hosts(way))),
        Verdict.VIOLATED,
    ),
    Kind(
        "exception for all senders",
        "any of the LAN",
        between(_of_exception, wider(lambda _, way: [*hosts(way, sender=False), payload("tcp", "dport", 80)])),
        Verdict.VIOLATED,
    ),
)
