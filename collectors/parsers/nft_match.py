"""`nft -j` expressions to conditions. What is not understood raises `UnmodelledError`; the caller keeps it as unknown.

A comparison carries the dependencies that `nft` leaves out when it prints: `tcp dport 80` is also "the
protocol is TCP", and stays so when it is negated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from collectors.parsers import nft_values
from collectors.parsers.nft_values import NAMES, UnmodelledError, compared, joined, number, ranges
from wardnet.model.packet import (
    ALWAYS,
    HAS_CONNECTION,
    ICMP,
    ICMPV6,
    NEVER,
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
    all_of,
    equals,
    width,
)
from wardnet.model.span import Span


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A set or map as listed: its elements, and why more or fewer may be there when a packet comes."""

    name: str
    elements: tuple[Any, ...]
    changes: str | None


@dataclass(frozen=True, slots=True)
class Subject:
    """The left side: a field, its dependencies, the values' names; `mask` where only some bits count."""

    field: Field
    family: int  # whose address width applies
    guards: tuple[Predicate, ...] = ()
    names: dict[str, int] | None = dataclasses.field(default=None, compare=False)
    mask: int | None = None

    @property
    def bits(self) -> int:
        return width(self.field, self.family)


@dataclass(frozen=True, slots=True)
class Port:
    incoming: bool


@dataclass(frozen=True, slots=True)
class Version:
    names: dict[str, int] = dataclasses.field(compare=False)


Left = Subject | Port | Version

_NFPROTO = {"ipv4": 4, "ipv6": 6}
_ETHERTYPE = {"ip": 4, "ip6": 6}
_TRANSPORTS = {"tcp": 6, "udp": 17, "sctp": 132, "dccp": 33, "udplite": 136}
_WHOLE = equals(Field.FRAGMENT, 0)
_PAYLOADS: dict[tuple[str, str], tuple[Field, int]] = {
    ("ip", "saddr"): (Field.SOURCE, 4),
    ("ip", "daddr"): (Field.DESTINATION, 4),
    ("ip", "protocol"): (Field.PROTOCOL, 4),
    ("ip", "dscp"): (Field.DSCP, 4),
    ("ip6", "saddr"): (Field.SOURCE, 6),
    ("ip6", "daddr"): (Field.DESTINATION, 6),
    ("ip6", "nexthdr"): (Field.NEXT_HEADER, 6),
    ("ip6", "dscp"): (Field.DSCP, 6),
}


def left_side(expression: Any) -> Left:
    """What an expression looks at."""
    match expression:
        case {"payload": {"protocol": str(protocol), "field": str(field)}} if len(expression) == 1:
            return _payload(protocol, field)
        case {"meta": {"key": str(key)}} if len(expression) == 1:
            return _meta(key)
        case {"ct": {"key": "state", **rest}} if not rest and len(expression) == 1:
            return Subject(Field.STATE, 4, names=NAMES[Field.STATE])
        case {"ct": {"key": "mark", **rest}} if not rest and len(expression) == 1:
            # Of a packet without a connection no comparison holds, neither == nor !=.
            return Subject(Field.CONNECTION_MARK, 4, (HAS_CONNECTION,), {})
        case {"&": [inner, mask]} if len(expression) == 1:
            subject = left_side(inner)
            if not isinstance(subject, Subject) or subject.mask is not None or subject.field is Field.STATE:
                raise UnmodelledError(f"mask on {inner!r}")
            bits = mask if isinstance(mask, list) else [mask]
            return Subject(subject.field, subject.family, subject.guards, subject.names,
                           joined(bits, subject.names, subject.bits))  # fmt: skip
    raise UnmodelledError(f"expression {_head(expression)}")


def _payload(protocol: str, field: str) -> Subject:
    known = _PAYLOADS.get((protocol, field))
    if known is not None:
        return Subject(known[0], known[1], (OfFamily(known[1]),), NAMES.get(known[0]))
    if protocol in _TRANSPORTS or protocol == "th":
        guards: tuple[Predicate, ...] = (_WHOLE,)
        if protocol != "th":
            guards = (equals(Field.PROTOCOL, _TRANSPORTS[protocol]), _WHOLE)
        if field in ("sport", "dport"):
            return Subject(Field.SOURCE_PORT if field == "sport" else Field.DESTINATION_PORT, 4, guards, {})
        if (protocol, field) == ("tcp", "flags"):
            return Subject(Field.TCP_FLAGS, 4, guards, NAMES[Field.TCP_FLAGS])
    if protocol in ("icmp", "icmpv6") and field in ("type", "code"):
        version, kind = (4, ICMP) if protocol == "icmp" else (6, ICMPV6)
        guards = (OfFamily(version), equals(Field.PROTOCOL, kind), _WHOLE)
        if field == "type":
            names = nft_values.ICMP_TYPES if version == 4 else nft_values.ICMPV6_TYPES
            return Subject(Field.ICMP_TYPE, version, guards, names)
        names = nft_values.ICMP_CODES if version == 4 else nft_values.ICMPV6_CODES
        return Subject(Field.ICMP_CODE, version, guards, names)
    raise UnmodelledError(f"payload {protocol} {field}")


