"""Whose time a gateway's own clock follows, and the flow that lets it ask: an exception's end goes by this clock."""

from __future__ import annotations

from collections.abc import Iterable

from wardnet.compile.places import gateway_addresses, single, wan_circuits
from wardnet.model.intent import Channel, District, IPAddress, IPInterface, Ports, Site, SiteKind
from wardnet.model.plan import Clock, Endpoint, Flow, Hook

NTP = Ports("udp", (123,))
TIME_SOURCES = "time-sources"  # the name of their end of a flow


def clock(district: District, site: Site) -> Clock | None:
    """The time sources of the first channel, the WAN before the internet, that has any that the gateway can ask. With
    ports of both channels it asks bound to one port, and so by a channel with one line alone."""
    both = len({circuit.channel for circuit in site.circuits}) > 1
    for channel in Channel:
        plan = district.channel(channel)
        own = {prefix.network_address for prefix in gateway_addresses(district, site, channel)}
        ways = {each: _ways(district, site, channel, each) for each in plan.time_sources if each not in own}
        sources = tuple(each for each, ports in ways.items() if ports)
        ports = tuple(dict.fromkeys(port for each in sources for port in ways[each]))
        if sources and (len(ports) == 1 or not both):
            return Clock(channel, ports, sources, plan.source)
    return None


def _ways(district: District, site: Site, channel: Channel, source: IPAddress) -> tuple[str, ...]:
    """The ports that lead to a time source: its own LAN's, the line to the site that has it, or the channel's lines."""
    for network in site.networks:
        if district.zone(network.zone).channel is channel and _holds(network.ipv4, network.ipv6, source):
            return (network.interface,)
    if site.kind is SiteKind.SERVER_ROOM and channel is Channel.WAN:
        return tuple(
            circuit.id
            for other, circuit in wan_circuits(district)
            if any(_holds(network.ipv4, network.ipv6, source) for network in other.networks)
        )
    return tuple(circuit.interface for circuit in site.circuits if circuit.channel is channel)


def _holds(ipv4: IPInterface, ipv6: IPInterface, address: IPAddress) -> bool:
    return any(address in each.network for each in (ipv4, ipv6) if each.version == address.version)


def clock_flows(site: Site, follows: Clock, own: Endpoint, found: Iterable[Flow]) -> list[Flow]:
    """What the clock asks and no conduit of the gateway's own (`found`) lets out already."""
    conduits = list(found)
    flows = []
    for port in follows.ports:
        left = tuple(
            single(each) for each in follows.sources if not any(_lets_out(flow, port, each) for flow in conduits)
        )
        if left:
            there = Endpoint(TIME_SOURCES, port, left)
            name = f"{site.gateway.id}-clock"
            flows.append(
                Flow(name, Hook.OUTPUT, own, there, (NTP,), crosses=False, expires=None, source=follows.source)
            )
    return flows


def _lets_out(flow: Flow, port: str, source: IPAddress) -> bool:
    return (
        flow.hook is Hook.OUTPUT
        and flow.receiver.port == port
        and any(source in prefix for prefix in flow.receiver.prefixes)
        and not any(source in prefix for prefix in flow.receiver.excluded)
        and any(each.protocol == "udp" and (not each.ports or 123 in each.ports) for each in flow.allow)
    )
