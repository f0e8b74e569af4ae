"""A change of an inventory that is not on disk yet: checked whole by the strict reader, shown, then written."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wardnet.inventory import DISTRICT_FILE, WARDS_FOLDER, parse_district
from wardnet.inventory.writing.errors import WritingError
from wardnet.locale import _
from wardnet.model.intent import District


def read_files(folder: Path) -> dict[str, bytes]:
    """The inventory's files by name relative to its folder, as `parse_district` takes them."""
    paths = [folder / DISTRICT_FILE, *sorted((folder / WARDS_FOLDER).glob("*.yml"))]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@dataclass(frozen=True, slots=True)
class Proposal:
    """`before` are all files as they were read, `after` those that become others or are new."""

    before: Mapping[str, bytes]
    after: Mapping[str, bytes]

    def district(self) -> District:
        """What the inventory would be. Raises InventoryErrors with all that would be wrong."""
        return parse_district({**self.before, **self.after})

    def diff(self) -> str:
        """Unified, file by file."""
        found: list[str] = []
        for name, content in self.after.items():
            old = self.before.get(name)
            found += difflib.unified_diff(
                (old or b"").decode().splitlines(keepends=True),
                content.decode().splitlines(keepends=True),
                "/dev/null" if old is None else name,
                name,
            )
        return "".join(found)

    def write(self, folder: Path) -> None:
        """All files, each whole or not at all. Whatever others refer to comes first: a new ward's file is the last.

        WritingError, with nothing written, if a file is no longer what was read. Raises OSError.
        """
        for name in self.after:
            path = folder / name
            now = path.read_bytes() if path.exists() else None
            if now != self.before.get(name):
                raise WritingError(_("{file} was changed by somebody else meanwhile: try again").format(file=path))
        staged: dict[Path, Path] = {}
        try:
            for name in sorted(self.after, key=lambda name: (name not in self.before, name)):
                staged[folder / name] = _stage(folder / name, self.after[name])
            for path, new in staged.items():
                new.replace(path)
        finally:
            for new in staged.values():
                new.unlink(missing_ok=True)


def _stage(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # no .yml: no reader takes it for a ward
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(name).chmod(mode)
    return Path(name)
