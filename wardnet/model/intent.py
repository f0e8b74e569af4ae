"""The district as its owner wants it: what the inventory's YAML says, checked and typed.

Records are frozen and hold no behaviour beyond what follows from their own fields. Every record that a
person wrote carries the `Source` it was written at, so that whatever is generated from it can lead back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


class Channel(StrEnum):
    """The two lines of a site that must stay apart."""

    WAN = "wan"
    INTERNET = "internet"

    @property
    def other(self) -> Channel:
        return Channel.INTERNET if self is Channel.WAN else Channel.WAN


class SiteKind(StrEnum):
    SERVER_ROOM = "server_room"  # the hub router and the district's servers
    DISTRICT_OFFICE = "district_office"
    WARD_OFFICE = "ward_office"
    APARTMENT_BUILDING = "apartment_building"


class Platform(StrEnum):
    LINUX = "linux"
    FRR = "frr"
    CISCO_IOS = "cisco_ios"
    HUAWEI_VRP = "huawei_vrp"
    MIKROTIK_ROUTEROS = "mikrotik_routeros"
    UNMANAGED = "unmanaged"  # the provider's own box


class HostRole(StrEnum):
    COUNTER = "counter"
    CITIZEN = "citizen"
    TOUCH_SCREEN = "touch_screen"
    SCANNER = "scanner"
    ACCESS_POINT = "access_point"
    PORTAL = "portal"
    RESOLVER = "resolver"
    MIRROR = "mirror"
    MONITORING = "monitoring"
    CONTROLLER = "controller"
    AUDITOR = "auditor"


class OperatingSystem(StrEnum):
    LINUX = "linux"
    WINDOWS = "windows"
    FIRMWARE = "firmware"  # a device's own, nothing to log in to


@dataclass(frozen=True, slots=True)
class Source:
    """Where a record was written. `file` is relative to the inventory's folder; `line` counts from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


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
class ContractedRate:
    """Bits a second at the IP layer, as paid for; valid from its date until the next rate's."""

    down_bps: int
    up_bps: int
    valid_from: date
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Circuit:
    """A leased line, seen from the site: `ipv4` is the gateway's own address, `ipv4_peer` the far end's.

    `interface` is the gateway's port. The hub's port of a WAN circuit is named after the circuit.
    """

    id: str
    channel: Channel
    provider: str
    interface: str
    ipv4: IPv4Interface
    ipv4_peer: IPv4Address
    ipv6: IPv6Interface
    ipv6_peer: IPv6Address
    contracted: tuple[ContractedRate, ...]  # oldest first, never empty
    valid_from: date | None
    valid_to: date | None
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Network:
    """A LAN of a site: one VLAN, one zone. The gateway holds `ipv4`/`ipv6` on `interface`."""

    id: str  # unique within its site
    zone: str
    vlan: int
    interface: str
    ipv4: IPv4Interface
    ipv6: IPv6Interface
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Gateway:
    id: str
    platform: Platform
    management_network: str | None  # a network of the site; None where nobody manages it over the WAN
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Attachment:
    """One network port of a host."""

    name: str  # eth0
    network: str
    ipv4: IPv4Address
    ipv6: IPv6Address
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Host:
    id: str
    role: HostRole
    os: OperatingSystem
    channel: Channel
    interfaces: tuple[Attachment, ...]
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Site:
    id: str
    name: str
    kind: SiteKind
    circuits: tuple[Circuit, ...]
    networks: tuple[Network, ...]
    gateway: Gateway
    hosts: tuple[Host, ...]
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Ward:
    """A ward, or the district's own unit (`is_district`), with its sites."""

    id: str
    name: str
    is_district: bool
    sites: tuple[Site, ...]
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Ports:
    """What a flow may carry. `ports` is empty for protocols without ports and for 'any port'."""

    protocol: str  # tcp | udp | icmp (both families' echo and errors)
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

    def channel(self, channel: Channel) -> ChannelPlan:
        return next(plan for plan in self.channels if plan.id is channel)

    def zone(self, zone_id: str) -> Zone:
        return next(zone for zone in self.zones if zone.id == zone_id)

    @property
    def sites(self) -> tuple[tuple[Ward, Site], ...]:
        return tuple((ward, site) for ward in self.wards for site in ward.sites)
