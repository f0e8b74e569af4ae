"""What a step says of files and directories, read into the records that a bundle is made of (wardnet_bundle.py). Pure.
Standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BundleError(Exception):
    """The bundle cannot be put in place; nothing of it was."""


@dataclass(frozen=True)
class Entry:
    """A regular file with `content`, or a symbolic link to `link`."""

    path: Path
    content: bytes | None
    link: str | None
    mode: int
    owner: str
    group: str
    tag: str | None
    secret: bool = False  # its content is never shown


@dataclass(frozen=True)
class Directory:
    """`purge` holds name patterns: what matches and is no entry of the bundle goes away. The last pattern that
    matches a name decides; one that begins with ! keeps it. A pattern that ends with / is for folders: the files in
    them go. One that is `lent` is another's: it is neither made nor changed itself, and what packages brought stays."""

    path: Path
    mode: int
    owner: str
    group: str
    purge: tuple[str, ...]
    tag: str | None
    lent: bool = False


def read_entries(files: Sequence[dict[str, Any]]) -> tuple[Entry, ...]:
    """Takes `files` of a step, as wardnet_candidate.py says; raises BundleError for a relative or doubled path, a wrong
    mode, and a file that has not exactly one of content and link."""
    entries = []
    for item in files:
        content, link = item.get("content"), item.get("link")
        if (content is None) == (link is None):
            raise BundleError(f"{item['path']}: exactly one of content and link is needed")
        entries.append(
            Entry(
                path=_absolute(item["path"]),
                content=None if content is None else content.encode(),
                link=link,
                mode=_mode(item.get("mode") or "0644"),
                owner=item.get("owner") or "root",
                group=item.get("group") or "root",
                tag=item.get("tag"),
                secret=bool(item.get("secret", False)),
            )
        )
    paths = [entry.path for entry in entries]
    doubled = sorted({str(path) for path in paths if paths.count(path) > 1})
    if doubled:
        raise BundleError(f"given more than once: {', '.join(doubled)}")
    return tuple(entries)


def read_directories(directories: Sequence[dict[str, Any]]) -> tuple[Directory, ...]:
    """Takes `directories` likewise."""
    return tuple(
        Directory(
            path=_absolute(item["path"]),
            mode=_mode(item.get("mode") or "0755"),
            owner=item.get("owner") or "root",
            group=item.get("group") or "root",
            purge=tuple(item.get("purge") or ()),
            tag=item.get("tag"),
            lent=bool(item.get("lent", False)),
        )
        for item in directories
    )


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or str(path) != text or ".." in path.parts:
        raise BundleError(f"not a plain absolute path: {text}")
    return path


def _mode(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError as error:
        raise BundleError(f"not an octal mode: {text}") from error
