"""Leaks between the channels. Each lets real packets across, made as a careless administrator would make it."""

from __future__ import annotations

from typing import Any

from lab.faults.edits import apply, route, rule
from lab.faults.target import Target
from wardnet.model.intent import Channel


def forwarding(target: Target) -> dict[str, Any]:
    """IPv4 from the citizens' LAN to the clerks' LAN: an accept, and rules that lead there and back."""
    citizens, clerks = target.lan(Channel.INTERNET), target.lan(Channel.WAN)
    edits = (
        rule(4, 950, citizens.name, clerks.own[0].network, target.table(Channel.WAN)),
        rule(4, 951, clerks.name, citizens.own[0].network, target.table(Channel.INTERNET)),
    )
    accept = f'meta nfproto ipv4 iifname "{citizens.name}" oifname "{clerks.name}"'
    return apply(target, "forwarding-leak", accept, edits)


def leaked_route(target: Target) -> dict[str, Any]:
    """The internet's table learns the way to the WAN, and one accept is wider than it should be."""
    citizens, line = target.lan(Channel.INTERNET), target.line_port(Channel.WAN)
    table = target.table(Channel.INTERNET)
    edits = tuple(
        route(prefix.version, prefix, line.name, table, line.ipv4_peer if prefix.version == 4 else line.ipv6_peer)
        for prefix in target.district.channel(Channel.WAN).prefixes
    )
    return apply(target, "leaked-route", f'iifname "{citizens.name}"', edits)


def ipv6_open(target: Target) -> dict[str, Any]:
    """IPv6 alone: every IPv6 packet is let through, and each table knows the other's LAN."""
    citizens, clerks = target.lan(Channel.INTERNET), target.lan(Channel.WAN)
    edits = (
        route(6, clerks.own[1].network, clerks.name, target.table(Channel.INTERNET)),
        route(6, citizens.own[1].network, citizens.name, target.table(Channel.WAN)),
    )
    return apply(target, "ipv6-open", "meta nfproto ipv6", edits)
