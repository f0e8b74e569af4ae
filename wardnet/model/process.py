"""What a program does with what it is given, as its configuration says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wardnet.model.span import Span


class Forwards(StrEnum):
    NOTHING = "nothing"
    ANYTHING = "anything"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Program:
    """A program by the name of its process; the line at `span` says what it `forwards`, and `reason` in words."""

    span: Span
    name: str
    forwards: Forwards
    reason: str
