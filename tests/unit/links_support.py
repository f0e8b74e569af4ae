"""What is left of a device's routes when ports fail, told without any engine: as the kernel lists them then
(tests/lab/test_audit_links_kernel.py holds it against the kernel)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from wardnet.audit.question import LinkState
from wardnet.model.device import Device, KernelRoute, RouteType

OWN = (RouteType.LOCAL, RouteType.ANYCAST)


def cut(device: Device, state: LinkState, *, carrier: bool = False) -> Device:
    """The device as its artefacts would show it: without the routes that went. With `carrier`, ports that are down and
    not gone have only lost that, and routes without one are ignored."""
    return replace(device, routes={family: tuple(_left(device, family, state, carrier)) for family in (4, 6)})


def _left(device: Device, family: int, state: LinkState, carrier: bool) -> Iterator[KernelRoute]:
    parted = state.gone if family == 4 or carrier else state.down
    held = {
        route.destination
        for route in device.routes[family]
        if route.type is RouteType.LOCAL and not (route.next_hops and {hop.port for hop in route.next_hops} <= parted)
    }
    for route in device.routes[family]:
        missing = parted if route.type in OWN else state.down
        hops = tuple(hop for hop in route.next_hops if hop.port not in missing)
        broken = family == 4 and not route.grouped and any(hop.port in state.gone for hop in route.next_hops)
        if route.next_hops and (not hops or (broken and len(route.next_hops) > 1)):
            continue
        if family == 4 and route.table == "254" and route.prefers and not any(route.prefers in one for one in held):
            continue
        yield replace(route, next_hops=hops)
