"""What became of each object of an nft listing: its rules, and what they hang on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from collectors.parsers.artefact import Item
from collectors.parsers.coverage import Tally
from wardnet.model.device import Choose, Decide, FilterRule, Hook, Opaque, Statement, Table, Verdict
from wardnet.model.packet import All, AnyOf, InPort, InRanges, Masked, Not, OfFamily, Open, OutPort, Predicate
from wardnet.model.span import Coverage, Unknown

_PLAIN = (InRanges, OfFamily, InPort, OutPort, Masked)
_PASSING = (Hook.INGRESS, Hook.PREROUTING, Hook.FORWARD, Hook.POSTROUTING, Hook.EGRESS)
_OWN = "of packets to and from the device itself: whatever it leaves open counts as let through, and as unknown"
_NO_WAY = "no chain that packets meet leads there"
_KINDS = {
    "metainfo": "the listing's own version",
    "counter": "it counts",
    "quota": "at each rule that asks for it: a chance",
    "limit": "at each rule that asks for it: a chance",
    "ct helper": "at each rule that hands a connection to it: then anything may be related",
    "ct expectation": "at each rule that asks for it: then anything may be related",
    "ct timeout": "how long a connection is tracked",
    "secmark": "labels of security modules, which drop at most",
    "synproxy": "at each rule that hands packets to it: unknown there",
    "flowtable": "at each rule that hands flows to it: unknown there",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of the listing."""

    kind: str
    item: Item

    @property
    def table(self) -> tuple[str, str]:
        named = "name" if self.kind == "table" else "table"
        return self.item.string("family"), self.item.string(named)


def cover(
    artefact: str,
    listed: Sequence[Listed],
    tables: Mapping[tuple[str, str], Table],
    active: Collection[Table],
    changing: Collection[tuple[tuple[str, str], str]],
    unknowns: Sequence[Unknown],
) -> Coverage:
    """Each object once. `changing` are the sets that packets or time change."""
    tally = Tally(artefact)
    apart = {key: reason for key, table in tables.items() if (reason := _without_part(key, table, active))}
    met = {key: frozenset() if key in apart else _met(table, tuple(Hook)) for key, table in tables.items()}
    passing = {key: frozenset() if key in apart else _met(table, _PASSING) for key, table in tables.items()}
    rules: dict[str, list[FilterRule]] = {}
    for table in tables.values():
        for chain in table.chains.values():
            for rule in chain.rules:
                rules.setdefault(rule.span.place, []).append(rule)
    strange = {unknown.span.place: unknown for unknown in unknowns}
    for entry in listed:
        kind, item = entry.kind, entry.item
        place = _place(entry)
        unknown = strange.get(item.where) or strange.get(place)
        if unknown is not None:
            tally.unknown(place, unknown.reason, unknown.settle)
        elif kind in _KINDS:
            tally.irrelevant(place, _KINDS[kind])
        elif entry.table in apart:
            tally.irrelevant(place, apart[entry.table])
        elif kind in ("set", "map") and (entry.table, item.string("name")) in changing:
            tally.irrelevant(place, "it changes by itself: a rule that asks for it says what that leaves open")
        elif kind in ("table", "set", "map"):
            tally.modelled(place)
        elif item.string("chain" if kind == "rule" else "name") not in met[entry.table]:
            tally.irrelevant(place, _NO_WAY)
        elif kind == "rule" and (left_open := _left_open(rules[place])):
            if item.string("chain") in passing[entry.table] or any(map(_acts_openly, rules[place])):
                tally.unknown(place, left_open)
            else:
                tally.irrelevant(place, f"{_OWN} ({left_open})")
        else:
            tally.modelled(place)
    return tally.coverage()


def _place(entry: Listed) -> str:
    kind, item = entry.kind, entry.item
    if kind == "table":
        return " ".join(entry.table)
    if kind == "rule":
        return f"{' '.join(entry.table)} {item.string('chain')} handle {item.values['handle']}"
    if kind == "chain":
        return f"{' '.join(entry.table)} {item.string('name')}"
    if kind in ("set", "map"):
        return f"{' '.join(entry.table)} {kind} {item.string('name')}"
    return item.where


def _without_part(key: tuple[str, str], table: Table, active: Collection[Table]) -> str:
    if not table.families:
        return "of ARP, which carries no IP packet"
    if table.layer == 2:
        return "of bridges: the audit looks at their ports and never counts on their chains"
    if not any(table is one for one in active):
        return f"table {' '.join(key)} is dormant: the kernel does not run it"
    return ""


def _met(table: Table, hooks: Collection[Hook]) -> frozenset[str]:
    """Chains that packets meet at any of the hooks."""
    found: set[str] = set()
    waiting = [name for name, chain in table.chains.items() if chain.hook in hooks]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(target for rule in table.chains[name].rules for target in targets(rule.statements))
    return frozenset(found)


def targets(found: tuple[Statement, ...]) -> Iterator[str]:
    """The chains that a rule leads to."""
    for statement in found:
        decisions = [statement] if isinstance(statement, Decide) else []
        if isinstance(statement, Choose):
            decisions = [decide for _, decide in statement.cases]
        yield from (decide.target for decide in decisions if decide.verdict in (Verdict.JUMP, Verdict.GOTO))


def _left_open(ways: list[FilterRule]) -> str | None:
    """Of a rule, once for each element of its map if it has one."""
    return next((reason for reason in map(open_reason, ways) if reason), None)


def _acts_openly(rule: FilterRule) -> bool:
    return any(isinstance(statement, Opaque) for statement in rule.statements)


def open_reason(rule: FilterRule) -> str | None:
    """Why a rule is not wholly modelled; None where it is."""
    for statement in rule.statements:
        if isinstance(statement, Opaque):
            return statement.reason
    return next((reason for reason in map(_open, rule.predicates()) if reason), None)


def _open(predicate: Predicate) -> str | None:
    if isinstance(predicate, All | AnyOf):
        for term in predicate.terms:
            if not isinstance(term, _PLAIN) and (reason := _open(term)):
                return reason
        return None
    if isinstance(predicate, Not):
        return _open(predicate.term)
    return predicate.reason if isinstance(predicate, Open) else None
