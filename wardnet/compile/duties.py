"""A site -> what its gateway does beside forwarding: services of its LANs, shaping, BGP, VRFs, probes of its lines."""

from __future__ import annotations

from urllib.parse import urlsplit

from wardnet.compile.places import ordered, single, wan_circuits
from wardnet.model.intent import (
    Channel,
    Circuit,
    District,
    Host,
    HostRole,
    IPAddress,
    IPNetwork,
    Network,
    Routing,
    Site,
    SiteKind,
)
from wardnet.model.plan import (
    AccessPointPlan,
    BgpPeer,
    ClientLimit,
    Lease,
    LineProbe,
    Priority,
    Shape,
    ShapeDirection,
    Vrf,
    ZoneService,
)

WEB_PORTS = {"http": 80, "https": 443}


def services(district: District, site: Site) -> tuple[ZoneService, ...]:
    return tuple(_service(district, site, network) for network in site.networks if network.served)


def _service(district: District, site: Site, network: Network) -> ZoneService:
    channel = district.channel(district.zone(network.zone).channel)
    leases = [
        Lease(attachment.mac, attachment.ipv4, host.id)
        for host in site.hosts
        for attachment in host.interfaces
        if attachment.network == network.id and attachment.mac is not None
    ]
    return ZoneService(
        network=network.id,
        zone=network.zone,
        channel=channel.id,
        port=network.interface,
        ipv4=network.ipv4,
        ipv6=network.ipv6,
        dhcp_first=network.dhcp.first if network.dhcp else None,
        dhcp_last=network.dhcp.last if network.dhcp else None,
        leases=tuple(leases) if network.dhcp else (),
        names=network.names,
        resolvers=channel.resolvers if network.names else (),
        time=network.time,
        time_sources=channel.time_sources if network.time else (),
        domain=district.domain,
        source=network.source,
    )


def client_limits(site: Site) -> tuple[ClientLimit, ...]:
    return tuple(
        ClientLimit(
            network.interface, network.id, network.wifi.client_down_bps, network.wifi.client_up_bps, network.wifi.source
        )
        for network in site.networks
        if network.wifi is not None
    )


def access_point(site: Site, host: Host) -> AccessPointPlan | None:
    """What the host makes of the first network with `wifi` that it is in; None for what is no access point. Those of
    one network take its radio channels in turn."""
    if host.role is not HostRole.ACCESS_POINT:
        return None
    networks = {network.id: network for network in site.networks}
    for attachment in host.interfaces:
        wifi = networks[attachment.network].wifi
        if wifi is None:
            continue
        beside = [other.id for other in site.hosts if other.role is HostRole.ACCESS_POINT
                  and any(each.network == attachment.network for each in other.interfaces)]  # fmt: skip
        return AccessPointPlan(
            network=attachment.network,
            port=attachment.name,
            ssid=wifi.ssid,
            security=wifi.security,
            passphrase=wifi.passphrase,
            country=wifi.country,
            radio_channel=wifi.channels[beside.index(host.id) % len(wifi.channels)],
            isolation=wifi.isolation,
            source=wifi.source,
        )
    return None


def shapes(district: District, site: Site) -> tuple[Shape, ...]:
    """Both directions of each line at the site's end. The hub holds what it sends down a line to what the line
    bears, so that the queue is where the software goes first."""
    found = []
    for circuit in site.circuits:
        rate, first = circuit.contracted[-1], _priority(district, circuit.channel)
        found.append(Shape(circuit.interface, ShapeDirection.EGRESS, rate.up_bps, first))
        found.append(Shape(circuit.interface, ShapeDirection.INGRESS, rate.down_bps, first))
    for _other, circuit in _ending_here(district, site):
        first = _priority(district, circuit.channel)
        found.append(Shape(circuit.id, ShapeDirection.EGRESS, circuit.contracted[-1].down_bps, first))
    return tuple(found)


def _ending_here(district: District, site: Site) -> list[tuple[Site, Circuit]]:
    return wan_circuits(district) if site.kind is SiteKind.SERVER_ROOM else []


def _priority(district: District, channel: Channel) -> tuple[Priority, ...]:
    found = []
    for service in district.services:
        if service.channel is not channel:
            continue
        url = urlsplit(service.url)
        port = url.port or WEB_PORTS[url.scheme]
        known = [address for address in (service.ipv4, service.ipv6) if address is not None]
        found += [Priority(single(address), "tcp", port) for address in known]
    return tuple(found)


def bgp(district: District, site: Site) -> tuple[BgpPeer, ...]:
    """A site announces its WAN networks and believes the WAN's prefixes; the hub the other way round."""
    everything = ordered(district.channel(Channel.WAN).prefixes)
    own = _networks(district, site)
    near = [
        _peer(circuit, circuit.interface, own, everything, at_hub=False)
        for circuit in site.circuits
        if circuit.routing is Routing.BGP
    ]
    far = [
        _peer(circuit, circuit.id, everything, _networks(district, other), at_hub=True)
        for other, circuit in _ending_here(district, site)
        if circuit.routing is Routing.BGP
    ]
    return (*near, *far)


def _peer(
    circuit: Circuit, port: str, announce: tuple[IPNetwork, ...], accept: tuple[IPNetwork, ...], *, at_hub: bool
) -> BgpPeer:
    assert circuit.bgp is not None
    numbers = (circuit.bgp.local_as, circuit.bgp.peer_as)
    ipv4, ipv6 = [own.ip for own in circuit.own] if at_hub else circuit.peers
    local, peer = reversed(numbers) if at_hub else numbers
    return BgpPeer(port, circuit.channel, local, peer, ipv4, ipv6, announce, accept, circuit.source)  # type: ignore[arg-type] # of each family, in this order


def _networks(district: District, site: Site) -> tuple[IPNetwork, ...]:
    own = [network for network in site.networks if district.zone(network.zone).channel is Channel.WAN]
    return ordered(prefix for network in own for prefix in (network.ipv4.network, network.ipv6.network))


def vrf_of(site: Site, channel: Channel) -> str | None:
    return f"vrf-{channel}" if site.gateway.vrf else None


def vrfs(district: District, site: Site, present: frozenset[Channel]) -> tuple[Vrf, ...]:
    return tuple(
        Vrf(name, district.channel(channel).table, channel)
        for channel in Channel
        if channel in present and (name := vrf_of(site, channel)) is not None
    )


def line_probes(district: District, site: Site) -> tuple[LineProbe, ...]:
    found = []
    for circuit in site.circuits:
        reflectors: list[IPAddress] = [
            address
            for reflector in district.reflectors
            if reflector.channel is circuit.channel
            for address in (reflector.ipv4, reflector.ipv6)
        ]
        found.append(LineProbe(circuit.interface, circuit.channel, (*circuit.peers, *reflectors)))
    for _other, circuit in _ending_here(district, site):
        found.append(LineProbe(circuit.id, circuit.channel, tuple(own.ip for own in circuit.own)))
    return tuple(found)
