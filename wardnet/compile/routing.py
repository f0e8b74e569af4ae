"""Each channel's routing table at a gateway, and the rules that pick it. No table falls through to another."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Network, ip_network

from wardnet.compile.places import gateway_addresses, ordered, wan_circuits
from wardnet.model.intent import Addressing, Channel, Circuit, District, IPAddress, IPNetwork, Routing, Site, SiteKind
from wardnet.model.plan import Endpoint, Port, Route, RouteKind, RoutingRule, RoutingTable

LINK_LOCAL = IPv6Network("fe80::/10")
MAIN = 254
METRIC = 100
LAST_RESORT = 4_000_000  # an unreachable route that any real one beats
# A static route that a learned one beats: FRR takes the upper 8 bits of a kernel route's metric for its distance.
BENEATH_LEARNED = 200 << 24 | METRIC

PRIORITY_LINK_LOCAL = 900  # neighbours are resolved whatever the table
PRIORITY_INCOMING = 1010
PRIORITY_OUTGOING = 1100  # sockets bound to a device: the agents' probes
PRIORITY_SOURCE = 1200
PRIORITY_OWN = 1900  # the gateway's own connections that chose nothing


def tables(
    district: District, site: Site, ports: Iterable[Port], crossing: Iterable[tuple[Endpoint, Channel]]
) -> tuple[RoutingTable, ...]:
    by_channel: dict[Channel, list[Port]] = {}
    for port in ports:
        by_channel.setdefault(port.channel, []).append(port)
    ends = list(crossing)
    result = []
    for channel in Channel:
        if channel not in by_channel:
            continue
        plan = district.channel(channel)
        routes = [
            Route(prefix, RouteKind.CONNECTED, None, port.name, METRIC)
            for port in by_channel[channel]
            for prefix in [own.network for own in port.own]
        ]
        for end, table_channel in ends:
            if table_channel is channel:
                routes += [Route(p, RouteKind.CONNECTED, None, end.port, METRIC) for p in end.prefixes]
        routes += _uplinks(district, site, channel)
        others = [prefix for p in district.channels if p.id is not channel for prefix in p.prefixes]
        everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
        routes += [Route(p, RouteKind.UNREACHABLE, None, None, LAST_RESORT) for p in (*others, *everything)]
        result.append(RoutingTable(plan.table, channel, _in_order(routes)))
    return tuple(result)


def rules(district: District, site: Site, ports: Iterable[Port]) -> tuple[RoutingRule, ...]:
    ports = list(ports)
    channels = [channel for channel in Channel if any(port.channel is channel for port in ports)]
    found = [RoutingRule(PRIORITY_LINK_LOCAL, MAIN, 6, destination=LINK_LOCAL)]
    for channel in channels:
        table = district.channel(channel).table
        names = [port.name for port in ports if port.channel is channel]
        found += [RoutingRule(PRIORITY_INCOMING, table, 0, incoming=name) for name in names]
        found += [RoutingRule(PRIORITY_OUTGOING, table, 0, outgoing=name) for name in names]
        found += [
            RoutingRule(PRIORITY_SOURCE, table, prefix.version, source=prefix)
            for prefix in gateway_addresses(district, site, channel)
        ]
    found += _of_leases(district, site)
    found.append(RoutingRule(PRIORITY_OWN, district.channel(channels[0]).table, 0, incoming="lo"))
    return tuple(sorted(found, key=lambda rule: rule.priority))


def _of_leases(district: District, site: Site) -> list[RoutingRule]:
    """An address that a provider gives is known as one of its channel's prefixes alone."""
    return [
        RoutingRule(PRIORITY_SOURCE, district.channel(circuit.channel).table, prefix.version, source=prefix)
        for circuit in site.circuits
        if circuit.addressing is not Addressing.STATIC
        for prefix in district.channel(circuit.channel).prefixes
    ]


def _uplinks(district: District, site: Site, channel: Channel) -> list[Route]:
    if site.kind is SiteKind.SERVER_ROOM:
        return _spokes(district) if channel is Channel.WAN else []
    routes = []
    for circuit in site.circuits:
        if circuit.channel is not channel:
            continue
        if channel is Channel.WAN:
            reached: list[IPNetwork] = list(district.channel(channel).prefixes)
        else:
            reached = [ip_network("0.0.0.0/0"), ip_network("::/0")]
        routes += [_via(prefix, circuit) for prefix in reached]
        if circuit.routing is Routing.BGP:
            rooms = [room for _, room in district.sites if room.kind is SiteKind.SERVER_ROOM]
            routes += [route for room in rooms for route in _managed(room, circuit.peers, circuit.interface)]
    return routes


def _managed(site: Site, via: Iterable[IPAddress], port: str) -> list[Route]:
    """The way to a site's management network whether or not it is announced: who can mend BGP must be able to come."""
    for network in site.networks:
        if network.id == site.gateway.management_network:
            prefixes: tuple[IPNetwork, ...] = (network.ipv4.network, network.ipv6.network)
            found = zip(prefixes, via, strict=True)
            return [Route(prefix, RouteKind.VIA, peer, port, BENEATH_LEARNED) for prefix, peer in found]
    return []


def _via(prefix: IPNetwork, circuit: Circuit) -> Route:
    if circuit.addressing is not Addressing.STATIC:
        return Route(prefix, RouteKind.LEASED, None, circuit.interface, METRIC)
    peer = circuit.ipv4_peer if prefix.version == 4 else circuit.ipv6_peer
    return Route(prefix, _kind(circuit), peer, circuit.interface, METRIC)


def _kind(circuit: Circuit) -> RouteKind:
    return RouteKind.LEARNED if circuit.routing is Routing.BGP else RouteKind.VIA


def _spokes(district: District) -> list[Route]:
    """At the hub: each site's WAN networks by the far end of its circuit, the rest of the WAN unreachable."""
    routes = [
        Route(prefix, RouteKind.UNREACHABLE, None, None, LAST_RESORT)
        for prefix in district.channel(Channel.WAN).prefixes
    ]
    for other, circuit in wan_circuits(district):
        for network in other.networks:
            if district.zone(network.zone).channel is Channel.WAN:
                behind: tuple[IPNetwork, ...] = (network.ipv4.network, network.ipv6.network)
                for prefix, own in zip(behind, circuit.own, strict=True):
                    routes.append(Route(prefix, _kind(circuit), own.ip, circuit.id, METRIC))
        if circuit.routing is Routing.BGP:
            routes += _managed(other, [own.ip for own in circuit.own], circuit.id)
    return routes


def _in_order(routes: Iterable[Route]) -> tuple[Route, ...]:
    position = {prefix: index for index, prefix in enumerate(ordered(route.destination for route in routes))}
    return tuple(sorted(set(routes), key=lambda r: (position[r.destination], r.metric, r.port or "")))
