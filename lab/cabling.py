"""What is plugged into a managed access switch, from its plan: hosts and the gateway by cables, other switches as the
lab's own bridge of the site, and outlets with nothing in them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lab.hosts import AccessPort
from wardnet.model.intent import PortMode
from wardnet.model.plan import GatewayPlan, HostPlan, PortKind, SwitchPlan, SwitchPort

UPLINK = "uplink"


@dataclass(frozen=True, slots=True)
class Cable:
    """Between the port of a host or gateway and the port of a booted switch."""

    host: str
    port: str
    switch: str
    switch_port: str


@dataclass(frozen=True, slots=True)
class Cabling:
    cables: tuple[Cable, ...]
    uplinks: tuple[AccessPort, ...]  # of the switch, into the lab's own bridge of the site
    dark: tuple[str, ...]  # ports of the switch with nothing in them


def lay_cables(
    switch: SwitchPlan, gateways: Mapping[str, GatewayPlan], hosts: Mapping[str, HostPlan], booted: Iterable[str]
) -> Cabling:
    """`booted` are ids of machines: what a port leads to and is not booted is an outlet with nothing in it."""
    there = frozenset(booted)
    cables, uplinks, dark = [], [], []
    for port in switch.ports:
        end = None
        if port.leads_to == UPLINK and port.mode is not PortMode.UNUSED:
            uplinks.append(AccessPort(port.name, switch.site, port.vlan, port.trunks))
            continue
        if port.leads_to in there:
            gateway = gateways.get(port.leads_to or "")
            end = _gateways_end(gateway, port) if gateway is not None else _hosts_end(hosts[port.leads_to or ""], port)
        if end is None or port.leads_to is None:
            dark.append(port.name)
        else:
            cables.append(Cable(port.leads_to, end, switch.id, port.name))
    return Cabling(tuple(cables), tuple(uplinks), tuple(dark))


def _gateways_end(gateway: GatewayPlan, port: SwitchPort) -> str | None:
    """The gateway's port of the network that the switch's port carries; of a trunk, that which holds its networks."""
    for one in gateway.ports:
        if one.kind is not PortKind.NETWORK:
            continue
        if port.mode is PortMode.ACCESS and one.parent is None and one.vlan == port.vlan:
            return one.name
        if port.mode is PortMode.TRUNK and one.parent is not None and one.tag in port.trunks:
            return one.parent
    return None


def _hosts_end(host: HostPlan, port: SwitchPort) -> str | None:
    return next((one.name for one in host.ports if one.vlan == port.vlan), None)
