"""What is wrong with an inventory: a place, a sentence, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from wardnet.model.intent import Source


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """`message` says what is wrong; `suggestion`, when there is one, what would mend it."""

    file: str
    line: int
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        tail = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.file}:{self.line}: {self.message}{tail}"


class InventoryErrors(Exception):  # noqa: N818 - several at once, as its readers expect
    """All errors of an inventory together, in the order of their files and lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(slots=True)
class Problems:
    """Collects problems, so that all are reported together instead of the first alone."""

    found: list[Problem] = field(default_factory=list)

    def add(self, source: Source, message: str, suggestion: str = "") -> None:
        self.found.append(Problem(source.file, source.line, message, suggestion))


def did_you_mean(word: str, known: Iterable[str], what: str = "") -> str:
    """A suggestion from the known words: the closest one, or the list of them when none is close."""
    words = sorted(set(known))
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    if not words:
        return f"there is no {what} yet" if what else ""
    return "one of: " + ", ".join(words[:12]) + (", ..." if len(words) > 12 else "")
