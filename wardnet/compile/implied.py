"""Flows that follow from a line of the inventory other than a conduit: leases, router advertisements, BGP, scanners,
PCs that measure.

Each is named after its network or circuit and leads back to its line, so that no rule of a filter is hidden.
"""

from __future__ import annotations

from ipaddress import IPv6Network, ip_network

from wardnet.compile.pcs import pc_flows
from wardnet.compile.places import GATEWAY, single, wan_circuits
from wardnet.compile.scanners import scanner_flows
from wardnet.model.intent import (
    Addressing,
    Channel,
    Circuit,
    District,
    IPAddress,
    IPNetwork,
    Network,
    Ports,
    Routing,
    Site,
    SiteKind,
    Source,
)
from wardnet.model.plan import Endpoint, Flow, Hook

NOBODY: tuple[IPNetwork, ...] = (ip_network("0.0.0.0/32"), ip_network("::/128"))  # who has no address yet
LINK: IPNetwork = IPv6Network("fe80::/10")
BROADCAST = ip_network("255.255.255.255/32")
DHCP_AGENTS = ip_network("ff02::1:2/128")
ALL_NODES = ip_network("ff02::1/128")
ALL_ROUTERS = ip_network("ff02::2/128")
EVERYTHING = ip_network("0.0.0.0/0")

ROUTERS = (Ports("router", ()),)  # solicitations and advertisements of IPv6 routers
BGP = (Ports("tcp", (179,)),)


def implied_flows(district: District, site: Site) -> list[Flow]:
    found: list[Flow] = []
    for circuit in site.circuits:
        if circuit.addressing is not Addressing.STATIC:
            found += _leased(district, circuit)
        if circuit.routing is Routing.BGP:
            found += _bgp(circuit, circuit.interface, tuple(own.ip for own in circuit.own), circuit.peers)
    if site.kind is SiteKind.SERVER_ROOM:
        for _other, circuit in wan_circuits(district):
            if circuit.routing is Routing.BGP:
                found += _bgp(circuit, circuit.id, circuit.peers, tuple(own.ip for own in circuit.own))
    for network in site.networks:
        if network.dhcp:
            found += _leases(network)
    return found + scanner_flows(site) + pc_flows(district, site)


def _udp(*ports: int) -> tuple[Ports, ...]:
    return (Ports("udp", ports),)


def _flow(
    name: str, hook: Hook, sender: Endpoint, receiver: Endpoint, allow: tuple[Ports, ...], source: Source
) -> Flow:
    return Flow(name, hook, sender, receiver, allow, crosses=False, expires=None, source=source)


def _here(*prefixes: IPNetwork, excluded: tuple[IPNetwork, ...] = ()) -> Endpoint:
    return Endpoint(GATEWAY, None, prefixes, excluded)


def _leases(network: Network) -> list[Flow]:
    """What clients of a LAN ask before and after they have an address, and what the gateway says to them."""
    name, source, here4 = f"{network.id}-dhcp", network.source, single(network.ipv4.ip)

    def there(*prefixes: IPNetwork) -> Endpoint:
        return Endpoint(network.zone, network.interface, prefixes)

    return [
        _flow(name, Hook.INPUT, there(NOBODY[0], network.ipv4.network), _here(here4, BROADCAST), _udp(67), source),
        _flow(name, Hook.OUTPUT, _here(here4), there(network.ipv4.network, BROADCAST), _udp(68), source),
        _flow(name, Hook.INPUT, there(LINK), _here(LINK, DHCP_AGENTS), _udp(547), source),
        _flow(name, Hook.OUTPUT, _here(LINK), there(LINK), _udp(546), source),
        _flow(name, Hook.INPUT, there(NOBODY[1], LINK), _here(LINK, ALL_ROUTERS), ROUTERS, source),
        _flow(name, Hook.OUTPUT, _here(LINK), there(LINK, ALL_NODES), ROUTERS, source),
    ]


def _leased(district: District, circuit: Circuit) -> list[Flow]:
    """The other way round: the gateway is the client of its provider, with an address that nobody knows yet."""
    name, source = f"{circuit.id}-lease", circuit.source
    foreign = tuple(p for p in district.channel(Channel.WAN).prefixes if p.version == 4)

    def there(*prefixes: IPNetwork) -> Endpoint:
        return Endpoint("provider", circuit.interface, prefixes)

    ours = _here(EVERYTHING, excluded=foreign)
    found = []
    if circuit.addressing is Addressing.DHCP:
        provider = Endpoint("provider", circuit.interface, (EVERYTHING,), foreign)
        found.append(_flow(name, Hook.OUTPUT, ours, provider, _udp(67), source))
        found.append(_flow(name, Hook.INPUT, provider, ours, _udp(68), source))
    return [
        *found,
        _flow(name, Hook.OUTPUT, _here(LINK), there(LINK, DHCP_AGENTS), _udp(547), source),
        _flow(name, Hook.INPUT, there(LINK), _here(LINK), _udp(546), source),
        _flow(name, Hook.OUTPUT, _here(*NOBODY[1:], LINK), there(LINK, ALL_ROUTERS), ROUTERS, source),
        _flow(name, Hook.INPUT, there(LINK), _here(LINK, ALL_NODES), ROUTERS, source),
    ]


def _bgp(circuit: Circuit, port: str, here: tuple[IPAddress, ...], there: tuple[IPAddress, ...]) -> list[Flow]:
    name, source = f"{circuit.id}-bgp", circuit.source
    own, peer = (tuple(single(address) for address in ends) for ends in (here, there))
    near, far = Endpoint(GATEWAY, None, own), Endpoint(GATEWAY, port, peer)
    return [_flow(name, Hook.INPUT, far, near, BGP, source), _flow(name, Hook.OUTPUT, near, far, BGP, source)]
