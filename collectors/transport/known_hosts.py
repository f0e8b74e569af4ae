"""The file of pinned host keys: read, added to, and a device's key replaced. What a replaced key was is kept beside it.

No line is ever changed in place, and nothing leaves the file without standing in the archive first.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import paramiko

from collectors.errors import CollectError

ARCHIVE_SUFFIX = ".replaced"
HostKey = paramiko.PKey  # for those who may not know paramiko


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file: the names that it pins, or none for what pins nothing. `comments` stand right above it."""

    text: str
    names: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()


def archive_of(path: Path) -> Path:
    """Where keys that were replaced are kept."""
    return path.with_name(path.name + ARCHIVE_SUFFIX)


def replace_host_key(path: Path, names: tuple[str, ...], key: paramiko.PKey, by: str) -> Path:
    """Pin `key` for the device, instead of whatever is pinned under any of `names`; the first is its id. Other names
    on its own line go over to the new key; another device's line that holds one of its addresses loses that alone.

    Returns the archive that now holds the former lines. Raises OSError, and CollectError where the file changed
    meanwhile.
    """
    before = path.read_text(encoding="utf-8")
    stamp = _now()
    kept, gone, carried = _without(before, names)
    kept += [
        f"# {names[0]} replaced by {by} at {stamp}; the former key is in {archive_of(path).name}",
        f"{','.join(dict.fromkeys((*names, *carried)))} {key.get_name()} {key.get_base64()}",
    ]
    head = f"# {names[0]}: replaced by {by} at {stamp}, by {key.fingerprint}"
    _append(archive_of(path), "\n".join([head, *gone]) + "\n")
    _swap(path, before, "\n".join(kept) + "\n")
    return archive_of(path)


def retire_host_key(path: Path, names: tuple[str, ...], by: str) -> Path | None:
    """Take the device's key off the file, into the archive: the machine is gone. The archive, or None where no key of
    it was on record. Raises as `replace_host_key`."""
    if not path.exists():
        return None
    before = path.read_text(encoding="utf-8")
    kept, gone, _carried = _without(before, names)
    if not gone:
        return None
    _append(archive_of(path), "\n".join([f"# {names[0]}: retired by {by} at {_now()}", *gone]) + "\n")
    _swap(path, before, "".join(f"{line}\n" for line in kept))
    return archive_of(path)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _without(text: str, names: tuple[str, ...]) -> tuple[list[str], list[str], list[str]]:
    """(lines that stay, lines that go, further names on the device's own lines). The first of `names` is its id."""
    kept: list[str] = []
    gone: list[str] = []
    carried: list[str] = []
    for line in read_lines(text):
        hit = [own for own in line.names if any(_is(own, name) for name in names)]
        if not hit:
            kept += [*line.comments, line.text]
            continue
        gone += [*line.comments, line.text]
        if any(_is(own, names[0]) for own in line.names):
            carried += [own for own in line.names if own not in hit]
        elif rest := [own for own in line.names if own not in hit]:
            kept += [*line.comments, ",".join(rest) + line.text[line.text.index(" ") :]]
    return kept, gone, carried


def read_lines(text: str) -> list[Line]:
    """The lines of a known_hosts file, each with the comments right above it. Markers (@revoked) pin nothing here."""
    found: list[Line] = []
    comments: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if line.startswith("#"):
            comments.append(line)
            continue
        names = tuple(words[0].split(",")) if len(words) >= 3 and not line.startswith("@") else ()
        found.append(Line(line, names, tuple(comments)))
        comments = []
    return found + [Line(comment) for comment in comments]


def _is(own: str, name: str) -> bool:
    """Whether a name in the file, plain or hashed, is this one."""
    return own == name or (own.startswith("|1|") and paramiko.HostKeys.hash_host(name, own) == own)


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o600)


def _swap(path: Path, before: str, text: str) -> None:
    """Whole or not at all, and not over what somebody else wrote meanwhile."""
    if path.read_text(encoding="utf-8") != before:
        raise CollectError(f"{path}: somebody else changed it just now: run the command again")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
