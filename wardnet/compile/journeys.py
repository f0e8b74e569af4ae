"""Plan -> what may get from each zone of each site to each other, over all gateways."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network

from wardnet.compile.places import GATEWAY, single
from wardnet.model.intent import Channel, District, Host, IPNetwork, Site
from wardnet.model.plan import GatewayPlan, Hook, Plan, Port, PortKind
from wardnet.model.policy import DevicePolicy, Journey, NetworkPolicy, Place

EVERYTHING = ("0.0.0.0/0", "::/0")
OUTSIDE = "the internet"  # behind all providers; no circuit's id has a space


def link_of(gateway: GatewayPlan, port: Port) -> str:
    """Which ports hear each other: those on a network of the site, the two ends of a leased line, and all lines into
    the internet."""
    if port.kind is PortKind.NETWORK:
        return f"{gateway.site}/{port.reference}"
    return OUTSIDE if port.channel is Channel.INTERNET else port.reference


def compile_network(today: District, plan: Plan, devices: Mapping[str, DevicePolicy]) -> NetworkPolicy:
    """`devices` are the policies of all gateways, by their ids; those that are not reached are assumed."""
    return NetworkPolicy(
        places=(*_places(today, plan), *_outside(today)),
        journeys=(*_conduits(today), *_implied(today, plan), *_exceptions(today)),
        assumed=tuple(devices[gateway.id] for gateway in plan.gateways if not gateway.reached),
        relays={
            host.id: tuple(f"{host.site}/{port.network}" for port in host.ports)
            for host in plan.hosts
            if len({port.network for port in host.ports}) > 1
        },
    )


def _places(today: District, plan: Plan) -> list[Place]:
    """The zones of each site."""
    found = []
    for gateway in plan.gateways:
        by_zone: dict[str, list[Port]] = {}
        for port in gateway.ports:
            if port.zone is not None:
                by_zone.setdefault(port.zone, []).append(port)
        for zone, ports in by_zone.items():
            prefixes = tuple(own.network for port in ports for own in port.own)
            links = tuple(link_of(gateway, port) for port in ports)
            found.append(Place(gateway.ward, gateway.site, zone, today.zone(zone).channel, links, prefixes))
    return found


def _outside(today: District) -> list[Place]:
    """The internet, at the far ends of all its lines: all that no prefix of the district names."""
    zone = next(zone for zone in today.zones if zone.outside and zone.channel is Channel.INTERNET)
    named = tuple(prefix for plan in today.channels for prefix in plan.prefixes)
    return [Place("", "", zone.id, zone.channel, (OUTSIDE,), _networks(EVERYTHING), named)]


def _networks(texts: tuple[str, ...]) -> tuple[IPNetwork, ...]:
    return tuple(ip_network(text) for text in texts)


def _conduits(today: District) -> list[Journey]:
    return [
        Journey(conduit.id, conduit.from_zone, conduit.to_zone, conduit.allow, conduit.source)
        for conduit in today.conduits
        if GATEWAY not in (conduit.from_zone, conduit.to_zone)
    ]


def _implied(today: District, plan: Plan) -> list[Journey]:
    """What gateways forward within a channel by another line of the inventory than a conduit, such as from Prometheus
    to PCs that measure: from and to hosts, each gateway on the way has the same."""
    named, zones = {conduit.id for conduit in today.conduits}, {zone.id for zone in today.zones}
    found = [
        Journey(
            flow.id, flow.sender.name, flow.receiver.name, flow.allow, flow.source,
            flow.sender.prefixes, flow.receiver.prefixes,
        )
        for gateway in plan.gateways
        for flow in gateway.flows
        if flow.hook is Hook.FORWARD and not flow.crosses and flow.id not in named
        and {flow.sender.name, flow.receiver.name} <= zones
    ]  # fmt: skip
    return list(dict.fromkeys(found))


def _exceptions(today: District) -> list[Journey]:
    hosts = {host.id: (site, host) for _, site in today.sites for host in site.hosts}
    found = []
    for grant in today.exceptions:
        (from_zone, sender), (to_zone, receiver) = (_end(*hosts[end]) for end in (grant.from_host, grant.to_host))
        found.append(Journey(grant.id, from_zone, to_zone, grant.allow, grant.source, sender, receiver))
    return found


def _end(site: Site, host: Host) -> tuple[str, tuple[IPNetwork, ...]]:
    attachment = host.interfaces[0]
    zone = next(network.zone for network in site.networks if network.id == attachment.network)
    return zone, (single(attachment.ipv4), single(attachment.ipv6))
