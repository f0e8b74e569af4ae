"""Connections that the device keeps: one that began before a rule changed lives on until it ends.

Where each of its ends is, the networks of the channels say; of an end in none of them, the device's own routes do, for
a packet that comes from the other end. One between the two channels that no grant covers is an open point: whether it
is still carried hangs on rules and routes, which are asked about packets of connections that may begin now.
"""

from __future__ import annotations

from collections.abc import Iterator

from wardnet.audit.places import Places
from wardnet.audit.question import LinkState
from wardnet.audit.records import OpenPoint
from wardnet.audit.steps.concrete import Concrete, Probe
from wardnet.model.device import Device
from wardnet.model.intent import Channel, IPAddress
from wardnet.model.packet import Field
from wardnet.model.policy import DevicePolicy, Grant
from wardnet.model.span import Span
from wardnet.model.tracked import Connection

_SHOWN = 20  # of more it is said how many
_NOWHERE = "nothing says where"
_ICMP = {"icmp": "icmp", "icmpv6": "icmp"}


def connections_of(device: Device, policy: DevicePolicy, places: Places) -> Iterator[OpenPoint]:
    """Open points of a device with ports of two channels; none where it has ports of one. Connections with the device
    itself are none of these, nor are those within a channel."""
    if len({port.channel for port in policy.ports}) < 2:
        return
    own = {interface.ip for link in device.links for interface in link.addresses}
    crossing = []
    for connection in device.connections or ():
        ends = (connection.source, connection.answers_from)
        if not connection.alive or own.intersection(ends):
            continue
        if any(_covers(grant, connection) for grant in policy.grants):
            continue
        channels = _channels(device, policy, places, *ends)
        if channels[0] is None or channels[0] is not channels[1]:
            crossing.append(_told(connection, *channels))
    yield from crossing[:_SHOWN]
    if len(crossing) > _SHOWN:
        reason = f"{len(crossing) - _SHOWN} more connections are between the channels, or nobody knows where they lead"
        yield OpenPoint(Span(device.id, "connections.txt", ""), reason, "end them, and collect again")


def _told(connection: Connection, one: Channel | None, other: Channel | None) -> OpenPoint:
    ends = [f"{connection.source} ({one or _NOWHERE})", f"{connection.answers_from} ({other or _NOWHERE})"]
    port = f" {connection.port}" if connection.port else ""
    reason = (
        f"a connection is kept from {ends[0]} to {ends[1]}, {connection.protocol}{port}, and no exception covers it: "
        "it lives on until it ends, whatever rules say of new ones"
    )
    return OpenPoint(connection.span, reason, f"`conntrack -D -s {connection.source} -d {connection.destination}`")


def _covers(grant: Grant, connection: Connection) -> bool:
    if connection.source not in grant.sender or connection.answers_from not in grant.receiver:
        return False
    named = _ICMP.get(connection.protocol, connection.protocol)
    return any(ports.protocol == named and (not ports.ports or connection.port in ports.ports) for ports in grant.allow)


def _channels(
    device: Device, policy: DevicePolicy, places: Places, one: IPAddress, other: IPAddress
) -> tuple[Channel | None, Channel | None]:
    """Of who began it, and of who answers; None where nothing says."""
    first, second = _by_network(places, one), _by_network(places, other)
    return (
        first or _by_route(device, policy, other, one, second),
        second or _by_route(device, policy, one, other, first),
    )


def _by_network(places: Places, address: IPAddress) -> Channel | None:
    """By the smallest network that the address is in."""
    found = [
        (network.prefixlen, channel)
        for channel, networks in places.networks.items()
        for network in networks
        if address in network
    ]
    return max(found, key=lambda each: each[0])[1] if found else None


def _by_route(
    device: Device, policy: DevicePolicy, source: IPAddress, destination: IPAddress, channel: Channel | None
) -> Channel | None:
    """By which of its ports the device leads a packet that comes in where its source is: by that one's port, or by any
    of its channel. None where there is no way, or more than one channel's."""
    ports = {port.interface: port.channel for port in policy.ports}
    behind = [port.interface for port in policy.ports if any(source in prefix for prefix in port.prefixes)]
    concrete = Concrete(device, source.version, LinkState(), lambda *_: False)
    header = {**dict.fromkeys(Field, 0), Field.SOURCE: int(source), Field.DESTINATION: int(destination)}
    led: set[Channel | None] = set()
    for name in behind or [name for name, of in ports.items() if channel in (None, of)]:
        found = concrete.lookup(Probe(header, name))
        led.update(ports.get(hop.port) for hop in (found.hops if found is not None else ()))
    return led.pop() if len(led) == 1 else None
