"""`nft -j list ruleset` to a `Ruleset`.

Strict where the listing must hold together (a rule's chain, a jump's target, a set that is referred to);
what is well formed but not modelled is kept as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from collectors.parsers.artefact import Artefact, Item
from collectors.parsers.nft_coverage import Listed, cover, targets
from collectors.parsers.nft_match import Conditions, NamedSet
from collectors.parsers.nft_statements import statements
from collectors.parsers.nft_xt import may_untrack
from wardnet.model.connections import without_idle_marks
from wardnet.model.device import (
    Chain,
    FilterRule,
    Hook,
    Opaque,
    Ruleset,
    Table,
    TranslateDestination,
    TranslateSource,
    Verdict,
)
from wardnet.model.packet import Field, looks_at
from wardnet.model.span import Coverage, Unknown

_FAMILIES = {"ip": (4,), "ip6": (6,), "inet": (4, 6), "netdev": (4, 6), "bridge": (4, 6), "arp": ()}
_DEFINITIONS = frozenset(
    {"counter", "quota", "limit", "ct helper", "ct timeout", "ct expectation", "secmark", "synproxy", "flowtable"}
)
_TRANSLATING = (TranslateDestination, TranslateSource, Opaque)

TableKey = tuple[str, str]


@dataclass
class _Parts:
    """What the listing says of one table, gathered before it is put together."""

    item: Item
    dormant: bool
    chains: dict[str, Item] = field(default_factory=dict)
    rules: dict[str, list[Item]] = field(default_factory=dict)
    sets: dict[str, NamedSet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParsedRuleset:
    ruleset: Ruleset
    unknowns: tuple[Unknown, ...]
    coverage: Coverage


def parse_ruleset(artefact: Artefact, now: int | None = None) -> ParsedRuleset:
    """The whole listing. Raises ParseError for one that is damaged or does not hold together.

    `now` is the time of the listing, in seconds since 1970, if it is known and the listing's times are UTC.
    """
    listing = artefact.json()
    if not isinstance(listing, dict) or listing.keys() != {"nftables"} or not isinstance(listing["nftables"], list):
        artefact.fail("offset 0", 'not an nft listing: {"nftables": [...]} was expected')
    objects = listing["nftables"]
    match objects:
        case [{"metainfo": {"json_schema_version": 1}}, *_]:
            pass
        case _:
            artefact.fail("object 0", "an nft listing starts with metainfo, JSON schema version 1")
    tables: dict[TableKey, _Parts] = {}
    unknowns: list[Unknown] = []
    listed = [Listed("metainfo", Item(artefact, "object 0", {}))]
    for number, entry in enumerate(objects[1:], start=1):
        where = f"object {number}"
        if not isinstance(entry, dict) or len(entry) != 1:
            artefact.fail(where, "not an object of one kind")
        ((kind, body),) = entry.items()
        if not isinstance(body, dict):
            artefact.fail(where, f"{kind} is not an object")
        item = Item(artefact, where, body)
        listed.append(Listed(kind, item))
        if kind == "table":
            _add_table(tables, item)
        elif kind in ("chain", "rule", "set", "map"):
            _add(tables, kind, item)
        elif kind not in _DEFINITIONS:
            unknowns.append(Unknown(artefact.span(where), f"object of kind {kind}"))
    _note_updated_sets(tables)
    built = without_idle_marks([_build(artefact, key, parts, unknowns, now) for key, parts in tables.items()])
    active = tuple(table for table, parts in zip(built, tables.values(), strict=True) if not parts.dormant)
    helpers = any(_sets_helper(rule.values.get("expr")) for rule in _all_rules(tables))
    zones = any(_sets_zone(rule.values.get("expr")) for rule in _all_rules(tables))
    ruleset = Ruleset(active, _tracked(active), helpers, zones)
    unknowns += [
        Unknown(artefact.span(rule.where), "a rule sets the packet type, which decides what is forwarded", "remove it")
        for rule in _all_rules(tables)
        if _sets_packet_type(rule.values.get("expr"))
    ]
    unknowns += [
        Unknown(rule.span, "it gives flows of the device itself other ends, which is not modelled", "remove it")
        for table in active
        for chain in table.chains.values()
        if chain.translates and chain.hook in (Hook.INPUT, Hook.OUTPUT) and table.layer == 3
        for rule in chain.rules
        if any(isinstance(statement, _TRANSLATING) for statement in rule.statements)
    ]
    changing = {(key, name) for key, parts in tables.items() for name, found in parts.sets.items() if found.changes}
    by_key = dict(zip(tables, built, strict=True))
    return ParsedRuleset(ruleset, tuple(unknowns), cover(artefact.name, listed, by_key, active, changing, unknowns))


def _add_table(tables: dict[TableKey, _Parts], item: Item) -> None:
    family = item.string("family")
    key = (family, item.string("name"))
    if family not in _FAMILIES:
        item.fail(f"table family {family!r}")
    if key in tables:
        item.fail(f"table {' '.join(key)} stands twice")
    flags = item.values.get("flags", [])
    tables[key] = _Parts(item, dormant="dormant" in (flags if isinstance(flags, list) else [flags]))


def _add(tables: dict[TableKey, _Parts], kind: str, item: Item) -> None:
    key = (item.string("family"), item.string("table"))
    parts = tables.get(key)
    if parts is None:
        item.fail(f"{kind} of table {' '.join(key)}, which is not listed before it")
    if kind == "rule":
        chain = item.string("chain")
        if chain not in parts.chains:
            item.fail(f"rule of chain {chain}, which is not listed before it")
        item.integer("handle", high=2**64 - 1)
        parts.rules[chain].append(item)
        return
    name = item.string("name")
    if kind == "chain":
        if name in parts.chains:
            item.fail(f"chain {name} stands twice")
        parts.chains[name] = item
        parts.rules[name] = []
        return
    if name in parts.sets:
        item.fail(f"{kind} {name} stands twice")
    elements = item.values.get("elem", [])
    if not isinstance(elements, list):
        item.fail("'elem' must be a list")
    flags = item.values.get("flags", [])
    lively = [flag for flag in ("dynamic", "timeout") if flag in (flags if isinstance(flags, list) else [flags])]
    changes = f"changes by itself ({', '.join(lively)})" if lively else None
    parts.sets[name] = NamedSet(name, tuple(elements), changes)


def _note_updated_sets(tables: dict[TableKey, _Parts]) -> None:
    """A set that packets add to is not what it was when it was listed."""
    for parts in tables.values():
        for rules in parts.rules.values():
            for rule in rules:
                for name in _updated(rule.values.get("expr")):
                    if name in parts.sets:
                        old = parts.sets[name]
                        parts.sets[name] = NamedSet(name, old.elements, "is added to by packets")


def _updated(expressions: Any) -> Iterator[str]:
    for expression in expressions if isinstance(expressions, list) else []:
        match expression:
            case {"set": {"set": str(name)}} | {"map": {"map": str(name)}}:
                yield name.removeprefix("@")


def _build(artefact: Artefact, key: TableKey, parts: _Parts, unknowns: list[Unknown], now: int | None) -> Table:
    family, name = key
    conditions = Conditions(parts.sets, now)
    chains = {}
    for chain_name, item in parts.chains.items():
        place = f"{family} {name} {chain_name}"
        rules = tuple(
            made for rule in parts.rules[chain_name] for made in _rules(artefact, conditions, parts, place, rule)
        )
        chains[chain_name] = _chain(artefact, item, chain_name, place, rules, unknowns)
    return Table(artefact.span(f"{family} {name}"), name, _FAMILIES[family], 2 if family == "bridge" else 3, chains)


def _chain(
    artefact: Artefact, item: Item, name: str, place: str, rules: tuple[FilterRule, ...], unknowns: list[Unknown]
) -> Chain:
    span = artefact.span(place)
    if "hook" not in item.values:
        return Chain(span, name, rules)
    hook = item.string("hook")
    kind = item.string("type")
    policy = item.string("policy") if "policy" in item.values else "accept"
    if hook not in set(Hook) or kind not in ("filter", "nat", "route") or policy not in ("accept", "drop"):
        item.fail(f"base chain of type {kind}, hook {hook}, policy {policy}")
    if "policy" not in item.values:
        # nft always prints it: where it lacks, the listing is not what nft printed.
        unknowns.append(Unknown(span, "base chain without a policy", "collect again"))
    devices = item.values.get("dev")
    if isinstance(devices, str):
        devices = [devices]
    named = tuple(devices) if isinstance(devices, list) and all(isinstance(d, str) for d in devices) else None
    return Chain(span, name, rules, Hook(hook), item.integer("prio", -(2**31), 2**31 - 1), Verdict(policy),
                 kind == "nat", named)  # fmt: skip


def _rules(artefact: Artefact, conditions: Conditions, parts: _Parts, place: str, item: Item) -> Iterator[FilterRule]:
    """One rule; or, where it looks a value up in a map, one for each of the map's elements."""
    span = artefact.span(f"{place} handle {item.values['handle']}")
    expressions = item.values.get("expr")
    if not isinstance(expressions, list):
        item.fail("'expr' must be a list")
    ways = statements(conditions, expressions, span)
    for target in {target for found in ways for target in targets(found)}:
        if target not in parts.chains or "hook" in parts.chains[target].values:
            item.fail(f"jump to chain {target}, which is not in the table")
    comment = item.values.get("comment", "")
    for found in ways:
        yield FilterRule(span, comment if isinstance(comment, str) else "", found)


