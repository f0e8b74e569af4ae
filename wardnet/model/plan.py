"""What the district compiles to, valid on one day: ports, routing tables, rules and flows of each gateway,
and the addresses of each host. Everything that configures, measures or audits a device reads these."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from wardnet.model.duties import (
    BgpPeer,
    ClientLimit,
    Clock,
    Lease,
    LineProbe,
    Priority,
    Shape,
    ShapeDirection,
    Vrf,
    ZoneService,
)
from wardnet.model.intent import (
    Addressing,
    Channel,
    HostRole,
    IPAddress,
    IPInterface,
    IPNetwork,
    OperatingSystem,
    Platform,
    PortMode,
    Ports,
    Pppoe,
    SiteKind,
    Source,
    SwitchPlatform,
    WifiSecurity,
)
from wardnet.model.workplaces import WorkplacePlan

__all__ = [
    "AccessPointPlan",
    "BgpPeer",
    "ClientLimit",
    "Clock",
    "Endpoint",
    "Flow",
    "GatewayPlan",
    "Hook",
    "HostPlan",
    "HostPort",
    "Lease",
    "LineProbe",
    "Plan",
    "Port",
    "PortKind",
    "Priority",
    "Route",
    "RouteKind",
    "RoutingRule",
    "RoutingTable",
    "Shape",
    "ShapeDirection",
    "SwitchPlan",
    "SwitchPort",
    "Vrf",
    "WorkplacePlan",
    "ZoneService",
]


LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


class PortKind(StrEnum):
    CIRCUIT = "circuit"  # leads to the far end of a leased line
    NETWORK = "network"  # leads to a LAN of the site


@dataclass(frozen=True, slots=True)
class Port:
    """An interface of a gateway. `reference` is the id of its circuit or network; `zone` is None for circuits.

    `vlan` is the network's number at the site; `tag` is set where the port is a VLAN subinterface of `parent`. A port
    that is `dialled` is a PPPoE session over `parent`, tagged `tag` if that is set. Without `addressing` static, the
    addresses are not known beforehand. `down_bps` and `up_bps` are what a circuit's contract gives on the day, seen
    from the site; None for networks.
    """

    name: str
    kind: PortKind
    reference: str
    channel: Channel
    zone: str | None
    vlan: int | None
    ipv4: IPv4Interface | None
    ipv6: IPv6Interface | None
    ipv4_peer: IPv4Address | None
    ipv6_peer: IPv6Address | None
    addressing: Addressing = Addressing.STATIC
    parent: str | None = None
    tag: int | None = None
    vrf: str | None = None
    down_bps: int | None = None
    up_bps: int | None = None
    dialled: Pppoe | None = None

    @property
    def own(self) -> tuple[IPInterface, ...]:
        """The addresses on it that are known beforehand."""
        return tuple(each for each in (self.ipv4, self.ipv6) if each is not None)


class RouteKind(StrEnum):
    CONNECTED = "connected"
    VIA = "via"
    UNREACHABLE = "unreachable"
    LEASED = "leased"  # by `port`, once the provider has given an address and a way
    LEARNED = "learned"  # from the BGP neighbour `via` at `port`, while it announces it


@dataclass(frozen=True, slots=True)
class Route:
    destination: IPNetwork
    kind: RouteKind
    via: IPAddress | None
    port: str | None  # None for unreachable
    metric: int


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All routes of one channel. Ends in an unreachable default, so that nothing falls through to another table."""

    number: int
    channel: Channel
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """One `ip rule`. Selectors are None where they do not narrow; `family` is 4, 6, or 0 for both."""

    priority: int
    table: int
    family: int
    incoming: str | None = None
    outgoing: str | None = None
    source: IPNetwork | None = None
    destination: IPNetwork | None = None


