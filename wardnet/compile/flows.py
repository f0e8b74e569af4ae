"""Conduits and exceptions -> the flows that one gateway lets through."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from ipaddress import ip_network
from zoneinfo import ZoneInfo

from wardnet.compile.clocks import clock, clock_flows
from wardnet.compile.implied import implied_flows
from wardnet.compile.places import (
    GATEWAY,
    Place,
    central_zones,
    gateway_addresses,
    management_addresses,
    ordered,
    places,
    single,
)
from wardnet.model.intent import Addressing, Channel, Conduit, District, ExceptionGrant, Host, IPNetwork, Site
from wardnet.model.plan import Endpoint, Flow, Hook


def flows(district: District, site: Site) -> tuple[Flow, ...]:
    """Sorted by hook, then as the inventory lists them; `district` holds only what is valid on the day."""
    around = places(district, site)
    found: list[Flow] = []
    for conduit in district.conduits:
        found += _conduit(district, site, conduit, around)
    for grant in district.exceptions:
        found += _exception(district, site, grant)
    found += implied_flows(district, site)
    if follows := clock(district, site):
        found += clock_flows(site, follows, _own(district, site, follows.channel), found)
    return tuple(sorted(found, key=lambda flow: list(Hook).index(flow.hook)))


def _conduit(district: District, site: Site, conduit: Conduit, around: Iterable[Place]) -> list[Flow]:
    senders = [place for place in around if place.zone == conduit.from_zone]
    receivers = [place for place in around if place.zone == conduit.to_zone]
    found = []

    def flow(hook: Hook, sender: Endpoint, receiver: Endpoint) -> None:
        found.append(
            Flow(
                conduit.id,
                hook,
                sender,
                receiver,
                conduit.allow,
                crosses=False,
                expires=None,
                source=conduit.source,
            )
        )

    central = central_zones(district)
    for sender in senders:
        for receiver in receivers:
            if sender.port == receiver.port or sender.channel is not receiver.channel:
                continue
            if receiver.zone != GATEWAY:
                flow(Hook.FORWARD, sender.endpoint(), receiver.endpoint())
            elif sender.zone in central and receiver.management:
                flow(Hook.FORWARD, sender.endpoint(), Endpoint(GATEWAY, receiver.port, receiver.management))
    if conduit.to_zone == GATEWAY:
        for sender in senders:
            own = _answering(district, site, sender)
            if own and (sender.zone in central or _at_home(site, sender)):
                flow(Hook.INPUT, sender.endpoint(), Endpoint(GATEWAY, None, own))
    if conduit.from_zone == GATEWAY:
        for receiver in receivers:
            flow(Hook.OUTPUT, _own(district, site, receiver.channel), receiver.endpoint())
    return found


def _own(district: District, site: Site, channel: Channel) -> Endpoint:
    """The gateway as a sender on a channel. An address that a provider will give it is known as no other channel's."""
    if all(circuit.addressing is Addressing.STATIC for circuit in site.circuits if circuit.channel is channel):
        return Endpoint(GATEWAY, None, gateway_addresses(district, site, channel))
    foreign = [prefix for plan in district.channels if plan.id is not channel for prefix in plan.prefixes]
    return Endpoint(GATEWAY, None, (ip_network("0.0.0.0/0"), ip_network("::/0")), ordered(foreign))


def _at_home(site: Site, sender: Place) -> bool:
    """On a LAN of the site, or the gateway next door."""
    return sender.zone == GATEWAY or any(network.interface == sender.port for network in site.networks)


def _answering(district: District, site: Site, sender: Place) -> tuple[IPNetwork, ...]:
    """The gateway's addresses that answer this sender: a LAN reaches the gateway's address on it, the gateway
    next door any address of the channel, and all others the management address alone."""
    if sender.zone == GATEWAY:
        return gateway_addresses(district, site, sender.channel)
    for network in site.networks:
        if network.interface == sender.port:
            return (single(network.ipv4.ip), single(network.ipv6.ip))
    return management_addresses(site)


def _exception(district: District, site: Site, grant: ExceptionGrant) -> list[Flow]:
    hosts = {host.id: host for host in site.hosts}
    if grant.from_host not in hosts or grant.to_host not in hosts:
        return []
    return [
        Flow(
            grant.id,
            Hook.FORWARD,
            _host(site, hosts[grant.from_host]),
            _host(site, hosts[grant.to_host]),
            grant.allow,
            crosses=True,
            expires=grant.expires,
            source=grant.source,
            expires_at=_end_of_day(grant, district.timezone),
        )
    ]


def _end_of_day(grant: ExceptionGrant, timezone: str) -> int:
    """Of the last day that a grant is valid on: the first second, since 1970, that it is not."""
    return int(datetime.combine(grant.expires + timedelta(days=1), time(), ZoneInfo(timezone)).timestamp())


def _host(site: Site, host: Host) -> Endpoint:
    networks = {network.id: network for network in site.networks}
    attachment = host.interfaces[0]
    port = networks[attachment.network].interface
    return Endpoint(host.id, port, (single(attachment.ipv4), single(attachment.ipv6)))


def crossing_hosts(site: Site, found: Iterable[Flow]) -> list[tuple[Endpoint, Channel]]:
    """The ends of exceptions at this site, each with the channel whose table must know the way to it."""
    channels = {host.id: host.channel for host in site.hosts}
    ends = [end for flow in found if flow.crosses for end in (flow.sender, flow.receiver)]
    unique = {end.name: end for end in ends}
    return [(end, channels[name].other) for name, end in sorted(unique.items())]
