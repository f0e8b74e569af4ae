"""Devices to a snapshot: several at once, each over one connection; a device that can't be read is named, with why.

A snapshot is made in a folder beside its place and moved there whole, so that it is never half there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collectors.errors import CollectError, UnreachableError
from collectors.parsers.artefact import Artefact as Raw
from collectors.parsers.artefact import ParseError
from collectors.platforms import ARTEFACTS
from collectors.transport.base import Transport
from wardnet.model.intent import Platform, SwitchPlatform

FORMAT = 1
_AT_ONCE = 8
_KERNEL = re.compile(rb"^kernel\.osrelease = (\S+)$", re.MULTILINE)

Connect = Callable[[], Transport]


@dataclass(frozen=True, slots=True)
class Target:
    """A device to read, and how to connect to it."""

    device: str
    platform: Platform | SwitchPlatform
    connect: Connect


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of one device: its artefacts, or why there are none."""

    device: str
    platform: Platform | SwitchPlatform
    collected_at: str
    artefacts: Mapping[str, bytes]
    reason: str


def read_device(target: Target) -> Reading:
    """Never raises for what a device or a network does: that is a reason."""
    at = now()
    found: dict[str, bytes] = {}
    wanted = ARTEFACTS.get(target.platform)
    if wanted is None:
        return Reading(target.device, target.platform, at, {}, f"platform {target.platform} can't be read yet")
    try:
        with target.connect() as transport:
            for artefact in wanted:
                found[artefact.name] = whole(target.device, artefact.name, transport.read(artefact))
    except UnreachableError as error:
        return Reading(target.device, target.platform, at, {}, str(error))
    return Reading(target.device, target.platform, at, found, "")


def whole(device: str, name: str, content: bytes) -> bytes:
    """Refuses what was cut off on its way; what else may be wrong with it is for the audit to say."""
    raw = Raw(device, name, content)
    try:
        if name.endswith(".json"):
            raw.json()
        elif content and not content.endswith(b"\n"):
            raw.fail(f"offset {len(content)}", "the last line has no end")
    except ParseError as error:
        raise UnreachableError(f"{name}: truncated or damaged: {error.where}: {error.reason}") from error
    return content


def read_all(targets: Iterable[Target], done: Callable[[Reading], None] = lambda _: None) -> list[Reading]:
    """In the order of the targets; `done` is told of each as it comes."""

    def one(target: Target) -> Reading:
        reading = read_device(target)
        done(reading)
        return reading

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="collect") as pool:
        return list(pool.map(one, targets))


def now() -> str:
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def write_snapshot(
    folder: Path, readings: Iterable[Reading], inventory: Mapping[str, bytes], inventory_sha256: str, by: str
) -> None:
    """Write the whole snapshot to a folder that does not exist yet. `inventory` holds files by relative name.

    Raises CollectError, and leaves nothing behind then.
    """
    if folder.exists():
        raise CollectError(f"{folder} exists already: a snapshot is never changed, name another folder")
    scratch = folder.parent / f".{folder.name}.{os.getpid()}.part"
    try:
        scratch.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir(mode=0o700)
        for name, content in inventory.items():
            _write(scratch, f"inventory/{name}", content)
        entries = [_write_device(scratch, reading) for reading in readings]
        manifest = {
            "format": FORMAT,
            "collected_at": now(),
            "collected_by": by,
            "inventory_sha256": inventory_sha256,
            "devices": entries,
        }
        _write(scratch, "manifest.json", _json(manifest))
        scratch.rename(folder)
    except OSError as error:
        raise CollectError(f"{error.filename or folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_device(root: Path, reading: Reading) -> dict[str, Any]:
    if reading.reason:
        return {"device": reading.device, "status": "missing", "reason": reading.reason, "artefacts": []}
    kernel = _KERNEL.search(reading.artefacts.get("sysctl.txt", b""))
    record = {
        "device": reading.device,
        "platform": reading.platform.value,
        "collected_at": reading.collected_at,
        "kernel": kernel[1].decode(errors="replace") if kernel else None,
    }
    contents = {"device.json": _json(record), **reading.artefacts}
    stored = []
    for name, content in contents.items():
        _write(root, f"devices/{reading.device}/{name}", content)
        stored.append({"name": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)})
    return {"device": reading.device, "status": "collected", "reason": "", "artefacts": stored}


def _write(root: Path, name: str, content: bytes) -> None:
    """For the owner alone: whole firewalls are in it. `mkdir` gives its mode to the last folder only."""
    folder = root
    for part in Path(name).parent.parts:
        folder /= part
        folder.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(root / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
