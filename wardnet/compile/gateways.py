"""A site -> what its gateway must be: ports, tables, rules, flows."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface

from wardnet.compile.clocks import clock
from wardnet.compile.duties import bgp, client_limits, line_probes, services, shapes, vrf_of, vrfs
from wardnet.compile.flows import crossing_hosts, flows
from wardnet.compile.places import wan_circuits
from wardnet.compile.routing import rules, tables
from wardnet.locale import N_
from wardnet.model.intent import Channel, Circuit, District, Network, Platform, Site, SiteKind, Ward
from wardnet.model.plan import GatewayPlan, Port, PortKind

CONFIGURED = (Platform.LINUX,)  # platforms that roles exist for


def gateway(district: District, ward: Ward, site: Site) -> GatewayPlan:
    ports = _ports(district, site)
    found = flows(district, site)
    reason = _unmanaged_reason(site)
    management = next((n for n in site.networks if n.id == site.gateway.management_network), None)
    return GatewayPlan(
        id=site.gateway.id,
        ward=ward.id,
        site=site.id,
        site_kind=site.kind,
        platform=site.gateway.platform,
        managed=reason is None,
        unmanaged_reason=reason,
        management_ipv4=management.ipv4.ip if management else None,
        management_ipv6=management.ipv6.ip if management else None,
        ports=ports,
        tables=tables(district, site, ports, crossing_hosts(site, found)),
        rules=rules(district, site, ports),
        flows=found,
        masquerade=tuple(
            port.name for port in ports if port.kind is PortKind.CIRCUIT and port.channel is Channel.INTERNET
        ),
        source=site.gateway.source,
        services=services(district, site),
        shapes=shapes(district, site),
        bgp=bgp(district, site),
        vrfs=vrfs(district, site, frozenset(port.channel for port in ports)),
        line_probes=line_probes(district, site),
        client_limits=client_limits(site),
        clock=clock(district, site),
        pulled=reason is None and management is None,
    )


def _unmanaged_reason(site: Site) -> str | None:
    platform = site.gateway.platform
    if platform is Platform.UNMANAGED:
        return N_("the provider's own box: nobody here configures it")
    if platform not in CONFIGURED:
        return N_("its platform is not configured yet")
    return None


def _ports(district: District, site: Site) -> tuple[Port, ...]:
    found = [_circuit_port(site, circuit) for circuit in site.circuits]
    if site.kind is SiteKind.SERVER_ROOM:
        found += [_hub_port(site, circuit) for _, circuit in wan_circuits(district)]
    found += [_network_port(district, site, network) for network in site.networks]
    return tuple(found)


def _circuit_port(site: Site, circuit: Circuit) -> Port:
    return Port(
        circuit.interface, PortKind.CIRCUIT, circuit.id, circuit.channel, None, None,
        circuit.ipv4, circuit.ipv6, circuit.ipv4_peer, circuit.ipv6_peer,
        addressing=circuit.addressing, parent=circuit.parent, tag=circuit.vlan, vrf=vrf_of(site, circuit.channel),
        down_bps=circuit.contracted[-1].down_bps, up_bps=circuit.contracted[-1].up_bps, dialled=circuit.pppoe,
    )  # fmt: skip


def _hub_port(site: Site, circuit: Circuit) -> Port:
    """The hub's end of a WAN circuit, whose addresses are always static: the same line with its ends exchanged."""
    assert circuit.ipv4 is not None
    assert circuit.ipv4_peer is not None
    assert circuit.ipv6 is not None
    assert circuit.ipv6_peer is not None
    return Port(
        circuit.id, PortKind.CIRCUIT, circuit.id, circuit.channel, None, None,
        IPv4Interface((circuit.ipv4_peer, circuit.ipv4.network.prefixlen)),
        IPv6Interface((circuit.ipv6_peer, circuit.ipv6.network.prefixlen)),
        circuit.ipv4.ip, circuit.ipv6.ip, vrf=vrf_of(site, circuit.channel),
        down_bps=circuit.contracted[-1].down_bps, up_bps=circuit.contracted[-1].up_bps,
    )  # fmt: skip


def _network_port(district: District, site: Site, network: Network) -> Port:
    channel = district.zone(network.zone).channel
    return Port(
        network.interface, PortKind.NETWORK, network.id, channel, network.zone,
        network.vlan, network.ipv4, network.ipv6, None, None,
        parent=network.parent, tag=network.vlan if network.parent else None, vrf=vrf_of(site, channel),
    )  # fmt: skip
