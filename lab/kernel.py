"""System calls that Python 3.11 has no names for: namespaces and mounts."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWNET = 0x40000000
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter_namespace(path: Path, kind: int) -> None:
    """Move the calling thread into the namespace that `path` names."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, kind), f"setns {path}")
    finally:
        os.close(descriptor)


def unmount(target: Path) -> None:
    """Detach the topmost mount at `target`. OSError EINVAL when nothing is mounted there."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def namespace_inode(path: Path) -> int | None:
    """The identity of the network namespace a file stands for; None when it is gone or a plain file."""
    try:
        found = path.stat()
    except OSError:
        return None
    # Files that stand for a namespace live on nsfs, whose device has no major number.
    return found.st_ino if os.major(found.st_dev) == 0 else None
