"""Plan + lab.yml + how many wards -> what is booted and how it is wired. Pure.

This is the lab's own compiler: it reads the same plan as Ansible, monitoring and the audit do, so that what is
tested here is what is shipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lab.cabling import Cable, lay_cables
from lab.circuit.shaper import LineSettings
from lab.errors import LabError
from lab.hosts import AccessPort
from lab.outside import Outside, OutsideHost, OutsideRole
from wardnet.locale import N_, _
from wardnet.model.intent import (
    Channel,
    Circuit,
    ContractedRate,
    District,
    HostRole,
    OperatingSystem,
    Platform,
    SiteKind,
    SwitchPlatform,
)
from wardnet.model.plan import GatewayPlan, HostPlan, Plan, PortKind, SwitchPlan


class Kind(StrEnum):
    """What a booted machine stands for, which decides what it is given before it boots."""

    HUB = N_("hub")
    GATEWAY = N_("gateway")  # managed: only enough to be reached
    SWITCH = N_("switch")  # managed: its networks are apart, and no more
    PROVIDER_BOX = N_("provider box")  # nobody manages it: works as delivered
    STATION = N_("station")  # a PC or touch screen
    SCANNER = N_("scanner")
    DEVICE = N_("visitor's device")
    PORTAL = N_("portal")
    RESOLVER = N_("resolver")
    MIRROR = N_("mirror")
    PUBLIC_MIRROR = N_("public mirror")  # on the internet's side
    WEB = N_("web")
    SERVER = N_("server")
    ISP = N_("provider's router")


@dataclass(frozen=True, slots=True)
class Node:
    """One booted machine. `ports` are those on the lab's own switches; circuits' are in Wire, others in Cable."""

    id: str
    kind: Kind
    ward: str | None
    site: str | None
    ports: tuple[AccessPort, ...]
    gateway: GatewayPlan | None = None
    host: HostPlan | None = None
    outside: OutsideHost | None = None
    switch: SwitchPlan | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """A circuit between the gateway `near` and the hub or the provider's router `far`."""

    id: str
    channel: Channel
    ward: str
    near: str
    near_port: str
    far: str
    far_port: str
    circuit: Circuit
    down: LineSettings
    up: LineSettings


@dataclass(frozen=True, slots=True)
class NotBooted:
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Topology:
    wards: tuple[str, ...]  # without the district's own unit
    nodes: tuple[Node, ...]
    wires: tuple[Wire, ...]
    unplugged: tuple[tuple[str, str], ...]  # (host, port): circuits whose ward is not in this lab, empty outlets
    not_booted: tuple[NotBooted, ...]
    cables: tuple[Cable, ...] = ()  # into the ports of booted switches

    def node(self, node_id: str) -> Node:
        return next(node for node in self.nodes if node.id == node_id)


OUTSIDE_SWITCH = "outside"

_BY_ROLE = {
    HostRole.SCANNER: Kind.SCANNER,
    HostRole.ACCESS_POINT: Kind.DEVICE,
    HostRole.PORTAL: Kind.PORTAL,
    HostRole.RESOLVER: Kind.RESOLVER,
    HostRole.MIRROR: Kind.MIRROR,
    HostRole.MONITORING: Kind.SERVER,
    HostRole.CONTROLLER: Kind.SERVER,
    HostRole.AUDITOR: Kind.SERVER,
}
_OUTSIDE_ROLE = {
    OutsideRole.ROUTER: Kind.ISP,
    OutsideRole.RESOLVER: Kind.RESOLVER,
    OutsideRole.PORTAL: Kind.PORTAL,
    OutsideRole.WEB: Kind.WEB,
    OutsideRole.MIRROR: Kind.PUBLIC_MIRROR,
}


def choose_wards(district: District, count: int) -> tuple[str, ...]:
    """The first `count` wards in the inventory's order. LabError if there are not so many."""
    wards = [ward.id for ward in district.wards if not ward.is_district]
    if not 0 <= count <= len(wards):
        raise LabError(
            _("{district} has {count} wards: --wards takes 0 to {count}, not {given}").format(
                district=district.name, count=len(wards), given=count
            )
        )
    return tuple(wards[:count])


