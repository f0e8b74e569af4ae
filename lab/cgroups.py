"""Control groups of a lab, in every hierarchy that the machine has.

Each host needs a group of its own in the hierarchy that systemd uses (the named one, the unified one, or
both), or its services fail with status 219/CGROUP; limits on memory and processes are set here, from outside.
"""

from __future__ import annotations

import errno
import logging
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from wardnet.locale import _

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hierarchy:
    root: Path
    unified: bool
    controllers: frozenset[str]  # of a version 1 hierarchy; empty for the unified one


def parse_mountinfo(text: str) -> tuple[Hierarchy, ...]:
    """The hierarchies in the text of /proc/self/mountinfo that a lab needs to be in."""
    found: dict[Path, Hierarchy] = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        root = Path(before.split()[4])
        kind, _source, options = after.split()[:3]
        if kind == "cgroup2":
            found[root] = Hierarchy(root, unified=True, controllers=frozenset())
        elif kind == "cgroup":
            controllers = frozenset(options.split(",")) & {"name=systemd", "memory", "pids"}
            if controllers:
                found[root] = Hierarchy(root, unified=False, controllers=controllers)
    return tuple(found.values())


def read_hierarchies() -> tuple[Hierarchy, ...]:
    return parse_mountinfo(Path("/proc/self/mountinfo").read_text())


def _delegate(parent: Path) -> None:
    """Hand the controllers we limit by down to the children of a unified group, as far as there are any."""
    available = set((parent / "cgroup.controllers").read_text().split())
    for controller in sorted(available & {"memory", "pids"}):
        try:
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            log.debug("cannot delegate %s in %s: %s", controller, parent, error)


def create(group: str, *, memory_bytes: int, tasks: int) -> tuple[Path, ...]:
    """Make `group` in every hierarchy, limited; return the cgroup.procs files a process joins it by."""
    joins = []
    for hierarchy in read_hierarchies():
        path = hierarchy.root
        for part in Path(group).parts:
            if hierarchy.unified:
                _delegate(path)
            path = path / part
            path.mkdir(exist_ok=True)
        limits = {"memory.max": memory_bytes, "pids.max": tasks}
        if not hierarchy.unified:
            limits = {"memory.limit_in_bytes": memory_bytes, "pids.max": tasks}
        for name, value in limits.items():
            if (path / name).exists():
                (path / name).write_text(str(value))
        joins.append(path / "cgroup.procs")
    if not joins:
        raise LabError(_("no cgroup hierarchy is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup"))
    return tuple(joins)


def _walk(path: Path) -> Iterator[Path]:
    """`path` and the groups below it, the deepest first."""
    try:
        children = [entry for entry in path.iterdir() if entry.is_dir()]
    except OSError:
        return
    for child in children:
        yield from _walk(child)
    yield path


def members(group: str) -> set[int]:
    """The processes in `group` and below, over all hierarchies."""
    found: set[int] = set()
    for hierarchy in read_hierarchies():
        for path in _walk(hierarchy.root / group):
            try:
                found.update(int(word) for word in (path / "cgroup.procs").read_text().split())
            except OSError:
                continue
    found.discard(0)  # a process of another pid namespace, seen from within one
    return found


def exists(group: str) -> bool:
    return any((hierarchy.root / group).is_dir() for hierarchy in read_hierarchies())


def children(group: str) -> set[str]:
    return {
        entry.name
        for hierarchy in read_hierarchies()
        if (hierarchy.root / group).is_dir()
        for entry in (hierarchy.root / group).iterdir()
        if entry.is_dir()
    }


def remove(group: str, *, seconds: float = 10) -> None:
    """Remove `group` and all below it. Its processes must be gone; the kernel may take a moment to notice."""
    deadline = time.monotonic() + seconds
    for hierarchy in read_hierarchies():
        for path in _walk(hierarchy.root / group):
            while True:
                try:
                    path.rmdir()
                except FileNotFoundError:
                    break
                except OSError as error:
                    if error.errno != errno.EBUSY or time.monotonic() > deadline:
                        raise LabError(
                            _("cannot remove the control group {path}: {why}").format(path=path, why=error.strerror)
                        ) from error
                    time.sleep(0.02)
                else:
                    break


def memory_in_use(group: str) -> int | None:
    """Bytes charged to `group`, page cache included; None where memory is not accounted."""
    for hierarchy in read_hierarchies():
        for name in ("memory.current", "memory.usage_in_bytes"):
            try:
                return int((hierarchy.root / group / name).read_text())
            except OSError:
                continue
    return None


def join_argv(procs_files: Sequence[Path], argv: Sequence[str]) -> list[str]:
    """The command that joins the groups and then becomes `argv`, under the same pid."""
    steps = [f"echo $$ > {shlex.quote(str(path))}" for path in procs_files]
    return ["sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh", *argv]
