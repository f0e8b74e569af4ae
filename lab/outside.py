"""lab.yml beside an inventory -> what stands outside the district, and how its lines behave in the lab.

Read as strictly as the inventory itself: every error at once, with file and line.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from lab.errors import LabError
from wardnet.inventory.problems import InventoryErrors, Problems
from wardnet.inventory.shape import parse_shape
from wardnet.inventory.yamlfile import YamlFile, parse_yaml
from wardnet.locale import _
from wardnet.model.intent import Addressing, Channel, District

FILE = "lab.yml"


class OutsideRole(StrEnum):
    ROUTER = "router"
    RESOLVER = "resolver"
    PORTAL = "portal"
    WEB = "web"
    MIRROR = "mirror"  # packages, and what pulled hosts fetch


@dataclass(frozen=True, slots=True)
class OutsideHost:
    id: str
    role: OutsideRole
    ipv4: IPv4Address
    ipv6: IPv6Address


@dataclass(frozen=True, slots=True)
class LineDefaults:
    """How circuits of one channel behave: delay one way and buffer in seconds, loss from 0 to 1."""

    channel: Channel
    delay: float
    buffer: float
    loss: float


@dataclass(frozen=True, slots=True)
class Leases:
    """What the provider leases from: a /30 and a /64 for each line whose addresses it gives."""

    ipv4: IPv4Network
    ipv6: IPv6Network


@dataclass(frozen=True, slots=True)
class Outside:
    ipv4: IPv4Network
    ipv6: IPv6Network
    hosts: tuple[OutsideHost, ...]
    lines: tuple[LineDefaults, ...]
    leases: Leases | None = None

    @property
    def router(self) -> OutsideHost:
        return next(host for host in self.hosts if host.role is OutsideRole.ROUTER)

    def line(self, channel: Channel) -> LineDefaults:
        return next(line for line in self.lines if line.channel is channel)


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Host(_Record):
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    role: OutsideRole
    ipv4: IPv4Address
    ipv6: IPv6Address


class _Leases(_Record):
    ipv4: IPv4Network
    ipv6: IPv6Network


class _Internet(_Record):
    ipv4: IPv4Network
    ipv6: IPv6Network
    leases: _Leases | None = None
    hosts: list[_Host]


class _Line(_Record):
    channel: Channel
    delay_ms: Annotated[float, Field(ge=0, le=2000)]
    buffer_ms: Annotated[float, Field(gt=0, le=5000)]
    loss_percent: Annotated[float, Field(ge=0, le=100)] = 0.0


class _File(_Record):
    internet: _Internet
    circuits: list[_Line]


def parse_outside(text: str, district: District) -> Outside:
    """The file's records, checked against the district. InventoryErrors, all at once."""
    problems = Problems()
    file = parse_yaml(FILE, text, problems)
    shaped = parse_shape(_File, file, problems) if file is not None else None
    if file is None or shaped is None:
        raise InventoryErrors(problems.found)
    _check(shaped, file, district, problems)
    if problems.found:
        raise InventoryErrors(problems.found)
    return Outside(
        shaped.internet.ipv4,
        shaped.internet.ipv6,
        tuple(OutsideHost(host.id, host.role, host.ipv4, host.ipv6) for host in shaped.internet.hosts),
        tuple(
            LineDefaults(line.channel, line.delay_ms / 1000, line.buffer_ms / 1000, line.loss_percent / 100)
            for line in shaped.circuits
        ),
        Leases(shaped.internet.leases.ipv4, shaped.internet.leases.ipv6) if shaped.internet.leases else None,
    )


