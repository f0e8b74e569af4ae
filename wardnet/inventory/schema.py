"""The shape of the inventory's files. pydantic stays at this edge: what leaves it are records of the model.

Every mapping is closed (an unknown key is an error) and every list holds items with an `id`.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
)

from wardnet.model.intent import Channel, HostRole, OperatingSystem, Platform, Ports, SiteKind

# What a value must look like, for the message when it does not: the annotation's name is the key.
WANTED = {
    "id": "lower-case letters, digits and '-', starting with a letter",
    "interface": "an interface name of at most 15 letters, digits, '.', '_' or '-', such as wan0",
}


def _ident(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", value):
        raise ValueError(f"'{value}' is not an id: {WANTED['id']}")
    return value


def _interface(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9._-]{0,14}", value):
        raise ValueError(f"'{value}' is not {WANTED['interface']}")
    return value


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("a text is expected here, not an empty one")
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"'{value}' is not a time zone, such as Asia/Ho_Chi_Minh") from None
    return value


def _domain(value: str) -> str:
    if not re.fullmatch(r"(?=.{1,200}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", value):
        raise ValueError(f"'{value}' is not a domain name in lower case, such as tayho.example")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"'{value}' is not a web address that starts with https:// or http://")
    if parts.username or parts.password:
        raise ValueError("a web address here holds no user name and no password")
    return value


def _day(value: Any) -> Any:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ValueError(f"'{value}' is not a date, such as 2026-01-31")  # noqa: TRY004 - pydantic's protocol
    return value


def _ports(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"'{value}' is not a protocol with its port, such as tcp/443, udp/53 or icmp")  # noqa: TRY004
    match = re.fullmatch(r"(icmp)|(tcp|udp)/(any|\d{1,5})", value)
    if not match:
        raise ValueError(f"'{value}' is not a protocol with its port, such as tcp/443, udp/53 or icmp")
    if match[1]:
        return Ports("icmp", ())
    if match[3] == "any":
        return Ports(match[2], ())
    number = int(match[3])
    if not 1 <= number <= 65535:
        raise ValueError(f"port {number} is not between 1 and 65535")
    return Ports(match[2], (number,))


def _parsed(kind: Any, example: str) -> Any:
    def parse(value: Any) -> Any:
        try:
            return kind(value) if isinstance(value, str) else kind(f"not text: {value}")
        except ValueError:
            raise ValueError(f"'{value}' is not {example}") from None

    return BeforeValidator(parse)


def _network(value: Any) -> Any:
    return ip_network(value, strict=True)


def _with_length(kind: Any) -> Any:
    def parse(value: str) -> Any:
        if "/" not in value:
            raise ValueError
        return kind(value)

    return parse


Ident = Annotated[StrictStr, AfterValidator(_ident)]
Interface = Annotated[StrictStr, AfterValidator(_interface)]
Text = Annotated[StrictStr, AfterValidator(_text)]
Day = Annotated[date, BeforeValidator(_day)]
IPv4 = Annotated[IPv4Address, _parsed(IPv4Address, "an IPv4 address, such as 10.20.1.11")]
IPv6 = Annotated[IPv6Address, _parsed(IPv6Address, "an IPv6 address, such as fd20:20:1::11")]
IPv4Port = Annotated[
    IPv4Interface,
    _parsed(_with_length(IPv4Interface), "an IPv4 address with its length, such as 10.20.1.1/24"),
]
IPv6Port = Annotated[
    IPv6Interface,
    _parsed(_with_length(IPv6Interface), "an IPv6 address with its length, such as fd20:20:1::1/64"),
]
Prefix = Annotated[IPv4Network | IPv6Network, _parsed(_network, "a prefix with no host bits set, such as 10.16.0.0/12")]
AnyAddress = Annotated[IPv4Address | IPv6Address, _parsed(ip_address, "an IP address")]
Allow = Annotated[Any, BeforeValidator(_ports)]
Kbps = Annotated[StrictInt, Field(ge=64, le=100_000_000)]
Vlan = Annotated[StrictInt, Field(ge=2, le=4094)]
TableNumber = Annotated[StrictInt, Field(ge=1, le=252)]


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class ContractedKbps(Record):
    down: Kbps
    up: Kbps
    valid_from: Day


class CircuitRecord(Record):
    id: Ident
    channel: Channel
    provider: Text
    interface: Interface
    ipv4: IPv4Port
    ipv4_peer: IPv4
    ipv6: IPv6Port
    ipv6_peer: IPv6
    contracted_kbps: Annotated[list[ContractedKbps], Field(min_length=1)]
    valid_from: Day | None = None
    valid_to: Day | None = None


class NetworkRecord(Record):
    id: Ident
    zone: Ident
    vlan: Vlan
    interface: Interface
    ipv4: IPv4Port
    ipv6: IPv6Port


class GatewayRecord(Record):
    id: Ident
    platform: Platform
    management_network: Ident | None = None


class AttachmentRecord(Record):
    name: Interface = "eth0"
    network: Ident
    ipv4: IPv4
    ipv6: IPv6


class HostRecord(Record):
    id: Ident
    role: HostRole
    os: OperatingSystem
    channel: Channel
    interfaces: Annotated[list[AttachmentRecord], Field(min_length=1)]


class SiteRecord(Record):
    id: Ident
    name: Text
    kind: SiteKind
    circuits: list[CircuitRecord] = []
    networks: Annotated[list[NetworkRecord], Field(min_length=1)]
    gateway: GatewayRecord
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
    url: Annotated[StrictStr, AfterValidator(_url)]
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
    timezone: Annotated[StrictStr, AfterValidator(_timezone)]
    domain: Annotated[StrictStr, AfterValidator(_domain)]
    channels: Annotated[list[ChannelRecord], Field(min_length=2, max_length=2)]
    zones: Annotated[list[ZoneRecord], Field(min_length=1)]
    conduits: list[ConduitRecord] = []
    exceptions: list[ExceptionRecord] = []
    services: list[ServiceRecord] = []
    reflectors: list[ReflectorRecord] = []
    sites: Annotated[list[SiteRecord], Field(min_length=1)]
