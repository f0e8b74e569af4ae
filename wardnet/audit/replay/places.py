"""Places for probes, from a YAML file: the only hosts that a replay sends from and to. docs/audit.md has its form."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from wardnet.audit.errors import AuditError
from wardnet.audit.replay.records import Place
from wardnet.inventory.problems import Problems
from wardnet.inventory.yamlfile import parse_yaml
from wardnet.model.policy import AuditPolicy

_KEYS = {"id", "device", "port", "addresses", "stands_for"}


def read_places(path: Path, policy: AuditPolicy) -> tuple[Place, ...]:
    """Raises AuditError, with the file and where in it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror}") from error
    return parse_places(path.name, content, policy)


def parse_places(name: str, content: bytes, policy: AuditPolicy) -> tuple[Place, ...]:
    """Strict: unknown and missing keys are errors, and so is a place that is behind no port of the policy."""
    problems = Problems()
    try:
        file = parse_yaml(name, content.decode(), problems)
    except UnicodeDecodeError as error:
        raise AuditError(f"{name}: not UTF-8: {error.reason} at byte {error.start}") from error
    if file is None or problems.found:
        raise AuditError("\n".join(str(problem) for problem in sorted(problems.found)))
    if not isinstance(file.data, dict) or set(file.data) != {"places"} or not isinstance(file.data["places"], list):
        raise AuditError(f"{name}: the file has one key, places, with a list")
    places = tuple(_place(f"{name}: places[{n}]", item, policy) for n, item in enumerate(file.data["places"]))
    if len({place.id for place in places}) != len(places):
        raise AuditError(f"{name}: places: an id stands twice")
    return places


def _place(where: str, item: Any, policy: AuditPolicy) -> Place:
    if not isinstance(item, dict) or not _KEYS - {"stands_for"} <= item.keys() <= _KEYS:
        raise AuditError(f"{where}: needs id, device, port and addresses, may have stands_for, and nothing else")
    words = [item[key] for key in ("id", "device", "port")]
    if not all(isinstance(word, str) and word for word in words):
        raise AuditError(f"{where}: id, device and port must be texts")
    identity, device, port = words
    ports = {known.interface for known_device in policy.devices if known_device.device == device
             for known in known_device.ports}  # fmt: skip
    if port not in ports:
        raise AuditError(f"{where}: the policy has no port {port} of a device {device}")
    try:
        addresses = tuple(ip_address(text) for text in _texts(item, "addresses"))
        stands_for = tuple(ip_network(text) for text in _texts(item, "stands_for"))
    except ValueError as error:
        raise AuditError(f"{where}: {error}") from error
    if not addresses:
        raise AuditError(f"{where}: a place has an address")
    return Place(identity, device, port, addresses, stands_for)


def _texts(item: Mapping[str, Any], key: str) -> list[str]:
    values = item.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key} must be a list of texts")
    return values
