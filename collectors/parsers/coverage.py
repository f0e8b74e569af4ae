"""What became of each item of an artefact, counted and with its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from wardnet.model.span import Coverage, Treated, Treatment

_NUMBERED = re.compile(r"(.*?)(\d+)")

Place = str | tuple[str, int]  # as in the artefact; or of very many a number at its end, and what stands before it


class Tally:
    """Takes each item of one artefact once, in the artefact's order."""

    def __init__(self, artefact: str) -> None:
        self._artefact = artefact
        self._places: dict[tuple[Treatment, str, str], list[Place]] = {}

    def modelled(self, place: Place) -> None:
        self.add(Treatment.MODELLED, place)

    def irrelevant(self, place: Place, reason: str) -> None:
        self.add(Treatment.IRRELEVANT, place, reason)

    def unknown(self, place: str, reason: str, settle: str = "") -> None:
        self.add(Treatment.UNKNOWN, place, reason, settle)

    def add(self, treatment: Treatment, place: Place, reason: str = "", settle: str = "") -> None:
        self._places.setdefault((treatment, reason, settle), []).append(place)

    def coverage(self) -> Coverage:
        counts = dict.fromkeys(Treatment, 0)
        treated = []
        for (treatment, reason, settle), places in self._places.items():
            counts[treatment] += len(places)
            treated.append(Treated(treatment, reason, len(places), tuple(_folded(places)), settle))
        return Coverage(
            self._artefact,
            counts[Treatment.MODELLED],
            counts[Treatment.IRRELEVANT],
            counts[Treatment.UNKNOWN],
            tuple(treated),
        )


def _numbered(place: Place) -> tuple[str, int | None]:
    """A place's number at its end, and what stands before it."""
    if isinstance(place, tuple):
        return place
    before, space, last = place.rpartition(" ")
    if last.isascii() and last.isdigit():  # as most are, and there are thousands
        return before + space, int(last)
    match = _NUMBERED.fullmatch(place)
    return (place, None) if match is None else (match[1], int(match[2]))


def _folded(places: Iterable[Place]) -> Iterator[str]:
    """`line 3`, `line 4`, `line 9` as `line 3-4,9`; what ends in no number stays."""
    numbers: dict[str, list[list[int]]] = {}
    for place in places:
        before, number = _numbered(place)
        if number is None:
            numbers.setdefault(before, [])
            continue
        runs = numbers.setdefault(before, [])
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    for before, runs in numbers.items():
        yield before + ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
