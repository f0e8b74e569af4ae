"""One line of a benchmark's result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AUDIT = "make bench-audit"


class BenchError(Exception):
    """The figures would say nothing: a verdict is not what it must be."""


@dataclass(frozen=True)
class Record:
    """`ours` and `peer` in `unit`, `ratio` of the two, `ours` against `budget`. Of edits, inputs and packets `peer` is
    how many there were."""

    what: str
    ours: float
    peer: float
    ratio: float
    budget: float | None  # None where no budget is set
    met: bool | None
    unit: str
    runs: int
    command: str


def keep(path: Path, results: Any) -> None:
    """All of it, or what stood there before: a long run may be ended at any moment."""
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    scratch.replace(path)


def timed(what: str, ours: float, peer: float, budget: float | None, runs: int) -> Record:
    """In seconds."""
    met = None if budget is None else ours <= budget
    return Record(what, round(ours, 4), round(peer, 4), round(ours / peer, 4), budget, met, "s", runs, AUDIT)
