"""A case of a bad inventory: a base, a change, and the exact lines that must be said about it.

One file a case, in inventory/cases/NAME.yml:

    # What the person did.
    base: two-wards            # a folder in inventory/bases; this one if not given
    change:
      wards/dong.yml:          # replacements; each text must be there exactly once
        - {find: "role: counter", put: "role: clerk"}
      wards/tay.yml: "..."     # or the whole text, or null to take the file away
      wards/bac.yml: {encoding: utf-16, text: "..."}   # or {folder: true}
    as_of: 2026-11-24          # the day that is asked for
    expect: ["wards/dong.yml:35: ..."]
    warn: []
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from wardnet.inventory import InventoryErrors, errors_on, read_district, warnings

FOLDER = Path(__file__).parent / "inventory"
CASES = tuple(sorted((FOLDER / "cases").glob("*.yml")))


@dataclass(frozen=True)
class Case:
    base: str = "two-wards"
    change: dict[str, Any] = field(default_factory=dict)
    as_of: date = date(2026, 11, 24)
    expect: tuple[str, ...] = ()
    warn: tuple[str, ...] = ()


def read_case(path: Path) -> Case:
    fields = yaml.safe_load(path.read_text())
    return Case(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})


def build(case: Case, folder: Path) -> Path:
    """The case's inventory, written below `folder`."""
    inventory = Path(shutil.copytree(FOLDER / "bases" / case.base, folder / "inventory"))
    for name, change in case.change.items():
        _apply(inventory / name, change)
    return inventory


def judge(case: Case, inventory: Path) -> tuple[list[str], list[str]]:
    """What is said of it: the lines of errors, those of the day too, and where it can be read those of warnings."""
    try:
        district = read_district(inventory)
    except InventoryErrors as errors:
        return [str(problem) for problem in errors.problems], []
    wrong = [str(problem) for problem in errors_on(district, case.as_of)]
    return wrong, [str(problem) for problem in warnings(district, case.as_of)]


def _apply(path: Path, change: Any) -> None:
    match change:
        case None:
            path.unlink()
        case str():
            path.write_text(change)
        case {"folder": True}:
            path.mkdir()
        case {"encoding": encoding, "text": text}:
            path.write_bytes(text.encode(encoding))
        case list():
            content = path.read_text()
            for step in change:
                assert content.count(step["find"]) == 1, f"{step['find']!r} is not exactly once in {path.name}"
                content = content.replace(step["find"], step["put"])
            path.write_text(content)
        case _:
            raise ValueError(f"no such change: {change!r}")
