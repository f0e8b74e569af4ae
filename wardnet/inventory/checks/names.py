"""Ids and port names are unique where something else refers to them by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from wardnet.inventory.checks.context import ALWAYS, Context, Days, days_of, in_site, share_a_day
from wardnet.inventory.values import TAKEN_INTERFACES
from wardnet.locale import _
from wardnet.model.intent import Channel, Site, SiteKind, Source

# Ansible's own names and the groups that hosts are compiled into: a host of that name would stand for all of them.
GROUPS = frozenset({
    "access_points", "all", "auditors", "citizen_points", "controllers", "gateways", "hubs", "localhost", "mirrors",
    "monitoring_servers", "portals", "pulled", "resolvers", "scanners", "servers", "skipped", "switches",
    "touch_screens", "ungrouped", "workstations",
})  # fmt: skip


class Named(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def source(self) -> Source: ...


def unique_ids(context: Context) -> None:
    district = context.district
    sites = [site for _ward, site in context.sites]
    kinds: list[tuple[str, Iterable[Named]]] = [
        (_("zone"), district.zones),
        (_("conduit or exception"), [*district.conduits, *district.exceptions]),
        (_("service"), district.services),
        (_("reflector"), district.reflectors),
        (_("ward"), district.wards),
        (_("site"), sites),
        (_("circuit"), [circuit for site in sites for circuit in site.circuits]),
        (_("device"), [device for site in sites for device in _devices(site)]),
        (_("printer"), district.workplaces.printers),
        (_("token module"), district.workplaces.token_modules),
        (_("account"), district.workplaces.accounts),
    ]
    for kind, items in kinds:
        _unique(context, kind, ((item.id, item.source, ALWAYS) for item in items))
    for _ward, site in context.sites:
        _unique(context, _("network"), ((n.id, n.source, ALWAYS) for n in site.networks), in_site(site))


def reserved_names(context: Context) -> None:
    for _ward, site in context.sites:
        for device in _devices(site):
            if device.id in GROUPS:
                context.add(
                    device.source,
                    _("device '{device}' has the name of a group of hosts").format(device=device.id),
                    _("choose another id, such as '{other}'").format(other=f"{site.id}-{device.id}"),
                )
        for circuit in site.circuits:
            if circuit.channel is Channel.WAN and circuit.id in TAKEN_INTERFACES:
                context.add(
                    circuit.source,
                    _("circuit '{circuit}' has a name that the system keeps for itself").format(circuit=circuit.id),
                    _("the hub's port is named after it; choose another id"),
                )


def unique_ports(context: Context) -> None:
    wan = {c.id: c.source for _ward, site in context.sites for c in site.circuits if c.channel is Channel.WAN}
    for _ward, site in context.sites:
        ports = [(c.interface, c.source, days_of(c)) for c in site.circuits]
        ports += [(n.interface, n.source, ALWAYS) for n in site.networks]
        if site.kind is SiteKind.SERVER_ROOM:  # the hub's port of a circuit is named after the circuit
            ports += [(name, source, ALWAYS) for name, source in wan.items()]
        _unique(context, _("interface"), ports, _(" at gateway '{gateway}'").format(gateway=site.gateway.id))
        for host in site.hosts:
            _unique(
                context,
                _("interface"),
                ((a.name, a.source, ALWAYS) for a in host.interfaces),
                _(" at host '{host}'").format(host=host.id),
            )


def _unique(context: Context, kind: str, items: Iterable[tuple[str, Source, Days]], where: str = "") -> None:
    seen: dict[str, list[tuple[Source, Days]]] = {}
    for ident, source, days in items:
        before = seen.setdefault(ident, [])
        first = next((other for other, its in before if share_a_day(its, days)), None)
        before.append((source, days))
        if first is not None and first is not source:
            context.add(
                source,
                _("{kind} '{ident}' is there twice{where}").format(kind=kind, ident=ident, where=where),
                _("first at {first}").format(first=first),
            )


def _devices(site: Site) -> list[Named]:
    return [site.gateway, *([site.switch] if site.switch else []), *site.hosts]
