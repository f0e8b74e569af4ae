"""What is compiled of scanners: as one who may use them sees them, and as a box that shares one does."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from wardnet.model.intent import IPNetwork
from wardnet.model.scanners import ScannerPath
from wardnet.model.workplaces import Admission


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
    """A box that shares its scanner; ports are None for what it does not share. `clients` are who may use it, both
    families, sorted; `admits` are they and whoever else gets to it; `own` and `foreign` are the prefixes of its channel
    and of the other one."""

    id: str
    name: str
    usb_port: int | None
    sane_port: int | None
    data_ports: tuple[int, int]
    clients: tuple[IPNetwork, ...]
    admits: tuple[Admission, ...]
    own: tuple[IPNetwork, ...]
    foreign: tuple[IPNetwork, ...]
