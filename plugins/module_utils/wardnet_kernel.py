"""What the kernel runs, as sets to be compared with what is intended (wardnet_intent.py): addresses, routes, policy
rules, packet filter. Pure: takes the JSON text that ip(8) and nft(8) print. Standard library only.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
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
    own: bool = field(default=False, compare=False)  # the kernel's: how it knows addresses of its own and neighbours
    source: str = field(default="", compare=False)
    protocol: str = field(default="", compare=False)  # who says to have made it

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
    protocol: str = field(default="", compare=False)  # who says to have made it

    def __str__(self) -> str:
        named = (("from", self.source), ("to", self.destination), ("iif", self.incoming), ("oif", self.outgoing))
        selectors = [f"{word} {value}" for word, value in named if value]
        selectors += [self.other] if self.other else []
        return f"rule {self.priority} IPv{self.family}: {' '.join(selectors) or 'all'} lookup {self.table}"


@dataclass(frozen=True, order=True)
class Member:
    """A port in a VRF."""

    port: str
    vrf: str

    def __str__(self) -> str:
        return f"port {self.port} in {self.vrf}"


@dataclass(frozen=True, order=True)
class Neighbour:
    """One that nobody has to ask for: of a MAC address that somebody gave it, or answered for by this host."""

    port: str
    address: str
    mac: str = ""  # empty: this host answers for it

    def __str__(self) -> str:
        return f"neighbour {self.address} on {self.port}, {f'always {self.mac}' if self.mac else 'answered for'}"


Item = Address | Route | Rule | Member | Neighbour


@dataclass(frozen=True)
class Running:
    addresses: frozenset[Address]
    tentative: frozenset[Address]  # still being probed for duplicates, or found to be one
    routes: frozenset[Route]
    rules: frozenset[Rule]
    carrier: frozenset[str]  # ports that are there and have a link
    members: frozenset[Member] = frozenset()
    neighbours: frozenset[Neighbour] = frozenset()


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


def parse_members(text: str) -> frozenset[Member]:
    """Links that another one, of whatever kind, is the master of; from `ip -j link show`."""
    return frozenset(Member(link["ifname"], link["master"]) for link in json.loads(text or "[]") if "master" in link)


def parse_neighbours(text: str) -> frozenset[Neighbour]:
    """From `ip -j neigh show nud permanent`, and from `ip -j neigh show proxy`."""
    found = json.loads(text or "[]")
    return frozenset(Neighbour(one["dev"], one["dst"], one.get("lladdr", "")) for one in found if one.get("dev"))


_ROUTE_PLAIN = {"dst", "table", "metric", "dev", "gateway", "type", "protocol", "scope", "pref", "prefsrc"}
_BY_KERNEL = 2  # RTPROT_KERNEL
_OF_KERNEL = {2, 3, 4, 5}  # RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST, RTN_MULTICAST: for a VRF's ports in its own table
_BY_NEIGHBOURS = {186}  # RTPROT_BGP
_BY_PROVIDERS = {9, 16}  # RTPROT_RA, RTPROT_DHCP
_OF_LEARNED = {"nhid", "expires", "metrics"}  # how long, how large, and by which next hop: theirs to say
_ROUTE_FLAGS = {"onlink", "linkdown", "offload"}


def parse_routes(text: str, family: int) -> frozenset[Route]:
    """All routes but the kernel's own: those of the local table, and link-local ones.
    From `ip -N -j -FAMILY route show table all`."""
    found = set()
    for route in json.loads(text or "[]"):
        table = int(route.get("table", MAIN))
        protocol = int(route.get("protocol", 0))
        if table == LOCAL and protocol == _BY_KERNEL:
            continue
        destination = route["dst"] if route["dst"] != "default" else EVERYTHING[family]
        network = ipaddress.ip_network(destination)
        kind = int(route.get("type", 1))
        if family == 6 and table == MAIN and (network.is_link_local or network.is_multicast):
            continue
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
                source=route.get("prefsrc", ""),
                protocol=str(protocol or ""),
                own=protocol == _BY_KERNEL and (kind in _OF_KERNEL or (kind == 1 and network.is_link_local)),
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
            protocol=rule.get("protocol", ""),
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


def parse_ruleset(text: str) -> list[str]:
    """One line an object of `nft -j list ruleset`, without what differs from load to load: handles, counters' values,
    versions, and what packets put into sets. The order of rules within a chain is kept, since it decides."""
    lines = []
    for item in json.loads(text or '{"nftables": []}')["nftables"]:
        if "metainfo" in item:
            continue
        kept = item.get("set") or item.get("map")
        # nft 1.0.6 says only of one of both that packets add to the set.
        if kept and {"dynamic", "timeout"} & set(kept.get("flags", [])):
            kept.pop("elem", None)
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
