"""Marks of connections: which rules ask for them, and where they are set.

A connection begins with mark 0, and has what the last rule of any of its packets gave it. Packets and errors that
belong to it find it there; what has no connection neither reads nor keeps one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from wardnet.model.device import (
    Chain,
    Choose,
    Decide,
    FilterRule,
    Hook,
    Match,
    Opaque,
    Ruleset,
    SetMark,
    Statement,
    Table,
)
from wardnet.model.packet import Field, Open, looks_at

# Where packets meet a chain that are not forwarded, and may belong to a connection that is: what a rule rejects with,
# what the device takes for its own. Bridges see packets before and after all else.
_BESIDE = (Hook.INPUT, Hook.OUTPUT)


def asks_for_marks(ruleset: Ruleset) -> bool:
    """Whether what becomes of any packet can hang on its connection's mark."""
    return Field.CONNECTION_MARK in ruleset.looks_at or any(_copies(rule) for rule in ruleset.rules())


def sets_marks(ruleset: Ruleset) -> bool:
    """Whether any rule sets a connection's mark, or may."""
    return any(_sets(rule) for rule in ruleset.rules())


def marks_followed(ruleset: Ruleset) -> bool:
    """Whether connections have marks, and these matter."""
    return asks_for_marks(ruleset) and sets_marks(ruleset)


def marks_set_beside(ruleset: Ruleset) -> bool:
    """Whether packets that are not forwarded may meet a rule that sets their connection's mark."""
    for table in ruleset.tables:
        for chain in table.chains.values():
            if chain.hook is None or not (chain.hook in _BESIDE or table.layer == 2):
                continue
            if any(_sets(rule) for rule in _met(table, chain.name, set())):
                return True
    return False


def without_idle_marks(tables: Sequence[Table]) -> list[Table]:
    """The tables of a ruleset, where no rule asks for a connection's mark without the statements that only set one to a
    value which is not modelled. What stands behind such a statement in its rule may still not be met."""
    rules = [rule for table in tables for chain in table.chains.values() for rule in chain.rules]
    if any(_asks(rule) for rule in rules) or not any(_idle(rule) for rule in rules):
        return list(tables)
    return [replace(table, chains={name: _without(chain) for name, chain in table.chains.items()}) for table in tables]


def _idle(rule: FilterRule) -> bool:
    return any(isinstance(statement, Opaque) and statement.marks for statement in rule.statements)


def _without(chain: Chain) -> Chain:
    return replace(chain, rules=tuple(_unmarking(rule) if _idle(rule) else rule for rule in chain.rules))


def _unmarking(rule: FilterRule) -> FilterRule:
    kept: list[Statement] = []
    for place, statement in enumerate(rule.statements, start=1):
        if not (isinstance(statement, Opaque) and statement.marks):
            kept.append(statement)
        elif place < len(rule.statements):
            kept.append(Match(Open(statement.span, statement.reason)))
    return replace(rule, statements=tuple(kept))


def _asks(rule: FilterRule) -> bool:
    return _copies(rule) or any(looks_at(predicate, Field.CONNECTION_MARK) for predicate in rule.predicates())


def _copies(rule: FilterRule) -> bool:
    return any(isinstance(s, SetMark) and s.source is Field.CONNECTION_MARK for s in rule.statements)


def _sets(rule: FilterRule) -> bool:
    return any(
        (isinstance(statement, SetMark) and statement.target is Field.CONNECTION_MARK)
        or (isinstance(statement, Opaque) and statement.rewrites)
        for statement in rule.statements
    )


def _met(table: Table, name: str, seen: set[str]) -> Iterator[FilterRule]:
    """The rules of a chain, and of those that it leads to."""
    if name in seen:
        return
    seen.add(name)
    for rule in table.chains[name].rules:
        yield rule
        for statement in rule.statements:
            decisions = [statement] if isinstance(statement, Decide) else []
            if isinstance(statement, Choose):
                decisions = [decide for _, decide in statement.cases]
            for decide in decisions:
                if decide.target:
                    yield from _met(table, decide.target, seen)
