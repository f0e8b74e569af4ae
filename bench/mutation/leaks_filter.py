"""Leaks in the filter: a policy rule leads across, and a rule lets the packets through, written in every way that nft
has. Each says in which way it opens a crossing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bench.mutation.kinds import Kind, on_ways
from bench.mutation.subjects import Subject, Way
from tests.unit.audit_support import (
    ACCEPT,
    DROP,
    UNKNOWN_MATCH,
    Artefacts,
    edit_json,
    iif,
    meta,
    oif,
    payload,
    with_objects,
    with_rule,
)
from wardnet.audit.records import Verdict

Expressions = list[Any]
Made = Callable[[Subject, Way], Artefacts]
TABLE = {"family": "inet", "table": "wardnet"}


def of_family(way: Way) -> dict[str, Any]:
    return meta("nfproto", f"ipv{way.family}")


def ends(way: Way) -> Expressions:
    return [iif(way.source), oif(way.destination), of_family(way)]


def accepting(make: Callable[[Subject, Way], Expressions], *, last: bool = False) -> Made:
    """One more rule of the forward chain, at its head or its end."""
    return lambda subject, way: with_rule(subject.led(way), make(subject, way), last=last)


def only(*more: Any) -> Made:
    """An accept of what comes in and leaves by the way's ports, and is `more`."""
    return accepting(lambda _, way: [*ends(way), *more, ACCEPT])


def matched(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def network(subject: Subject, port: str, family: int) -> dict[str, Any]:
    address, length = subject.network(port, family)
    return {"prefix": {"addr": address, "len": length}}


def chain(name: str, **more: Any) -> dict[str, Any]:
    return {"chain": {**TABLE, "name": name, "handle": 800, **more}}


def base(name: str, hook: str, priority: int, kind: str = "filter", policy: str = "accept") -> dict[str, Any]:
    return chain(name, type=kind, hook=hook, prio=priority, policy=policy)


def named(kind: str, name: str, elements: list[Any], of: Any, **more: Any) -> dict[str, Any]:
    return {kind: {**TABLE, "name": name, "type": of, "handle": 801, "elem": elements, **more}}


def address_type(way: Way) -> str:
    return f"ipv{way.family}_addr"


# --- the forms


def behind_checks(subject: Subject, way: Way) -> Artefacts:
    return with_rule(subject.led(way), [*ends(way), ACCEPT], last=True)


def by_destination(subject: Subject, way: Way) -> Expressions:
    return [payload(way.word, "daddr", network(subject, way.destination, way.family)), ACCEPT]


def by_other_ports(subject: Subject, way: Way) -> Expressions:
    """What comes in by any but the other ports."""
    others = [port for port in subject.ports if port != way.source]
    return [matched({"meta": {"key": "iifname"}}, {"set": others}, "!="), of_family(way), ACCEPT]


def called(verdict: str) -> Made:
    def made(subject: Subject, way: Way) -> Artefacts:
        edited = with_objects(subject.led(way), chain("more"), chain("most"))
        for name, expressions in (("more", [{verdict: {"target": "most"}}]), ("most", [oif(way.destination), ACCEPT])):
            edited = with_objects(edited, {"rule": {**TABLE, "chain": name, "handle": 802, "expr": expressions}})
        return with_rule(edited, [iif(way.source), of_family(way), {verdict: {"target": "more"}}])

    return made


def by_verdict_map(subject: Subject, way: Way) -> Expressions:
    pairs = [[way.source, ACCEPT], ["lo", DROP]]
    return [
        oif(way.destination),
        of_family(way),
        {"vmap": {"key": {"meta": {"key": "iifname"}}, "data": {"set": pairs}}},
    ]


def by_named_map(subject: Subject, way: Way) -> Artefacts:
    pair = [{"concat": [way.source, way.destination]}, ACCEPT]
    edited = with_objects(subject.led(way), named("map", "ways", [pair], ["ifname", "ifname"], map="verdict"))
    key = {"concat": [{"meta": {"key": "iifname"}}, {"meta": {"key": "oifname"}}]}
    return with_rule(edited, [of_family(way), {"vmap": {"key": key, "data": "@ways"}}])


def by_named_set(subject: Subject, way: Way) -> Artefacts:
    wanted = named("set", "far", [network(subject, way.destination, way.family)], address_type(way), flags=["interval"])
    edited = with_objects(subject.led(way), wanted)
    return with_rule(edited, [iif(way.source), payload(way.word, "daddr", "@far"), ACCEPT])


def by_moving_set(flags: list[str], *more: dict[str, Any]) -> Made:
    """A set whose elements are not those of the listing when a packet comes; none are listed."""

    def made(subject: Subject, way: Way) -> Artefacts:
        edited = with_objects(subject.led(way), named("set", "seen", [], address_type(way), flags=flags))
        edited = with_rule(edited, [*ends(way), payload(way.word, "saddr", "@seen"), ACCEPT])
        adding = {"set": {"op": "add", "elem": {"payload": {"protocol": way.word, "field": "saddr"}}, "set": "@seen"}}
        return with_rule(edited, [of_family(way), adding], chain="input") if more else edited

    return made


def by_concatenation(subject: Subject, way: Way) -> Expressions:
    key = {"concat": [{"meta": {"key": "iifname"}}, {"payload": {"protocol": way.word, "field": "daddr"}}]}
    values = [{"concat": [way.source, network(subject, way.destination, way.family)]}]
    return [matched(key, {"set": values}), ACCEPT]


def by_mark(mask: int | None) -> Made:
    """Prerouting marks what comes in, and the filter accepts the mark."""

    def made(subject: Subject, way: Way) -> Artefacts:
        edited = with_objects(subject.led(way), base("marks", "prerouting", -150))
        marking = {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 0x105}}
        edited = with_rule(edited, [iif(way.source), marking], chain="marks")
        key: Any = {"meta": {"key": "mark"}}
        wanted = matched(key, 0x105) if mask is None else matched({"&": [key, mask]}, 0x105 & mask)
        return with_rule(edited, [of_family(way), oif(way.destination), wanted, ACCEPT])

    return made


