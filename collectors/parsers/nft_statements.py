"""`nft -j` statements to the model's. What is not modelled becomes `Opaque`, never nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from collectors.parsers.nft_match import Conditions, element, guards_of, left_side
from collectors.parsers.nft_translations import TRANSLATIONS, translation
from collectors.parsers.nft_values import UnmodelledError, head
from collectors.parsers.nft_xt import extension, may_untrack
from wardnet.model.device import (
    Choose,
    Decide,
    Match,
    Opaque,
    SetMark,
    Statement,
    Untrack,
    Verdict,
)
from wardnet.model.packet import (
    HAS_CONNECTION,
    NEVER,
    TCP,
    AnyOf,
    Chance,
    Field,
    Not,
    OfFamily,
    Open,
    Predicate,
    State,
    all_of,
    equals,
    looks_at,
)
from wardnet.model.span import Span

_FULL = 0xFFFFFFFF
_RELATED = equals(Field.STATE, State.RELATED)
_ADDRESSES = ("ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr")
_ENDS = {
    "accept": Verdict.ACCEPT,
    "drop": Verdict.DROP,
    "continue": Verdict.CONTINUE,
    "return": Verdict.RETURN,
}
# Nothing of these changes where a packet goes. (What sets the packet type is an unknown of the whole listing.)
_WITHOUT_EFFECT = frozenset({"counter", "log", "last", "secmark", "ct timeout"})
# Hold or not by what came before: a rate, a quota, a count, room in a set.
_CHANCES = frozenset({"limit", "quota", "ct count", "meter", "set", "map"})
_LARGEST = 1024  # elements of a map that are looked at one by one
_DIVERTS = frozenset({"fwd", "dup"})
_MANGLED_WITHOUT_EFFECT = frozenset({"priority", "nftrace", "secmark", "pkttype"})


def statements(conditions: Conditions, expressions: list[Any], span: Span) -> tuple[tuple[Statement, ...], ...]:
    """All statements of one rule, in order; several times over where it looks a value up in a map: once for each of the
    map's elements, of which one at most holds for a packet.

    An error message is related to the connection that it quotes. Whose connection that is (`ct original ip saddr`) its
    headers do not say: any may be quoted, so for what is related it is a chance. Of other packets it is unknown.
    """
    ways: list[list[Statement]] = [[]]
    related = False
    for expression in expressions:
        if may_untrack(expression):
            untracked: tuple[Statement, ...] = (
                Match(Open(span, "a target of iptables: takes the packet out of tracking")),
                Untrack(),
            )
            ways = [[*way, *untracked] for way in ways] + ways
        try:
            if (mapped := _mapped(expression)) is not None:
                ways = _forked(ways, _look_up(conditions, expression, mapped, span))
                continue
            made = _statement(conditions, expression, span)
            if related and (end := _end_of_connection(expression)):
                made = (Match(Chance(span, end)),)
            related = related or made == (Match(_RELATED),)
        except UnmodelledError as error:
            made = (Opaque(span, str(error), rewrites=True),)
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # a statement of another shape
            made = (Opaque(span, f"statement {head(expression)} ({error})", rewrites=True),)
        for way in ways:
            way.extend(made)
    return tuple(tuple(way) for way in ways)


def _forked(ways: list[list[Statement]], by_element: list[tuple[Statement, ...]]) -> list[list[Statement]]:
    """Each way with each element of a map. Nothing but conditions may stand before it: it would be met each time."""
    if any(not isinstance(statement, Match) for way in ways for statement in way):
        raise UnmodelledError("a map behind another statement of its rule")
    return [[*way, *more] for way in ways for more in by_element]


def _end_of_connection(expression: Any) -> str:
    match expression:
        case {"match": {"op": "==" | "!=", "left": {"ct": {"key": str(key), "dir": str(way)}}}} if key in _ADDRESSES:
            return f"ct {way} {key}"
    return ""


def _statement(conditions: Conditions, expression: Any, span: Span) -> tuple[Statement, ...]:
    if not isinstance(expression, dict) or len(expression) != 1:
        raise UnmodelledError(f"statement {head(expression)}")
    ((name, body),) = expression.items()
    if name == "match":
        if not isinstance(body, dict) or body.keys() != {"op", "left", "right"}:
            raise UnmodelledError(f"match {head(body)}")
        return (Match(conditions.compare(body["op"], body["left"], body["right"], span)),)
    if name in _ENDS:
        return (Decide(_ENDS[name]),)
    if name == "reject":
        return _reject(body)
    if name in ("jump", "goto"):
        return (decision(expression),)
    if name in _WITHOUT_EFFECT:
        return ()
    if name in _CHANCES:
        return (Match(Chance(span, name)),)
    if name == "vmap":
        return (_verdict_map(conditions, body, span),)
    if name == "notrack":
        return (Untrack(),)
    if name in TRANSLATIONS:
        return translation(name, body, span)
    if name == "mangle":
        return _mangle(body, span)
    if name == "xt":
        return extension(body, span)
    if name in ("ct helper", "ct expectation"):
        return ()  # `Ruleset.helpers` says that one is in use
    if name in _DIVERTS:
        return (Opaque(span, f"statement {name}", diverts=True),)
    return (Opaque(span, f"statement {name}", rewrites=True),)


def _reject(body: Any) -> tuple[Statement, ...]:
    """In a table of both families an answer in ICMP is for IPv4, one in ICMPv6 for IPv6, and a reset for TCP: other
    packets go on to the next rule."""
    kind = body.get("type") if isinstance(body, dict) else None
    if kind in (None, "icmpx"):
        return (Decide(Verdict.DROP),)
    if kind in ("icmp", "icmpv6"):
        return (Match(OfFamily(4 if kind == "icmp" else 6)), Decide(Verdict.DROP))
    if kind == "tcp reset":
        return (Match(equals(Field.PROTOCOL, TCP)), Decide(Verdict.DROP))
    raise UnmodelledError(f"reject {head(body)}")


def decision(expression: Any) -> Decide:
    """A verdict, as a statement or as a map's value."""
    if isinstance(expression, dict) and len(expression) == 1:
        ((name, body),) = expression.items()
        if name in _ENDS:
            return Decide(_ENDS[name])
        if name in ("jump", "goto") and isinstance(body, dict) and isinstance(body.get("target"), str):
            return Decide(Verdict(name), body["target"])
    raise UnmodelledError(f"verdict {head(expression)}")


