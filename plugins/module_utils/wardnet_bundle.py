"""A bundle of files as one thing: compared, staged, put in place together, and owned down to its directories.

Runs under the managed host's Python, on the standard library alone. Only `Bundle.install` writes outside
of temporary directories.
"""

from __future__ import annotations

import fnmatch
import grp
import os
import pwd
import re
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.wardnet_bundle_entries import BundleError, Directory, Entry, read_directories, read_entries
from ansible.module_utils.wardnet_network_files import is_kept
from ansible.module_utils.wardnet_packages import brought_by_packages

# Where in the inventory it is from, in a comment.
SOURCE = re.compile(rb"^([#!] .*\.ya?ml):\d+", re.MULTILINE)


@dataclass
class Change:
    path: Path
    kind: str  # write | link | mode | directory | remove
    tag: str | None
    before: str = ""
    after: str = ""
    secret: bool = False
    quiet: bool = False  # it says the same as before, from another line of the inventory

    def as_diff(self) -> dict[str, str]:
        header = f"{self.path} ({self.kind})"
        if self.secret and self.kind == "write":
            hidden = f"{header}: its content is a secret"
            return {"before_header": hidden, "after_header": hidden, "before": "", "after": ""}
        return {"before_header": header, "after_header": header, "before": self.before, "after": self.after}


