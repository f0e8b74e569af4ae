"""Plan -> what the audit must show, and what it cannot look into."""

from __future__ import annotations

from wardnet.compile.implied import BROADCAST
from wardnet.compile.journeys import compile_network, link_of
from wardnet.compile.places import single
from wardnet.compile.plan import on_day
from wardnet.locale import N_
from wardnet.model.intent import District, IPNetwork
from wardnet.model.plan import Flow, GatewayPlan, HostPlan, Plan, Port, PortKind, SwitchPlan
from wardnet.model.policy import (
    Assumption,
    AuditPolicy,
    DevicePolicy,
    Grant,
    Passing,
    PolicyPort,
    SwitchEnd,
    SwitchPolicy,
)

PULLED = N_("only on the internet channel: management does not reach it")
NO_SWITCHES = N_("a switch: what it carries is taken on trust, the gateway is looked into")
SWITCH_ZONES = N_("a switch: that it keeps zones of one channel apart is taken on trust")  # where it was looked into
PROGRAMS = N_("a gateway: what its own programs pass on between zones of one channel is not looked into")
NO_HOSTS = N_("a host: that it has one channel only, and passes nothing on to the other, is not looked into")


def compile_policy(district: District, plan: Plan) -> AuditPolicy:
    today = on_day(district, plan.as_of)
    documents = {grant.id: (grant.owner, grant.document) for grant in today.exceptions}
    listed: list[GatewayPlan | HostPlan] = [*plan.gateways, *plan.hosts]
    assumptions = [
        Assumption(item.id, item.unmanaged_reason or PULLED, item.source) for item in listed if not item.reached
    ]
    assumptions += [Assumption(host.id, NO_HOSTS, host.source) for host in plan.hosts if host.reached]
    assumptions += [Assumption(switch.id, NO_SWITCHES, switch.source) for switch in plan.switches]
    devices = {gateway.id: _device(gateway, documents) for gateway in plan.gateways}
    reached = [gateway.id for gateway in plan.gateways if gateway.reached]
    assumptions += [Assumption(gateway.id, PROGRAMS, gateway.source) for gateway in plan.gateways if gateway.reached]
    return AuditPolicy(
        district=plan.district,
        model_sha256=plan.model_sha256,
        as_of=plan.as_of,
        devices=tuple(devices[name] for name in reached),
        assumptions=tuple(assumptions),
        switches=tuple(_switch(plan, switch) for switch in plan.switches if switch.managed),
        network=compile_network(today, plan, devices),
    )


def _switch(plan: Plan, switch: SwitchPlan) -> SwitchPolicy:
    """Which VLAN is of which channel, the gateways of its site say."""
    ports = [SwitchEnd(p.name, p.trunks or ((p.vlan,) if p.vlan is not None else ()), bool(p.trunks))
             for p in switch.ports]  # fmt: skip
    if switch.management is not None:
        ports.append(SwitchEnd(switch.management.name, (switch.management.vlan,), tagged=False))
    networks = [port for gateway in plan.gateways if gateway.site == switch.site for port in gateway.ports
                if port.kind is PortKind.NETWORK and port.vlan is not None]  # fmt: skip
    return SwitchPolicy(
        switch.id, switch.ward, switch.site, str(switch.platform), switch.bridge, tuple(ports),
        {port.vlan: port.channel for port in networks if port.vlan is not None},
        {port.vlan: tuple(own.network for own in port.own) for port in networks if port.vlan is not None},
    )  # fmt: skip


def _device(gateway: GatewayPlan, documents: dict[str, tuple[str, str]]) -> DevicePolicy:
    ports = []
    for port in gateway.ports:
        prefixes: tuple[IPNetwork, ...] = ()
        if port.kind is PortKind.NETWORK:
            prefixes = tuple(own.network for own in port.own)
        label = port.zone or port.reference
        dialled = port.dialled is not None
        ports.append(
            PolicyPort(
                port.name, port.channel, label, prefixes, port.parent, port.tag, dialled,
                zone=label, link=link_of(gateway, port), becomes=_becomes(gateway, port),
            )
        )  # fmt: skip
    grants = [grant for flow in gateway.flows if flow.crosses for grant in _grants(flow, documents)]
    conduits = tuple(_passing(flow) for flow in gateway.flows if not flow.crosses)
    return DevicePolicy(gateway.id, gateway.ward, gateway.site, gateway.platform, tuple(ports), tuple(grants), conduits)


def _becomes(gateway: GatewayPlan, port: Port) -> tuple[IPNetwork, ...] | None:
    if port.name not in gateway.masquerade:
        return None
    return () if port.ipv4 is None else (single(port.ipv4.ip),)


def _passing(flow: Flow) -> Passing:
    """Without what stays between neighbours: nothing that is forwarded is from or to it."""
    sender, receiver = flow.sender, flow.receiver
    return Passing(
        flow.id, sender.port, receiver.port, _beyond(sender.prefixes), _beyond(receiver.prefixes), flow.allow,
        flow.source, sender.excluded, receiver.excluded,
    )  # fmt: skip


def _beyond(prefixes: tuple[IPNetwork, ...]) -> tuple[IPNetwork, ...]:
    return tuple(
        prefix
        for prefix in prefixes
        if not (prefix.is_unspecified or prefix.is_link_local or prefix.is_multicast or prefix == BROADCAST)
    )


def _grants(flow: Flow, documents: dict[str, tuple[str, str]]) -> list[Grant]:
    owner, document = documents[flow.id]
    assert flow.expires is not None
    assert flow.sender.port is not None
    assert flow.receiver.port is not None
    return [
        Grant(
            flow.id, flow.sender.port, flow.receiver.port, sender, receiver,
            flow.allow, owner, document, flow.expires, flow.source,
        )
        for sender in flow.sender.prefixes
        for receiver in flow.receiver.prefixes
        if sender.version == receiver.version
    ]  # fmt: skip
