"""What a gateway's channels are to have in the kernel, and how that differs from what runs (wardnet_kernel.py). Pure.
Standard library only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ansible.module_utils.wardnet_kernel import (
    DEFAULT,
    IPV6_METRIC,
    LOCAL,
    MAIN,
    Address,
    Item,
    Member,
    Route,
    Rule,
    Running,
)

_OF_VRFS = '{"l3mdev": null}'


@dataclass(frozen=True)
class Intent:
    """What one channel's role answers for at a gateway. Routes of another channel's table that leave by this
    channel's ports, those of exceptions, are its own too; the other role must not wait for them."""

    ports: frozenset[str]
    tables: frozenset[int]  # which may hold nothing beyond `known_routes`
    addresses: frozenset[Address]
    routes: frozenset[Route]
    rules: frozenset[Rule]
    known_routes: frozenset[Route]
    known_rules: frozenset[Rule]
    dynamic: frozenset[str] = frozenset()  # ports that a provider gives a lease
    dialled: frozenset[str] = frozenset()  # ports that a provider gives addresses that stay while the session does
    leases: frozenset[Route] = frozenset()  # what comes with an address of a dynamic port, by a way that is not known
    given: frozenset[tuple[int, str]] = frozenset()  # (table, port): where routes of those ports may be
    believed: frozenset[tuple[int, str, str]] = frozenset()  # (table, port, prefix) that a neighbour may add to
    all_ports: frozenset[str] = frozenset()  # of all channels
    vrfs: frozenset[str] = frozenset()
    members: frozenset[Member] = frozenset()
    all_tables: frozenset[int] = frozenset()  # of all channels; where others hold routes, a channel has been given up
    vrf_tables: frozenset[int] = frozenset()  # in which the kernel keeps what it keeps for others in the local table


def join_intents(intents: Sequence[Intent]) -> Intent:
    """What all channels' roles answer for together."""
    return Intent(*(frozenset().union(*(getattr(i, f.name) for i in intents)) for f in fields(Intent)))


_FROM_ELSEWHERE = ("leased", "learned")  # routes that are there only while somebody else gives them


def read_intent(gateway: dict[str, Any], channel: str, hold_main: bool) -> Intent:
    """From the plain record of a GatewayPlan. With `hold_main` what is no channel's is held too: the main table to be
    empty, the local one to what the kernel keeps there, other ports and the loopback to having no address."""
    ports = [port for port in gateway["ports"] if port["channel"] == channel]
    names = frozenset(port["name"] for port in ports)
    tables = {int(table["number"]) for table in gateway["tables"] if table["channel"] == channel}
    provided = [port["name"] for port in ports if port.get("addressing") in ("dhcp", "pppoe")]
    given_to = frozenset((table, port) for table in tables for port in provided)
    tables |= {MAIN, LOCAL} if hold_main else set()
    given = [(table, route) for table in gateway["tables"] for route in table["routes"]]
    routes = frozenset(_route(table, route) for table, route in given if route["kind"] not in _FROM_ELSEWHERE)
    rules = frozenset(record for rule in gateway["rules"] for record in _rules(rule))
    return Intent(
        ports=names,
        tables=frozenset(tables),
        addresses=frozenset(
            Address(port["name"], port[family]) for port in ports for family in ("ipv4", "ipv6") if port[family]
        ),
        routes=frozenset(r for r in routes if (r.port in names if r.port else r.table in tables)),
        rules=frozenset(rule for rule in rules if rule.table in tables),
        known_routes=routes,
        known_rules=rules,
        dynamic=frozenset(port["name"] for port in ports if port.get("addressing") == "dhcp"),
        dialled=frozenset(port["name"] for port in ports if port.get("addressing") == "pppoe"),
        leases=frozenset(
            _route(t, route) for t, route in given if route["kind"] == "leased" and route["port"] in names
        ),
        given=given_to,
        believed=frozenset(
            (int(table["number"]), peer["port"], prefix)
            for table in gateway["tables"]
            for peer in gateway.get("bgp") or []
            if table["channel"] == peer["channel"] == channel
            for prefix in peer["accept"]
        ),
        all_ports=frozenset(port["name"] for port in gateway["ports"]),
        vrfs=frozenset(vrf["name"] for vrf in gateway.get("vrfs") or [] if vrf["channel"] == channel),
        members=frozenset(Member(port["name"], port["vrf"]) for port in ports if port.get("vrf")),
        all_tables=frozenset(int(table["number"]) for table in gateway["tables"]) | {MAIN, LOCAL, DEFAULT},
        vrf_tables=frozenset(int(vrf["table"]) for vrf in gateway.get("vrfs") or []),
    )


def _route(table: dict[str, Any], route: dict[str, Any]) -> Route:
    family = ipaddress.ip_network(route["destination"]).version
    return Route(
        family=family,
        table=int(table["number"]),
        destination=route["destination"],
        metric=int(route["metric"]) or (IPV6_METRIC if family == 6 else 0),
        port=route["port"] or "",
        via=route["via"] or "",
        unreachable=route["kind"] == "unreachable",
    )


