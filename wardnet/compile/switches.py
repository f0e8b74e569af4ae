"""A site's access switch -> what it must be: one use a port, tags for networks, and its own management port."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface

from wardnet.locale import N_
from wardnet.model.intent import PortMode, Site, Switch, SwitchPlatform, Ward
from wardnet.model.plan import HostPort, SwitchPlan, SwitchPort

BRIDGE = "access"
MANAGEMENT_PORT = "mgmt0"  # the switch's own, in its management network


def switch_plan(ward: Ward, site: Site, switch: Switch) -> SwitchPlan:
    reason = None
    if switch.platform is SwitchPlatform.UNMANAGED:
        reason = N_("an unmanaged switch: nobody here configures it")
    vlans = {network.id: network.vlan for network in site.networks}
    ports = []
    for port in switch.ports:
        tags = tuple(sorted(vlans[name] for name in port.networks))
        ports.append(
            SwitchPort(
                port.name,
                port.mode,
                tags[0] if port.mode is PortMode.ACCESS else None,
                tags if port.mode is PortMode.TRUNK else (),
                port.leads_to,
                port.source,
            )
        )
    management = _management(site, switch) if reason is None else None
    return SwitchPlan(
        id=switch.id,
        ward=ward.id,
        site=site.id,
        platform=switch.platform,
        managed=reason is None,
        unmanaged_reason=reason,
        management_ipv4=management.ipv4.ip if management else None,
        management_ipv6=management.ipv6.ip if management else None,
        management=management,
        bridge=BRIDGE,
        ports=tuple(ports),
        source=switch.source,
    )


def _management(site: Site, switch: Switch) -> HostPort:
    network = next(network for network in site.networks if network.id == switch.management_network)
    assert switch.ipv4 is not None
    assert switch.ipv6 is not None
    return HostPort(
        MANAGEMENT_PORT, network.id, network.zone, network.vlan,
        IPv4Interface((switch.ipv4, network.ipv4.network.prefixlen)),
        IPv6Interface((switch.ipv6, network.ipv6.network.prefixlen)),
        network.ipv4.ip, network.ipv6.ip,
    )  # fmt: skip