class Hook(StrEnum):
    FORWARD = "forward"
    INPUT = "input"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One side of a flow at a gateway: through `port` (None: the gateway itself), from or to `prefixes`
    (both families, sorted; empty: none in this family) but not `excluded`."""

    name: str  # zone, host or 'gateway'
    port: str | None
    prefixes: tuple[IPNetwork, ...]
    excluded: tuple[IPNetwork, ...] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """New connections that a gateway lets through; the answers belong to them. Everything else is dropped."""

    id: str  # of the conduit or exception
    hook: Hook
    sender: Endpoint
    receiver: Endpoint
    allow: tuple[Ports, ...]
    crosses: bool  # between the channels: an exception
    expires: date | None
    source: Source = field(compare=False)
    expires_at: int | None = None  # seconds since 1970 at the end of the day `expires` in the district's time zone


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """`managed` is False where nothing can configure it; `unmanaged_reason` then says why, for people. What is `pulled`
    is managed, and never reached from here: it has only the internet, and fetches its configuration itself."""

    id: str
    ward: str
    site: str
    site_kind: SiteKind
    platform: Platform
    managed: bool
    unmanaged_reason: str | None
    management_ipv4: IPv4Address | None
    management_ipv6: IPv6Address | None
    ports: tuple[Port, ...]
    tables: tuple[RoutingTable, ...]
    rules: tuple[RoutingRule, ...]
    flows: tuple[Flow, ...]
    masquerade: tuple[str, ...]  # ports whose leaving IPv4 traffic takes the port's address
    source: Source = field(compare=False)
    services: tuple[ZoneService, ...] = ()
    shapes: tuple[Shape, ...] = ()
    bgp: tuple[BgpPeer, ...] = ()
    vrfs: tuple[Vrf, ...] = ()
    line_probes: tuple[LineProbe, ...] = ()
    client_limits: tuple[ClientLimit, ...] = ()
    clock: Clock | None = None  # None where no time source can be asked
    pulled: bool = False

    @property
    def reached(self) -> bool:
        """Whether management comes to it: it is configured, measured and collected over the WAN."""
        return self.managed and not self.pulled

    @property
    def channels(self) -> tuple[Channel, ...]:
        present = {port.channel for port in self.ports}
        return tuple(channel for channel in Channel if channel in present)

    @property
    def ssh_addresses(self) -> tuple[IPAddress, ...]:
        """Where SSH is to be had, and nowhere else: in the management network and on the loopback. Its other addresses,
        those of lines, are no way in (no flow leads to them), and sshd takes 16 at most: a hub has more of them."""
        found = (*LOOPBACK, self.management_ipv4, self.management_ipv6)
        return tuple(each for each in found if each is not None)

    def port(self, name: str) -> Port:
        return next(port for port in self.ports if port.name == name)


@dataclass(frozen=True, slots=True)
class HostPort:
    name: str
    network: str
    zone: str
    vlan: int
    ipv4: IPv4Interface
    ipv6: IPv6Interface
    gateway_ipv4: IPv4Address
    gateway_ipv6: IPv6Address


@dataclass(frozen=True, slots=True)
class AccessPointPlan:
    """What an access point makes of `network`, which it is wired to by its port `port`. `radio_channel` is its own."""

    network: str
    port: str
    ssid: str
    security: WifiSecurity
    passphrase: str | None  # a reference, 'vault:NAME'
    country: str
    radio_channel: int
    isolation: bool
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class HostPlan:
    """`managed`, `unmanaged_reason` and `pulled` are as those of a gateway. `time_sources` are NTP servers of its
    channel; none where it is one itself, whose own programs keep its clock."""

    id: str
    ward: str
    site: str
    site_kind: SiteKind
    role: HostRole
    os: OperatingSystem
    channel: Channel
    managed: bool
    unmanaged_reason: str | None
    ports: tuple[HostPort, ...]
    resolvers: tuple[IPAddress, ...]
    source: Source = field(compare=False)
    workplace: WorkplacePlan | None = None  # of PCs, touch screens and citizen points
    pulled: bool = False
    wifi: AccessPointPlan | None = None  # of access points
    time_sources: tuple[IPAddress, ...] = ()

    @property
    def reached(self) -> bool:
        return self.managed and not self.pulled


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """A port of an access switch: `vlan` for access, `trunks` (sorted) for a trunk, neither for unused."""

    name: str
    mode: PortMode
    vlan: int | None
    trunks: tuple[int, ...]
    leads_to: str | None
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class SwitchPlan:
    """An access switch. `management` is its own port in the management network: with addresses, VLAN and the gateway
    that leads there; `management_ipv4`/`management_ipv6` are the addresses of it alone. None where unmanaged."""

    id: str
    ward: str
    site: str
    platform: SwitchPlatform
    managed: bool
    unmanaged_reason: str | None
    management_ipv4: IPv4Address | None
    management_ipv6: IPv6Address | None
    management: HostPort | None
    bridge: str
    ports: tuple[SwitchPort, ...]
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """The compiled district. `model_sha256` is over what the inventory says for the day."""

    district: str
    name: str
    domain: str
    timezone: str
    as_of: date
    model_sha256: str
    gateways: tuple[GatewayPlan, ...]
    hosts: tuple[HostPlan, ...]
    switches: tuple[SwitchPlan, ...] = ()

    def gateway(self, gateway_id: str) -> GatewayPlan:
        return next(gateway for gateway in self.gateways if gateway.id == gateway_id)

    def switch(self, switch_id: str) -> SwitchPlan:
        return next(switch for switch in self.switches if switch.id == switch_id)

    def host(self, host_id: str) -> HostPlan:
        return next(host for host in self.hosts if host.id == host_id)
