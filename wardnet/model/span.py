"""Where in a snapshot something was read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """`place` is a rule's table, chain and handle, a line, or the index in a list, as the artefact has it."""

    device: str
    artefact: str
    place: str

    def __str__(self) -> str:
        return f"{self.device} {self.artefact} {self.place}".rstrip()


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that was read and is not modelled, and what would settle it."""

    span: Span
    reason: str
    settle: str = ""


class Treatment(StrEnum):
    """What became of an item that was read."""

    MODELLED = "modelled"
    IRRELEVANT = "irrelevant"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Treated:
    """Items of an artefact that were treated alike, for one `reason` (empty where they are modelled). `places` are as
    in the artefact, numbers that follow one another as a range: `line 3-7,9`."""

    treatment: Treatment
    reason: str
    count: int
    places: tuple[str, ...]
    settle: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of an artefact is understood, counted in its own items (rules, routes, lines): each is in one of the
    three numbers, and with its place in `treated`."""

    artefact: str
    modelled: int
    irrelevant: int
    unknown: int
    treated: tuple[Treated, ...] = ()
