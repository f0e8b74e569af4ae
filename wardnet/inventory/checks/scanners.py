"""Scanners: only hosts with that role are one, each is reached as its kind can be, and who may use it gets there."""

from __future__ import annotations

from wardnet.inventory.checks.context import Context, in_site
from wardnet.locale import _
from wardnet.model.intent import Conduit, Host, HostRole, OperatingSystem, Site
from wardnet.model.scanners import Scanner, ScannerPath, ports_of


def scanners(context: Context) -> None:
    for _ward, site in context.sites:
        _named_apart(context, site)
        for host in site.hosts:
            if host.scanner is not None and host.role is not HostRole.SCANNER:
                context.add(
                    host.scanner.source,
                    _("host '{host}' with role '{role}' has 'scanner'").format(host=host.id, role=host.role),
                    _("remove it, or set 'role: scanner'"),
                )
            elif host.role is HostRole.SCANNER:
                _reached(context, host)
                if host.scanner is not None:
                    _users(context, site, host, host.scanner)


def _named_apart(context: Context, site: Site) -> None:
    """People and SANE tell the scanners of a site by their names."""
    first: dict[str, Host] = {}
    for host in site.hosts:
        if host.scanner is None:
            continue
        other = first.setdefault(host.scanner.name, host)
        if other is not host:
            context.add(
                host.scanner.source,
                _("scanner '{host}' has the name '{name}' of scanner '{other}' at its site").format(
                    host=host.id, name=host.scanner.name, other=other.id
                ),
                _("give each a name of its own: people choose by it"),
            )


def _reached(context: Context, host: Host) -> None:
    if host.os is OperatingSystem.LINUX and host.scanner is None:
        context.add(
            host.source,
            _("scanner '{host}' with os linux does not say what it shares").format(host=host.id),
            _("add 'scanner: {name: ..., paths: [usb]}', or [sane] where it needs a driver"),
        )
    if host.scanner is None:
        return
    speaks = ScannerPath.ESCL in host.scanner.paths
    if host.os is OperatingSystem.LINUX and speaks:
        context.add(
            host.scanner.source,
            _("scanner '{host}' with os linux is a box, which has no eSCL of its own").format(host=host.id),
            _("write 'paths: [usb]', or 'paths: [sane]' where it needs a driver"),
        )
    if host.os is not OperatingSystem.LINUX and not speaks:
        context.add(
            host.scanner.source,
            _("scanner '{host}' with os {os} is no box that shares a scanner").format(host=host.id, os=host.os),
            _("write 'paths: [escl]', or set 'os: linux' where a box stands before it"),
        )


def _users(context: Context, site: Site, host: Host, scanner: Scanner) -> None:
    networks = context.networks(site)
    own = {networks[each.network].zone for each in host.interfaces if each.network in networks}
    here = {network.zone for network in site.networks}
    for zone in scanner.zones:
        if zone not in context.zones:
            context.unknown(scanner.source, _("zone"), zone, context.zones)
        elif context.zones[zone].channel is not host.channel:
            context.add(
                scanner.source,
                _("scanner '{host}' is on channel '{channel}', zone '{zone}' on '{other}'").format(
                    host=host.id, channel=host.channel, zone=zone, other=context.zones[zone].channel
                ),
                _("one host of the other channel gets there by an exception, with owner, document and expiry"),
            )
        elif zone not in here:
            context.unknown(scanner.source, _("zone"), zone, here, in_site(site))
        elif zone not in own:
            _joined(context, host, scanner, zone, own)


def _joined(context: Context, host: Host, scanner: Scanner, zone: str, own: set[str]) -> None:
    """Whoever stands in another network gets to the scanner through the gateway, and so by a conduit."""
    ports = ports_of(scanner)
    if not any(c.from_zone == zone and c.to_zone in own and _carries(c, ports) for c in context.district.conduits):
        context.add(
            scanner.source,
            _("no conduit leads from zone '{zone}' to scanner '{host}'").format(zone=zone, host=host.id),
            _("add one to zone '{own}' with 'allow: [{ports}]', or remove the zone").format(
                own=", ".join(sorted(own)), ports=", ".join(f"tcp/{port}" for port in ports)
            ),
        )


def _carries(conduit: Conduit, ports: tuple[int, ...]) -> bool:
    """Whether it lets all of the TCP ports through; without any it is every port."""
    tcp = [allow.ports for allow in conduit.allow if allow.protocol == "tcp"]
    return any(not allowed or set(ports) <= set(allowed) for allowed in tcp)