def stateless(subject: Subject, way: Way) -> Artefacts:
    """Nothing is tracked that comes in there, and what is not tracked is accepted."""
    edited = with_objects(subject.led(way), base("raw", "prerouting", -300))
    edited = with_rule(edited, [iif(way.source), {"notrack": None}], chain="raw")
    untracked = matched({"ct": {"key": "state"}}, "untracked", "in")
    return with_rule(edited, [oif(way.destination), of_family(way), untracked, ACCEPT])


def open_policy(subject: Subject, way: Way) -> Artefacts:
    """The chain lets through what no rule of it has dropped, as a chain without a policy of its own would."""

    def change(listing: dict[str, list[dict[str, Any]]]) -> None:
        next(e["chain"] for e in listing["nftables"] if e.get("chain", {}).get("name") == "forward")["policy"] = (
            "accept"
        )

    return edit_json(subject.led(way), "nft-ruleset.json", change)


def without_rules(subject: Subject, way: Way) -> Artefacts:
    """No ruleset at all: as after `nft flush ruleset`, or a boot on which it did not load."""
    return edit_json(subject.led(way), "nft-ruleset.json", lambda listing: {"nftables": listing["nftables"][:1]})


def dormant(subject: Subject, way: Way) -> Artefacts:
    def change(listing: dict[str, list[dict[str, Any]]]) -> None:
        next(e["table"] for e in listing["nftables"] if "table" in e)["flags"] = ["dormant"]

    return edit_json(subject.led(way), "nft-ruleset.json", change)


def without_hook(subject: Subject, way: Way) -> Artefacts:
    """The forward chain is there with all its rules, and nothing calls it."""

    def change(listing: dict[str, list[dict[str, Any]]]) -> None:
        found = next(e["chain"] for e in listing["nftables"] if e.get("chain", {}).get("name") == "forward")
        for key in ("type", "hook", "prio", "policy"):
            del found[key]

    return edit_json(subject.led(way), "nft-ruleset.json", change)


def early_return(subject: Subject, way: Way) -> Artefacts:
    return with_rule(open_policy(subject, way), [*ends(way), {"return": None}])


def refused_in_part(kind: dict[str, Any]) -> Made:
    """What should refuse all of it refuses one protocol, and the accept behind it is wide."""

    def made(subject: Subject, way: Way) -> Artefacts:
        edited = with_rule(subject.led(way), [*ends(way), ACCEPT])
        return with_rule(edited, [*ends(way), {"reject": kind}])

    return made


LIMIT = {"limit": {"rate": 1, "burst": 5, "per": "day"}}
QUOTA = {"quota": {"val": 1, "val_unit": "bytes", "used": 0, "inv": False}}
L4 = {"meta": {"key": "l4proto"}}