@dataclass
class Bundle:
    entries: tuple[Entry, ...]
    directories: tuple[Directory, ...]
    lenient: bool = False  # owners may not exist yet, before packages are installed
    beside: frozenset[Path] = frozenset()  # paths of other bundles, which no purge of this one takes away
    unknown_owners: list[str] = field(default_factory=list)

    def changes(self) -> list[Change]:
        found = [change for directory in self.directories for change in self._directory_changes(directory)]
        found += [change for entry in self.entries if (change := self._entry_change(entry)) is not None]
        return found

    def candidate(self, root: Path) -> None:
        """Writes every regular file of the bundle below `root`, for validators to read."""
        for entry in self.entries:
            if entry.content is None:
                continue
            target = root / entry.path.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(entry.content)
            target.chmod(entry.mode)

    def install(self, changes: list[Change]) -> None:
        """Stages all files beside their targets first, so that a full disk or a missing owner leaves the old
        bundle whole, then renames each into place."""
        due = {change.path: change.kind for change in changes}
        for directory in self.directories:
            if due.get(directory.path) == "directory" and not directory.lent:
                _make_directory(directory, self._ids(directory.owner, directory.group))
        staged: list[tuple[Path, Path]] = []
        try:
            staged.extend(
                (self._stage(entry), entry.path) for entry in self.entries if due.get(entry.path) in ("write", "link")
            )
        except BaseException:
            for temporary, _ in staged:
                temporary.unlink(missing_ok=True)
            raise
        for temporary, path in staged:
            temporary.replace(path)
        for entry in self.entries:
            if due.get(entry.path) == "mode":
                uid, gid = self._ids(entry.owner, entry.group)
                os.chown(entry.path, uid, gid)
                entry.path.chmod(entry.mode)
        for change in changes:
            if change.kind == "remove":
                change.path.unlink(missing_ok=True)

    def _ids(self, owner: str, group: str) -> tuple[int, int]:
        try:
            return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
        except KeyError as error:
            if not self.lenient:
                raise BundleError(f"no such owner or group on this host: {owner}:{group}") from error
            self.unknown_owners.append(f"{owner}:{group}")
            return -1, -1

    def _directory_changes(self, directory: Directory) -> list[Change]:
        found = []
        status = _lstat(directory.path)
        if directory.lent:
            return self._purges(directory) if directory.path.is_dir() else []
        wanted = (directory.mode, *self._ids(directory.owner, directory.group))
        if status is None or not stat.S_ISDIR(status.st_mode):
            if status is not None:
                raise BundleError(f"{directory.path} is in the way: it is not a directory")
            found.append(Change(directory.path, "directory", directory.tag, after=_rights(wanted)))
        elif (have := (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)) != wanted:
            found.append(Change(directory.path, "directory", directory.tag, _rights(have), _rights(wanted)))
        return found if status is None else [*found, *self._purges(directory)]

    def _purges(self, directory: Directory) -> list[Change]:
        if not directory.purge:
            return []
        kept = {entry.path for entry in self.entries} | {other.path for other in self.directories} | self.beside
        of_folders = tuple(pattern for pattern in directory.purge if pattern.endswith("/"))
        of_files = tuple(pattern for pattern in directory.purge if not pattern.endswith("/"))
        foreign: list[Path] = []
        for path in sorted(directory.path.iterdir()):
            if path.is_dir() and not path.is_symlink():
                if _purged(f"{path.name}/", of_folders):
                    foreign += [inner for inner in sorted(path.iterdir()) if inner.is_symlink() or not inner.is_dir()]
            elif _purged(path.name, of_files):
                foreign.append(path)
        foreign = [path for path in foreign if path not in kept and not is_kept(path)]
        brought = brought_by_packages(foreign) if directory.lent and foreign else frozenset()
        return [
            Change(path, "remove", directory.tag, before=_readable(path)) for path in foreign if path not in brought
        ]

    def _entry_change(self, entry: Entry) -> Change | None:
        status = _lstat(entry.path)
        if status is not None and stat.S_ISDIR(status.st_mode):
            raise BundleError(f"{entry.path} is in the way: it is a directory")
        if entry.link is not None:
            have = str(entry.path.readlink()) if status is not None and stat.S_ISLNK(status.st_mode) else ""
            return None if have == entry.link else Change(entry.path, "link", entry.tag, have, entry.link)
        content = entry.content or b""
        if status is None or not stat.S_ISREG(status.st_mode):
            before = "" if status is None else "something else than a file\n"
            return Change(entry.path, "write", entry.tag, before, content.decode(errors="replace"), entry.secret)
        present = entry.path.read_bytes()
        if present != content:
            before, after = present.decode(errors="replace"), content.decode(errors="replace")
            return Change(entry.path, "write", entry.tag, before, after, entry.secret, says_the_same(present, content))
        wanted = (entry.mode, *self._ids(entry.owner, entry.group))
        have_rights = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        if have_rights != wanted:
            return Change(entry.path, "mode", entry.tag, _rights(have_rights), _rights(wanted))
        return None

    def _stage(self, entry: Entry) -> Path:
        parent = entry.path.parent
        parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if entry.link is not None:
            link = parent / f".wardnet-{os.getpid()}-{entry.path.name}"
            link.symlink_to(entry.link)
            return link
        uid, gid = self._ids(entry.owner, entry.group)
        descriptor, temporary = tempfile.mkstemp(prefix=".wardnet-", dir=parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(entry.content or b"")
                os.fchown(stream.fileno(), uid, gid)
                os.fchmod(stream.fileno(), entry.mode)
                stream.flush()
                status = _lstat(entry.path)
                if (
                    status is not None
                    and stat.S_ISREG(status.st_mode)
                    and says_the_same(entry.path.read_bytes(), entry.content or b"")
                ):
                    # No unit needs to take up again what it has.
                    os.utime(stream.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
                os.fsync(stream.fileno())
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return Path(temporary)


def read_bundle(
    files: Sequence[dict[str, Any]],
    directories: Sequence[dict[str, Any]],
    lenient: bool = False,
    beside: frozenset[Path] = frozenset(),
) -> Bundle:
    """Takes `files` and `directories` of a step, as wardnet_bundle_entries.py reads them, with its errors. No purge
    takes away what is `beside` it, paths of other bundles."""
    return Bundle(read_entries(files), read_directories(directories), lenient, beside)


def says_the_same(former: bytes, new: bytes) -> bool:
    """Whether nothing has changed but on which line of the inventory it stands."""
    return SOURCE.sub(rb"\1", former) == SOURCE.sub(rb"\1", new)


def _purged(name: str, patterns: tuple[str, ...]) -> bool:
    deciding = [pattern for pattern in patterns if fnmatch.fnmatchcase(name, pattern.lstrip("!"))]
    return bool(deciding) and not deciding[-1].startswith("!")


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _rights(rights: tuple[int, int, int]) -> str:
    return f"mode {rights[0]:04o} owner {rights[1]} group {rights[2]}\n"


def _readable(path: Path) -> str:
    """Its text, unless it is kept from others on the host: then it is not for those either who read what a run says."""
    try:
        open_to_all = path.stat().st_mode & stat.S_IROTH
        return path.read_text(errors="replace") if open_to_all else "its content is not for everybody\n"
    except OSError:
        return ""


def _make_directory(directory: Directory, ids: tuple[int, int]) -> None:
    directory.path.mkdir(parents=True, exist_ok=True)
    os.chown(directory.path, *ids)
    directory.path.chmod(directory.mode)
