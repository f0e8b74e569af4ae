"""The machine's own settings that a lab has to raise. What was there before is written down first, and put back
when the last lab goes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

from lab import kernel
from lab.image import locked
from lab.layout import NETNS_ROOT, STATE_ROOT

log = logging.getLogger(__name__)

RECORD = STATE_ROOT / "machine.json"
_LOCK = STATE_ROOT / "machine.lock"
_PROC = Path("/proc/sys")

# 128 inotify instances stop the boot at about 20 hosts.
AT_LEAST = {"fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 1_048_576}
# A namespace may choose only among the congestion controls that the machine allows to everybody.
ALLOWED = "net/ipv4/tcp_allowed_congestion_control"


def wanted(current: dict[str, str]) -> dict[str, str]:
    """The settings to change, given what they are now."""
    changes = {name: str(least) for name, least in AT_LEAST.items() if name in current and int(current[name]) < least}
    allowed = current.get(ALLOWED, "cubic").split()
    if "cubic" not in allowed:
        changes[ALLOWED] = " ".join([*allowed, "cubic"])
    return changes


def _write(path: Path, record: dict[str, object]) -> None:
    making = path.with_suffix(".new")
    making.write_text(json.dumps(record, indent=1) + "\n")
    making.replace(path)


def raise_all(proc: Path = _PROC) -> None:
    """Raise what is too low. Safe to repeat: only the first values are remembered."""
    with locked(_LOCK):
        record: dict[str, object] = {}
        if RECORD.exists():
            record = json.loads(RECORD.read_text())
        before = record.setdefault("sysctl", {})
        assert isinstance(before, dict)
        record.setdefault("netns_folder_was_there", NETNS_ROOT.exists())
        current = {name: (proc / name).read_text().strip() for name in (*AT_LEAST, ALLOWED) if (proc / name).exists()}
        changes = wanted(current)
        for name in changes:
            before.setdefault(name, current[name])
        _write(RECORD, record)
        for name, value in changes.items():
            (proc / name).write_text(value)


def put_back(unless: Callable[[], bool], last: Callable[[], None], proc: Path = _PROC) -> None:
    """Undo `raise_all` and do `last`, unless there is a lab that needs them.

    Both run under the lock that a lab takes on its way up after its folder is made, so that one that goes never pulls
    the ground from under one that comes.
    """
    with locked(_LOCK):
        if unless():
            return
        last()
        if not RECORD.exists():
            return
        record = json.loads(RECORD.read_text())
        for name, value in record.get("sysctl", {}).items():
            (proc / name).write_text(value)
        # `ip netns` leaves /run/netns mounted on itself; it goes again only if it was not there before us.
        if not record.get("netns_folder_was_there", True) and NETNS_ROOT.is_dir() and not any(NETNS_ROOT.iterdir()):
            try:
                kernel.unmount(NETNS_ROOT)
                NETNS_ROOT.rmdir()
            except OSError as error:
                log.debug("left %s: %s", NETNS_ROOT, error)
        RECORD.unlink()
