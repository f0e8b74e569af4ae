"""What a gateway does beside forwarding: services for its LANs, shaping, BGP, VRFs, and probes of its own lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from wardnet.model.intent import Channel, IPAddress, IPNetwork, Source


@dataclass(frozen=True, slots=True)
class Lease:
    """A host's fixed lease."""

    mac: str
    ipv4: IPv4Address
    host: str


@dataclass(frozen=True, slots=True)
class ZoneService:
    """What the gateway serves on one LAN port, from that port's addresses alone.

    `dhcp_first`/`dhcp_last` are None where nothing is leased (nor advertised by router advertisements). `resolvers`
    and `time_sources` are the channel's own; no forwarder or cache is shared with another channel.
    """

    network: str
    zone: str
    channel: Channel
    port: str
    ipv4: IPv4Interface
    ipv6: IPv6Interface
    dhcp_first: IPv4Address | None
    dhcp_last: IPv4Address | None
    leases: tuple[Lease, ...]
    names: bool
    resolvers: tuple[IPAddress, ...]
    time: bool
    time_sources: tuple[IPAddress, ...]
    domain: str
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Clock:
    """What the gateway's own clock follows: NTP servers of one channel, and the `ports` that lead to them; one port,
    where the gateway has ports of the other channel too."""

    channel: Channel
    ports: tuple[str, ...]
    sources: tuple[IPAddress, ...]
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class ClientLimit:
    """The LAN `port` has visitors behind it: each of them, by its hardware address, may take `down_bps` and `up_bps` at
    the IP layer, and nothing passes the gateway from one to another."""

    port: str
    network: str
    down_bps: int
    up_bps: int
    source: Source = field(compare=False)


class ShapeDirection(StrEnum):
    EGRESS = "egress"  # what leaves by the port
    INGRESS = "ingress"  # what comes in by it


@dataclass(frozen=True, slots=True)
class Priority:
    """A service's own end: what goes to `prefix` and port `port`, or comes from there."""

    prefix: IPNetwork
    protocol: str  # tcp | udp
    port: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A port's traffic in one direction, held to `rate_bps` at the IP layer; what `priority` names goes first."""

    port: str
    direction: ShapeDirection
    rate_bps: int
    priority: tuple[Priority, ...]


@dataclass(frozen=True, slots=True)
class BgpPeer:
    """The far end of a circuit, spoken to over both families. `accept` are all prefixes that it may announce, or
    more specific ones of them; anything else that it says is refused."""

    port: str
    channel: Channel
    local_as: int
    peer_as: int
    peer_ipv4: IPv4Address
    peer_ipv6: IPv6Address
    announce: tuple[IPNetwork, ...]
    accept: tuple[IPNetwork, ...]
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Vrf:
    name: str
    table: int
    channel: Channel


@dataclass(frozen=True, slots=True)
class LineProbe:
    """A line, and the addresses beyond it that answer while it works: the far end's first, then the reflectors'."""

    port: str
    channel: Channel
    targets: tuple[IPAddress, ...]
