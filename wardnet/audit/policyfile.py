"""A policy in one YAML file, for networks without a district's inventory. See docs/audit.md for its form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from wardnet.audit.errors import AuditError
from wardnet.inventory.problems import Problems
from wardnet.inventory.yamlfile import parse_yaml
from wardnet.model.intent import Channel, IPNetwork, Platform, Ports, Source
from wardnet.model.policy import Assumption, AuditPolicy, DevicePolicy, Grant, Passing, PolicyPort

_PROTOCOLS = ("tcp", "udp", "icmp")


def read_policy(path: Path, day: date) -> AuditPolicy:
    """The policy as it holds on a day. Raises AuditError, with the file and where in it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror}") from error
    return parse_policy(path.name, content, day)


def parse_policy(name: str, content: bytes, day: date) -> AuditPolicy:
    """Strict: unknown and missing keys are errors. A grant that has expired by `day` grants nothing."""
    problems = Problems()
    try:
        file = parse_yaml(name, content.decode(), problems)
    except UnicodeDecodeError as error:
        raise AuditError(f"{name}: not UTF-8: {error.reason} at byte {error.start}") from error
    if file is None or problems.found:
        raise AuditError("\n".join(str(problem) for problem in sorted(problems.found)))
    try:
        top = _Reader(name, "", file.data, {"name", "devices", "assumptions"})
        devices = tuple(_device(item, day) for item in top.items("devices"))
        names = [device.device for device in devices]
        if len(set(names)) != len(names):
            raise AuditError(f"{name}: devices: an id stands twice")
        assumptions = tuple(
            Assumption(item.text("subject"), item.text("reason"), Source(name, 1))
            for item in top.items("assumptions", {"subject", "reason"})
        )
        return AuditPolicy(top.text("name"), hashlib.sha256(content).hexdigest(), day, devices, assumptions)
    except (TypeError, AttributeError) as error:
        raise AuditError(f"{name}: {error}") from error


