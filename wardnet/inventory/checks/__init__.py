"""What must hold between the records of an inventory. `CHECKS` is the whole list, in the order of the files."""

from __future__ import annotations

from collections.abc import Callable

from wardnet.inventory.checks import (
    addresses,
    conduits,
    exceptions,
    lines,
    names,
    scanners,
    served,
    sites,
    switches,
    wifi,
    workplaces,
)
from wardnet.inventory.checks.context import Context
from wardnet.inventory.problems import Problems
from wardnet.model.intent import District

CHECKS: tuple[Callable[[Context], None], ...] = (
    names.unique_ids,
    names.reserved_names,
    names.unique_ports,
    conduits.channels_apart,
    conduits.zones_of_channels,
    conduits.conduits_within_a_channel,
    conduits.services_and_reflectors,
    sites.circuits_of_kind,
    sites.one_server_room,
    sites.networks_have_a_zone,
    sites.management,
    sites.rates_and_dates,
    sites.hosts_on_one_channel,
    lines.addressing,
    lines.routing,
    lines.subinterfaces,
    lines.virtual_routing,
    addresses.circuits,
    addresses.networks_of_channels,
    addresses.hosts_in_networks,
    addresses.no_overlap,
    served.leases,
    served.services,
    wifi.networks,
    wifi.zones,
    scanners.scanners,
    switches.switches,
    exceptions.exceptions_cross,
    workplaces.pages,
    workplaces.board,
    workplaces.kiosks,
    workplaces.screens,
    workplaces.accounts,
    workplaces.printers,
)


def check(district: District, problems: Problems, *, complete: bool) -> None:
    """Run all checks. With `complete` False some files did not parse, and what only they could settle is let be.
    Without its two channels a district means nothing, so that nothing else is asked of it."""
    context = Context(district, problems, complete)
    if conduits.channels_present(context):
        for one in CHECKS:
            one(context)