def compile_topology(district: District, plan: Plan, outside: Outside, wards: int) -> Topology:
    """The machines and wires of the server room, the district's own office and the first `wards` wards."""
    chosen = choose_wards(district, wards)
    included = {ward.id for ward in district.wards if ward.is_district} | set(chosen)
    not_booted: list[NotBooted] = []
    nodes = [_outside_node(host) for host in outside.hosts]
    for gateway in plan.gateways:
        if gateway.ward in included:
            node = _gateway_node(gateway)
            if isinstance(node, Node):
                nodes.append(node)
            else:
                not_booted.append(node)
    for host in plan.hosts:
        if host.ward in included:
            if host.os is OperatingSystem.WINDOWS:
                not_booted.append(NotBooted(host.id, N_("Windows cannot be booted as a Debian host")))
            else:
                nodes.append(_host_node(host))
    booted = {node.id for node in nodes}
    wires, unplugged = _wires(district, plan, outside, booted)
    cables: list[Cable] = []
    for switch in plan.switches:
        if switch.ward not in included:
            continue
        if not switch.managed or switch.platform is not SwitchPlatform.OPENVSWITCH:
            not_booted.append(NotBooted(switch.id, N_("a switch of the lab's own stands in for it")))
            continue
        laid = lay_cables(
            switch,
            {gateway.id: gateway for gateway in plan.gateways},
            {host.id: host for host in plan.hosts},
            booted,
        )
        nodes.append(Node(switch.id, Kind.SWITCH, switch.ward, switch.site, laid.uplinks, switch=switch))
        cables += laid.cables
        unplugged += tuple((switch.id, port) for port in laid.dark)
    return Topology(
        chosen, tuple(_without(cables, node) for node in nodes), wires, unplugged, tuple(not_booted), tuple(cables)
    )


def _without(cables: Sequence[Cable], node: Node) -> Node:
    """The node without those of its ports on the lab's own switches that a cable leads from."""
    taken = {cable.port for cable in cables if cable.host == node.id}
    return replace(node, ports=tuple(port for port in node.ports if port.name not in taken)) if taken else node


def _outside_node(host: OutsideHost) -> Node:
    return Node(
        host.id, _OUTSIDE_ROLE[host.role], None, None, (AccessPort("eth0", OUTSIDE_SWITCH, None),), outside=host
    )


def _gateway_node(gateway: GatewayPlan) -> Node | NotBooted:
    ports = tuple(
        AccessPort(port.name, gateway.site, port.vlan) for port in gateway.ports if port.kind is PortKind.NETWORK
    )
    if gateway.site_kind is SiteKind.SERVER_ROOM:
        kind = Kind.HUB
    elif gateway.reached and gateway.platform is Platform.LINUX:
        kind = Kind.GATEWAY
    elif len(gateway.channels) == 1:
        kind = Kind.PROVIDER_BOX
    else:
        return NotBooted(gateway.id, N_("a gateway of this platform with two channels has no stand-in here"))
    return Node(gateway.id, kind, gateway.ward, gateway.site, ports, gateway=gateway)


def _host_node(host: HostPlan) -> Node:
    ports = tuple(AccessPort(port.name, host.site, port.vlan) for port in host.ports)
    # A scanner box is managed as a PC is: the roles bring its service.
    box = host.role is HostRole.SCANNER and host.os is OperatingSystem.LINUX
    kind = Kind.STATION if box else _BY_ROLE.get(host.role, Kind.STATION)
    return Node(host.id, kind, host.ward, host.site, ports, host=host)


def current_rate(circuit: Circuit, plan: Plan) -> ContractedRate:
    """What is contracted on the plan's day; the first rate if none has begun."""
    begun = [rate for rate in circuit.contracted if rate.valid_from <= plan.as_of]
    return begun[-1] if begun else circuit.contracted[0]


def _wires(
    district: District, plan: Plan, outside: Outside, booted: set[str]
) -> tuple[tuple[Wire, ...], tuple[tuple[str, str], ...]]:
    circuits = {circuit.id: (ward, site, circuit) for ward, site in district.sites for circuit in site.circuits}
    hub_ports = {
        port.reference: (gateway.id, port.name)
        for gateway in plan.gateways
        if gateway.site_kind is SiteKind.SERVER_ROOM
        for port in gateway.ports
        if port.kind is PortKind.CIRCUIT
    }
    wires: list[Wire] = []
    for gateway in plan.gateways:
        if gateway.id not in booted or gateway.site_kind is SiteKind.SERVER_ROOM:
            continue
        for port in gateway.ports:
            if port.kind is not PortKind.CIRCUIT:
                continue
            circuit = circuits[port.reference][2]
            if port.channel is Channel.INTERNET:
                far, far_port = outside.router.id, f"line{len(wires)}"
            elif circuit.id in hub_ports:
                far, far_port = hub_ports[circuit.id]
            else:
                raise LabError(_("circuit {id} ends at no port of a server room's gateway").format(id=circuit.id))
            rate, line = current_rate(circuit, plan), outside.line(port.channel)
            wires.append(
                Wire(
                    circuit.id,
                    port.channel,
                    gateway.ward,
                    gateway.id,
                    port.name,
                    far,
                    far_port,
                    circuit,
                    LineSettings(rate.down_bps, line.delay, line.buffer, line.loss),
                    LineSettings(rate.up_bps, line.delay, line.buffer, line.loss),
                )
            )
    plugged = {wire.id for wire in wires}
    unplugged = tuple(end for circuit, end in hub_ports.items() if circuit not in plugged and end[0] in booted)
    return tuple(wires), unplugged
