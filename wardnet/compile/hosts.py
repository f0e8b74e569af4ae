"""Plan -> Ansible: groups and the variables of each host."""

from __future__ import annotations

from typing import Any

from wardnet.compile.agent import compile_agent, compile_pc_agent
from wardnet.compile.plain import to_plain
from wardnet.compile.plan import on_day
from wardnet.compile.scanners import scanner_variables
from wardnet.compile.targets import compile_targets
from wardnet.compile.validity import compile_validity
from wardnet.model.intent import Channel, District, HostRole, SiteKind
from wardnet.model.plan import GatewayPlan, HostPlan, Plan, PortKind, SwitchPlan
from wardnet.model.snapshot import LINUX, OPENVSWITCH

GROUP_OF_ROLE = {
    HostRole.COUNTER: "workstations",
    HostRole.TOUCH_SCREEN: "touch_screens",
    HostRole.CITIZEN: "citizen_points",
    HostRole.SCANNER: "scanners",
    HostRole.ACCESS_POINT: "access_points",
    HostRole.PORTAL: "portals",
    HostRole.RESOLVER: "resolvers",
    HostRole.MIRROR: "mirrors",
    HostRole.MONITORING: "monitoring_servers",
    HostRole.CONTROLLER: "controllers",
    HostRole.AUDITOR: "auditors",
}


def compile_hosts(district: District, plan: Plan) -> dict[str, Any]:
    """{"groups": {name: [host, ...]}, "vars": {for all}, "hosts": {name: {variables}}}.

    What is in the inventory but not managed stands in the group `skipped` alone, with `wardnet_skip_reason`. What
    fetches its configuration itself stands in `pulled` too: it has no `ansible_host`, since nobody connects to it.
    """
    groups: dict[str, list[str]] = {}
    hosts: dict[str, dict[str, Any]] = {}
    for gateway in plan.gateways:
        names = ["hubs" if gateway.site_kind is SiteKind.SERVER_ROOM else "gateways"]
        _enter(groups, gateway, names)
        hosts[gateway.id] = _gateway(district, plan, gateway)
    for host in plan.hosts:
        names = [GROUP_OF_ROLE[host.role]]
        if host.site_kind is SiteKind.SERVER_ROOM:
            names.append("servers")
        _enter(groups, host, names)
        hosts[host.id] = _host(district, plan, host)
    for switch in plan.switches:
        _enter(groups, switch, ["switches"])
        hosts[switch.id] = _switch(plan, switch)
    common = {
        "ansible_user": "wardnet",
        "ansible_become": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "wardnet_district": plan.district,
        "wardnet_district_name": district.name,
        "wardnet_ward_names": {ward.id: ward.name for ward in district.wards},
        "wardnet_domain": plan.domain,
        "wardnet_timezone": plan.timezone,
        "wardnet_model_sha256": plan.model_sha256,
        "wardnet_as_of": plan.as_of.isoformat(),
    }
    return {"groups": {name: sorted(members) for name, members in sorted(groups.items())}, "vars": common,
            "hosts": dict(sorted(hosts.items()))}  # fmt: skip


def _enter(groups: dict[str, list[str]], item: GatewayPlan | HostPlan | SwitchPlan, names: list[str]) -> None:
    into = [*names, "ward_" + item.ward.replace("-", "_")] if item.managed else ["skipped"]
    if not isinstance(item, SwitchPlan) and item.pulled:
        into.append("pulled")
    for name in into:
        groups.setdefault(name, []).append(item.id)


def _gateway(district: District, plan: Plan, gateway: GatewayPlan) -> dict[str, Any]:
    variables = {
        "wardnet_gateway": gateway,
        "wardnet_ward": gateway.ward,
        "wardnet_site": gateway.site,
        "wardnet_skip_reason": gateway.unmanaged_reason,
        "wardnet_audit_artefacts": LINUX,
        "wardnet_ssh_listen": gateway.ssh_addresses,
    }
    if gateway.reached:
        variables["ansible_host"] = gateway.management_ipv4
        if gateway.site_kind is not SiteKind.SERVER_ROOM:
            variables["wardnet_agent"] = compile_agent(district, plan, gateway.id)
        else:
            others = [other for other in plan.gateways if other.reached and other.id != gateway.id]
            variables["wardnet_reach"] = [_reached(other) for other in others]
    plain: dict[str, Any] = to_plain(variables)
    return plain


def _reached(gateway: GatewayPlan) -> str:
    """Where SSH reaches a gateway, and over which port of the hub, which is named after the line."""
    lines = [port.reference for port in gateway.ports if port.kind is PortKind.CIRCUIT and port.channel is Channel.WAN]
    return " via ".join([f"{gateway.management_ipv4}:22", *lines])


def _host(district: District, plan: Plan, host: HostPlan) -> dict[str, Any]:
    variables = {
        "wardnet_host": host,
        "wardnet_ward": host.ward,
        "wardnet_site": host.site,
        "wardnet_skip_reason": host.unmanaged_reason,
    }
    if host.reached:
        variables["ansible_host"] = host.ports[0].ipv4.ip
    if host.workplace is not None:
        variables["wardnet_workplace"] = host.workplace
    agent = compile_pc_agent(district, plan, host)
    if agent is not None:
        variables["wardnet_pc_agent"] = agent
    variables |= scanner_variables(on_day(district, plan.as_of), host)
    if host.role is HostRole.MONITORING:
        variables["wardnet_prometheus_targets"] = compile_targets(district, plan)
        variables["wardnet_prometheus_validity"] = compile_validity(district, plan)
    plain: dict[str, Any] = to_plain(variables)
    return plain


def _switch(plan: Plan, switch: SwitchPlan) -> dict[str, Any]:
    variables: dict[str, Any] = {
        "wardnet_switch": switch,
        "wardnet_switch_gateway": next(each.id for each in plan.gateways if each.site == switch.site),
        "wardnet_ward": switch.ward,
        "wardnet_site": switch.site,
        "wardnet_skip_reason": switch.unmanaged_reason,
        "wardnet_audit_artefacts": OPENVSWITCH,
    }
    if switch.managed:
        variables["ansible_host"] = switch.management_ipv4
    plain: dict[str, Any] = to_plain(variables)
    return plain
