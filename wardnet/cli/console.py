"""What every command needs to speak with a person: two consoles, exit codes, and an inventory or a clear refusal."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console

from wardnet.inventory import DISTRICT_FILE, InventoryErrors, Problem, find_inventory, read_district
from wardnet.locale import ngettext
from wardnet.model.intent import District

# Errors of the inventory are lines that editors and other programs read: never wrapped, never decorated. Nor is `:a:`
# of an IPv6 address a picture.
out = Console(soft_wrap=False, highlight=False, emoji=False)
err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)

DEFAULT_INVENTORY = Path("inventory")  # or the only inventory in it


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    UNKNOWN = 3


def fail(message: str, code: int = Exit.USAGE) -> NoReturn:
    """Print one clear line on standard error and end the command."""
    err.print(f"wardnet: {message}", markup=False)
    raise typer.Exit(code)


def inventory_folder(folder: Path, code: int = Exit.FAILED) -> Path:
    """The folder itself; for the default one, the only inventory in it, or the end of the command with `code`."""
    if folder != DEFAULT_INVENTORY or (folder / DISTRICT_FILE).exists():
        return folder
    try:
        return find_inventory(folder)
    except InventoryErrors as errors:
        fail(str(errors), code)


def load_district(folder: Path, code: int = Exit.FAILED) -> District:
    """The inventory, or all its errors on standard error and the end of the command with `code`."""
    folder = inventory_folder(folder, code)
    try:
        return read_district(folder)
    except InventoryErrors as errors:
        fail_with(errors.problems, folder, code)


def fail_with(problems: Sequence[Problem], folder: Path, code: int = Exit.FAILED) -> NoReturn:
    """All errors of an inventory on standard error, and the end of the command."""
    for problem in problems:
        err.print(str(problem), markup=False)
    said = ngettext("{count} error in {folder}", "{count} errors in {folder}", len(problems))
    fail(said.format(count=len(problems), folder=folder), code)
