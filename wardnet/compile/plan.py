"""District -> Plan: the one compilation that provisioning, measuring, the audit and the lab all start from."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import date
from ipaddress import IPv4Interface, IPv6Interface

from wardnet.compile.duties import access_point
from wardnet.compile.gateways import gateway
from wardnet.compile.pcs import unmanaged_reason
from wardnet.compile.plain import to_json
from wardnet.compile.switches import switch_plan
from wardnet.compile.workplaces import workplace_plan
from wardnet.model.intent import (
    Channel,
    Circuit,
    District,
    Host,
    IPAddress,
    Network,
    Site,
    Ward,
)
from wardnet.model.plan import HostPlan, HostPort, Plan


def on_day(district: District, as_of: date) -> District:
    """The district without what is not valid on the day: circuits, exceptions, and rates other than the day's."""

    def circuit_on(circuit: Circuit) -> Circuit | None:
        if (circuit.valid_from and as_of < circuit.valid_from) or (circuit.valid_to and as_of > circuit.valid_to):
            return None
        started = [rate for rate in circuit.contracted if rate.valid_from <= as_of]
        # Before its first rate a circuit is there and its speed is the first one that is known.
        return dataclasses.replace(circuit, contracted=tuple(started or circuit.contracted[:1])[-1:])

    def site_on(site: Site) -> Site:
        circuits = [circuit_on(circuit) for circuit in site.circuits]
        return dataclasses.replace(site, circuits=tuple(circuit for circuit in circuits if circuit))

    return dataclasses.replace(
        district,
        wards=tuple(
            dataclasses.replace(ward, sites=tuple(site_on(site) for site in ward.sites)) for ward in district.wards
        ),
        exceptions=tuple(grant for grant in district.exceptions if grant.valid_on(as_of)),
    )


def compile_plan(district: District, as_of: date) -> Plan:
    """Pure and repeatable: the same district and day give an equal plan."""
    today = on_day(district, as_of)
    return Plan(
        district=district.id,
        name=district.name,
        domain=district.domain,
        timezone=district.timezone,
        as_of=as_of,
        model_sha256=_sha256(today),
        gateways=tuple(gateway(today, ward, site) for ward, site in today.sites),
        hosts=tuple(_host(today, ward, site, host) for ward, site in today.sites for host in site.hosts),
        switches=tuple(switch_plan(ward, site, site.switch) for ward, site in today.sites if site.switch),
    )


def _sha256(today: District) -> str:
    """Over what is valid on the day, and where it is written, since that is generated too: a day on which nothing
    begins or ends changes no file on any device."""
    return hashlib.sha256(to_json(dataclasses.replace(today, sha256="")).encode()).hexdigest()


def _host(district: District, ward: Ward, site: Site, host: Host) -> HostPlan:
    networks = {network.id: network for network in site.networks}
    ports = []
    for attachment in host.interfaces:
        network = networks[attachment.network]
        ports.append(
            HostPort(
                attachment.name,
                network.id,
                network.zone,
                network.vlan,
                IPv4Interface((attachment.ipv4, network.ipv4.network.prefixlen)),
                IPv6Interface((attachment.ipv6, network.ipv6.network.prefixlen)),
                network.ipv4.ip,
                network.ipv6.ip,
            )
        )
    reason = unmanaged_reason(site, host)
    return HostPlan(
        id=host.id,
        ward=ward.id,
        site=site.id,
        site_kind=site.kind,
        role=host.role,
        os=host.os,
        channel=host.channel,
        managed=reason is None,
        unmanaged_reason=reason,
        ports=tuple(ports),
        resolvers=_resolvers(district, networks[host.interfaces[0].network], host.channel),
        time_sources=_time_sources(district, networks, host),
        source=host.source,
        workplace=workplace_plan(district, ward, site, host),
        pulled=reason is None and host.channel is Channel.INTERNET,
        wifi=access_point(site, host),
    )


def _resolvers(district: District, network: Network, channel: Channel) -> tuple[IPAddress, ...]:
    """The gateway where it answers names in the host's network, else the channel's own."""
    if network.names:
        return (network.ipv4.ip, network.ipv6.ip)
    return district.channel(channel).resolvers


def _time_sources(district: District, networks: dict[str, Network], host: Host) -> tuple[IPAddress, ...]:
    """The gateway where it gives the time in the host's network, else the channel's own; nobody where it is one."""
    network, sources = networks[host.interfaces[0].network], district.channel(host.channel).time_sources
    own = {address for attachment in host.interfaces for address in (attachment.ipv4, attachment.ipv6)}
    if own & set(sources):
        return ()
    return (network.ipv4.ip, network.ipv6.ip) if network.time else sources