def _verdict_map(conditions: Conditions, body: Any, span: Span) -> Choose:
    # Elements don't overlap, but for the one that catches the rest, which is the last.
    return Choose(tuple((predicate, decision(value)) for predicate, value, _ in _elements(conditions, body, span)))


def _elements(conditions: Conditions, body: Any, span: Span) -> list[tuple[Predicate, Any, bool]]:
    """A map's elements: when each holds, its value, and whether it catches the rest, as only the last one may."""
    if not isinstance(body, dict) or body.keys() != {"key", "data"}:
        raise UnmodelledError("map")
    key = body["key"]
    concatenated = isinstance(key, dict) and key.keys() == {"concat"}
    subjects = tuple(left_side(part) for part in (key["concat"] if concatenated else [key]))
    guards: tuple[Predicate, ...] = tuple(guard for subject in subjects for guard in guards_of(subject))
    data = body["data"]
    if isinstance(data, str) and data.startswith("@"):
        named = conditions.named(data[1:])
        if named.changes:
            raise UnmodelledError(f"map {named.name} {named.changes}")
        pairs: Any = named.elements
    elif isinstance(data, dict) and data.keys() == {"set"}:
        pairs = data["set"]
    else:
        raise UnmodelledError("map")
    found = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise UnmodelledError(f"map element {head(pair)}")
        found.append((all_of(*guards, element(subjects, pair[0], span)), pair[1], pair[0] == "*"))
    return sorted(found, key=lambda case: case[2])