def _all_rules(tables: dict[TableKey, _Parts]) -> Iterator[Item]:
    for parts in tables.values():
        for rules in parts.rules.values():
            yield from rules


def _sets_helper(expressions: Any) -> bool:
    """Whether a rule hands connections to a helper, or expects others to follow them."""
    for expression in expressions if isinstance(expressions, list) else []:
        match expression:
            case (
                {"ct helper": _}
                | {"ct expectation": _}
                | {"mangle": {"key": {"ct": {"key": "helper" | "expectation"}}}}
            ):
                return True
        if may_untrack(expression):
            return True
    return False


def _sets_zone(expressions: Any) -> bool:
    """Whether a rule chooses among several lists of connections."""
    for expression in expressions if isinstance(expressions, list) else []:
        match expression:
            case {"mangle": {"key": {"ct": {"key": "zone"}}}}:
                return True
        if may_untrack(expression):
            return True
    return False


def _sets_packet_type(expressions: Any) -> bool:
    for expression in expressions if isinstance(expressions, list) else []:
        match expression:
            case {"mangle": {"key": {"meta": {"key": "pkttype"}}}}:
                return True
    return False


def _tracked(tables: tuple[Table, ...]) -> frozenset[int]:
    """Families in which connection tracking certainly runs: a chain translates, or a rule looks at a state."""
    found: set[int] = set()
    for table in tables:
        if table.layer == 3 and any(
            chain.translates or any(looks_at(p, Field.STATE) for rule in chain.rules for p in rule.predicates())
            for chain in table.chains.values()
        ):
            found.update(table.families)
    return frozenset(found)
