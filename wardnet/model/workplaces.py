"""What people work at: accounts, printers, browsers and tokens of the PCs, as the district wants them, and what one PC
gets of it. Readers import the inventory's records from here, and HostPlan from `model.plan`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from wardnet.model.kinds import Channel, IPNetwork, Source


class UsbStorage(StrEnum):
    """What a PC does with a stick or disk that somebody plugs in."""

    DENY = "deny"
    READ_ONLY = "read_only"
    ALLOW = "allow"


class AccountGroup(StrEnum):
    """The groups that an account may be in beside those that everybody at a PC is in. None of them reads what is not
    its own but `sudo`, which may do all."""

    ADMINISTRATORS = "sudo"
    PRINTERS = "lpadmin"  # may change print queues
    JOURNAL = "systemd-journal"  # may read the journal


@dataclass(frozen=True, slots=True)
class UpdateWindow:
    """When a PC installs security updates: each day from `begin`, as HH:MM in the district's time zone. PCs begin at
    different times within the first half of `minutes`, so that they do not ask the mirror all at once."""

    begin: str
    minutes: int


@dataclass(frozen=True, slots=True)
class Pages:
    """What browsers on a channel open. `start` is the id of a service; `sites` are names of hosts, with '*.' in front
    for all that lie below them too. The channel's services are open without being named."""

    channel: Channel
    start: str
    sites: tuple[str, ...]
    downloads: bool
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class TokenModule:
    """A PKCS#11 library that reads a make of token; `library` is its path on the PC, in one of `packages` if named."""

    id: str
    library: str
    packages: tuple[str, ...]
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Printer:
    """A printer that speaks IPP, for the clerks' PCs of `wards` and for `hosts`."""

    id: str
    name: str
    uri: str
    default: bool
    wards: tuple[str, ...]
    hosts: tuple[str, ...]
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Account:
    """A person's login at the clerks' PCs of `wards` and at `hosts`. `password` is a reference, `vault:NAME`, to the
    hash of one, never the password itself."""

    id: str
    name: str
    groups: tuple[AccountGroup, ...]
    ssh_keys: tuple[str, ...]
    password: str | None
    wards: tuple[str, ...]
    hosts: tuple[str, ...]
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class TouchScreens:
    """What touch screens show: the page at `path` of the service `service`, or the WAN's start page without one. It is
    read anew after `refresh_seconds`, and is back `idle_seconds` after the last touch."""

    service: str | None = None
    path: str = "/"
    refresh_seconds: int = 60
    idle_seconds: int = 60
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CitizenPoints:
    """When a resident's sitting ends by itself: `idle_seconds` after the last touch a warning comes, and
    `warning_seconds` later the end."""

    idle_seconds: int = 180
    warning_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Screen:
    """What one touch screen has of its own: how large it draws the board, `scale` times what the page says."""

    scale: float
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class Kiosk:
    """What one touch screen or citizen point begins with and when it begins anew, in seconds; `refresh_seconds` and
    `warning_seconds` are 0 where there is none. `scale` is how large the page is drawn."""

    page: str
    idle_seconds: int
    warning_seconds: int
    refresh_seconds: int
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Workplaces:
    """What all workplaces of the district have in common, and who and what stands at which."""

    usb_storage: UsbStorage = UsbStorage.DENY
    updates: UpdateWindow = UpdateWindow("12:00", 60)
    pages: tuple[Pages, ...] = ()
    token_modules: tuple[TokenModule, ...] = ()
    printers: tuple[Printer, ...] = ()
    accounts: tuple[Account, ...] = ()
    touch_screens: TouchScreens = TouchScreens()
    citizen_points: CitizenPoints = CitizenPoints()


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may open connections to a host: addresses, protocol and ports; without ports all of the protocol."""

    id: str  # of the conduit or exception
    prefixes: tuple[IPNetwork, ...]
    protocol: str
    ports: tuple[int, ...]
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class WorkplacePlan:
    """What one PC, touch screen or citizen point is made of. `sites` are the names that its browsers may open, those
    of its channel's services among them; `admits` is who may open connections to it, as the gateway lets them through;
    `reaches` is what it may open connections to on the other channel, by an exception; `own` and `foreign` are the
    prefixes of its channel and of the other one. `opens` is what the gateway lets it open on its own channel; without
    prefixes, to whatever lies outside. `kiosk` is there where nobody has an account. `measured`: an agent runs on it,
    and Prometheus asks it."""

    start_page: str | None
    sites: tuple[str, ...]
    downloads: bool
    usb_storage: UsbStorage
    updates: UpdateWindow
    token_modules: tuple[TokenModule, ...]
    printers: tuple[Printer, ...]
    accounts: tuple[Account, ...]
    admits: tuple[Admission, ...]
    own: tuple[IPNetwork, ...]
    foreign: tuple[IPNetwork, ...]
    reaches: tuple[Admission, ...] = ()
    opens: tuple[Admission, ...] = ()
    kiosk: Kiosk | None = None
    measured: bool = False
