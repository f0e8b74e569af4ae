"""What is wrong with an inventory: a place, a sentence, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from wardnet.locale import _
from wardnet.model.intent import Source

MAX_SHOWN = 60  # characters of a wrong value; its line is named beside it


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
        """One problem is one line: what a file holds never breaks it or reaches a terminal as a control code."""
        self.found.append(Problem(source.file, source.line, _printable(message), _printable(suggestion)))


def shown(value: Any) -> str:
    """A value of a file as a message shows it: quoted and short, or what it is where that says more."""
    if value is None:
        return _("nothing")
    if isinstance(value, dict):
        return _("a mapping")
    if isinstance(value, list):
        return _("a list")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}'" if len(text) <= MAX_SHOWN else f"'{text[:MAX_SHOWN]}...'"


def did_you_mean(word: str, known: Iterable[str], what: str = "") -> str:
    """A suggestion from the known words: the closest one, or the list of them when none is close."""
    words = sorted(set(known))
    if close := closest(word, words):
        return _("did you mean '{word}'?").format(word=close)
    if not words:
        return _("there is no {what} yet").format(what=what) if what else ""
    return _("one of: ") + ", ".join(words[:12]) + (", ..." if len(words) > 12 else "")


def closest(word: str, known: Iterable[str]) -> str:
    """The known word that `word` resembles, whatever the case of its letters; '' when none is close."""
    folded = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(word[:MAX_SHOWN].casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else ""


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
