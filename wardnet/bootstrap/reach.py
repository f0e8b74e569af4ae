"""GatewayPlan -> what must be there before the controller can come: ports, addresses, routes, who may log in. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from wardnet.bootstrap.errors import BootstrapError
from wardnet.locale import N_, _
from wardnet.model.intent import Channel, IPAddress, IPInterface, IPNetwork, SiteKind
from wardnet.model.plan import Flow, GatewayPlan, Hook, Plan, Port, PortKind

SSH = 22
PULLED = N_("only on the internet channel: it pulls, as docs/pull.md says")


@dataclass(frozen=True, slots=True)
class NeededPort:
    """A port that the machine must have under this name. `carries` are the inventory's ports on it: itself, or VLANs.
    `at_once` are those that the controller comes by; the others are wanted by the roles."""

    name: str
    carries: tuple[Port, ...]
    at_once: bool


@dataclass(frozen=True, slots=True)
class ReachedPort:
    """A port with its addresses, and the routes that lead to the controller: (destination, via)."""

    name: str
    addresses: tuple[IPInterface, ...]
    routes: tuple[tuple[IPNetwork, IPAddress], ...]
    parent: str | None = None
    tag: int | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """`allowed` are the inventory's own flows of SSH and echo to the gateway: what the filter lets in, and no more.
    `far_ends` are what the technician can ask whether it answers, the nearest first."""

    host: str
    domain: str
    ports: tuple[NeededPort, ...]
    reached: tuple[ReachedPort, ...]
    allowed: tuple[Flow, ...]
    resolvers: tuple[IPAddress, ...]
    far_ends: tuple[IPAddress, ...]
    management: tuple[IPAddress, ...]


def reach_of(
    plan: Plan, host: str, resolvers: tuple[IPAddress, ...], prefixes: tuple[IPNetwork, ...], known: frozenset[str]
) -> Reach:
    """What `host` needs. `resolvers` and `prefixes` are the WAN channel's; `known` are all ids that are not gateways.

    BootstrapError for whatever is not a gateway that the controller configures over the WAN.
    """
    gateway = _gateway(plan, host, known)
    managed = tuple(each for each in (gateway.management_ipv4, gateway.management_ipv6) if each is not None)
    reached = tuple(
        _reached(port, prefixes if port.kind is PortKind.CIRCUIT else ())
        for port in gateway.ports
        if port.channel is Channel.WAN and _is_needed(gateway, port)
    )
    if gateway.site_kind is not SiteKind.SERVER_ROOM and not any(port.routes for port in reached):
        raise BootstrapError(
            _("{host} has no WAN circuit on {day}: nothing leads to it ({source})").format(
                host=host, day=plan.as_of, source=gateway.source
            )
        )
    allowed = tuple(flow for flow in gateway.flows if _lets_in(flow))
    if not any(SSH in one.ports for flow in allowed for one in flow.allow):
        raise BootstrapError(
            _(
                "nobody may reach {host} over SSH: a conduit from the management's zone to 'gateway' "
                "with tcp/22 is missing in district.yml"
            ).format(host=host)
        )
    peers = tuple(
        peer
        for port in gateway.ports
        if port.name in {one.name for one in reached}
        for peer in (port.ipv4_peer, port.ipv6_peer)
        if peer is not None
    )
    return Reach(
        host=host,
        domain=plan.domain,
        ports=_ports(gateway, frozenset(port.parent or port.name for port in reached)),
        reached=reached,
        allowed=allowed,
        resolvers=resolvers,
        far_ends=peers if gateway.site_kind is not SiteKind.SERVER_ROOM else (),
        management=managed,
    )


def _gateway(plan: Plan, host: str, known: frozenset[str]) -> GatewayPlan:
    found = next((each for each in plan.gateways if each.id == host), None)
    if found is None and host in known:
        raise BootstrapError(
            _("{host} is no gateway: it is reached through one, and needs no more than Debian and the SSH key").format(
                host=host
            )
        )
    if found is None:
        names = ", ".join(each.id for each in plan.gateways if each.reached)
        raise BootstrapError(_("no gateway {host} in the inventory; there are: {names}").format(host=host, names=names))
    if not found.reached:
        reason = found.unmanaged_reason or PULLED
        raise BootstrapError(
            _("{host} is not configured from here: {reason} ({source})").format(
                host=host, reason=_(reason), source=found.source
            )
        )
    return found


def _lets_in(flow: Flow) -> bool:
    return (
        flow.hook is Hook.INPUT
        and not flow.crosses
        and flow.expires is None
        and any(one.protocol == "tcp" and SSH in one.ports for one in flow.allow)
    )


def _is_needed(gateway: GatewayPlan, port: Port) -> bool:
    """The line and the management address; of the hub its networks, behind one of which the package mirror stands."""
    if gateway.site_kind is SiteKind.SERVER_ROOM:
        return port.kind is PortKind.NETWORK
    managed = (gateway.management_ipv4, gateway.management_ipv6)
    return port.kind is PortKind.CIRCUIT or any(own.ip in managed for own in port.own)


def _reached(port: Port, prefixes: tuple[IPNetwork, ...]) -> ReachedPort:
    """Routes that are learned by BGP later are static until then: the far end is the same."""
    peers = {peer.version: peer for peer in (port.ipv4_peer, port.ipv6_peer) if peer is not None}
    routes = tuple((prefix, peers[prefix.version]) for prefix in prefixes if prefix.version in peers)
    return ReachedPort(port.name, port.own, routes, port.parent, port.tag)


def _ports(gateway: GatewayPlan, at_once: frozenset[str]) -> tuple[NeededPort, ...]:
    """The machine's own ports, those that the controller comes by first."""
    carried: dict[str, list[Port]] = {}
    for port in gateway.ports:
        carried.setdefault(port.parent or port.name, []).append(port)
    found = [NeededPort(name, tuple(ports), name in at_once) for name, ports in carried.items()]
    return tuple(sorted(found, key=lambda port: not port.at_once))
