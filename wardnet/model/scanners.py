"""Scanners: how one is reached, who may use it, and what a host or an agent has to know of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address

from wardnet.model.kinds import IPNetwork, Source

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


@dataclass(frozen=True, slots=True)
class UsableScanner:
    """A scanner as one who may use it sees it. `by` is the zone or the exception that allows it."""

    id: str
    name: str
    kind: ScannerPath  # escl or sane
    ipv4: IPv4Address
    port: int
    url: str | None  # of eSCL
    by: str


@dataclass(frozen=True, slots=True)
class ScannerBox:
    """A box that shares its scanner by SANE. `clients` are who may use it, both families, sorted."""

    id: str
    name: str
    usb: bool
    port: int
    data_ports: tuple[int, int]
    clients: tuple[IPNetwork, ...]