def _meta(key: str) -> Left:
    if key in ("iif", "iifname", "oif", "oifname"):
        return Port(incoming=key.startswith("i"))
    if key == "nfproto":
        return Version(_NFPROTO)
    if key == "protocol":
        return Version(_ETHERTYPE)
    if key == "l4proto":
        return Subject(Field.PROTOCOL, 4, (), NAMES[Field.PROTOCOL])
    if key == "mark":
        return Subject(Field.MARK, 4, (), {})
    raise UnmodelledError(f"meta {key}")


class Conditions:
    """Reads the conditions of one table, whose named sets it knows; `now` as `parse_ruleset` has it."""

    def __init__(self, sets: Mapping[str, NamedSet], now: int | None = None) -> None:
        self._sets = sets
        self._now = now
        self._named: dict[tuple[str, Left | tuple[Left, ...]], Predicate] = {}

    def compare(self, op: str, left: Any, right: Any, span: Span) -> Predicate:
        """The condition of a `match` statement."""
        try:
            return self._compare(op, left, right, span)
        except UnmodelledError as error:
            return Open(span, str(error))
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # an expression of another shape
            return Open(span, f"expression {_head(left)} {op} {_head(right)} ({error})")

    def _compare(self, op: str, left: Any, right: Any, span: Span) -> Predicate:
        if "payload" not in left and (special := _special(op, left, right, span, self._now)) is not None:
            return special
        if isinstance(left, dict) and left.keys() == {"concat"}:
            subjects = tuple(left_side(part) for part in left["concat"])
            hit = self.members(subjects, right, span)
            guards = tuple(guard for subject in subjects for guard in guards_of(subject))
            return _sided(op, guards, hit)
        subject = left_side(left)
        if isinstance(subject, Subject):
            if op in ("<", ">", "<=", ">="):
                if subject.mask is not None:
                    raise UnmodelledError(f"{op} on masked bits")
                hit = InRanges(subject.field, compared(op, right, subject.names, subject.bits))
                return all_of(*subject.guards, hit)
            if op == "in" or isinstance(right, list):
                return _flags(op, subject, right)
        return _sided(op, guards_of(subject), self.members((subject,), right, span))

    def members(self, subjects: tuple[Left, ...], right: Any, span: Span) -> Predicate:
        """That the subjects, together, are a value or a member of a set."""
        if isinstance(right, str) and right.startswith("@"):
            return self._named_members(subjects, right[1:], span)
        if isinstance(right, dict) and right.keys() == {"set"}:
            elements = right["set"] if isinstance(right["set"], list) else [right["set"]]
            return _any(subjects, elements, span)
        return element(subjects, right, span)

    def _named_members(self, subjects: tuple[Left, ...], name: str, span: Span) -> Predicate:
        key = (name, subjects)
        if key not in self._named:
            named = self.named(name)
            hit = _any(subjects, named.elements, span)
            if named.changes:
                hit = AnyOf((hit, Open(span, f"set {name} {named.changes}")))
            self._named[key] = hit
        return self._named[key]

    def named(self, name: str) -> NamedSet:
        """A set or map of this table; the caller makes a missing one an error."""
        if name not in self._sets:
            raise UnmodelledError(f"set {name} is not in the table")
        return self._sets[name]


def guards_of(subject: Left) -> tuple[Predicate, ...]:
    return subject.guards if isinstance(subject, Subject) else ()


def _sided(op: str, guards: tuple[Predicate, ...], hit: Predicate) -> Predicate:
    if op == "==":
        return all_of(*guards, hit)
    if op == "!=":
        return all_of(*guards, Not(hit))
    raise UnmodelledError(f"operator {op}")


def _flags(op: str, subject: Subject, right: Any) -> Predicate:
    """`ct state established,related` and `tcp flags syn`: any of the flags."""
    values = right if isinstance(right, list) else [right]
    if subject.field is Field.STATE:
        found = sorted(number(value, subject.names, subject.bits) for value in values)
        hit: Predicate = InRanges(subject.field, tuple((state, state) for state in found))
        return Not(hit) if op == "!=" else hit
    flags = joined(values, subject.names, subject.bits)
    if op == "in":
        if subject.mask is not None or subject.field is not Field.TCP_FLAGS:
            raise UnmodelledError(f"flags of {subject.field}")
        return all_of(*subject.guards, Not(Masked(subject.field, flags, 0)))
    mask = subject.mask if subject.mask is not None else (1 << subject.bits) - 1
    return _sided(op, subject.guards, Masked(subject.field, mask, flags))


