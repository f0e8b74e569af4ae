"""Conditions of rules as terms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from wardnet.audit.smt.packet import View
from wardnet.audit.smt.terms import FALSE, TRUE, Term, between, conj, disj, neg, under_mask
from wardnet.model.packet import (
    All,
    AnyOf,
    Chance,
    Field,
    InPort,
    InRanges,
    LocalAddress,
    Masked,
    Not,
    OfFamily,
    Open,
    OutPort,
    Predicate,
    ReversePath,
    port_named,
)

Ends = tuple[str, str]


class UnencodableError(Exception):
    """The model holds something that this engine has no words for."""


class Lookups(Protocol):
    """What conditions ask the routing of the device."""

    def own(self, view: View, field: Field) -> Term: ...

    def route_back(self, view: View, *, same_port: bool, by_mark: bool) -> Term: ...


def term_of(predicate: Predicate, view: View, lookups: Lookups) -> Term:
    """Whether the condition holds for the packet as it is by now. Raises UnencodableError."""
    family = view.packet.family
    match predicate:
        case InRanges(field=field, ranges=ranges):
            bits = view.packet.sort(field)
            value = view.fields[field]
            return view.packet.script.share(disj(between(value, low, high, bits) for low, high in ranges))
        case Masked(field=field, mask=mask, value=value):
            return under_mask(view.fields[field], mask, value, view.packet.sort(field))
        case All(terms=terms):
            return conj(term_of(term, view, lookups) for term in terms)
        case AnyOf(terms=terms):
            return view.packet.script.share(disj(term_of(term, view, lookups) for term in terms))
        case Not(term=term):
            return neg(term_of(term, view, lookups))
        case OfFamily(version=version):
            return TRUE if version == family else FALSE
        case InPort(names=names):
            return view.incoming.named(names)
        case OutPort(names=names):
            return view.outgoing.named(names)
        case Open(span=span, reason=reason):
            return view.packet.guess("unknown", span, reason)
        case Chance(span=span, reason=reason):
            return view.packet.guess("chance", span, reason)
        case LocalAddress(field=field):
            return lookups.own(view, field)
        case ReversePath(same_port=same_port, by_mark=by_mark):
            return lookups.route_back(view, same_port=same_port, by_mark=by_mark)
    raise UnencodableError(f"a condition of kind {type(predicate).__name__}")


class Pairs:
    """Pairs of ports (incoming, outgoing; '' for none) by which a packet can come in and leave. What a condition leaves
    of them is found once: a large ruleset names the same few ports in each rule."""

    def __init__(self, pairs: Iterable[Ends]) -> None:
        self.pairs = tuple(pairs)
        self._known: dict[tuple[int, tuple[str, ...], bool], Pairs] = {}

    def where(self, side: int, names: tuple[str, ...], *, named: bool) -> Pairs:
        """Those whose port on that side (0 incoming, 1 outgoing) is named so, or is not."""
        key = (side, names, named)
        if key not in self._known:
            kept = (p for p in self.pairs if (bool(p[side]) and port_named(p[side], names)) is named)
            self._known[key] = Pairs(kept)
        return self._known[key]


_NO_PAIRS = Pairs(())


def may_hold(predicate: Predicate, pairs: Pairs, family: int) -> Pairs:
    """The pairs of ports for which the condition is not plainly false, by what it says of ports and of the family
    alone."""
    match predicate:
        case OfFamily(version=version):
            return pairs if version == family else _NO_PAIRS
        case InPort(names=names):
            return pairs.where(0, names, named=True)
        case OutPort(names=names):
            return pairs.where(1, names, named=True)
        case All(terms=terms):
            for term in terms:
                pairs = may_hold(term, pairs, family)
            return pairs
        case Not(term=InPort(names=names)):
            return pairs.where(0, names, named=False)
        case Not(term=OutPort(names=names)):
            return pairs.where(1, names, named=False)
    return pairs
