"""Archives that the kernel unpacks into its initial RAM disk: cpio in the format "newc".

Everything in them is root's and of one time, so that the same content gives the same bytes.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

MODIFIED = 946684800  # 2000-01-01
LARGEST = 0xFFFFFFFF  # bytes of one file, as the format counts them


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, by its content or by a file of this machine that holds it."""

    content: bytes | Path
    mode: int = 0o644


def write_archive(out: BinaryIO, entries: Mapping[str, Entry]) -> None:
    """Write the files (absolute paths), with the folders that they need, and the end mark. OSError as files give it;
    ValueError for a file that is too large for the format."""
    number = 0
    for folder in _folders(entries):
        number += 1
        _header(out, folder.lstrip("/"), stat.S_IFDIR | 0o755, 0, number)
    for path in sorted(entries):
        entry = entries[path]
        number += 1
        size = entry.content.stat().st_size if isinstance(entry.content, Path) else len(entry.content)
        if size > LARGEST:
            raise ValueError(f"{path}: {size} bytes are too many for cpio")
        _header(out, path.lstrip("/"), stat.S_IFREG | entry.mode, size, number)
        if isinstance(entry.content, Path):
            with entry.content.open("rb") as file:
                shutil.copyfileobj(file, out, 1 << 20)
        else:
            out.write(entry.content)
        out.write(b"\0" * (-size % 4))
    _header(out, "TRAILER!!!", 0, 0, 0)


def _folders(entries: Mapping[str, Entry]) -> list[str]:
    """Every folder above the files, those above others first."""
    return sorted({str(folder) for path in entries for folder in PurePosixPath(path).parents if str(folder) != "/"})


def _header(out: BinaryIO, name: str, mode: int, size: int, number: int) -> None:
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, MODIFIED, size, 0, 0, 0, 0, len(name.encode()) + 1, 0)
    head = b"070701" + "".join(f"{field:08x}" for field in fields).encode() + name.encode() + b"\0"
    out.write(head + b"\0" * (-len(head) % 4))
