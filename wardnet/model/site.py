"""A ward's sites: leased lines, networks, gateway, switch and hosts. Readers import these from `model.intent`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from wardnet.model.kinds import (
    Addressing,
    Channel,
    HostRole,
    IPAddress,
    IPInterface,
    OperatingSystem,
    Platform,
    PortMode,
    Routing,
    SiteKind,
    Source,
    SwitchPlatform,
    WifiSecurity,
)
from wardnet.model.scanners import Scanner
from wardnet.model.workplaces import Screen


@dataclass(frozen=True, slots=True)
class ContractedRate:
    """Bits a second at the IP layer, as paid for; valid from its date until the next rate's."""

    down_bps: int
    up_bps: int
    valid_from: date
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Pppoe:
    """How a circuit is dialled. `password` is a reference, `vault:NAME`, never the password itself."""

    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Bgp:
    """The numbers of both ends of a circuit, seen from the site."""

    local_as: int
    peer_as: int


@dataclass(frozen=True, slots=True)
class Circuit:
    """A leased line, seen from the site: `ipv4` is the gateway's own address, `ipv4_peer` the far end's; all four
    are None where the provider gives them out (`addressing` is not static).

    `interface` is the gateway's port. With `vlan` it is a VLAN subinterface of the port `parent`; with PPPoE it is
    the session, dialled over `parent`. The hub's port of a WAN circuit is named after the circuit.
    """

    id: str
    channel: Channel
    provider: str
    interface: str
    ipv4: IPv4Interface | None
    ipv4_peer: IPv4Address | None
    ipv6: IPv6Interface | None
    ipv6_peer: IPv6Address | None
    contracted: tuple[ContractedRate, ...]  # oldest first, never empty
    valid_from: date | None
    valid_to: date | None
    source: Source = field(compare=False)
    addressing: Addressing = Addressing.STATIC
    pppoe: Pppoe | None = None
    routing: Routing = Routing.STATIC
    bgp: Bgp | None = None
    parent: str | None = None
    vlan: int | None = None

    @property
    def own(self) -> tuple[IPInterface, ...]:
        """The gateway's addresses on it that are known beforehand."""
        return tuple(each for each in (self.ipv4, self.ipv6) if each is not None)

    @property
    def peers(self) -> tuple[IPAddress, ...]:
        """The far end's addresses that are known beforehand."""
        return tuple(each for each in (self.ipv4_peer, self.ipv6_peer) if each is not None)


@dataclass(frozen=True, slots=True)
class DhcpRange:
    """The addresses that a gateway leases in a network, both ends included."""

    first: IPv4Address
    last: IPv4Address


@dataclass(frozen=True, slots=True)
class Wifi:
    """What access points make of a network, and what each client of it may take.

    `passphrase` is a reference, `vault:NAME`, never the passphrase itself; None for OWE. `channels` are the radio's, of
    one band: access points take them in turn. `client_down_bps` and `client_up_bps` are bits a second at the IP layer,
    for each client alone. `isolation`: an access point carries nothing from one of its clients to another.
    """

    ssid: str
    security: WifiSecurity
    passphrase: str | None
    country: str
    channels: tuple[int, ...]
    client_down_bps: int
    client_up_bps: int
    isolation: bool
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Network:
    """A LAN of a site: one VLAN, one zone. The gateway holds `ipv4`/`ipv6` on `interface`, which is a port of its
    own or, with `parent`, the VLAN subinterface of that port.

    `dhcp`, `names` and `time` are what the gateway serves there: leases and router advertisements, a resolver, NTP.
    With `wifi` it is one for visitors.
    """

    id: str  # unique within its site
    zone: str
    vlan: int
    interface: str
    ipv4: IPv4Interface
    ipv6: IPv6Interface
    source: Source = field(compare=False)
    parent: str | None = None
    dhcp: DhcpRange | None = None
    names: bool = False
    time: bool = False
    wifi: Wifi | None = None

    @property
    def served(self) -> bool:
        return self.dhcp is not None or self.names or self.time


@dataclass(frozen=True, slots=True)
class Gateway:
    id: str
    platform: Platform
    management_network: str | None  # a network of the site; None where nobody manages it over the WAN
    source: Source = field(compare=False)
    vrf: bool = False  # each channel in a VRF of its own


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """A port of an access switch. `networks` are ids of the site: one for access, any number for a trunk, none for
    unused. `leads_to` is the id of a host or of the gateway, `uplink` for another switch, None for an outlet."""

    name: str
    mode: PortMode
    networks: tuple[str, ...]
    leads_to: str | None
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Switch:
    """The access switch of a site. It is managed at its address in `management_network`; None: nobody reaches it."""

    id: str
    platform: SwitchPlatform
    management_network: str | None
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    ports: tuple[SwitchPort, ...]
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Attachment:
    """One network port of a host."""

    name: str  # eth0
    network: str
    ipv4: IPv4Address
    ipv6: IPv6Address
    source: Source = field(compare=False)
    mac: str | None = None  # in lower case with ':'; gets the address as a fixed lease


@dataclass(frozen=True, slots=True)
class Host:
    id: str
    role: HostRole
    os: OperatingSystem
    channel: Channel
    interfaces: tuple[Attachment, ...]
    source: Source = field(compare=False)
    scanner: Scanner | None = None  # of a host with that role, where the inventory says more than an address
    screen: Screen | None = None  # of a touch screen, where it is not drawn as any other


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
    switch: Switch | None = None


@dataclass(frozen=True, slots=True)
class Ward:
    """A ward, or the district's own unit (`is_district`), with its sites."""

    id: str
    name: str
    is_district: bool
    sites: tuple[Site, ...]
    source: Source = field(compare=False)