def _rules(rule: dict[str, Any]) -> list[Rule]:
    families = (4, 6) if int(rule["family"]) == 0 else (int(rule["family"]),)
    return [
        Rule(
            family=family,
            priority=int(rule["priority"]),
            table=int(rule["table"]),
            incoming=rule["incoming"] or "",
            outgoing=rule["outgoing"] or "",
            source=rule["source"] or "",
            destination=rule["destination"] or "",
        )
        for family in families
    ]


@dataclass(frozen=True)
class Difference:
    missing: tuple[Item, ...]
    foreign: tuple[Item, ...]
    waiting: tuple[Address, ...]  # there, but not usable yet

    def __bool__(self) -> bool:
        return bool(self.missing or self.foreign or self.waiting)

    @property
    def in_the_way(self) -> tuple[Address, ...]:
        """Addresses that are there in a wrong manner, and must go before the right one can come."""
        missing = {(item.port, item.address) for item in self.missing if isinstance(item, Address)}
        return tuple(a for a in self.foreign if isinstance(a, Address) and (a.port, a.address) in missing)


def compare(running: Running, intent: Intent) -> Difference:
    """A port without a link is not missed: the kernel may have no routes for it either. What a provider or a neighbour
    gives is not known beforehand: it is not missed, but for a leased address without its way, and whatever stands
    beside it and is not theirs to give is foreign."""
    expected: list[Item] = [a for a in intent.addresses if a.port in running.carrier]
    expected += [r for r in intent.routes if not r.port or r.port in running.carrier]
    expected += intent.rules
    expected += [m for m in intent.members if m.port in running.carrier]
    expected += [r for r in intent.leases if _lacks_way(running, intent, r)]
    present = running.addresses | running.routes | running.rules | running.members
    foreign: list[Item] = [
        a
        for a in running.addresses
        if a.port in intent.ports - intent.dialled
        and a not in intent.addresses
        and not (a.leased and not a.own_route and a.port in intent.dynamic)
    ]
    foreign += [a for a in running.addresses if MAIN in intent.tables and a.port not in intent.all_ports]
    known_tables = intent.all_tables | intent.vrf_tables
    foreign += [
        route
        for route in running.routes
        if (route.table in intent.tables or (MAIN in intent.tables and route.table not in known_tables))
        and route not in intent.known_routes
        and not (route in intent.leases and route.port in intent.dialled)
        and not _may_be_given(route, intent)
        and not (route.own and route.table in intent.vrf_tables)
    ]
    foreign += [r for r in running.rules if r not in intent.known_rules and not (intent.vrf_tables and is_of_vrfs(r))]
    foreign += [m for m in running.members if m.port in intent.ports and m not in intent.members]
    foreign += [n for n in running.neighbours if MAIN in intent.tables or n.port in intent.ports]
    return Difference(
        missing=_in_order(item for item in expected if item not in present),
        foreign=_in_order(foreign),
        waiting=tuple(sorted(a for a in running.tentative if a in intent.addresses and a.port in running.carrier)),
    )


def is_of_vrfs(rule: Rule) -> bool:
    """Whether it is the rule that the kernel makes with the first VRF: a VRF's packets go by its table."""
    selectors = rule.incoming or rule.outgoing or rule.source or rule.destination
    return (rule.priority, rule.table, selectors, rule.other) == (1000, 0, "", _OF_VRFS)


def _lacks_way(running: Running, intent: Intent, route: Route) -> bool:
    """Whether the port has its IPv4 address, by a lease or a session, and not the route that comes with it. A
    session's route is made here, as soon as its port is there; a lease's is the provider's to give."""
    held = [a for a in running.addresses if a.port == route.port and ":" not in a.address]
    if route.port in intent.dialled:
        return route.family == 4 and bool(held) and route not in running.routes
    there = any(
        (r.learned, r.table, r.destination, r.port) == ("provider", route.table, route.destination, route.port)
        for r in running.routes
    )
    return route.family == 4 and any(a.leased for a in held) and not there


def _may_be_given(route: Route, intent: Intent) -> bool:
    """Whether a route is of a lease, in the port's own table, or of a neighbour that may say so."""
    if route.unreachable or route.other:
        return False
    if route.learned == "provider":
        return (route.table, route.port) in intent.given
    if route.learned == "neighbour":
        network = ipaddress.ip_network(route.destination)
        here = (route.table, route.port)
        believed = [ipaddress.ip_network(prefix) for *where, prefix in intent.believed if tuple(where) == here]
        return any(
            outer.version == network.version and network.subnet_of(outer)  # type: ignore[arg-type]
            for outer in believed
        )
    return False


def _in_order(items: Any) -> tuple[Item, ...]:
    return tuple(sorted(items, key=lambda item: (type(item).__name__, item)))
