"""The district as its owner wants it: what the inventory's YAML says, checked and typed.

Records are frozen and hold no behaviour beyond what follows from their own fields. Every record that a
person wrote carries the `Source` it was written at, so that whatever is generated from it can lead back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from ipaddress import IPv4Address, IPv6Address

from wardnet.model.kinds import (
    Addressing,
    Channel,
    HostRole,
    IPAddress,
    IPInterface,
    IPNetwork,
    OperatingSystem,
    Platform,
    PortMode,
    Routing,
    SiteKind,
    Source,
    SwitchPlatform,
    WifiSecurity,
)
from wardnet.model.site import (
    Attachment,
    Bgp,
    Circuit,
    ContractedRate,
    DhcpRange,
    Gateway,
    Host,
    Network,
    Pppoe,
    Site,
    Switch,
    SwitchPort,
    Ward,
    Wifi,
)
from wardnet.model.workplaces import Workplaces

__all__ = [
    "Addressing",
    "Attachment",
    "Bgp",
    "Channel",
    "ChannelPlan",
    "Circuit",
    "Conduit",
    "ContractedRate",
    "DhcpRange",
    "District",
    "ExceptionGrant",
    "Gateway",
    "Host",
    "HostRole",
    "IPAddress",
    "IPInterface",
    "IPNetwork",
    "Network",
    "OperatingSystem",
    "Platform",
    "PortMode",
    "Ports",
    "Pppoe",
    "Reflector",
    "Routing",
    "Service",
    "Site",
    "SiteKind",
    "Source",
    "Switch",
    "SwitchPlatform",
    "SwitchPort",
    "Ward",
    "Wifi",
    "WifiSecurity",
    "Workplaces",
    "Zone",
]


@dataclass(frozen=True, slots=True)
class Zone:
    """A set of networks with one trust. Exactly one zone a channel is `outside`: all beyond its circuits
    that no other zone names."""

    id: str
    channel: Channel
    description: str
    outside: bool
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Ports:
    """What a flow may carry. `ports` is empty for protocols without ports and for 'any port'."""

    protocol: str  # tcp | udp | icmp (both families' echo and errors) | router (what IPv6 routers are asked and say)
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Conduit:
    """An allowed flow between zones of one channel. `gateway` as a zone means each site's gateway itself."""

    id: str
    from_zone: str
    to_zone: str
    allow: tuple[Ports, ...]
    reason: str
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class ExceptionGrant:
    """A conduit across the channels, between two hosts, with who answers for it and until when."""

    id: str
    from_host: str
    to_host: str
    allow: tuple[Ports, ...]
    owner: str
    approver: str
    document: str
    reason: str
    valid_from: date
    expires: date
    source: Source = field(compare=False)

    def valid_on(self, day: date) -> bool:
        """True from `valid_from` to `expires`, both days included."""
        return self.valid_from <= day <= self.expires


@dataclass(frozen=True, slots=True)
class Service:
    """An online service that is measured from the wards over one channel."""

    id: str
    name: str
    channel: Channel
    url: str
    ipv4: IPv4Address | None  # where it stands, when the inventory itself knows (the lab and rules use it)
    ipv6: IPv6Address | None
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Reflector:
    """A far end that answers round-trip probes over one channel."""

    id: str
    channel: Channel
    ipv4: IPv4Address
    ipv6: IPv6Address
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class ChannelPlan:
    """What a channel is, the district over.

    `prefixes` are all addresses that belong to the channel; for the internet channel only the sites' own,
    since the rest of the internet is whatever no other prefix names.
    """

    id: Channel
    table: int  # routing table number on gateways
    prefixes: tuple[IPNetwork, ...]
    resolvers: tuple[IPAddress, ...]
    source: Source = field(compare=False)
    time_sources: tuple[IPAddress, ...] = ()  # NTP servers on the channel


@dataclass(frozen=True, slots=True)
class District:
    id: str
    name: str
    timezone: str
    domain: str
    channels: tuple[ChannelPlan, ...]  # wan, internet
    zones: tuple[Zone, ...]
    conduits: tuple[Conduit, ...]
    exceptions: tuple[ExceptionGrant, ...]
    services: tuple[Service, ...]
    reflectors: tuple[Reflector, ...]
    wards: tuple[Ward, ...]  # the district's own unit first, then by id
    sha256: str  # of the inventory's files, names and bytes
    workplaces: Workplaces = field(default_factory=Workplaces)

    def channel(self, channel: Channel) -> ChannelPlan:
        return next(plan for plan in self.channels if plan.id is channel)

    def zone(self, zone_id: str) -> Zone:
        return next(zone for zone in self.zones if zone.id == zone_id)

    @property
    def sites(self) -> tuple[tuple[Ward, Site], ...]:
        return tuple((ward, site) for ward in self.wards for site in ward.sites)
