"""What is compiled of scanners: as one who may use them sees them, and as a box that shares one does."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from wardnet.model.intent import IPNetwork, Ports, Source
from wardnet.model.scanners import ScannerPath


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
class Admitted:
    """Who else gets to a box, as a conduit says: `allow` from `prefixes`."""

    id: str
    prefixes: tuple[IPNetwork, ...]
    allow: tuple[Ports, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class ScannerBox:
    """A box that shares its scanner by SANE. `clients` are who may use it, both families, sorted."""

    id: str
    name: str
    usb: bool
    port: int
    data_ports: tuple[int, int]
    clients: tuple[IPNetwork, ...]
    admitted: tuple[Admitted, ...]
