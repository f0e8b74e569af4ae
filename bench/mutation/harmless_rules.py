"""Changes of a ruleset that let nothing more pass; see `harmless`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from ipaddress import ip_network
from itertools import pairwise
from typing import Any

from bench.mutation.kinds import Place, Places, once
from bench.mutation.leaks_filter import TABLE, base, chain, named
from bench.mutation.subjects import Subject
from tests.unit.audit_support import (
    ACCEPT,
    DROP,
    UNKNOWN_MATCH,
    Artefacts,
    edit_json,
    with_objects,
)

NFT = "nft-ruleset.json"


Objects = list[dict[str, Any]]


def listing(change: Callable[[Objects], Objects | None]) -> Callable[[Artefacts], Artefacts]:
    def edit(artefacts: Artefacts) -> Artefacts:
        def changed(value: dict[str, Objects]) -> dict[str, Objects]:
            found = change(value["nftables"])
            return value if found is None else {"nftables": found}

        return edit_json(artefacts, NFT, changed)

    return edit


def rules(objects: Objects, of: str | None = None) -> list[dict[str, Any]]:
    return [e["rule"] for e in objects if "rule" in e and of in (None, e["rule"]["chain"])]


def in_chains(change: Callable[[dict[str, Any]], None]) -> Places:
    """A change of all rules of a chain."""

    def places(subject: Subject) -> Iterable[Place]:
        objects = json.loads(subject.artefacts[NFT])["nftables"]
        for name in dict.fromkeys(rule["chain"] for rule in rules(objects)):

            def edited(found: Objects, name: str = name) -> None:
                for rule in rules(found, name):
                    change(rule)

            yield Place(name, lambda edited=edited: listing(edited)(subject.artefacts))  # type: ignore[misc]

    return places


def each_rule(verdict: str, change: Callable[[dict[str, Any]], None], of: str = "forward") -> Places:
    """A change of each rule of a chain that ends with the verdict, one at a time."""

    def places(subject: Subject) -> Iterable[Place]:
        found = rules(json.loads(subject.artefacts[NFT])["nftables"], of)
        for number, rule in enumerate(found):
            if verdict in rule["expr"][-1]:

                def edited(objects: Objects, number: int = number) -> None:
                    change(rules(objects, of)[number])

                yield Place(f"{of} handle {rule['handle']}", lambda edited=edited: listing(edited)(subject.artefacts))  # type: ignore[misc]

    return places


def counted(rule: dict[str, Any]) -> None:
    for expression in rule["expr"]:
        if "counter" in expression:
            expression["counter"] = {"packets": 1234567, "bytes": 98765432}


def uncounted(rule: dict[str, Any]) -> None:
    rule["expr"] = [expression for expression in rule["expr"] if "counter" not in expression]


def first(*more: Any) -> Callable[[dict[str, Any]], None]:
    def change(rule: dict[str, Any]) -> None:
        rule["expr"][-1:-1] = [*more]

    return change


def renumbered(objects: Objects) -> None:
    for entry in objects:
        for body in entry.values():
            if "handle" in body:
                body["handle"] += 1000


def swapped(subject: Subject) -> Iterable[Place]:
    """Two accepts, one behind the other, the other way round."""
    found = rules(json.loads(subject.artefacts[NFT])["nftables"], "forward")
    accepts = [n for n, rule in enumerate(found) if "accept" in rule["expr"][-1]]
    for before, after in pairwise(accepts):
        if after == before + 1:

            def edited(objects: Objects, before: int = before) -> None:
                at = [n for n, e in enumerate(objects) if e.get("rule", {}).get("chain") == "forward"]
                objects[at[before]], objects[at[before + 1]] = objects[at[before + 1]], objects[at[before]]

            yield Place(f"rules {before} and {after}", lambda edited=edited: listing(edited)(subject.artefacts))  # type: ignore[misc]


def in_a_chain_of_its_own(objects: Objects) -> Objects:
    """All accepts of forward move to a chain that is jumped to at the end."""
    moved = [e for e in objects if e.get("rule", {}).get("chain") == "forward" and "accept" in e["rule"]["expr"][-1]]
    kept = [e for e in objects if e not in moved]
    for entry in moved:
        entry["rule"]["chain"] = "accepted"
    jump = {"rule": {**TABLE, "chain": "forward", "handle": 950, "expr": [{"jump": {"target": "accepted"}}]}}
    return [*kept, chain("accepted"), *moved, jump]


def renamed(name: str) -> Callable[[Objects], None]:
    def change(objects: Objects) -> None:
        for entry in objects:
            for kind, body in entry.items():
                if kind == "chain" and body["name"] == name:
                    body["name"] = "renamed"
                if kind == "rule" and body["chain"] == name:
                    body["chain"] = "renamed"

    return change


def table_renamed(objects: Objects) -> None:
    for entry in objects:
        for kind, body in entry.items():
            if kind == "table":
                body["name"] = "firewall"
            elif "table" in body:
                body["table"] = "firewall"


def reversed_sets(value: Any) -> Any:
    """The elements of each set the other way round."""
    if isinstance(value, dict):
        return {
            k: list(reversed(v)) if k == "set" and isinstance(v, list) else reversed_sets(v) for k, v in value.items()
        }
    return [reversed_sets(entry) for entry in value] if isinstance(value, list) else value


def prefixes_as_ranges(value: Any) -> Any:
    match value:
        case {"prefix": {"addr": str(address), "len": int(length)}}:
            network = ip_network(f"{address}/{length}")
            return {"range": [str(network[0]), str(network[-1])]}
        case dict():
            return {key: prefixes_as_ranges(entry) for key, entry in value.items()}
        case list():
            return [prefixes_as_ranges(entry) for entry in value]
    return value


def second_table(family: str, *objects: dict[str, Any], **more: Any) -> Callable[[Artefacts], Artefacts]:
    table = {"table": {"family": family, "name": "second", "handle": 90, **more}}
    return lambda artefacts: with_objects(
        artefacts,
        table,
        *({kind: {"family": family, "table": "second", **body} for kind, body in o.items()} for o in objects),
    )


def hooked(hook: str, prio: int, policy: str = "accept", **more: Any) -> dict[str, Any]:
    return {
        "chain": {
            "name": f"{hook}{prio}",
            "handle": 1,
            "type": "filter",
            "hook": hook,
            "prio": prio,
            "policy": policy,
            **more,
        }
    }


def ruled(name: str, *expressions: Any) -> dict[str, Any]:
    return {"rule": {"chain": name, "handle": 5, "expr": list(expressions)}}


OPEN = (hooked("forward", 0), ruled("forward0", ACCEPT))


TABLES = (
    ("for ARP", second_table("arp")),
    ("without chains", second_table("inet")),
    ("dormant, that accepts all", second_table("inet", *OPEN, flags=["dormant"])),
    ("that accepts all, after the other", second_table("inet", hooked("forward", 20), ruled("forward20", ACCEPT))),
    ("that accepts all, before the other", second_table("inet", hooked("forward", -20), ruled("forward-20", ACCEPT))),
    ("that drops more", second_table("ip6", hooked("forward", 20, "drop"))),
    (
        "that counts",
        second_table(
            "ip", hooked("prerouting", -300), ruled("prerouting-300", {"counter": {"packets": 0, "bytes": 0}})
        ),
    ),
    (
        "that marks what nobody looks at",
        second_table(
            "inet",
            hooked("prerouting", -140),
            ruled("prerouting-140", {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 9}}),
        ),
    ),
)


OBJECTS = (
    ("a set", named("set", "x", ["192.0.2.1"], "ipv4_addr")),
    ("a map", named("map", "x", [["lo", DROP]], "ifname", map="verdict")),
    ("a counter", {"counter": {**TABLE, "name": "x", "handle": 70, "packets": 0, "bytes": 0}}),
    ("a chain", chain("x")),
    ("a limit", {"limit": {**TABLE, "name": "x", "handle": 70, "rate": 5, "per": "second", "burst": 5}}),
    ("a base chain without rules", base("x", "prerouting", -160)),
    ("a flowtable", {"flowtable": {**TABLE, "name": "x", "handle": 7, "hook": "ingress", "prio": 0, "dev": "wan0"}}),
)


CHANGES: dict[str, tuple[str, Places]] = {
    "counters that counted": ("of a chain", in_chains(counted)),
    "no counters": ("of a chain", in_chains(uncounted)),
    "other comments": ("of a chain", in_chains(lambda rule: rule.update(comment="rewritten"))),
    "no comments": ("of a chain", in_chains(lambda rule: rule.pop("comment", None))),
    "a log of a drop": ("in each rule that drops", each_rule("drop", first({"log": {"prefix": "dropped "}}))),
    "a log of an accept": ("in each rule that accepts", each_rule("accept", first({"log": {"group": 2}}))),
    "an accept with a limit": (
        "each rule that accepts",
        each_rule("accept", first({"limit": {"rate": 10, "burst": 5, "per": "second"}})),
    ),
    "an accept that is doubtful": (
        "each rule that accepts gets a condition that is not modelled",
        each_rule("accept", first(UNKNOWN_MATCH)),
    ),
    "an accept that became a drop": (
        "each rule that accepts",
        each_rule("accept", lambda rule: rule["expr"].__setitem__(-1, DROP)),
    ),
    "a drop that became a reject": (
        "each rule that drops",
        each_rule(
            "drop", lambda rule: rule["expr"].__setitem__(-1, {"reject": {"type": "icmpx", "expr": "admin-prohibited"}})
        ),
    ),
    "two accepts that changed places": ("independent rules", swapped),
    "other handles": ("all", once(("all", listing(renumbered)), anywhere=True)),
    "another name": (
        "of a chain or the table",
        once(
            ("forward", listing(renamed("forward"))),
            ("input", listing(renamed("input"))),
            ("table", listing(table_renamed)),
        ),
    ),
    "accepts in a chain of their own": ("jumped to at the end", once(("forward", listing(in_a_chain_of_its_own)))),
    "elements in another order": ("of all sets", once(("all", lambda a: edit_json(a, NFT, reversed_sets)))),
    "prefixes as ranges": ("all", once(("all", lambda a: edit_json(a, NFT, prefixes_as_ranges)))),
    "an object that nothing uses": (
        "of each kind",
        once(*((name, lambda a, found=found: with_objects(a, found)) for name, found in OBJECTS)),
    ),
    "another table": ("that lets nothing more pass", once(*TABLES)),
}