FORMS: dict[str, tuple[str, Made]] = {
    "accept": ("accepts what comes in by one port and leaves by the other, before all checks", only()),
    "accept behind the checks of sources": ("the same at the end of the chain", behind_checks),
    "accept of TCP": ("of TCP alone", only(matched(L4, "tcp"))),
    "accept of UDP to a port": ("of one UDP port", only(payload("udp", "dport", 4500))),
    "accept of ports": (
        "of a range and a set of ports",
        only(payload("tcp", "dport", {"set": [22, {"range": [6000, 6063]}]})),
    ),
    "accept of another protocol": ("of GRE", only(matched(L4, "gre"))),
    "accept of ICMP": ("of ICMP and ICMPv6", only(matched(L4, {"set": ["icmp", "ipv6-icmp"]}))),
    "accept of first packets": ("of new connections", only(matched({"ct": {"key": "state"}}, "new", "in"))),
    "accept with a log and a counter": (
        "counts and logs it",
        only({"counter": {"packets": 3, "bytes": 9}}, {"log": {"prefix": "x"}}),
    ),
    "accept with a limit": ("one packet a day", only(LIMIT)),
    "accept with a quota": ("up to a quota", only(QUOTA)),
    "accept at some hours": ("during the night", only(meta("hour", "02:00", ">="))),
    "accept for a while": ("until a day to come", only(meta("time", "2030-01-01 00:00:00", "<"))),
    "accept by destination": ("whatever port it comes in by", accepting(by_destination)),
    "accept by a wildcard": (
        "of ports whose names begin alike",
        accepting(lambda _, way: [iif(f"{way.source[:3]}*"), of_family(way), ACCEPT]),
    ),
    "accept by index": (
        "of ports by number",
        accepting(lambda _, way: [meta("iif", way.source), meta("oif", way.destination), of_family(way), ACCEPT]),
    ),
    "accept from all but some": ("of all ports but the others", accepting(by_other_ports)),
    "accept by a named set": ("of destinations in a named set", by_named_set),
    "accept by a concatenation": ("of a port with a destination", accepting(by_concatenation)),
    "accept by a verdict map": ("through a map of ports", accepting(by_verdict_map)),
    "accept by a named verdict map": ("through a named map of pairs of ports", by_named_map),
    "accept in a chain that is jumped to": ("two jumps deep", called("jump")),
    "accept in a chain that is gone to": ("two gotos deep", called("goto")),
    "accept by a mark": ("of a mark that prerouting set", by_mark(None)),
    "accept by a connection's mark": (
        "of a mark kept with the connection, which the rule itself sets",
        only({"mangle": {"key": {"ct": {"key": "mark"}}, "value": 1}}, matched({"ct": {"key": "mark"}}, 1)),
    ),
    "accept by some bits of a mark": ("the same, by a mask", by_mark(0xFF)),
    "accept of what is not tracked": ("behind a notrack", stateless),
    "a reset instead of a drop": ("TCP alone is refused before a wide accept", refused_in_part({"type": "tcp reset"})),
    "a filter that was flushed": ("no ruleset at all", without_rules),
    "a dormant table": ("the whole table is dormant", dormant),
    "a forward chain without its hook": ("the chain is an ordinary one", without_hook),
}

# Whether it matches depends on what is not in a snapshot, or not modelled: never certain, and never proved.
UNSURE: dict[str, tuple[str, Made]] = {
    "accept of something unknown": ("a condition that is not modelled", only(UNKNOWN_MATCH)),
    "accept of an iptables-nft match": ("an opaque xt expression", only({"xt": None})),
    "accept of a socket": (
        "of packets that a local socket is open for",
        only(matched({"socket": {"key": "transparent"}}, 1)),
    ),
    "accept behind a rewritten header": (
        "a payload is set before",
        only({"mangle": {"key": {"payload": {"protocol": "ip", "field": "dscp"}}, "value": 0}}),
    ),
    "accept of a moving set": ("of a set whose elements expire", by_moving_set(["timeout"])),
    "accept of a set that packets fill": ("of a set that another chain adds to", by_moving_set(["dynamic"], {})),
    "accept of a rewritten destination": (
        "an address is set without translation",
        only({"mangle": {"key": {"payload": {"protocol": "ip6", "field": "daddr"}}, "value": "::1"}}),
    ),
    "queue": ("a program decides", accepting(lambda _, way: [*ends(way), {"queue": {"num": 0}}])),
    "queue with a bypass": (
        "accepted where no program listens",
        accepting(lambda _, way: [*ends(way), {"queue": {"num": 0, "flags": ["bypass"]}}]),
    ),
    "an unknown statement": ("a statement of a later nft", accepting(lambda _, way: [*ends(way), {"frobnicate": {}}])),
}


def _kinds() -> Iterable[Kind]:
    for name, (does, made) in FORMS.items():
        yield Kind(name, does, on_ways(made, zones=True), Verdict.VIOLATED)
    # Not from the WAN's line with an address of the internet's as source, and the like: there the checks still drop.
    yield Kind("an open policy", "the chain's policy is accept", on_ways(open_policy, zones=True), Verdict.VIOLATED)
    yield Kind(
        "a return before an open policy",
        "goes back to an accepting policy",
        on_ways(early_return, zones=True),
        Verdict.VIOLATED,
    )
    for name, (does, made) in UNSURE.items():
        yield Kind(name, does, on_ways(made, zones=True), Verdict.UNKNOWN)


KINDS = tuple(_kinds())
