"""What the kernel runs, as sets that can be compared with what is intended: addresses, routes, policy rules,
packet filter. Pure: takes the JSON text that ip(8) and nft(8) print. Standard library only.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

MAIN, LOCAL, DEFAULT = 254, 255, 253
UNREACHABLE = 7  # RTN_UNREACHABLE
IPV6_METRIC = 1024  # what the kernel takes for 0
KERNEL_RULES = {(4, 0, LOCAL), (4, 32766, MAIN), (4, 32767, DEFAULT), (6, 0, LOCAL), (6, 32766, MAIN)}
EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True, order=True)
class Address:
    port: str
    address: str  # with its prefix length
    own_route: bool = False  # the kernel keeps a route for it in the main table, which no port of ours may have
    leased: bool = field(default=False, compare=False)  # goes by itself when its time is up

    def __str__(self) -> str:
        return f"address {self.address} on {self.port}" + (" with a route in main" if self.own_route else "")


@dataclass(frozen=True, order=True)
class Route:
    """`other` holds whatever this record has no field for, so that nothing unusual passes for the plain route."""

    family: int
    table: int
    destination: str
    metric: int
    port: str
    via: str
    unreachable: bool
    other: str = ""
    learned: str = field(default="", compare=False)  # from a 'neighbour' by a routing protocol, or a 'provider'

    def __str__(self) -> str:
        kind = "unreachable " if self.unreachable else ""
        parts = [f"via {self.via}" if self.via else "", f"dev {self.port}" if self.port else "", self.other]
        return " ".join(
            filter(None, [f"route {kind}{self.destination}", *parts, f"metric {self.metric} table {self.table}"])
        )


@dataclass(frozen=True, order=True)
class Rule:
    family: int
    priority: int
    table: int
    incoming: str = ""
    outgoing: str = ""
    source: str = ""
    destination: str = ""
    other: str = ""

    def __str__(self) -> str:
        named = (("from", self.source), ("to", self.destination), ("iif", self.incoming), ("oif", self.outgoing))
        selectors = [f"{word} {value}" for word, value in named if value]
        selectors += [self.other] if self.other else []
        return f"rule {self.priority} IPv{self.family}: {' '.join(selectors) or 'all'} lookup {self.table}"


Item = Address | Route | Rule


@dataclass(frozen=True)
class Running:
    addresses: frozenset[Address]
    tentative: frozenset[Address]  # still being probed for duplicates, or found to be one
    routes: frozenset[Route]
    rules: frozenset[Rule]
    carrier: frozenset[str]  # ports that are there and have a link


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
    believed: frozenset[tuple[int, str]] = frozenset()  # (table, prefix) that a routing protocol may add to
    vrfs: frozenset[str] = frozenset()


def join_intents(intents: Sequence[Intent]) -> Intent:
    """What all channels' roles answer for together."""
    return Intent(*(frozenset().union(*(getattr(i, f.name) for i in intents)) for f in fields(Intent)))


_FROM_ELSEWHERE = ("leased", "learned")  # routes that are there only while somebody else gives them


def read_intent(gateway: dict[str, Any], channel: str, hold_main: bool) -> Intent:
    """From the plain record of a GatewayPlan. With `hold_main` the main table is held as well, to being empty."""
    ports = [port for port in gateway["ports"] if port["channel"] == channel]
    names = frozenset(port["name"] for port in ports)
    tables = {int(table["number"]) for table in gateway["tables"] if table["channel"] == channel}
    tables |= {MAIN} if hold_main else set()
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
        believed=frozenset(
            (int(table["number"]), prefix)
            for table in gateway["tables"]
            for peer in gateway.get("bgp") or []
            if table["channel"] == peer["channel"] == channel
            for prefix in peer["accept"]
        ),
        vrfs=frozenset(vrf["name"] for vrf in gateway.get("vrfs") or []),
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


def parse_addresses(text: str) -> tuple[frozenset[Address], frozenset[Address]]:
    """All addresses but link-local and loopback ones, and those of them that cannot be used (yet).
    From `ip -j address show`."""
    found, tentative = set(), set()
    for link in json.loads(text or "[]"):
        for info in link.get("addr_info", []):
            address = ipaddress.ip_interface(f"{info['local']}/{info['prefixlen']}")
            if address.is_link_local or address.is_loopback:
                continue
            own_route, leased = not info.get("noprefixroute", False), bool(info.get("dynamic"))
            record = Address(link["ifname"], str(address), own_route, leased)
            found.add(record)
            if info.get("tentative") or info.get("dadfailed"):
                tentative.add(record)
    return frozenset(found), frozenset(tentative)


def parse_carrier(text: str) -> frozenset[str]:
    """Names of the links that carry, from `ip -j address show`."""
    return frozenset(link["ifname"] for link in json.loads(text or "[]") if "LOWER_UP" in link.get("flags", []))


_ROUTE_PLAIN = {"dst", "table", "metric", "dev", "gateway", "type", "protocol", "scope", "pref", "prefsrc"}
_BY_NEIGHBOURS = {186}  # RTPROT_BGP
_BY_PROVIDERS = {9, 16}  # RTPROT_RA, RTPROT_DHCP
_OF_LEARNED = {"nhid", "expires", "metrics"}  # how long, how large, and by which next hop: theirs to say
_ROUTE_FLAGS = {"onlink", "linkdown", "offload"}


