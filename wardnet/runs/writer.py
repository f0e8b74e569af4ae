"""Writes a journal, a line an event, so that it can be read whenever its writer is killed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardnet.runs.journal import FORMAT
from wardnet.runs.places import SUFFIX


def new_id(at: datetime) -> str:
    """A run's id: when it began in UTC, so that names sort by time, and four digits against a tie."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


class Journal:
    """The journal of one run. Every method may raise OSError; what was written before it stays readable."""

    def __init__(self, folder: Path, started: datetime) -> None:
        self.id = new_id(started)
        self._started = started
        if not folder.is_dir():
            # One's own folder is nobody else's; the shared one is made by its role, with its rights.
            folder.mkdir(parents=True, mode=0o700)
        self.path = folder / f"{self.id}{SUFFIX}"
        # Who may read it is decided by the folder.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        os.fchmod(descriptor, 0o644)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")
        # Held until the process is gone, however it goes: so a reader knows a running run from a cut one. On a file
        # system without locks a run reads as interrupted while it runs.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.register_at_fork(after_in_child=self._leave_to_parent)

    def begin(self, header: Mapping[str, Any]) -> None:
        at = self._started.isoformat(timespec="milliseconds")
        self._write({"event": "run", "format": FORMAT, "run": self.id, "at": at, **header}, lasting=True)

    def add(self, event: str, fields: Mapping[str, Any], lasting: bool = False) -> None:
        """Adds an event. `lasting`: it is on the disk when this returns, and survives a power cut."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._write({"event": event, "at": now, **fields}, lasting)

    def close(self) -> None:
        self._file.close()

    def _leave_to_parent(self) -> None:
        """Ansible's workers are in sessions of their own and outlive a run that is killed: what they inherit of the
        journal must not keep its lock. The number stays taken, since the file object would close what comes after."""
        if not self._file.closed:
            null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(null, self._file.fileno(), inheritable=False)
            os.close(null)

    def _write(self, record: Mapping[str, Any], lasting: bool) -> None:
        self._file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
        self._file.flush()
        if lasting:
            os.fsync(self._file.fileno())
