"""Conditions to sets of packets."""

from __future__ import annotations

from typing import Protocol

from wardnet.audit.sets.space import Bdd, Space
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


class Lookups(Protocol):
    """What conditions ask the routing tables."""

    def local(self, field: Field) -> Bdd: ...

    def reverse_path(self, *, same_port: bool, by_mark: bool) -> Bdd: ...


class Conditions:
    """Sets of a device's conditions in one family. `incoming` and `outgoing`, where given, are the ports that the
    packet came in and leaves by; '' is none. Else both are variables of the space; `turned`, the packet comes in where
    the space's leaves."""

    def __init__(
        self,
        space: Space,
        lookups: Lookups | None = None,
        incoming: str | None = None,
        outgoing: str | None = None,
        *,
        turned: bool = False,
    ) -> None:
        self._space = space
        self._lookups = lookups
        self._incoming = incoming
        self._outgoing = outgoing
        self._enters = "out" if turned else "in"
        self._known: dict[int, tuple[Predicate, Bdd]] = {}

    def packets(self, predicate: Predicate) -> Bdd:
        known = self._known.get(id(predicate))
        if known is None:
            known = (predicate, self._packets(predicate))  # holding the predicate keeps its id its own
            self._known[id(predicate)] = known
        return known[1]

    def within(self, predicate: Predicate, packets: Bdd) -> Bdd:
        """Those of the packets for which it holds; its terms are asked one by one, as far as any packet is left."""
        if not isinstance(predicate, All):
            return packets & self.packets(predicate)
        for term in predicate.terms:
            if packets == self._space.false:
                break
            packets = packets & self.packets(term)
        return packets

    def _packets(self, predicate: Predicate) -> Bdd:
        space = self._space
        match predicate:
            case InRanges():
                return space.in_ranges(predicate)
            case Masked():
                return space.masked(predicate)
            case All(terms=terms):
                found = space.true
                for term in terms:
                    found = found & self.packets(term)
                    if found == space.false:
                        break
                return found
            case AnyOf(terms=terms):
                return space.any_of(self.packets(term) for term in terms)
            case Not(term=term):
                return ~self.packets(term)
            case OfFamily(version=version):
                return space.true if version == space.family else space.false
            case InPort(names=names):
                return self._ports(self._enters, names, self._incoming)
            case OutPort(names=names):
                return self._ports("out", names, self._outgoing)
            case Open(span=span, reason=reason):
                return space.guess("unknown", span, reason)
            case Chance(span=span, reason=reason):
                return space.guess("chance", span, reason)
            case LocalAddress(field=field):
                assert self._lookups is not None
                return self._lookups.local(field)
            case ReversePath(same_port=same_port, by_mark=by_mark):
                assert self._lookups is not None
                return self._lookups.reverse_path(same_port=same_port, by_mark=by_mark)
        raise AssertionError(predicate)

    def _ports(self, side: str, names: tuple[str, ...], fixed: str | None) -> Bdd:
        space = self._space
        if fixed is not None:
            return space.true if fixed and port_named(fixed, names) else space.false
        one = space.entering if side == "in" else space.leaving
        return space.any_of(one(port) for port in space.ports if port_named(port, names))