def parse_routes(text: str, family: int) -> frozenset[Route]:
    """Unicast and blocking routes outside the local table, without the kernel's own link-local ones.
    From `ip -N -j -FAMILY route show table all`."""
    found = set()
    for route in json.loads(text or "[]"):
        table = int(route.get("table", MAIN))
        if table == LOCAL:
            continue
        destination = route["dst"] if route["dst"] != "default" else EVERYTHING[family]
        network = ipaddress.ip_network(destination)
        kind = int(route.get("type", 1))
        if family == 6 and table == MAIN and (network.is_link_local or network.is_multicast):
            continue
        protocol = int(route.get("protocol", 0))
        learned = protocol in _BY_NEIGHBOURS | _BY_PROVIDERS
        plain = _ROUTE_PLAIN | (_OF_LEARNED if learned else set())
        other = {key: value for key, value in route.items() if key not in plain and key != "flags"}
        flags = sorted(set(route.get("flags", [])) - _ROUTE_FLAGS)
        if flags:
            other["flags"] = flags
        if kind not in (1, UNREACHABLE):
            other["type"] = kind
        found.add(
            Route(
                family=family,
                table=table,
                destination=str(network),
                metric=int(route.get("metric", 0)),
                port="" if kind == UNREACHABLE else route.get("dev", ""),
                via=route.get("gateway", ""),
                unreachable=kind == UNREACHABLE,
                other=json.dumps(other, sort_keys=True) if other else "",
                learned="" if not learned else "provider" if protocol in _BY_PROVIDERS else "neighbour",
            )
        )
    return frozenset(found)


_RULE_PLAIN = {"priority", "table", "src", "srclen", "dst", "dstlen", "iif", "oif", "protocol"}
_RULE_STATE = {"iif_detached", "oif_detached"}  # says that the port is not there at present


def parse_rules(text: str, family: int) -> frozenset[Rule]:
    """All policy rules but the kernel's own three. From `ip -N -j -FAMILY rule show`."""
    found = set()
    for rule in json.loads(text or "[]"):
        extra = {key: value for key, value in rule.items() if key not in _RULE_PLAIN | _RULE_STATE}
        record = Rule(
            family=family,
            priority=int(rule["priority"]),
            table=int(rule.get("table", 0)),
            incoming=rule.get("iif", ""),
            outgoing=rule.get("oif", ""),
            source=_selector(rule, "src", family),
            destination=_selector(rule, "dst", family),
            other=json.dumps(extra, sort_keys=True) if extra else "",
        )
        plain = not (record.incoming or record.outgoing or record.source or record.destination or record.other)
        if not (plain and (family, record.priority, record.table) in KERNEL_RULES):
            found.add(record)
    return frozenset(found)


def _selector(rule: dict[str, Any], name: str, family: int) -> str:
    value = rule.get(name, "all")
    if value == "all":
        return ""
    length = rule.get(f"{name}len", 32 if family == 4 else 128)
    return str(ipaddress.ip_network(f"{value}/{length}"))


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
    expected += [r for r in intent.leases if _lacks_way(running, r)]
    present = running.addresses | running.routes | running.rules
    foreign: list[Item] = [
        a
        for a in running.addresses
        if a.port in intent.ports - intent.dialled
        and a not in intent.addresses
        and not (a.leased and not a.own_route and a.port in intent.dynamic)
    ]
    foreign += [
        route
        for route in running.routes
        if route.table in intent.tables and route not in intent.known_routes and not _may_be_given(route, intent)
    ]
    foreign += [r for r in running.rules if r not in intent.known_rules and not (intent.vrfs and '"l3mdev"' in r.other)]
    return Difference(
        missing=_in_order(item for item in expected if item not in present),
        foreign=_in_order(foreign),
        waiting=tuple(sorted(a for a in running.tentative if a in intent.addresses and a.port in running.carrier)),
    )


def _lacks_way(running: Running, route: Route) -> bool:
    """Whether the port of a leased IPv4 route has its address and no such route."""
    leased = any(a.leased and a.port == route.port and ":" not in a.address for a in running.addresses)
    there = any(
        (r.learned, r.table, r.destination, r.port) == ("provider", route.table, route.destination, route.port)
        for r in running.routes
    )
    return route.family == 4 and leased and not there


def _may_be_given(route: Route, intent: Intent) -> bool:
    """Whether a route is of a lease, in the port's own table, or of a neighbour that may say so."""
    if route.table == MAIN or route.unreachable or route.other:
        return False
    if route.learned == "provider":
        return route.port in intent.dynamic | intent.dialled
    if route.learned == "neighbour":
        network = ipaddress.ip_network(route.destination)
        believed = [ipaddress.ip_network(prefix) for table, prefix in intent.believed if table == route.table]
        return any(
            outer.version == network.version and network.subnet_of(outer)  # type: ignore[arg-type]
            for outer in believed
        )
    return False


def _in_order(items: Any) -> tuple[Item, ...]:
    return tuple(sorted(items, key=lambda item: (type(item).__name__, item)))


def parse_ruleset(text: str) -> list[str]:
    """One line an object of `nft -j list ruleset`, without what differs from load to load: handles, counters'
    values and versions. The order of rules within a chain is kept, since it decides."""
    lines = []
    for item in json.loads(text or '{"nftables": []}')["nftables"]:
        if "metainfo" in item:
            continue
        lines.append(json.dumps(_without_state(item), sort_keys=True))
    return lines


def _without_state(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_state(inner) for key, inner in value.items() if key not in ("handle", "index")}
        if set(kept) == {"packets", "bytes"}:
            return {}
        return kept
    if isinstance(value, list):
        return [_without_state(inner) for inner in value]
    return value
