"""Scanners as the inventory has them: how one is reached, and who may use it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from wardnet.model.kinds import Source

ESCL_PORT = 80
SANE_PORT = 6566
SANE_DATA_PORTS = (6567, 6574)  # first and last: one for each page that is on its way


class ScannerPath(StrEnum):
    """How a picture leaves a scanner."""

    ESCL = "escl"  # the device itself speaks eSCL over the network
    USB = "usb"  # it hangs on a box by USB and needs no driver: ipp-usb
    SANE = "sane"  # the box shares what hangs on it: saned


@dataclass(frozen=True, slots=True)
class Scanner:
    """What a host with role scanner is. `zones` are those that may use it; empty: the one that it stands in."""

    name: str  # for people
    paths: tuple[ScannerPath, ...]
    zones: tuple[str, ...]
    port: int  # of eSCL
    source: Source = field(compare=False)
