"""Files by which somebody changes a unit without touching it: drop-ins, and a unit file of one's own in front of the
package's. Said as directories of a candidate that are another's, so that what no role brings goes. Standard library
only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ansible.module_utils.wardnet_candidate import GUARDED, UNGUARDED, Step

# Where an administrator or a program at run time writes. What is in /usr/lib is of packages.
BASES = (
    Path("/etc/systemd/system.control"),
    Path("/run/systemd/system.control"),
    Path("/etc/systemd/system"),
    Path("/run/systemd/system"),
    Path("/usr/local/lib/systemd/system"),
)
OURS, RUNNING = BASES[2], BASES[3]
PACKAGED = (
    "/dev/null",
    "/usr/lib/systemd/",
    "/lib/systemd/",
)  # where a link in front of a unit may lead: to a mask too
OF_CONTAINER = "zzz-lxc-*.conf"  # LXC's generator writes these at each reload of systemd
ORDER = (*(part for part in GUARDED if part != "filter"), "filter", UNGUARDED)  # it writes its files once confirmed
RENAMED = 1.0  # seconds between the change of a folder and that of the file that came into it, at most


def lent(steps: Sequence[Step], services: dict[str, tuple[str, ...]]) -> dict[str, list[dict[str, Any]]]:
    """Folders of others that change units of the candidate, by the key of the step that answers for the unit: the one
    that is applied first. `services` are those of the steps' parts, by the same key."""
    owned = {item["path"] for step in steps for item in step.directories if item["path"].endswith(".d")}
    told: set[str] = set()
    found: dict[str, list[dict[str, Any]]] = {}
    for step in sorted(steps, key=lambda step: ORDER.index(step.part)):
        names = [*services.get(step.key, ()), *units_of(item["path"] for item in step.files), *running(step)]
        names += [f"{name.rpartition('.')[0]}.service" for name in names if name.endswith((".timer", ".socket"))]
        new = directories([name for name in dict.fromkeys(names) if name not in told])
        found[step.key] = [item for item in new if item["path"] not in owned]
        told.update(names)
        owned.update(item["path"] for item in new if item["path"].endswith(".d"))
    return found


def running(step: Step) -> list[str]:
    return [unit["name"] for unit in step.units if (unit.get("state") or "running") == "running"]


def units_of(paths: Iterable[str]) -> list[str]:
    """Units that files of a candidate make or add to."""
    found = []
    for path in map(Path, paths):
        if path.parent == OURS and path.suffix:
            found.append(path.name)
        elif path.parent.parent == OURS and path.parent.suffix == ".d" and "." in path.parent.stem:
            found.append(path.parent.stem)
    return found


def directories(units: Sequence[str]) -> list[dict[str, Any]]:
    """Directories, as a step has them, that hold the units to what packages and roles say of them."""
    if not units:
        return []
    names = {*units, *_aliases(set(units))}
    levels = {f"{level}.d" for name in names for level in levels_of(name)}
    kinds = {f"{name.rpartition('.')[2]}.d" for name in names}
    found: list[dict[str, Any]] = []
    for base in BASES:
        try:
            there = {entry.name: entry for entry in os.scandir(base)}
        except OSError:
            continue
        fronts = sorted(name for name in names & set(there) if _is_foreign(there[name], units))
        if fronts:
            found.append({"path": str(base), "purge": fronts, "lent": True})
        # How a container tells systemd about itself, for all services, at run time.
        wanted = levels if base == RUNNING else levels | kinds
        found += [
            {"path": str(base / name), "purge": ["*.conf", *_kept(base)], "lent": True}
            for name in sorted(wanted & set(there))
            if there[name].is_dir()
        ]
    return found


def _kept(base: Path) -> list[str]:
    return [f"!{OF_CONTAINER}"] if base == RUNNING else []


def _is_foreign(entry: os.DirEntry[str], units: Collection[str]) -> bool:
    """Whether it stands in front of the package's. A link is else another name of a unit, or a mask, which the unit's
    state decides about."""
    if not entry.is_symlink():
        return entry.is_file()
    target = os.path.normpath(Path(entry.path).parent / Path(entry.path).readlink())
    return entry.name in units and not target.startswith(PACKAGED)


def paths_of(unit: str) -> frozenset[Path]:
    """Where a file may be that changes the unit: folders, and files in front of the package's."""
    names = {unit, *_aliases({unit})}
    folders = {f"{level}.d" for name in names for level in levels_of(name)} | {f"{unit.rpartition('.')[2]}.d"}
    return frozenset(base / name for base in BASES for name in (unit, *folders))


def removed_at(unit: str) -> float:
    """When a file last went that changed the unit, in Unix seconds: when one of its folders changed and no file
    came into it. 0 where that is not known."""
    found = [0.0]
    for folder in paths_of(unit):
        try:
            changed = folder.stat().st_mtime
            inner = {entry.name: entry.stat(follow_symlinks=False).st_ctime for entry in os.scandir(folder)}
        except OSError:
            continue
        of_container = folder.parent == RUNNING and any(fnmatchcase(name, OF_CONTAINER) for name in inner)
        # Who has written what came into it knows whether the unit needs it.
        if not of_container and changed > max(inner.values(), default=0.0) + RENAMED:
            found.append(changed)
    return max(date for date in found if date <= time.time() + 1)


def levels_of(unit: str) -> list[str]:
    """Names whose drop-ins count for the unit: its own, its template's, and those that end with a dash."""
    stem, _, kind = unit.rpartition(".")
    plain = stem.partition("@")[0]
    found = [unit, *([f"{plain}@.{kind}"] if "@" in stem else [])]
    words = plain.split("-")
    return [*found, *(f"{'-'.join(words[:end])}-.{kind}" for end in range(1, len(words)))]


def _aliases(units: set[str]) -> set[str]:
    """Other names of the units: links to their files."""
    try:
        links = [entry for entry in os.scandir(OURS) if entry.is_symlink()]
    except OSError:
        return set()
    return {link.name for link in links if Path(link.path).readlink().name in units}
