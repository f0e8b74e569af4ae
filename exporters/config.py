"""The agent's configuration: compiled JSON to frozen records, strictly.

Every unknown, missing, doubled or badly typed key is an error that names the file and the key; all errors of a
file are reported together. Nothing has a default: what an agent does is written in its file.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TypeVar

from exporters.errors import ExporterError
from exporters.fields import Fields, read_json

IPAddress = IPv4Address | IPv6Address
T = TypeVar("T")


class ConfigError(ExporterError):
    """The configuration cannot be used. `problems` holds one line each, naming file and key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Family(StrEnum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def socket_family(self) -> socket.AddressFamily:
        return socket.AF_INET if self is Family.IPV4 else socket.AF_INET6

    @property
    def version(self) -> int:
        return 4 if self is Family.IPV4 else 6


@dataclass(frozen=True, slots=True)
class Channel:
    """The way that probes of a channel take: they leave by `interface` from `ipv4`/`ipv6`."""

    id: str
    interface: str
    ipv4: IPv4Address
    ipv6: IPv6Address
    resolvers: tuple[IPAddress, ...]

    def source(self, family: Family) -> str:
        return str(self.ipv4 if family is Family.IPV4 else self.ipv6)


@dataclass(frozen=True, slots=True)
class Line(Channel):
    """One line of the gateway; rates are bits a second."""

    circuit: str
    provider: str
    contracted_down_bps: int
    contracted_up_bps: int


@dataclass(frozen=True, slots=True)
class Reflector:
    """A far end that answers echo requests over one channel."""

    id: str
    channel: Channel
    ipv4: IPv4Address
    ipv6: IPv6Address

    def address(self, family: Family) -> str:
        return str(self.ipv4 if family is Family.IPV4 else self.ipv6)


@dataclass(frozen=True, slots=True)
class Url:
    """`path` begins with / and holds the query too."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host as the Host header wants it: brackets around IPv6, a port only where it is not usual."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


DEFAULT_PORTS = {"http": 80, "https": 443}
INTERFACE = r"[^\s/]{1,15}"


@dataclass(frozen=True, slots=True)
class Service:
    """An online service that is fetched over one channel."""

    id: str
    channel: Channel
    url: Url


class ScannerKind(StrEnum):
    ESCL = "escl"  # the device itself, over HTTP
    SANE = "sane"  # a box that shares it


@dataclass(frozen=True, slots=True)
class Scanner:
    """A scanner of the gateway's own site. Its `channel` leaves by the port of the scanner's network, not the line."""

    id: str
    channel: Channel
    kind: ScannerKind
    ipv4: IPv4Address
    port: int


Target = Reflector | Service | Scanner


@dataclass(frozen=True, slots=True)
class AgentConfig:
    model_sha256: str
    ward: str
    site: str
    gateway: str
    domain: str
    listen: tuple[IPAddress, ...]
    link_port: int
    software_port: int
    interval_seconds: float
    channels: tuple[Line, ...]
    reflectors: tuple[Reflector, ...]
    services: tuple[Service, ...]
    scanners: tuple[Scanner, ...]

    def target(self, target_id: str) -> Target | None:
        """The reflector, service or scanner of that id; None for everything else."""
        targets: tuple[Target, ...] = (*self.reflectors, *self.services, *self.scanners)
        return next((target for target in targets if target.id == target_id), None)

    @property
    def who(self) -> str:
        """Whose agent it is, as each line of its journal says it."""
        return f"ward={self.ward} gateway={self.gateway}"

    @property
    def summary(self) -> str:
        return (
            f"for {self.gateway}: {len(self.channels)} channels, {len(self.reflectors)} reflectors, "
            f"{len(self.services)} services, {len(self.scanners)} scanners"
        )


def read_config(path: Path) -> AgentConfig:
    """The configuration of a gateway's agents in a file. Raises ConfigError."""
    return parse_config(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}"]) from error


def parse_config(text: str, file: str) -> AgentConfig:
    """The configuration in a JSON text; `file` is named in errors. Raises ConfigError."""
    return parse_document(text, file, _agent)


def parse_document(text: str, file: str, build: Callable[[Fields], T | None]) -> T:
    """What `build` makes of the object in a JSON text. Raises ConfigError."""
    problems: list[str] = []
    document = read_json(text, file, problems)
    if document is None:
        raise ConfigError(problems)
    config = build(Fields(document, file, "", problems))
    if problems or config is None:
        raise ConfigError(problems)
    return config


def _agent(fields: Fields) -> AgentConfig | None:
    channels = {c.id: c for c in fields.records("channels", _channel, at_least=1)}
    config = AgentConfig(
        model_sha256=fields.text("model_sha256", pattern=r"[0-9a-f]{64}"),
        ward=fields.identifier("ward"),
        site=fields.identifier("site"),
        gateway=fields.identifier("gateway"),
        domain=fields.text("domain"),
        listen=fields.addresses("listen", at_least=1),
        link_port=fields.integer("link_port", 1, 65535),
        software_port=fields.integer("software_port", 1, 65535),
        interval_seconds=fields.number("interval_seconds", 1, 3600),
        channels=tuple(channels.values()),
        reflectors=tuple(fields.records("reflectors", lambda item: _reflector(item, channels))),
        services=tuple(fields.records("services", lambda item: _service(item, channels))),
        scanners=tuple(fields.records("scanners", lambda item: _scanner(item, channels))),
    )
    fields.finish()
    check_listen(fields, config.listen)
    if config.link_port == config.software_port and fields.sound:
        fields.problem("software_port", f"is the same as link_port ({config.link_port})")
    seen: set[str] = set()
    all_targets: tuple[tuple[str, tuple[Target, ...]], ...] = (
        ("reflectors", config.reflectors), ("services", config.services), ("scanners", config.scanners),
    )  # fmt: skip
    for key, targets in all_targets:
        for target in targets:
            if target.id in seen:
                fields.problem(key, f"the id {target.id!r} is used twice; targets of /probe need their own ids")
            seen.add(target.id)
    return config if fields.sound else None


def check_listen(fields: Fields, addresses: tuple[IPAddress, ...]) -> None:
    """An agent with a foot on both channels must never answer on all of its addresses; nor need one with one."""
    for index, address in enumerate(addresses):
        if address.is_unspecified or address.is_multicast:
            fields.problem(f"listen[{index}]", f"must be one address of this host, not {address}")


def _channel(fields: Fields) -> Line:
    channel = Line(
        id=fields.identifier("id"),
        interface=fields.text("interface", pattern=INTERFACE),
        ipv4=fields.ipv4("ipv4"),
        ipv6=fields.ipv6("ipv6"),
        resolvers=fields.addresses("resolvers", at_least=1),
        circuit=fields.identifier("circuit"),
        provider=fields.text("provider"),
        contracted_down_bps=fields.integer("contracted_down_bps", 1, 10**13),
        contracted_up_bps=fields.integer("contracted_up_bps", 1, 10**13),
    )
    fields.finish()
    return channel


def _reflector(fields: Fields, channels: Mapping[str, Channel]) -> Reflector | None:
    channel = fields.choice("channel", channels)
    address4, address6 = fields.ipv4("ipv4"), fields.ipv6("ipv6")
    identifier = fields.identifier("id")
    fields.finish()
    return Reflector(identifier, channel, address4, address6) if channel else None


def _service(fields: Fields, channels: Mapping[str, Channel]) -> Service | None:
    return read_service(fields, fields.choice("channel", channels))


def read_service(fields: Fields, channel: Channel | None) -> Service | None:
    """A service that is fetched over a channel; None, with a problem noted, where it cannot be."""
    identifier = fields.identifier("id")
    text = fields.text("url")
    fields.finish()
    try:
        url = parse_url(text)
    except ValueError as error:
        if text:
            fields.problem("url", str(error))
        return None
    return Service(identifier, channel, url) if channel else None


def _scanner(fields: Fields, channels: Mapping[str, Channel]) -> Scanner | None:
    channel = fields.choice("channel", channels)
    identifier = fields.identifier("id")
    kind = fields.choice("kind", {kind.value: kind for kind in ScannerKind})
    interface, source = fields.text("interface", pattern=INTERFACE), fields.ipv4("source")
    address, port = fields.ipv4("ipv4"), fields.integer("port", 1, 65535)
    fields.finish()
    if channel is None or kind is None:
        return None
    return Scanner(identifier, replace(channel, interface=interface, ipv4=source), kind, address, port)


def parse_url(text: str) -> Url:
    """An absolute http or https URL. Raises ValueError with what is wrong."""
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError(f"must begin with http:// or https://, is {text!r}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user name or password")
    if not parts.hostname:
        raise ValueError(f"has no host: {text!r}")
    if not text.isascii() or any(c <= " " or c == "\x7f" for c in text):
        raise ValueError(f"must be printable ASCII (write names of other scripts in punycode): {text!r}")
    port = parts.port if parts.port is not None else DEFAULT_PORTS[parts.scheme]
    if port == 0:
        raise ValueError(f"has port 0: {text!r}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(parts.scheme, parts.hostname.rstrip("."), port, path)
