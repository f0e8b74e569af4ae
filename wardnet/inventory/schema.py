"""The shape of the inventory's files. pydantic stays at this edge: what leaves it are records of the model.

Every mapping is closed (an unknown key is an error) and every list holds items with an `id`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StrictBool, model_validator

from wardnet.inventory.scanners import ScannerRecord
from wardnet.inventory.values import (
    CLOSED,
    Allow,
    AnyAddress,
    AsNumber,
    Day,
    Domain,
    HidesASecret,
    Ident,
    Interface,
    IPv4,
    IPv4Port,
    IPv6,
    IPv6Port,
    Kbps,
    Mac,
    Prefix,
    Secret,
    TableNumber,
    Text,
    TimeZone,
    Url,
    Vlan,
    misfit,
)
from wardnet.inventory.wifi import WifiRecord
from wardnet.inventory.workplaces import ScreenRecord, WorkplacesRecord
from wardnet.locale import _
from wardnet.model.intent import (
    Addressing,
    Channel,
    HostRole,
    OperatingSystem,
    Platform,
    Routing,
    SiteKind,
    SwitchPlatform,
)


class Record(BaseModel):
    model_config = CLOSED


class ContractedKbps(Record):
    down: Kbps
    up: Kbps
    valid_from: Day


class PppoeRecord(Record):
    user: Text
    password: Secret


class BgpRecord(Record):
    local_as: AsNumber
    peer_as: AsNumber


class CircuitRecord(Record):
    id: Ident
    channel: Channel
    provider: Text
    interface: Interface
    parent: Interface | None = None
    vlan: Vlan | None = None
    addressing: Addressing = Addressing.STATIC
    ipv4: IPv4Port | None = None
    ipv4_peer: IPv4 | None = None
    ipv6: IPv6Port | None = None
    ipv6_peer: IPv6 | None = None
    pppoe: Annotated[PppoeRecord, HidesASecret] | None = None
    routing: Routing = Routing.STATIC
    bgp: BgpRecord | None = None
    contracted_kbps: Annotated[list[ContractedKbps], Field(min_length=1)]
    valid_from: Day | None = None
    valid_to: Day | None = None


class DhcpRecord(Record):
    first: IPv4
    last: IPv4


class NetworkRecord(Record):
    id: Ident
    zone: Ident
    vlan: Vlan
    interface: Interface
    parent: Interface | None = None
    ipv4: IPv4Port
    ipv6: IPv6Port
    dhcp: DhcpRecord | None = None
    names: StrictBool = False
    time: StrictBool = False
    wifi: WifiRecord | None = None


class GatewayRecord(Record):
    id: Ident
    platform: Platform
    management_network: Ident | None = None
    vrf: StrictBool = False


class SwitchPortRecord(Record):
    name: Interface
    access: Ident | None = None
    trunk: list[Ident] = []
    unused: StrictBool = False
    to: Ident | None = None

    @model_validator(mode="after")
    def _one_use(self) -> SwitchPortRecord:
        if bool(self.access) + bool(self.trunk) + self.unused != 1:
            raise misfit(
                _("port '{port}' has not exactly one use").format(port=self.name),
                _("give it 'access: NETWORK', 'trunk: [NETWORK, ...]' or 'unused: true'"),
            )
        if self.unused and self.to:
            raise misfit(
                _("port '{port}' is unused and leads to '{to}'").format(port=self.name, to=self.to),
                _("remove 'to', or say with 'access' which network it carries"),
            )
        return self


class SwitchRecord(Record):
    id: Ident
    platform: SwitchPlatform
    management_network: Ident | None = None
    ipv4: IPv4 | None = None
    ipv6: IPv6 | None = None
    ports: Annotated[list[SwitchPortRecord], Field(min_length=1)]


class AttachmentRecord(Record):
    name: Interface = "eth0"
    network: Ident
    ipv4: IPv4
    ipv6: IPv6
    mac: Mac | None = None


class HostRecord(Record):
    id: Ident
    role: HostRole
    os: OperatingSystem
    channel: Channel
    interfaces: Annotated[list[AttachmentRecord], Field(min_length=1)]
    scanner: ScannerRecord | None = None
    screen: ScreenRecord | None = None


class SiteRecord(Record):
    id: Ident
    name: Text
    kind: SiteKind
    circuits: list[CircuitRecord] = []
    networks: Annotated[list[NetworkRecord], Field(min_length=1)]
    gateway: GatewayRecord
    switch: SwitchRecord | None = None
    hosts: list[HostRecord] = []


class WardFile(Record):
    id: Ident
    name: Text
    sites: Annotated[list[SiteRecord], Field(min_length=1)]


class ChannelRecord(Record):
    id: Channel
    table: TableNumber
    prefixes: Annotated[list[Prefix], Field(min_length=1)]
    resolvers: list[AnyAddress]
    time_sources: list[AnyAddress] = []


class ZoneRecord(Record):
    id: Ident
    channel: Channel
    description: Text
    outside: StrictBool = False


class ConduitRecord(Record):
    id: Ident
    from_zone: Ident
    to_zone: Ident
    allow: Annotated[list[Allow], Field(min_length=1)]
    reason: Text


class ExceptionRecord(Record):
    id: Ident
    from_host: Ident
    to_host: Ident
    allow: Annotated[list[Allow], Field(min_length=1)]
    owner: Text
    approver: Text
    document: Text
    reason: Text
    valid_from: Day
    expires: Day


class ServiceRecord(Record):
    id: Ident
    name: Text
    channel: Channel
    url: Url
    ipv4: IPv4 | None = None
    ipv6: IPv6 | None = None


class ReflectorRecord(Record):
    id: Ident
    channel: Channel
    ipv4: IPv4
    ipv6: IPv6


class DistrictFile(Record):
    id: Ident
    name: Text
    timezone: TimeZone
    domain: Domain
    channels: Annotated[list[ChannelRecord], Field(min_length=2, max_length=2)]
    zones: Annotated[list[ZoneRecord], Field(min_length=1)]
    conduits: list[ConduitRecord] = []
    exceptions: list[ExceptionRecord] = []
    services: list[ServiceRecord] = []
    reflectors: list[ReflectorRecord] = []
    sites: Annotated[list[SiteRecord], Field(min_length=1)]
    workplaces: WorkplacesRecord | None = None
