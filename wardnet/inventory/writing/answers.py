"""What a person decides about a new ward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from wardnet.model.intent import Addressing, Channel, IPInterface


@dataclass(frozen=True, slots=True)
class Line:
    """A circuit's contract. Rates in kbit/s. `addresses` as the provider gave them, by family, each with its length;
    those that are missing are the next free ones."""

    provider: str
    down_kbps: int
    up_kbps: int
    addressing: Addressing = Addressing.STATIC
    addresses: tuple[IPInterface, ...] = ()
    pppoe_user: str = ""


@dataclass(frozen=True, slots=True)
class NewWard:
    """What a person decides about a ward. `pcs` is how many counters there are."""

    id: str
    name: str
    office_name: str
    model: str
    valid_from: date
    lines: Mapping[Channel, Line]
    pcs: int
