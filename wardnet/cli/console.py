"""What every command needs to speak with a person: two consoles, exit codes, and an inventory or a clear refusal."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console

from wardnet.inventory import InventoryErrors, read_district
from wardnet.locale import _
from wardnet.model.intent import District

# Errors of the inventory are lines that editors and other programs read: never wrapped, never decorated.
out = Console(soft_wrap=False, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

DEFAULT_INVENTORY = Path("inventory/tay-ho")


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    UNKNOWN = 3


def fail(message: str, code: int = Exit.USAGE) -> NoReturn:
    """Print one clear line on standard error and end the command."""
    err.print(f"wardnet: {message}", markup=False)
    raise typer.Exit(code)


def load_district(folder: Path, code: int = Exit.FAILED) -> District:
    """The inventory, or all its errors on standard error and the end of the command with `code`."""
    try:
        return read_district(folder)
    except InventoryErrors as errors:
        for problem in errors.problems:
            err.print(str(problem), markup=False)
        fail(_("{count} errors in {folder}").format(count=len(errors.problems), folder=folder), code)
