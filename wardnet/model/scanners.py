"""Scanners as the inventory has them: how one is reached, and who may use it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from wardnet.model.kinds import Source

ESCL_PORT = 80
USB_PORT = 60000  # where ipp-usb serves what hangs on a box
SANE_PORT = 6566
SANE_DATA_PORTS = (6567, 6574)  # first and last: one for each page that is on its way


class ScannerPath(StrEnum):
    """How a picture leaves a scanner."""

    ESCL = "escl"  # the device itself speaks eSCL over the network
    USB = "usb"  # it hangs on a box by USB and needs no driver: ipp-usb makes a network scanner with eSCL of it
    SANE = "sane"  # it hangs on a box and needs a driver: saned shares it


@dataclass(frozen=True, slots=True)
class Scanner:
    """What a host with role scanner is. `zones` are those that may use it; empty: the one that it stands in."""

    name: str  # for people
    paths: tuple[ScannerPath, ...]
    zones: tuple[str, ...]
    port: int  # of eSCL
    source: Source = field(compare=False)


def ports_of(scanner: Scanner) -> tuple[int, ...]:
    """The TCP ports that whoever scans with it needs."""
    found: list[int] = []
    if ScannerPath.ESCL in scanner.paths:
        found.append(scanner.port)
    if ScannerPath.USB in scanner.paths:
        found.append(USB_PORT)
    if ScannerPath.SANE in scanner.paths:
        found += [SANE_PORT, *range(SANE_DATA_PORTS[0], SANE_DATA_PORTS[1] + 1)]
    return tuple(found)
