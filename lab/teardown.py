"""Takes a lab off the machine, found by its name in the system: processes, mounts, namespaces, control groups,
and at last its folder. Works the same after `kill -9` of everything, and does nothing where nothing is left."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lab import cgroups, kernel, limits, mounts, namespaces, processes
from lab.errors import LabError
from lab.layout import CACHE_ROOT, CGROUP, NETNS_ROOT, STATE_ROOT, Layout
from lab.record import read_record
from wardnet.locale import _

_NSPAWN = Path("/run/systemd/nspawn/propagate")


def remains(layout: Layout) -> list[str]:
    """What is left of a lab, in words; empty when the machine holds nothing of it."""
    found = [f"process {pid}" for pid in sorted(processes.of_lab(layout))]
    found += [f"namespace {layout.netns(host)}" for host in namespaces.find(layout)]
    found += [f"mount {point}" for point in mounts.below(layout.state)]
    if cgroups.exists(layout.cgroup):
        found.append(f"control group {layout.cgroup}")
    if layout.state.exists():
        found.append(f"folder {layout.state}")
    return found


def take_down(layout: Layout, say: Callable[[str], None]) -> bool:
    """Remove everything of the lab. False if there was nothing. LabError if something cannot be removed."""
    there = bool(remains(layout))
    if there:
        killed = processes.kill_all(layout)
        if killed:
            say(_("ended {count} processes").format(count=killed))
        for point in mounts.below(layout.state):
            kernel.unmount(point)
        for host in namespaces.find(layout):
            namespaces.remove(layout, host)
        cgroups.remove(layout.cgroup)
        if _NSPAWN.is_dir():
            for entry in _NSPAWN.glob(f"{layout.name}-*"):
                # Empty folders that a killed nspawn leaves; another lab's may share the beginning of the name.
                if entry.is_dir() and not any(entry.iterdir()) and not _other_lab_owns(entry.name, layout):
                    entry.rmdir()
        if layout.state.exists():
            left = mounts.below(layout.state)
            if left:
                raise LabError(_("still mounted, so not deleted: {mounts}").format(mounts=", ".join(map(str, left))))
            shutil.rmtree(layout.state)
        left_over = remains(layout)
        if left_over:
            raise LabError(_("could not be removed: {left_over}").format(left_over=", ".join(left_over)))
    limits.put_back(unless=lambda: bool(other_labs(layout)), last=lambda: cgroups.remove(CGROUP))
    return there


def _other_lab_owns(folder: str, layout: Layout) -> bool:
    return any(folder.startswith(f"{name}-") and len(name) > len(layout.name) for name in other_labs(layout))


def all_labs() -> set[str]:
    """The names of all labs of which the machine holds anything."""
    names = set(cgroups.children(CGROUP))
    if STATE_ROOT.is_dir():
        names |= {path.name for path in STATE_ROOT.iterdir() if path.is_dir()}
    if NETNS_ROOT.is_dir():
        names |= {path.name.split(".")[1] for path in NETNS_ROOT.glob("wardlab.*.*")}
    return {name for name in names if not name.startswith(".")}


def labs_of(checkout: Path) -> set[str]:
    """The labs whose inventory lies in this checkout; another checkout's, and its running tests, are left alone."""
    found = set()
    for name in all_labs():
        record = read_record(Layout(name))
        if record is not None and Path(record.inventory).is_relative_to(checkout):
            found.add(name)
    return found


def other_labs(layout: Layout) -> set[str]:
    return all_labs() - {layout.name}


def forget(*, cache: bool) -> None:
    """Remove what no lab needs any more: empty folders and locks; with `cache`, base images and packages too.

    For the caller who has taken every lab down.
    """
    if not all_labs():
        shutil.rmtree(STATE_ROOT, ignore_errors=True)
        if cache:
            shutil.rmtree(CACHE_ROOT, ignore_errors=True)
