"""A snapshot on disk: its manifest, and the raw artefacts, each with the hash that it had when it was collected.

`read_snapshot` is the only part of the audit that opens files; `parse_manifest` is pure.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from wardnet.audit.errors import AuditError
from wardnet.inventory import inventory_sha256

FORMAT = 1
MANIFEST = "manifest.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Stored:
    """An artefact as the manifest has it."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A device in the manifest: `collected` with its artefacts, or `missing` with the reason."""

    device: str
    collected: bool
    reason: str
    artefacts: tuple[Stored, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    collected_at: datetime
    collected_by: str
    inventory_sha256: str
    devices: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Verified: every artefact has the hash of the manifest. `contents` are bytes by device and artefact."""

    folder: Path
    manifest: Manifest
    sha256: str  # of the manifest, and so of all that it hashes
    contents: Mapping[str, Mapping[str, bytes]]
    platforms: Mapping[str, str]
    inventory: Mapping[str, bytes]  # by name relative to its folder

    def entry(self, device: str) -> Entry | None:
        return next((entry for entry in self.manifest.devices if entry.device == device), None)


def read_snapshot(folder: Path) -> Snapshot:
    """Raises AuditError where something is missing, unreadable or not what was collected. Every hash is checked before
    anything but the manifest is parsed."""
    content = _read(folder / MANIFEST)
    manifest = parse_manifest(content)
    inventory = _read_inventory(folder / "inventory", manifest.inventory_sha256)
    contents = {}
    for entry in manifest.devices:
        if entry.collected:
            found = _read_device(folder / "devices" / entry.device, entry)
            contents[entry.device] = found
    platforms = {device: _platform(device, found) for device, found in contents.items()}
    return Snapshot(folder, manifest, hashlib.sha256(content).hexdigest(), contents, platforms, inventory)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror}") from error


def _read_inventory(folder: Path, sha256: str) -> dict[str, bytes]:
    """The copied inventory, exactly as it was collected with: nothing added, changed or gone."""
    try:
        present = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    except OSError as error:
        raise AuditError(f"{folder}: {error.strerror}") from error
    files = {name: _read(folder / name) for name in present}
    if inventory_sha256(files) != sha256:
        raise AuditError(f"{folder}: changed since it was collected (its hash is another)")
    return files


def _read_device(folder: Path, entry: Entry) -> dict[str, bytes]:
    try:
        present = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise AuditError(f"{folder}: {error.strerror}") from error
    added = present - {artefact.name for artefact in entry.artefacts}
    if added:
        raise AuditError(f"{folder / min(added)}: is not in the manifest: added after the snapshot was made")
    found = {}
    for artefact in entry.artefacts:
        content = _read(folder / artefact.name)
        if len(content) != artefact.bytes or hashlib.sha256(content).hexdigest() != artefact.sha256:
            raise AuditError(f"{folder / artefact.name}: changed since it was collected (its hash is another)")
        found[artefact.name] = content
    return found


def _platform(device: str, found: Mapping[str, bytes]) -> str:
    try:
        record = json.loads(found["device.json"])
        platform = record["platform"]
    except (KeyError, TypeError, ValueError) as error:
        raise AuditError(f"devices/{device}/device.json: no record of the device's platform") from error
    if not isinstance(platform, str):
        raise AuditError(f"devices/{device}/device.json: platform must be a text")
    return platform


def parse_manifest(content: bytes) -> Manifest:
    """Strict: AuditError for whatever is not as `collect` writes it."""
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AuditError(f"{MANIFEST}: damaged or truncated JSON ({error})") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise AuditError(f"{MANIFEST}: not a snapshot of format {FORMAT}")
    try:
        collected_at = datetime.fromisoformat(_text(record, "collected_at"))
    except ValueError as error:
        raise AuditError(f"{MANIFEST}: 'collected_at' is no time") from error
    if collected_at.tzinfo is None:
        raise AuditError(f"{MANIFEST}: 'collected_at' has no time zone")
    devices = record.get("devices")
    if not isinstance(devices, list):
        raise AuditError(f"{MANIFEST}: 'devices' must be a list")
    entries = tuple(_entry(entry) for entry in devices)
    names = [entry.device for entry in entries]
    if len(set(names)) != len(names):
        raise AuditError(f"{MANIFEST}: a device stands twice")
    return Manifest(collected_at, _text(record, "collected_by"), _text(record, "inventory_sha256"), entries)


def _entry(record: Any) -> Entry:
    if not isinstance(record, dict):
        raise AuditError(f"{MANIFEST}: a device must be an object")
    device = _text(record, "device")
    if not _NAME.fullmatch(device):
        raise AuditError(f"{MANIFEST}: {device!r} is no device's id")
    status = _text(record, "status")
    if status not in ("collected", "missing"):
        raise AuditError(f"{MANIFEST}: {device}: status {status!r}")
    stored = record.get("artefacts", [])
    if not isinstance(stored, list):
        raise AuditError(f"{MANIFEST}: {device}: 'artefacts' must be a list")
    artefacts = tuple(_stored(device, item) for item in stored)
    return Entry(device, status == "collected", str(record.get("reason") or ""), artefacts)


def _stored(device: str, record: Any) -> Stored:
    if isinstance(record, dict):
        name, sha256, size = record.get("name"), record.get("sha256"), record.get("bytes")
        if (
            isinstance(name, str) and _NAME.fullmatch(name)
            and isinstance(sha256, str) and _SHA256.fullmatch(sha256)
            and isinstance(size, int)
        ):  # fmt: skip
            return Stored(name, sha256, size)
    raise AuditError(f"{MANIFEST}: {device}: an artefact needs name, sha256 and bytes")


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value:
        raise AuditError(f"{MANIFEST}: {key!r} must be a text")
    return value
