"""One command at a time changes a lab."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import LabError
from lab.layout import STATE_ROOT, Layout
from wardnet.locale import _


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """One command at a time changes a lab. The lock's file goes with the lab, or with a command that found none."""
    while True:
        STATE_ROOT.mkdir(parents=True, exist_ok=True)
        try:
            handle = layout.lock.open("a")
        except FileNotFoundError:
            continue  # another command took the folder away in between
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LabError(
                    _("another command is changing the lab {name} now: wait until it ends").format(name=layout.name)
                ) from None
            if not _is_still_there(handle.fileno(), layout.lock):
                continue  # what was locked is a file that its holder removed; the name may be another's by now
            try:
                yield
            finally:
                if not layout.state.exists():
                    layout.lock.unlink(missing_ok=True)
            return


def _is_still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