def _mapped(expression: Any) -> Any:
    """The map in which a rule looks up a mark or a new address."""
    match expression:
        case {"mangle": {"key": {"meta": {"key": "mark"}} | {"ct": {"key": "mark"}}, "value": {"map": mapped}}}:
            return mapped
        case {"dnat": {"addr": {"map": mapped}}} | {"snat": {"addr": {"map": mapped}}}:
            return mapped
    return None


def _look_up(conditions: Conditions, expression: Any, mapped: Any, span: Span) -> list[tuple[Statement, ...]]:
    """The statement with each element's value, where that element holds. Where none does, the rule ends."""
    ((name, body),) = expression.items()
    key = "value" if name == "mangle" else "addr"
    elements = _elements(conditions, mapped, span)
    if len(elements) > _LARGEST:
        raise UnmodelledError(f"a map of {len(elements)} elements")
    # An element would see what the one before it has set.
    written = Field.CONNECTION_MARK if name == "mangle" and "ct" in body["key"] else Field.MARK
    if any(looks_at(predicate, written) for predicate, _, _ in elements):
        raise UnmodelledError("a map of marks to marks")
    listed = AnyOf(tuple(predicate for predicate, _, rest in elements if not rest))
    found = []
    for predicate, value, rest in elements:
        here = all_of(predicate, Not(listed)) if rest else predicate
        found.append((Match(here), *_statement(conditions, {name: {**body, key: value}}, span)))
    return found or [(Match(NEVER),)]


def _mangle(body: Any, span: Span) -> tuple[Statement, ...]:
    match body:
        case {"key": {"meta": {"key": "mark"}}, "value": value}:
            return _set_mark(value, Field.MARK)
        case {"key": {"ct": {"key": "mark"}}, "value": value}:
            try:
                return _set_mark(value, Field.CONNECTION_MARK)
            except UnmodelledError as error:
                return (Opaque(span, str(error), rewrites=True, marks=True),)
        case {"key": {"meta": {"key": str(key)}}} if key in _MANGLED_WITHOUT_EFFECT:
            return ()
        case {"key": {"ct": {"key": str()}}}:
            # Labels and events of connections: conditions on them are unknown where they stand. `Ruleset.zones` says
            # that one is set, `Ruleset.helpers` a helper.
            return ()
        case {"key": {"tcp option": _}}:
            return ()
    return (Opaque(span, f"statement mangle {head(body)}", rewrites=True),)


def _set_mark(value: Any, target: Field) -> tuple[Statement, ...]:
    """Where the value is a connection's, a rule ends at a packet without one."""
    made = replace(_mark(value), target=target)
    return (Match(HAS_CONNECTION), made) if made.source is Field.CONNECTION_MARK else (made,)


def _mark(value: Any) -> SetMark:
    """(mark & keep) ^ flip, folded from nested bit operations with constants."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _FULL:
        return SetMark(0, value)
    if value == {"meta": {"key": "mark"}}:
        return SetMark(_FULL, 0)
    if value == {"ct": {"key": "mark"}}:
        return SetMark(_FULL, 0, Field.CONNECTION_MARK)
    if isinstance(value, dict) and len(value) == 1:
        ((operator, operands),) = value.items()
        apply = _BITWISE.get(operator)
        if apply and isinstance(operands, list) and len(operands) == 2 and isinstance(operands[1], int):
            inner, constant = _mark(operands[0]), operands[1]
            if 0 <= constant <= _FULL:
                return apply(inner, constant)
    raise UnmodelledError(f"mark set to {head(value)}")


_BITWISE: dict[str, Callable[[SetMark, int], SetMark]] = {
    "&": lambda mark, bits: replace(mark, keep=mark.keep & bits, flip=mark.flip & bits),
    "|": lambda mark, bits: replace(mark, keep=mark.keep & ~bits & _FULL, flip=mark.flip & ~bits | bits),
    "^": lambda mark, bits: replace(mark, flip=mark.flip ^ bits),
}
