"""The agent's configuration: compiled JSON to frozen records, strictly.

Every unknown, missing, doubled or badly typed key is an error that names the file and the key; all errors of a
file are reported together. Nothing has a default: what an agent does is written in its file.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from exporters.errors import ExporterError
from exporters.fields import Fields, read_json

IPAddress = IPv4Address | IPv6Address


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
    """One line of the gateway. Probes leave by `interface` from `ipv4`/`ipv6`; rates are bits a second."""

    id: str
    circuit: str
    provider: str
    interface: str
    ipv4: IPv4Address
    ipv6: IPv6Address
    resolvers: tuple[IPAddress, ...]
    contracted_down_bps: int
    contracted_up_bps: int

    def source(self, family: Family) -> str:
        return str(self.ipv4 if family is Family.IPV4 else self.ipv6)


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
    channels: tuple[Channel, ...]
    reflectors: tuple[Reflector, ...]
    services: tuple[Service, ...]
    scanners: tuple[Scanner, ...]

    def target(self, target_id: str) -> Target | None:
        """The reflector, service or scanner of that id; None for everything else."""
        targets: tuple[Target, ...] = (*self.reflectors, *self.services, *self.scanners)
        return next((target for target in targets if target.id == target_id), None)


def read_config(path: Path) -> AgentConfig:
    """The configuration in a file. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}"]) from error
    return parse_config(text, str(path))


def parse_config(text: str, file: str) -> AgentConfig:
    """The configuration in a JSON text; `file` is named in errors. Raises ConfigError."""
    problems: list[str] = []
    document = read_json(text, file, problems)
    if document is None:
        raise ConfigError(problems)
    config = _agent(Fields(document, file, "", problems))
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
    for index, address in enumerate(config.listen):
        # An agent with a foot on both channels must never answer on all of its addresses.
        if address.is_unspecified or address.is_multicast:
            fields.problem(f"listen[{index}]", f"must be one address of this host, not {address}")
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


def _channel(fields: Fields) -> Channel:
    channel = Channel(
        id=fields.identifier("id"),
        circuit=fields.identifier("circuit"),
        provider=fields.text("provider"),
        interface=fields.text("interface", pattern=INTERFACE),
        ipv4=fields.ipv4("ipv4"),
        ipv6=fields.ipv6("ipv6"),
        resolvers=fields.addresses("resolvers", at_least=1),
        contracted_down_bps=fields.integer("contracted_down_bps", 1, 10**13),
        contracted_up_bps=fields.integer("contracted_up_bps", 1, 10**13),
    )
    fields.finish()
    return channel


def _reflector(fields: Fields, channels: dict[str, Channel]) -> Reflector | None:
    channel = fields.choice("channel", channels)
    address4, address6 = fields.ipv4("ipv4"), fields.ipv6("ipv6")
    identifier = fields.identifier("id")
    fields.finish()
    return Reflector(identifier, channel, address4, address6) if channel else None


def _service(fields: Fields, channels: dict[str, Channel]) -> Service | None:
    channel = fields.choice("channel", channels)
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


def _scanner(fields: Fields, channels: dict[str, Channel]) -> Scanner | None:
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