def _check(shaped: _File, file: YamlFile, district: District, problems: Problems) -> None:
    net = shaped.internet
    hosts = ("internet", "hosts")
    inside = {host.id for _, site in district.sites for host in site.hosts}
    inside |= {site.gateway.id for _, site in district.sites}
    seen: dict[object, str] = {}
    for index, host in enumerate(net.hosts):
        at = file.source((*hosts, index))
        if host.id in inside:
            problems.add(
                at, _("host '{host}' is already in the district").format(host=host.id), _("give it another id")
            )
        if host.ipv4 not in net.ipv4 or host.ipv6 not in net.ipv6:
            problems.add(
                at, _("host '{host}' is not in {ipv4} and {ipv6}").format(host=host.id, ipv4=net.ipv4, ipv6=net.ipv6)
            )
        for value in (host.id, host.ipv4, host.ipv6):
            if value in seen:
                problems.add(
                    at,
                    _("{value} is given twice").format(value=value),
                    _("first to host '{host}'").format(host=seen[value]),
                )
            seen.setdefault(value, host.id)
    routers = [host for host in net.hosts if host.role is OutsideRole.ROUTER]
    if len(routers) != 1:
        problems.add(
            file.source(hosts), _("one host with role router is needed, not {count}").format(count=len(routers))
        )
    mirrors = [host for host in net.hosts if host.role is OutsideRole.MIRROR]
    if len(mirrors) > 1:
        problems.add(file.source(hosts), _("one host with role mirror at most, not {count}").format(count=len(mirrors)))
    for channel in Channel:
        count = sum(line.channel is channel for line in shaped.circuits)
        if count != 1:
            problems.add(
                file.source(("circuits",)),
                _("one line for channel {channel} is needed, not {count}").format(channel=channel, count=count),
            )
    leased = sum(circuit.addressing is Addressing.DHCP for _, site in district.sites for circuit in site.circuits)
    given = min(_count(net.leases.ipv4, 30), _count(net.leases.ipv6, 64)) if net.leases else 0
    if leased > given:
        problems.add(
            file.source(("internet",)),
            _("{count} circuits have addressing dhcp, and there are leases for {given}").format(
                count=leased, given=given
            ),
            _("give leases: {{ipv4, ipv6}} with a /30 and a /64 for each of them"),
        )
    addresses = {address for host in net.hosts for address in (host.ipv4, host.ipv6)}
    resolvers = {
        address for host in net.hosts if host.role is OutsideRole.RESOLVER for address in (host.ipv4, host.ipv6)
    }
    for prefix in (prefix for plan in district.channels for prefix in plan.prefixes):
        for mine in (net.ipv4, net.ipv6):
            if prefix.version == mine.version and prefix.overlaps(mine):
                problems.add(
                    file.source(("internet",)),
                    _("{mine} overlaps {prefix}, which is the district's").format(mine=mine, prefix=prefix),
                )
    for address in district.channel(Channel.INTERNET).resolvers:
        if address not in resolvers:
            problems.add(
                file.source(hosts),
                _("the internet channel's resolver {address} is no host here").format(address=address),
                _("add a host with role resolver and that address"),
            )
    for service in district.services:
        if service.channel is Channel.INTERNET:
            for found in (service.ipv4, service.ipv6):
                if found is not None and found not in addresses:
                    problems.add(
                        file.source(hosts),
                        _("service '{service}' stands at {address}, which is no host here").format(
                            service=service.id, address=found
                        ),
                        _("add a host with role portal or web and that address"),
                    )


def _count(network: IPv4Network | IPv6Network, length: int) -> int:
    """How many networks of that length are in it."""
    return 2 ** (length - network.prefixlen) if network.prefixlen <= length else 0


def read_outside(inventory: Path, district: District) -> Outside:
    """Raises LabError when there is no file, InventoryErrors when its content is wrong."""
    path = inventory / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise LabError(
            _(
                "{path} is missing: the lab needs to know what stands outside "
                "the district; copy inventory/tay-ho/lab.yml and change its addresses"
            ).format(path=path)
        ) from error
    except UnicodeDecodeError as error:
        raise LabError(_("{path} is not UTF-8 text: save it with the encoding UTF-8").format(path=path)) from error
    return parse_outside(text, district)
