"""Where in a snapshot something was read."""

from __future__ import annotations

from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of an artefact is understood, counted in its own items (rules, routes, lines)."""

    artefact: str
    modelled: int
    irrelevant: int
    unknown: int
