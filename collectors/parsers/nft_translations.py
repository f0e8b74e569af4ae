"""NAT of `nft -j`: new sources and destinations of a connection."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from collectors.parsers.nft_values import UnmodelledError, head
from wardnet.model.device import Match, Opaque, Statement, TranslateDestination, TranslateSource
from wardnet.model.packet import OfFamily
from wardnet.model.span import Span

TRANSLATIONS = frozenset({"masquerade", "snat", "dnat", "redirect"})


def translation(name: str, body: Any, span: Span) -> tuple[Statement, ...]:
    """One of TRANSLATIONS."""
    new_source = name in ("masquerade", "snat")
    return _guarded(body, _source(name, body, span) if new_source else _destination(name, body, span))


def _guarded(body: Any, statement: Statement) -> tuple[Statement, ...]:
    """NAT of one family, in a table of both, is for that family's packets."""
    family = body.get("family") if isinstance(body, dict) else None
    if family in ("ip", "ip6"):
        return (Match(OfFamily(4 if family == "ip" else 6)), statement)
    return (statement,)


def _source(name: str, body: Any, span: Span) -> TranslateSource:
    values = body if isinstance(body, dict) else {}
    try:
        addresses = _addresses(values["addr"]) if "addr" in values else None
        ports = _ports(values["port"]) if "port" in values else None
    except (UnmodelledError, ValueError, TypeError):
        return TranslateSource(span)
    return TranslateSource(span, addresses, ports, masquerades=name == "masquerade")


def _destination(name: str, body: Any, span: Span) -> Statement:
    values = body if isinstance(body, dict) else {}
    if values.keys() - {"family", "addr", "port", "flags", "type_flags"} or values.get("type_flags"):
        return Opaque(span, f"{name} {head(body)}", rewrites=True)
    try:
        addresses = _addresses(values["addr"]) if "addr" in values else None
        ports = _ports(values["port"]) if "port" in values else None
    except (UnmodelledError, ValueError, TypeError):
        return Opaque(span, f"{name} {head(body)}", rewrites=True)
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
