"""A policy file's mappings, read key by key: what is strange, missing or wrong is an error with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from ipaddress import ip_network
from typing import Any

from wardnet.audit.errors import AuditError
from wardnet.model.intent import IPNetwork, Source

KEYS: Mapping[str, frozenset[str]] = {
    "devices": frozenset({"id", "ward", "platform", "ports", "grants", "conduits"}),
    "ports": frozenset({"interface", "channel", "zone", "label", "prefixes", "parent", "tag", "dialled"}),
    "conduits": frozenset({"id", "from", "to", "sender", "receiver", "allow"}),
    "grants": frozenset({"id", "from", "to", "sender", "receiver", "allow", "owner", "document", "expires"}),
    "allow": frozenset({"protocol", "ports"}),
    "switches": frozenset({"id", "ward", "bridge", "vlans", "ports"}),
    "vlans": frozenset({"id", "channel", "prefixes"}),
    "assumptions": frozenset({"subject", "reason"}),
}
SWITCH_PORTS = frozenset({"name", "vlan", "trunk"})


class Record:
    """One mapping of the file, read key by key."""

    def __init__(self, name: str, where: str, record: Any, keys: frozenset[str]) -> None:
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

    def _list(self, key: str) -> list[Any]:
        values = self._record.get(key, [])
        if not isinstance(values, list):
            raise self.error(f"{key} must be a list")
        return values

    def text(self, key: str, default: str | None = None) -> str:
        value = self._record.get(key, default)
        if not isinstance(value, str) or not value:
            raise self.error(f"{key} must be a text")
        return value

    def optional_text(self, key: str) -> str | None:
        return self.text(key) if key in self._record else None

    def optional_vlan(self, key: str) -> int | None:
        return self.vlan(key) if self._record.get(key) is not None else None

    def vlan(self, key: str) -> int:
        return self._vlan(key, self._record.get(key))

    def vlans(self, key: str) -> tuple[int, ...]:
        return tuple(self._vlan(key, value) for value in self._list(key))

    def _vlan(self, key: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 4095:
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

    def items(self, key: str, keys: frozenset[str] | None = None) -> Iterator[Record]:
        for number, value in enumerate(self._list(key)):
            yield Record(self._name, f"{self.where} {key}[{number}]".strip(), value, keys or KEYS[key])

    def network(self, key: str) -> IPNetwork:
        return self._network(key, self.text(key))

    def networks(self, key: str) -> tuple[IPNetwork, ...]:
        return tuple(self._network(key, value) for value in self._list(key))

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
