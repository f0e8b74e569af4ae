"""Scanners of a site -> what a host that may scan, a box that shares, and the gateway's agent know of them.

A host may use what stands in its own network, or where the scanner's `zones` name its zone; and what an exception, or
a conduit that `zones` stand on, lets it reach. Nobody finds a scanner by itself: each is written down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wardnet.compile.places import GATEWAY, ordered, single
from wardnet.compile.plain import to_plain
from wardnet.compile.workplaces import admissions
from wardnet.model.intent import (
    Attachment,
    District,
    ExceptionGrant,
    Host,
    HostRole,
    IPNetwork,
    Network,
    OperatingSystem,
    Ports,
    Site,
)
from wardnet.model.plan import Endpoint, Flow, Hook, HostPlan
from wardnet.model.scanners import (
    ESCL_PORT,
    SANE_DATA_PORTS,
    SANE_PORT,
    USB_PORT,
    Scanner,
    ScannerPath,
    ports_of,
)
from wardnet.model.scanning import ScannerBox, UsableScanner
from wardnet.model.workplaces import Admission

WHO_SCANS = frozenset({HostRole.COUNTER, HostRole.CITIZEN})


def scanner_of(host: Host) -> Scanner | None:
    """What the inventory says of it; a device that it says nothing of speaks eSCL, as all do now."""
    if host.role is not HostRole.SCANNER or host.os is OperatingSystem.WINDOWS:
        return None
    return host.scanner or Scanner(host.id, (ScannerPath.ESCL,), (), ESCL_PORT, host.source)


def scanner_variables(today: District, host: HostPlan) -> dict[str, Any]:
    """Variables of a host, of what is valid today: the scanners that it may use, or what it shares itself."""
    site = next(site for _, site in today.sites if site.id == host.site)
    written = next(each for each in site.hosts if each.id == host.id)
    found: dict[str, Any] = {}
    if host.role in WHO_SCANS:
        found["wardnet_scanners"] = usable_scanners(today, site, written)
    scanner = scanner_of(written)
    if scanner is not None and ScannerPath.ESCL not in scanner.paths:
        found["wardnet_scanner"] = _box(today, site, written, scanner)
    plain: dict[str, Any] = to_plain(found)
    return plain


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to one scanner: a host with a scanner by USB and another by SANE has two."""

    id: str
    name: str
    kind: ScannerPath  # escl or sane, as it is spoken
    port: int


def offers(host: Host, scanner: Scanner) -> tuple[Offer, ...]:
    found = []
    if ScannerPath.ESCL in scanner.paths:
        found.append(Offer(host.id, scanner.name, ScannerPath.ESCL, scanner.port))
    if ScannerPath.USB in scanner.paths:
        found.append(Offer(host.id, scanner.name, ScannerPath.ESCL, USB_PORT))
    if ScannerPath.SANE in scanner.paths:
        second = bool(found)
        name = f"{scanner.name} (SANE)" if second else scanner.name
        found.append(Offer(f"{host.id}-sane" if second else host.id, name, ScannerPath.SANE, SANE_PORT))
    return tuple(found)


def usable_scanners(today: District, site: Site, host: Host) -> tuple[UsableScanner, ...]:
    found = []
    for other in site.hosts:
        scanner = scanner_of(other)
        for offer in offers(other, scanner) if scanner else ():
            by = _allowed_by(today, site, host, other, offer)
            if by is not None:
                ipv4 = other.interfaces[0].ipv4
                url = f"http://{ipv4}:{offer.port}/eSCL/" if offer.kind is ScannerPath.ESCL else None
                found.append(UsableScanner(offer.id, offer.name, offer.kind, ipv4, offer.port, url, by))
    return tuple(found)


def _allowed_by(today: District, site: Site, host: Host, other: Host, offer: Offer) -> str | None:
    zone = _network(site, host.interfaces[0]).zone
    scanner = scanner_of(other)
    if scanner is not None and zone in _zones(site, other, scanner):
        return zone
    return next((grant.id for grant in _grants(today, other, offer.port) if grant.from_host == host.id), None)


def _grants(today: District, scanner: Host, port: int) -> list[ExceptionGrant]:
    return [
        grant
        for grant in today.exceptions
        if grant.to_host == scanner.id
        and any(allow.protocol == "tcp" and (not allow.ports or port in allow.ports) for allow in grant.allow)
    ]


def _zones(site: Site, host: Host, scanner: Scanner) -> tuple[str, ...]:
    return scanner.zones or (_network(site, host.interfaces[0]).zone,)


def _network(site: Site, attachment: Attachment) -> Network:
    return next(network for network in site.networks if network.id == attachment.network)


def _box(today: District, site: Site, host: Host, scanner: Scanner) -> ScannerBox:
    zones = _zones(site, host, scanner)
    clients: list[IPNetwork] = [
        own.network for network in site.networks if network.zone in zones for own in (network.ipv4, network.ipv6)
    ]
    guests = {grant.from_host for offer in offers(host, scanner) for grant in _grants(today, host, offer.port)}
    for guest in site.hosts:
        if guest.id in guests:
            clients += [single(guest.interfaces[0].ipv4), single(guest.interfaces[0].ipv6)]
    # The agent of the site's gateway asks how it is, from its address in this network.
    clients.append(single(_network(site, host.interfaces[0]).ipv4.ip))
    those = ordered(clients)
    return ScannerBox(
        id=host.id,
        name=scanner.name,
        usb_port=USB_PORT if ScannerPath.USB in scanner.paths else None,
        sane_port=SANE_PORT if ScannerPath.SANE in scanner.paths else None,
        data_ports=SANE_DATA_PORTS,
        clients=those,
        admits=(
            Admission("scan", those, "tcp", ports_of(scanner), scanner.source),
            *admissions(today, site, host),
        ),
        own=today.channel(host.channel).prefixes,
        foreign=today.channel(host.channel.other).prefixes,
    )


def _asked(site: Site) -> list[tuple[Host, Offer, Network]]:
    """The scanners that the agent of the site's gateway asks; without an agent that is reached, none."""
    if site.gateway.management_network is None:
        return []
    return [
        (host, offer, _network(site, host.interfaces[0]))
        for host in site.hosts
        if (scanner := scanner_of(host))
        for offer in offers(host, scanner)
    ]


def scanner_targets(today: District, site: Site) -> list[dict[str, Any]]:
    """For the agent's configuration: each scanner, and the gateway's port and address that it is asked from."""
    return [
        {
            "id": offer.id,
            "channel": today.zone(network.zone).channel,
            "kind": offer.kind,
            "interface": network.interface,
            "source": network.ipv4.ip,
            "ipv4": host.interfaces[0].ipv4,
            "port": offer.port,
        }
        for host, offer, network in _asked(site)
    ]


def scanner_flows(site: Site) -> list[Flow]:
    """What the agent needs for that: from the gateway's address in the scanner's network to the one port."""
    return [
        Flow(
            f"{offer.id}-status",
            Hook.OUTPUT,
            Endpoint(GATEWAY, None, (single(network.ipv4.ip),)),
            Endpoint(network.zone, network.interface, (single(host.interfaces[0].ipv4),)),
            (Ports("tcp", (offer.port,)),),
            crosses=False,
            expires=None,
            source=host.source,
        )
        for host, offer, network in _asked(site)
    ]
