"""Workplaces: accounts, printers and pages name wards, PCs and services that are there, and stay on their channel."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from wardnet.inventory.checks.context import Context
from wardnet.locale import _
from wardnet.model.intent import Channel, HostRole, IPAddress, OperatingSystem
from wardnet.model.workplaces import Account, Printer

# Accounts that a PC has already: Debian's own, those of packages that roles install, and wardnet's; and
# groups, since an account brings one of its name.
TAKEN_LOGINS = frozenset({
    "administrator", "avahi", "backup", "bin", "colord", "daemon", "games", "geoclue", "gnats", "irc", "lightdm",
    "list", "lp", "mail", "man", "messagebus", "news", "nobody", "polkitd", "proxy", "root", "rtkit", "saned", "sshd",
    "sync", "sys", "systemd", "usbmux", "uucp", "uuidd", "wardnet", "wardnet-audit", "wardnet-agent", "wardnet-people",
    "wardnet-kiosk",
    "www-data",
    "adm", "audio", "bluetooth", "cdrom", "crontab", "dialout", "dip", "disk", "fax", "floppy", "input", "kmem", "kvm",
    "lpadmin", "netdev", "nogroup", "operator", "plugdev", "pulse", "pulse-access", "render", "sasl", "scanner", "sgx",
    "shadow", "src", "ssl-cert", "staff", "sudo", "tape", "tty", "users", "utmp", "video", "voice",
})  # fmt: skip


def pages(context: Context) -> None:
    services = {service.id: service for service in context.district.services}
    seen: dict[Channel, str] = {}
    for page in context.district.workplaces.pages:
        if page.channel in seen:
            context.add(
                page.source,
                _("pages of channel '{channel}' are there twice").format(channel=page.channel),
                _("first at {first}").format(first=seen[page.channel]),
            )
        seen.setdefault(page.channel, str(page.source))
        service = services.get(page.start)
        if service is None:
            context.unknown(page.source, _("service"), page.start, services)
        elif service.channel is not page.channel:
            own = [other.id for other in services.values() if other.channel is page.channel]
            context.add(
                page.source,
                _("the start page of channel '{channel}' is service '{service}' of channel '{other}'").format(
                    channel=page.channel, service=service.id, other=service.channel
                ),
                _("name one of its own: {names}").format(names=", ".join(own)) if own else "",
            )


def board(context: Context) -> None:
    wanted = context.district.workplaces.touch_screens
    if wanted.service is None or wanted.source is None:
        return
    services = {service.id: service for service in context.district.services}
    service = services.get(wanted.service)
    if service is None:
        context.unknown(wanted.source, _("service"), wanted.service, services)
    elif service.channel is not Channel.WAN:
        own = [other.id for other in services.values() if other.channel is Channel.WAN]
        context.add(
            wanted.source,
            _("touch screens stand on channel 'wan', and show service '{service}' of channel '{other}'").format(
                service=service.id, other=service.channel
            ),
            _("name one of its own: {names}").format(names=", ".join(own)) if own else "",
        )


def kiosks(context: Context) -> None:
    """Each has a page to show: without any of its channel's there is nothing to begin with."""
    told: set[Channel] = {service.channel for service in context.district.services}
    for _ward, site in context.sites:
        for host in site.hosts:
            if host.role in (HostRole.CITIZEN, HostRole.TOUCH_SCREEN) and host.channel not in told:
                told.add(host.channel)
                context.add(
                    host.source,
                    _("'{host}' has no page to show: there is no service of channel '{channel}'").format(
                        host=host.id, channel=host.channel
                    ),
                    _("add one to 'services' in district.yml"),
                )


def screens(context: Context) -> None:
    for _ward, site in context.sites:
        for host in site.hosts:
            if host.screen is None:
                continue
            if host.role is not HostRole.TOUCH_SCREEN:
                context.add(
                    host.screen.source,
                    _("host '{host}' with role '{role}' has 'screen'").format(host=host.id, role=host.role),
                    _("remove it, or set 'role: touch_screen'"),
                )
            elif host.os is not OperatingSystem.LINUX:
                said = _("touch screen '{host}' with os {os} is set up by hand, and 'screen' would say nothing to it")
                context.add(
                    host.screen.source,
                    said.format(host=host.id, os=host.os),
                    _("remove it, and set the scale at the device"),
                )


def accounts(context: Context) -> None:
    for account in context.district.workplaces.accounts:
        if account.id in TAKEN_LOGINS or account.id.startswith("systemd-"):
            context.add(
                account.source,
                _("account '{account}' has a name that the system keeps for itself").format(account=account.id),
                _("choose another id, such as '{other}'").format(other=f"{account.id}-1"),
            )
        _placed(context, account, _("account"))


def printers(context: Context) -> None:
    foreign = context.district.channel(Channel.INTERNET).prefixes
    defaults: list[Printer] = []
    for printer in context.district.workplaces.printers:
        _placed(context, printer, _("printer"))
        address = _address(printer.uri)
        if address is not None and any(address in prefix for prefix in foreign if prefix.version == address.version):
            context.add(
                printer.source,
                _("printer '{printer}' stands on channel 'internet', clerks' PCs on 'wan'").format(printer=printer.id),
                _("give it an address in a network of the office"),
            )
        for first in defaults if printer.default else ():
            if where := _both_at(context, first, printer):
                context.add(
                    printer.source,
                    _("printers '{printer}' and '{first}' are both the default at '{where}'").format(
                        printer=printer.id, first=first.id, where=where
                    ),
                    _("leave 'default: true' at one of them"),
                )
        if printer.default:
            defaults.append(printer)


def _both_at(context: Context, one: Printer, other: Printer) -> str:
    """A ward or a PC that has both, whether by its own name or by its ward's; empty where there is none."""
    ward_of = {host.id: ward.id for ward, site in context.sites for host in site.hosts}
    shared = [ward for ward in other.wards if ward in one.wards] + [name for name in other.hosts if name in one.hosts]
    shared += [name for name in other.hosts if ward_of.get(name) in one.wards]
    shared += [name for name in one.hosts if ward_of.get(name) in other.wards]
    return shared[0] if shared else ""


def _address(uri: str) -> IPAddress | None:
    try:
        return ip_address(urlsplit(uri).hostname or "")
    except ValueError:
        return None  # a name, which says nothing of the channel


def _placed(context: Context, item: Account | Printer, kind: str) -> None:
    if not context.complete:  # what it names may be in a file that did not parse
        return
    wards = [ward.id for ward in context.district.wards]
    for ward in item.wards:
        if ward not in wards:
            context.unknown(item.source, _("ward"), ward, wards)
    counters = [name for name, (_site, host) in context.hosts.items() if host.role is HostRole.COUNTER]
    for name in item.hosts:
        if name not in context.hosts:
            context.unknown(item.source, _("host"), name, counters)
        elif name not in counters:
            context.add(
                item.source,
                _("{kind} '{item}' is for '{host}', which is no clerk's PC").format(kind=kind, item=item.id, host=name),
                _("name hosts with 'role: counter'"),
            )
