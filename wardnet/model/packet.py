"""A packet's fields, and conditions on them, free of any vendor's syntax. Parsers write conditions, engines read them.

Numbers are unsigned integers of the field's width; ranges include both ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from wardnet.model.span import Span


class Field(StrEnum):
    """What a condition can look at. Interfaces are apart: `InPort` and `OutPort`."""

    STATE = "state"  # of connection tracking, a `State`
    FRAGMENT = "fragment"  # 1 for a fragment that carries no transport header
    TRANSLATED = "translated"  # 1 once the destination was rewritten
    PROTOCOL = "protocol"  # of the transport header, past IPv6's extension headers
    NEXT_HEADER = "next_header"  # IPv6's first next header, as written
    MARK = "mark"
    CONNECTION_MARK = "connection_mark"  # what the packet's connection carries
    DESTINATION = "destination"
    SOURCE = "source"
    DESTINATION_PORT = "destination_port"
    SOURCE_PORT = "source_port"
    ICMP_TYPE = "icmp_type"
    ICMP_CODE = "icmp_code"
    TCP_FLAGS = "tcp_flags"
    DSCP = "dscp"


class State(IntEnum):
    """What connection tracking says of a packet."""

    NEW = 0
    ESTABLISHED = 1
    RELATED = 2
    INVALID = 3
    UNTRACKED = 4


TCP = 6
UDP = 17
ICMP = 1
ICMPV6 = 58

_WIDTHS = {
    Field.STATE: 3,
    Field.FRAGMENT: 1,
    Field.TRANSLATED: 1,
    Field.PROTOCOL: 8,
    Field.NEXT_HEADER: 8,
    Field.MARK: 32,
    Field.CONNECTION_MARK: 32,
    Field.DESTINATION_PORT: 16,
    Field.SOURCE_PORT: 16,
    Field.ICMP_TYPE: 8,
    Field.ICMP_CODE: 8,
    Field.TCP_FLAGS: 8,
    Field.DSCP: 6,
}
ADDRESSES = (Field.SOURCE, Field.DESTINATION)


def width(field: Field, family: int) -> int:
    """Bits of a field in a family (4 or 6)."""
    if field in ADDRESSES:
        return 32 if family == 4 else 128
    return _WIDTHS[field]


@dataclass(frozen=True, slots=True)
class InRanges:
    field: Field
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Masked:
    """The field's bits under `mask` equal `value`."""

    field: Field
    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class InPort:
    """The packet came in through a port named so; a name that ends in `*` is a prefix."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutPort:
    """The packet is to leave through a port named so; false where no port is chosen yet."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfFamily:
    version: int


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """The address is one of the device's own."""

    field: Field


@dataclass(frozen=True, slots=True)
class ReversePath:
    """The route back to the packet's source exists; through the incoming port where `same_port`."""

    same_port: bool
    by_mark: bool


@dataclass(frozen=True, slots=True)
class Open:
    """Nothing here knows whether this holds: it may, and it may not. The audit can prove nothing that hangs on it."""

    span: Span
    reason: str


@dataclass(frozen=True, slots=True)
class Chance:
    """Holds at some moments and not at others (a rate limit): for whoever wants to get through, it holds."""

    span: Span
    reason: str


@dataclass(frozen=True, slots=True)
class All:
    terms: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    terms: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    term: Predicate


Predicate = (
    InRanges | Masked | InPort | OutPort | OfFamily | LocalAddress | ReversePath | Open | Chance | All | AnyOf | Not
)

ALWAYS = All(())
NEVER = AnyOf(())


def equals(field: Field, value: int) -> InRanges:
    return InRanges(field, ((value, value),))


def all_of(*terms: Predicate) -> Predicate:
    return terms[0] if len(terms) == 1 else All(terms)


# Packets that connection tracking has an entry for. Of others no rule can read or keep a mark of it.
HAS_CONNECTION = InRanges(Field.STATE, ((State.NEW, State.RELATED),))


def port_named(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether an interface's name is among the names and `prefix*` patterns."""
    return any(name.startswith(p[:-1]) if p.endswith("*") else name == p for p in patterns)


def leaves(predicate: Predicate) -> Iterator[Predicate]:
    """The conditions that it is put together from."""
    if isinstance(predicate, All | AnyOf):
        for term in predicate.terms:
            yield from leaves(term)
    elif isinstance(predicate, Not):
        yield from leaves(predicate.term)
    else:
        yield predicate


def looks_at(predicate: Predicate, field: Field) -> bool:
    """Whether a condition depends on the field."""
    return field in fields_of(leaves(predicate))


def fields_of(conditions: Iterable[Predicate]) -> frozenset[Field]:
    """The fields on which conditions depend that are put together from nothing else."""
    return frozenset(one.field for one in conditions if isinstance(one, InRanges | Masked | LocalAddress))
