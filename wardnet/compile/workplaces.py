"""District -> what each PC, touch screen and citizen point is made of."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from wardnet.compile.pcs import pc_admissions
from wardnet.compile.places import GATEWAY, gateway_addresses, ordered, single
from wardnet.model.intent import Channel, District, Host, HostRole, IPNetwork, OperatingSystem, Site, Ward
from wardnet.model.workplaces import Account, Admission, Kiosk, Pages, Printer, WorkplacePlan

WORKPLACES = (HostRole.COUNTER, HostRole.TOUCH_SCREEN, HostRole.CITIZEN)


def workplace_plan(district: District, ward: Ward, site: Site, host: Host) -> WorkplacePlan | None:
    """None for what nobody works at, and for what is not Linux. People have accounts at clerks' PCs alone."""
    if host.role not in WORKPLACES or host.os is not OperatingSystem.LINUX:
        return None
    wanted = district.workplaces
    services = {service.id: service for service in district.services if service.channel is host.channel}
    pages = next((pages for pages in wanted.pages if pages.channel is host.channel), None)
    first = services.get(pages.start) if pages else next(iter(services.values()), None)
    people = host.role is HostRole.COUNTER
    asked = pc_admissions(district, site, host)
    return WorkplacePlan(
        start_page=first.url if first else None,
        sites=_sites(pages, [service.url for service in services.values()]),
        downloads=pages.downloads if pages else True,
        usb_storage=wanted.usb_storage,
        updates=wanted.updates,
        token_modules=wanted.token_modules if people else (),
        printers=tuple(each for each in wanted.printers if people and _at(each, ward, host)),
        accounts=tuple(each for each in wanted.accounts if people and _at(each, ward, host)),
        admits=(*admissions(district, site, host), *asked),
        own=district.channel(host.channel).prefixes,
        foreign=district.channel(host.channel.other).prefixes,
        reaches=_reaches(district, host),
        opens=_opens(district, site, host),
        kiosk=_kiosk(district, host, first.url if first else None),
        measured=bool(asked),
    )


def _kiosk(district: District, host: Host, start_page: str | None) -> Kiosk | None:
    wanted = district.workplaces
    if host.role is HostRole.CITIZEN and start_page is not None:
        citizen = wanted.citizen_points
        return Kiosk(start_page, citizen.idle_seconds, citizen.warning_seconds, 0)
    if host.role is HostRole.TOUCH_SCREEN:
        touch = wanted.touch_screens
        shown = next((service.url for service in district.services if service.id == touch.service), start_page)
        if shown is None:
            return None
        scale = host.screen.scale if host.screen else 1.0
        return Kiosk(urljoin(shown, touch.path), touch.idle_seconds, 0, touch.refresh_seconds, scale)
    return None


def _opens(district: District, site: Site, host: Host) -> tuple[Admission, ...]:
    """The flows of conduits that begin in the host's zone, as the gateways let them through."""
    networks = {network.id: network for network in site.networks}
    zones = {networks[attachment.network].zone for attachment in host.interfaces}
    return tuple(
        Admission(
            conduit.id,
            () if conduit.to_zone != GATEWAY and district.zone(conduit.to_zone).outside
            else _zone(district, site, conduit.to_zone, host.channel),
            each.protocol, each.ports, conduit.source,
        )
        for conduit in district.conduits
        if conduit.from_zone in zones
        for each in conduit.allow
    )  # fmt: skip


def _sites(pages: Pages | None, urls: list[str]) -> tuple[str, ...]:
    names = {urlsplit(url).hostname or "" for url in urls} | set(pages.sites if pages else ())
    return tuple(sorted(names - {""}))


def _at(item: Printer | Account, ward: Ward, host: Host) -> bool:
    return ward.id in item.wards or host.id in item.hosts


def admissions(district: District, site: Site, host: Host) -> tuple[Admission, ...]:
    """The flows that lead to the host, as the gateways let them through: conduits to its zone, and exceptions."""
    networks = {network.id: network for network in site.networks}
    zones = {networks[attachment.network].zone for attachment in host.interfaces}
    found = [
        Admission(conduit.id, _zone(district, site, conduit.from_zone, host.channel), each.protocol, each.ports,
                  conduit.source)
        for conduit in district.conduits
        if conduit.to_zone in zones
        for each in conduit.allow
    ]  # fmt: skip
    for grant in district.exceptions:
        if grant.to_host == host.id:
            sender = next(other for _, at in district.sites for other in at.hosts if other.id == grant.from_host)
            addresses = [single(address) for a in sender.interfaces for address in (a.ipv4, a.ipv6)]
            found += [
                Admission(grant.id, ordered(addresses), each.protocol, each.ports, grant.source) for each in grant.allow
            ]
    return tuple(found)


def _reaches(district: District, host: Host) -> tuple[Admission, ...]:
    """The other ends of exceptions that begin at the host."""
    hosts = {other.id: other for _, site in district.sites for other in site.hosts}
    return tuple(
        Admission(
            grant.id,
            ordered(single(address) for a in hosts[grant.to_host].interfaces for address in (a.ipv4, a.ipv6)),
            each.protocol,
            each.ports,
            grant.source,
        )
        for grant in district.exceptions
        if grant.from_host == host.id
        for each in grant.allow
    )


def _zone(district: District, site: Site, zone_id: str, channel: Channel) -> tuple[IPNetwork, ...]:
    """All addresses of a zone; of an outside one, those of its channel, since the gateway knows the rest."""
    if zone_id == GATEWAY:
        return gateway_addresses(district, site, channel)
    if district.zone(zone_id).outside:
        return district.channel(channel).prefixes
    return ordered(
        prefix
        for _, other in district.sites
        for network in other.networks
        if network.zone == zone_id
        for prefix in (network.ipv4.network, network.ipv6.network)
    )
