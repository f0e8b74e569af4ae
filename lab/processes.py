"""Which processes belong to a lab: asked of the system, never of a pid file alone."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from lab import cgroups, kernel, namespaces
from lab.errors import LabError
from lab.layout import Layout
from wardnet.locale import _

log = logging.getLogger(__name__)


def _ancestors() -> set[int]:
    """This process and those it came from, which must never be killed by their own child."""
    found = set()
    pid = os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            break
        pid = int(fields[1])
    return found


def _in_namespaces(inodes: set[int]) -> set[int]:
    found: set[int] = set()
    if not inodes:
        return found
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and kernel.namespace_inode(entry / "ns" / "net") in inodes:
            found.add(int(entry.name))
    return found


def of_lab(layout: Layout) -> set[int]:
    """All that run in the lab's control groups or in its network namespaces."""
    inodes = {inode for inode in namespaces.find(layout).values() if inode is not None}
    inodes -= {kernel.namespace_inode(Path("/proc/self/ns/net"))}  # never this machine's own, whatever its name
    return (cgroups.members(layout.cgroup) | _in_namespaces(inodes)) - _ancestors()


def kill_all(layout: Layout, *, seconds: float = 15) -> int:
    """Kill every process of the lab, again until none is found. Returns how many there were."""
    return _kill(lambda: of_lab(layout), layout.name, seconds)


def kill_host(layout: Layout, host: str, *, seconds: float = 15) -> int:
    """Kill every process of one host at once, as a power cut does. Returns how many there were."""
    return _kill(lambda: cgroups.members(layout.host_cgroup(host)) - _ancestors(), layout.name, seconds)


def _kill(find: Callable[[], set[int]], lab: str, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    killed: set[int] = set()
    while True:
        present = {pid for pid in find() if not _is_zombie(pid)}
        if not present:
            return len(killed)
        if time.monotonic() > deadline:
            raise LabError(
                _("processes of the lab {name} do not end: {present}").format(name=lab, present=sorted(present))
            )
        for pid in present:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        killed |= present
        _wait_gone(present, min(deadline, time.monotonic() + 1))


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _wait_gone(pids: set[int], deadline: float) -> None:
    while time.monotonic() < deadline and any(not _is_zombie(pid) for pid in pids):
        time.sleep(0.01)


def alive(pid: int, layout: Layout) -> bool:
    """True if `pid` runs and is the lab's own, not a later process that was given the same number."""
    return pid in cgroups.members(layout.cgroup) and not _is_zombie(pid)
