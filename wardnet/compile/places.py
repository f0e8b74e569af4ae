"""Where each zone lies, seen from one gateway: behind which of its ports, and with which addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

from wardnet.model.intent import Channel, Circuit, District, IPAddress, IPNetwork, Site, SiteKind
from wardnet.model.plan import Endpoint

GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Place:
    """A piece of a zone: prefixes behind a port of the gateway in question.

    A place of the zone 'gateway' is the gateway next door, at the far end of a circuit, with all its addresses
    of the channel; `management` are those of them that it is managed at.
    """

    zone: str
    channel: Channel
    port: str
    prefixes: tuple[IPNetwork, ...]
    excluded: tuple[IPNetwork, ...] = ()
    management: tuple[IPNetwork, ...] = ()

    def endpoint(self) -> Endpoint:
        return Endpoint(self.zone, self.port, self.prefixes, self.excluded)


def single(address: IPAddress) -> IPNetwork:
    """The prefix that holds this address alone."""
    return ip_network(address)


def ordered(prefixes: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    """IPv4 before IPv6, then by address: the one order in everything that is generated."""
    return tuple(sorted(set(prefixes), key=lambda p: (p.version, int(p.network_address), p.prefixlen)))


def places(district: District, site: Site) -> tuple[Place, ...]:
    """All places of all zones as the gateway of `site` sees them."""
    found = [_local(site, zone.id, zone.channel) for zone in district.zones if not zone.outside]
    result = [place for places_ in found for place in places_]
    rooms = [other for _, other in district.sites if other.kind is SiteKind.SERVER_ROOM]
    for circuit in site.circuits:
        if circuit.channel is Channel.INTERNET:
            result.append(_internet(district, circuit.interface))
        else:
            others = [other for _, other in district.sites if other.id != site.id]
            result += _remote(district, others, circuit.interface)
            result += [_next_door(district, room, circuit.interface) for room in rooms]
    if site.kind is SiteKind.SERVER_ROOM:
        for other, circuit in wan_circuits(district):
            result += _remote(district, [other], circuit.id)
            result.append(_next_door(district, other, circuit.id))
    return tuple(result)


def wan_circuits(district: District) -> list[tuple[Site, Circuit]]:
    """All WAN circuits with their sites: what ends at the hub."""
    return [
        (site, circuit) for _, site in district.sites for circuit in site.circuits if circuit.channel is Channel.WAN
    ]


def central_zones(district: District) -> frozenset[str]:
    """Zones that lie in the server room alone."""
    central: set[str] = set()
    elsewhere: set[str] = set()
    for _, site in district.sites:
        into = central if site.kind is SiteKind.SERVER_ROOM else elsewhere
        into.update(network.zone for network in site.networks)
    return frozenset(central - elsewhere)


def gateway_addresses(district: District, site: Site, channel: Channel) -> tuple[IPNetwork, ...]:
    """The addresses that the gateway of `site` holds on `channel`."""
    held: list[IPNetwork] = []
    for circuit in site.circuits:
        if circuit.channel is channel:
            held += [single(own.ip) for own in circuit.own]
    for network in site.networks:
        if district.zone(network.zone).channel is channel:
            held += [single(network.ipv4.ip), single(network.ipv6.ip)]
    if site.kind is SiteKind.SERVER_ROOM and channel is Channel.WAN:
        for _, circuit in wan_circuits(district):
            held += [single(peer) for peer in circuit.peers]
    return ordered(held)


def _local(site: Site, zone_id: str, channel: Channel) -> list[Place]:
    return [
        Place(zone_id, channel, network.interface, (network.ipv4.network, network.ipv6.network))
        for network in site.networks
        if network.zone == zone_id
    ]


def management_addresses(site: Site) -> tuple[IPNetwork, ...]:
    """Where the gateway of `site` is managed; empty where nobody reaches it."""
    for network in site.networks:
        if network.id == site.gateway.management_network:
            return (single(network.ipv4.ip), single(network.ipv6.ip))
    return ()


def _remote(district: District, others: Iterable[Site], port: str) -> list[Place]:
    """The WAN zones of other sites, behind the port that leads there."""
    prefixes: dict[str, list[IPNetwork]] = {}
    for other in others:
        for network in other.networks:
            if district.zone(network.zone).channel is Channel.WAN:
                prefixes.setdefault(network.zone, []).extend((network.ipv4.network, network.ipv6.network))
    return [Place(zone, Channel.WAN, port, ordered(found)) for zone, found in sorted(prefixes.items())]


def _next_door(district: District, other: Site, port: str) -> Place:
    addresses = gateway_addresses(district, other, Channel.WAN)
    return Place(GATEWAY, Channel.WAN, port, addresses, management=management_addresses(other))


def _internet(district: District, port: str) -> Place:
    """All that no prefix of the district names."""
    zone = next(z for z in district.zones if z.channel is Channel.INTERNET and z.outside)
    named = [prefix for plan in district.channels for prefix in plan.prefixes]
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    return Place(zone.id, Channel.INTERNET, port, everything, ordered(named))
