"""The configuration of the agent on a clerk's PC: one channel, by one port, and the services on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exporters.config import (
    INTERFACE,
    Channel,
    IPAddress,
    Service,
    Target,
    check_listen,
    parse_document,
    read_service,
    read_text,
)
from exporters.fields import Fields


@dataclass(frozen=True, slots=True)
class PcConfig:
    """`day_bytes` is what scheduled runs may carry in a day, both directions together."""

    model_sha256: str
    ward: str
    site: str
    pc: str
    listen: tuple[IPAddress, ...]
    port: int
    interval_seconds: float
    day_bytes: int
    channel: Channel
    services: tuple[Service, ...]

    def target(self, target_id: str) -> Target | None:
        """The service of that id; None for everything else."""
        return next((service for service in self.services if service.id == target_id), None)

    @property
    def who(self) -> str:
        return f"ward={self.ward} pc={self.pc}"

    @property
    def summary(self) -> str:
        return f"for {self.pc}: {len(self.services)} services over {self.channel.id} by {self.channel.interface}"


def read_pc_config(path: Path) -> PcConfig:
    """The configuration in a file. Raises ConfigError."""
    return parse_pc_config(read_text(path), str(path))


def parse_pc_config(text: str, file: str) -> PcConfig:
    """The configuration in a JSON text; `file` is named in errors. Raises ConfigError."""
    return parse_document(text, file, _pc)


def _pc(fields: Fields) -> PcConfig | None:
    # What each service is fetched over, so that it is read first.
    channel = fields.record("channel", _channel)
    services = fields.records("services", lambda item: read_service(item, channel))
    model = fields.text("model_sha256", pattern=r"[0-9a-f]{64}")
    ward, site, pc = fields.identifier("ward"), fields.identifier("site"), fields.identifier("pc")
    listen, port = fields.addresses("listen", at_least=1), fields.integer("port", 1, 65535)
    # Not more often than every ten seconds: a PC is its clerk's.
    interval = fields.number("interval_seconds", 10, 3600)
    day_bytes = fields.integer("day_bytes", 1, 10**12)
    fields.finish()
    check_listen(fields, listen)
    if channel is None:
        return None
    return PcConfig(model, ward, site, pc, listen, port, interval, day_bytes, channel, tuple(services))


def _channel(fields: Fields) -> Channel:
    channel = Channel(
        id=fields.identifier("id"),
        interface=fields.text("interface", pattern=INTERFACE),
        ipv4=fields.ipv4("ipv4"),
        ipv6=fields.ipv6("ipv6"),
        resolvers=fields.addresses("resolvers", at_least=1),
    )
    fields.finish()
    return channel