class _Reader:
    """One mapping of the file, read key by key."""

    def __init__(self, name: str, where: str, record: Any, keys: set[str]) -> None:
        self._name = name
        self.where = where
        if not isinstance(record, dict):
            raise self.error("must be a mapping")
        strange = sorted(str(key) for key in record if key not in keys)
        if strange:
            raise self.error(f"unknown key {strange[0]!r}; known are {', '.join(sorted(keys))}")
        self._record: Mapping[str, Any] = record

    def error(self, reason: str) -> AuditError:
        return AuditError(f"{self._name}: {self.where}: {reason}" if self.where else f"{self._name}: {reason}")

    @property
    def source(self) -> Source:
        return Source(self._name, 1)

    def text(self, key: str, default: str | None = None) -> str:
        value = self._record.get(key, default)
        if not isinstance(value, str) or not value:
            raise self.error(f"{key} must be a text")
        return value

    def optional_text(self, key: str) -> str | None:
        return self.text(key) if key in self._record else None

    def tag(self, key: str) -> int | None:
        value = self._record.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 4095):
            raise self.error(f"{key} must be a number from 1 to 4094")
        return value

    def flag(self, key: str) -> bool:
        value = self._record.get(key, False)
        if not isinstance(value, bool):
            raise self.error(f"{key} is true or false")
        return value

    def day(self, key: str) -> date:
        try:
            return date.fromisoformat(self.text(key))
        except (AuditError, ValueError) as error:
            raise self.error(f"{key} must be a date, such as 2026-01-31") from error

    def items(self, key: str, keys: set[str] | None = None) -> Iterator[_Reader]:
        values = self._record.get(key, [])
        if not isinstance(values, list):
            raise self.error(f"{key} must be a list")
        for number, value in enumerate(values):
            yield _Reader(self._name, f"{self.where} {key}[{number}]".strip(), value, keys or _KEYS[key])

    def network(self, key: str) -> IPNetwork:
        return self._network(key, self.text(key))

    def networks(self, key: str) -> tuple[IPNetwork, ...]:
        values = self._record.get(key, [])
        if not isinstance(values, list):
            raise self.error(f"{key} must be a list")
        return tuple(self._network(key, value) for value in values)

    def _network(self, key: str, value: Any) -> IPNetwork:
        try:
            return ip_network(str(value))
        except ValueError as error:
            raise self.error(f"{key}: {error}") from error

    def ports(self, key: str) -> tuple[int, ...]:
        values = self._record.get(key, [])
        if not isinstance(values, list) or not all(isinstance(v, int) and 0 < v < 65536 for v in values):
            raise self.error(f"{key} must be a list of ports")
        return tuple(values)

    def one_of(self, key: str, values: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(key, default)
        if value not in values:
            raise self.error(f"{key} is one of {', '.join(values)}, not {value!r}")
        return value


_KEYS = {
    "devices": {"id", "ward", "platform", "ports", "grants", "conduits"},
    "ports": {"interface", "channel", "zone", "label", "prefixes", "parent", "tag", "dialled"},
    "conduits": {"id", "from", "to", "sender", "receiver", "allow"},
    "grants": {"id", "from", "to", "sender", "receiver", "allow", "owner", "document", "expires"},
    "allow": {"protocol", "ports"},
}


def _device(item: _Reader, day: date) -> DevicePolicy:
    name = item.text("id")
    ports = tuple(
        PolicyPort(
            port.text("interface"),
            Channel(port.one_of("channel", tuple(Channel))),
            port.text("label", port.text("interface")),
            port.networks("prefixes"),
            *_standing(port),
            zone=port.optional_text("zone") or "",
        )
        for port in item.items("ports")
    )
    if not ports:
        raise item.error("a device needs ports")
    known = tuple(port.interface for port in ports)
    if len(set(known)) != len(known):
        raise item.error("an interface stands twice")
    grants = tuple(grant for grant in (_grant(g, known) for g in item.items("grants")) if grant.expires >= day)
    conduits = tuple(_conduit(conduit, ports) for conduit in item.items("conduits"))
    ward = item.text("ward", name)
    platform = Platform(item.one_of("platform", tuple(Platform), "linux"))
    return DevicePolicy(name, ward, ward, platform, ports, grants, conduits)


def _standing(port: _Reader) -> tuple[str | None, int | None, bool]:
    """What the port stands on: parent, tag, and whether it is dialled."""
    parent, tag, dialled = port.optional_text("parent"), port.tag("tag"), port.flag("dialled")
    if parent is None and (tag is not None or dialled):
        raise port.error("tag and dialled need a parent")
    if parent is not None and tag is None and not dialled:
        raise port.error("parent needs a tag, or dialled: true")
    return parent, tag, dialled


def _conduit(item: _Reader, ports: tuple[PolicyPort, ...]) -> Passing:
    """Within one channel: across is a grant, with an owner and an end."""
    known = {port.interface: port for port in ports}
    start, end = (known[item.one_of(key, tuple(known))] for key in ("from", "to"))
    if start.channel is not end.channel:
        raise item.error("a conduit stays in one channel; what crosses is a grant")
    sender, receiver, allow = _flow(item, "a conduit")
    return Passing(item.text("id"), start.interface, end.interface, (sender,), (receiver,), allow, item.source)


def _flow(item: _Reader, what: str) -> tuple[IPNetwork, IPNetwork, tuple[Ports, ...]]:
    """Its sender, its receiver, and what it may carry."""
    allow = tuple(Ports(a.one_of("protocol", _PROTOCOLS), a.ports("ports")) for a in item.items("allow"))
    if not allow:
        raise item.error(f"{what} needs allow")
    sender, receiver = item.network("sender"), item.network("receiver")
    if sender.version != receiver.version:
        raise item.error("sender and receiver are of two families")
    return sender, receiver, allow


def _grant(item: _Reader, interfaces: tuple[str, ...]) -> Grant:
    sender, receiver, allow = _flow(item, "a grant")
    return Grant(
        item.text("id"), item.one_of("from", interfaces), item.one_of("to", interfaces), sender, receiver, allow,
        item.text("owner"), item.text("document"), item.day("expires"), item.source,
    )  # fmt: skip
