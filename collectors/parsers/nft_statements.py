"""`nft -j` statements to the model's. What is not modelled becomes `Opaque`, never nothing."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from collectors.parsers.nft_match import Conditions, element, guards_of, left_side
from collectors.parsers.nft_values import UnmodelledError
from wardnet.model.device import (
    Choose,
    Decide,
    Match,
    Opaque,
    SetMark,
    Statement,
    TranslateDestination,
    TranslateSource,
    Untrack,
    Verdict,
)
from wardnet.model.packet import TCP, Chance, Field, OfFamily, Predicate, State, all_of, equals
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
_DIVERTS = frozenset({"fwd", "dup"})
_MANGLED_WITHOUT_EFFECT = frozenset({"priority", "nftrace", "secmark", "pkttype"})


def statements(conditions: Conditions, expressions: list[Any], span: Span) -> tuple[Statement, ...]:
    """All statements of one rule, in order.

    An error message is related to the connection that it quotes. Whose connection that is (`ct original ip saddr`) its
    headers do not say: any may be quoted, so for what is related it is a chance. Of other packets it is unknown.
    """
    found: list[Statement] = []
    related = False
    for expression in expressions:
        try:
            made = _statement(conditions, expression, span)
            if related and (end := _end_of_connection(expression)):
                made = (Match(Chance(span, end)),)
            related = related or made == (Match(_RELATED),)
            found.extend(made)
        except UnmodelledError as error:
            found.append(Opaque(span, str(error), rewrites=True))
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # a statement of another shape
            found.append(Opaque(span, f"statement {_head(expression)} ({error})", rewrites=True))
    return tuple(found)


def _end_of_connection(expression: Any) -> str:
    match expression:
        case {"match": {"op": "==" | "!=", "left": {"ct": {"key": str(key), "dir": str(way)}}}} if key in _ADDRESSES:
            return f"ct {way} {key}"
    return ""


def _statement(conditions: Conditions, expression: Any, span: Span) -> tuple[Statement, ...]:
    if not isinstance(expression, dict) or len(expression) != 1:
        raise UnmodelledError(f"statement {_head(expression)}")
    ((name, body),) = expression.items()
    if name == "match":
        if not isinstance(body, dict) or body.keys() != {"op", "left", "right"}:
            raise UnmodelledError(f"match {_head(body)}")
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
    if name in ("masquerade", "snat"):
        return _guarded(body, TranslateSource(span))
    if name in ("dnat", "redirect"):
        return _guarded(body, _destination(name, body, span))
    if name == "mangle":
        return _mangle(body, span)
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
    raise UnmodelledError(f"reject {_head(body)}")


def decision(expression: Any) -> Decide:
    """A verdict, as a statement or as a map's value."""
    if isinstance(expression, dict) and len(expression) == 1:
        ((name, body),) = expression.items()
        if name in _ENDS:
            return Decide(_ENDS[name])
        if name in ("jump", "goto") and isinstance(body, dict) and isinstance(body.get("target"), str):
            return Decide(Verdict(name), body["target"])
    raise UnmodelledError(f"verdict {_head(expression)}")


def _verdict_map(conditions: Conditions, body: Any, span: Span) -> Choose:
    if not isinstance(body, dict) or body.keys() != {"key", "data"}:
        raise UnmodelledError("verdict map")
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
        raise UnmodelledError("verdict map")
    cases = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise UnmodelledError(f"verdict map element {_head(pair)}")
        cases.append((pair[0] == "*", all_of(*guards, element(subjects, pair[0], span)), decision(pair[1])))
    # Elements don't overlap, but for the one that catches the rest.
    cases.sort(key=lambda case: case[0])
    return Choose(tuple((predicate, verdict) for _, predicate, verdict in cases))


def _guarded(body: Any, statement: Statement) -> tuple[Statement, ...]:
    """NAT of one family, in a table of both, is for that family's packets."""
    family = body.get("family") if isinstance(body, dict) else None
    if family in ("ip", "ip6"):
        return (Match(OfFamily(4 if family == "ip" else 6)), statement)
    return (statement,)


def _destination(name: str, body: Any, span: Span) -> Statement:
    values = body if isinstance(body, dict) else {}
    if values.keys() - {"family", "addr", "port", "flags", "type_flags"} or values.get("type_flags"):
        return Opaque(span, f"{name} {_head(body)}", rewrites=True)
    try:
        addresses = _addresses(values["addr"]) if "addr" in values else None
        ports = _ports(values["port"]) if "port" in values else None
    except (UnmodelledError, ValueError, TypeError):
        return Opaque(span, f"{name} {_head(body)}", rewrites=True)
    return TranslateDestination(span, addresses, ports, to_device=name == "redirect")


def _addresses(value: Any) -> tuple[int, int]:
    match value:
        case str(text):
            return int(ip_address(text)), int(ip_address(text))
        case {"range": [str(low), str(high)]}:
            return int(ip_address(low)), int(ip_address(high))
        case {"prefix": {"addr": str(address), "len": int(length)}}:
            network: IPv4Network | IPv6Network = ip_network((address, length))
            return int(network.network_address), int(network.broadcast_address)
    raise UnmodelledError("address")


def _ports(value: Any) -> tuple[int, int]:
    match value:
        case int(port) if 0 <= port < 65536:
            return port, port
        case {"range": [int(low), int(high)]} if 0 <= low <= high < 65536:
            return low, high
    raise UnmodelledError("port")


def _mangle(body: Any, span: Span) -> tuple[Statement, ...]:
    match body:
        case {"key": {"meta": {"key": "mark"}}, "value": value}:
            return (_mark(value),)
        case {"key": {"meta": {"key": str(key)}}} if key in _MANGLED_WITHOUT_EFFECT:
            return ()
        case {"key": {"ct": _}}:
            # Marks, labels and zones of connections: conditions on them are unknown where they stand.
            return ()
        case {"key": {"tcp option": _}}:
            return ()
    return (Opaque(span, f"statement mangle {_head(body)}", rewrites=True),)


def _mark(value: Any) -> SetMark:
    """mark = (mark & keep) ^ flip, folded from nested bit operations with constants."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _FULL:
        return SetMark(0, value)
    if value == {"meta": {"key": "mark"}}:
        return SetMark(_FULL, 0)
    if isinstance(value, dict) and len(value) == 1:
        ((operator, operands),) = value.items()
        apply = _BITWISE.get(operator)
        if apply and isinstance(operands, list) and len(operands) == 2 and isinstance(operands[1], int):
            inner, constant = _mark(operands[0]), operands[1]
            if 0 <= constant <= _FULL:
                return apply(inner, constant)
    raise UnmodelledError(f"mark set to {_head(value)}")


_BITWISE: dict[str, Callable[[SetMark, int], SetMark]] = {
    "&": lambda mark, bits: SetMark(mark.keep & bits, mark.flip & bits),
    "|": lambda mark, bits: SetMark(mark.keep & ~bits & _FULL, mark.flip & ~bits | bits),
    "^": lambda mark, bits: SetMark(mark.keep, mark.flip ^ bits),
}


def _head(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
