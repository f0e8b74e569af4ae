"""Clerks' PCs that measure: which they are, and what the filters between Prometheus and them let through.

All of them, since a PC that is slow is one of several, and any may be off. Touch screens and citizen points are left
out: nobody works at the former, and management comes to none that has only the internet.
"""

from __future__ import annotations

from wardnet.compile.places import single
from wardnet.locale import N_
from wardnet.model.intent import (
    Attachment,
    Channel,
    District,
    Host,
    HostRole,
    Network,
    OperatingSystem,
    Platform,
    Ports,
    Site,
    SiteKind,
)
from wardnet.model.plan import Endpoint, Flow, Hook
from wardnet.model.workplaces import Admission

PC_PORT = 9811
PC_AGENT = "pc-agent"  # what lets Prometheus in, where a filter names its reason


def unmanaged_reason(site: Site, host: Host) -> str | None:
    """Why nothing here configures a host, for people; None where it is configured."""
    if host.os is OperatingSystem.WINDOWS:
        return N_("os windows is set up by hand, as docs/how-to/windows.md says")
    if host.os is OperatingSystem.FIRMWARE:
        return N_("a device with firmware of its own")
    if host.channel is Channel.INTERNET:
        return None  # it pulls, whatever it stands behind
    if site.gateway.platform is Platform.UNMANAGED and site.kind is not SiteKind.SERVER_ROOM:
        return N_("behind the provider's own box: management does not reach it")
    return None


def measures(site: Site, host: Host) -> bool:
    """Whether it is a clerk's PC that management reaches."""
    return host.role is HostRole.COUNTER and host.channel is Channel.WAN and unmanaged_reason(site, host) is None


def askers(district: District) -> tuple[tuple[Site, Host], ...]:
    """The monitoring servers, which stand at the district's own sites. Without any, no PC measures."""
    return tuple(
        (site, host)
        for ward in district.wards
        if ward.is_district
        for site in ward.sites
        for host in site.hosts
        if host.role is HostRole.MONITORING
    )


def pc_admissions(district: District, site: Site, host: Host) -> tuple[Admission, ...]:
    """Who may ask the agent of a host: the monitoring servers alone, over IPv4, as they scrape."""
    if not measures(site, host):
        return ()
    return tuple(
        Admission(PC_AGENT, (single(asker.interfaces[0].ipv4),), "tcp", (PC_PORT,), asker.source)
        for _, asker in askers(district)
    )


def pc_flows(district: District, site: Site) -> list[Flow]:
    """The same on the way there, at the gateway of `site`: from each monitoring server to each PC. They are named after
    the PC and lead back to its line. One a PC: nft lists addresses in a row otherwise than it was given them."""
    asking = askers(district)
    beyond = [other for _, other in district.sites] if site.kind is SiteKind.SERVER_ROOM else [site]
    return [
        Flow(
            f"{host.id}-agent",
            Hook.FORWARD,
            Endpoint(near.zone, sender, (single(asker.interfaces[0].ipv4),)),
            Endpoint(network.zone, receiver, (single(host.interfaces[0].ipv4),)),
            (Ports("tcp", (PC_PORT,)),),
            crosses=False,
            expires=None,
            source=host.source,
        )
        for other in (beyond if asking else ())
        for host in other.hosts
        if measures(other, host)
        for network in [_network(other, host.interfaces[0])]
        for home, asker in asking
        for near in [_network(home, asker.interfaces[0])]
        for sender in _towards(site, home, near)
        for receiver in _towards(site, other, network)
        if sender != receiver
    ]


def _network(site: Site, attachment: Attachment) -> Network:
    return next(network for network in site.networks if network.id == attachment.network)


def _towards(site: Site, other: Site, network: Network) -> list[str]:
    """Ports of the gateway of `site` behind which a network of the WAN at `other` lies."""
    if other.id == site.id:
        return [network.interface]
    # The hub's end of a line is named after the line.
    at_hub = site.kind is SiteKind.SERVER_ROOM
    lines = [line for line in (other if at_hub else site).circuits if line.channel is Channel.WAN]
    return [line.id if at_hub else line.interface for line in lines]