def _any(subjects: tuple[Left, ...], elements: Any, span: Span) -> Predicate:
    """Any element holds; ranges of one field are gathered."""
    terms: list[Predicate] = []
    plain: list[tuple[int, int]] = []
    for entry in elements:
        term = element(subjects, entry, span)
        if isinstance(term, InRanges) and len(subjects) == 1:
            plain.extend(term.ranges)
        else:
            terms.append(term)
    if plain:
        subject = subjects[0]
        assert isinstance(subject, Subject)
        terms.insert(0, InRanges(subject.field, tuple(sorted(plain))))
    return terms[0] if len(terms) == 1 else AnyOf(tuple(terms))


def element(subjects: tuple[Left, ...], entry: Any, span: Span) -> Predicate:
    """One element of a set, or the one value compared with."""
    if isinstance(entry, dict) and entry.keys() == {"elem"} and isinstance(entry["elem"], dict):
        inner = entry["elem"]
        if "val" not in inner:
            raise UnmodelledError("element without a value")
        hit = element(subjects, inner["val"], span)
        extra = inner.keys() - {"val", "comment", "counter", "timeout", "expires", "limit", "quota", "last"}
        if extra:
            raise UnmodelledError(f"element with {', '.join(sorted(extra))}")
        if "timeout" in inner or "expires" in inner:
            return All((hit, Open(span, "an element that expires")))
        if "limit" in inner or "quota" in inner:
            return All((hit, Chance(span, "an element with a limit")))
        return hit
    if entry == "*":
        return ALWAYS
    if len(subjects) > 1:
        if not (isinstance(entry, dict) and entry.keys() == {"concat"} and len(entry["concat"]) == len(subjects)):
            raise UnmodelledError(f"element {_head(entry)}")
        parts = zip(subjects, entry["concat"], strict=True)
        if any(isinstance(s, Port) and isinstance(v, str) and v.endswith("*") for s, v in parts):
            raise UnmodelledError("a wildcard interface in a concatenation")
        return All(tuple(element((s,), v, span) for s, v in zip(subjects, entry["concat"], strict=True)))
    subject = subjects[0]
    if isinstance(subject, Port):
        return _port(subject, entry)
    if isinstance(subject, Version):
        if not isinstance(entry, str):
            raise UnmodelledError(f"value {_head(entry)}")
        return OfFamily(subject.names[entry]) if entry in subject.names else NEVER
    if subject.mask is not None:
        return Masked(subject.field, subject.mask, number(entry, subject.names, subject.bits))
    return InRanges(subject.field, ranges(entry, subject.names, subject.bits))


def _port(subject: Port, value: Any) -> Predicate:
    # nft 1.0.6 prints some wildcards in sets as a range of empty names: nothing can be told from that.
    if not isinstance(value, str) or not value or "\\" in value or "*" in value[:-1] or value == "*":
        raise UnmodelledError(f"interface {_head(value)}")
    return InPort((value,)) if subject.incoming else OutPort((value,))


def _special(op: str, left: Any, right: Any, span: Span, now: int | None) -> Predicate | None:
    """Comparisons that are no field and value."""
    match left:
        case {"fib": {"result": "type", "flags": "daddr" | ["daddr"]}} if right == "local":
            return _sided(op, (), LocalAddress(Field.DESTINATION))
        case {"fib": {"result": "type", "flags": "saddr" | ["saddr"]}} if right == "local":
            return _sided(op, (), LocalAddress(Field.SOURCE))
        case {"fib": {"result": "oif", "flags": flags}} if isinstance(right, bool):
            wanted = {flags} if isinstance(flags, str) else set(flags)
            if "saddr" in wanted and wanted <= {"saddr", "iif", "mark"}:
                exists = ReversePath(same_port="iif" in wanted, by_mark="mark" in wanted)
                return _sided(op, (), exists if right else Not(exists))
        case {"meta": {"key": "pkttype"}} if right in ("host", "unicast"):
            # Only what is addressed to the router itself is ever routed.
            return _sided(op, (), ALWAYS)
        case {"meta": {"key": "pkttype"}} if right in ("broadcast", "multicast", "other"):
            return _sided(op, (), NEVER)
        case {"meta": {"key": "time"}} if now is not None and (settled := _settled(op, right, now)) is not None:
            return settled
        case {"meta": {"key": "cpu" | "random" | "time" | "hour" | "day" as key}}:
            return Chance(span, f"meta {key}")
        case {"numgen": _}:
            return Chance(span, "numgen")
        case {"ct": {"key": "status"}} if right == "dnat" and op == "in":
            return equals(Field.TRANSLATED, 1)
    return None


def _settled(op: str, right: Any, now: int) -> Predicate | None:
    """A comparison with a time that has passed holds from now on, or never again. None for all others: what holds today
    and not tomorrow, or tomorrow and not today, is a chance."""
    if not isinstance(right, str):
        return None
    try:
        bound = datetime.strptime(right, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    if bound > now:
        return None
    return ALWAYS if op == ">=" else NEVER if op == "<" else None


def _head(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
