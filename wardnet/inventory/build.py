"""Checked shapes -> records of the model, each with the line it was written at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wardnet.inventory import schema
from wardnet.inventory.scanners import build_scanner
from wardnet.inventory.wifi import build_wifi
from wardnet.inventory.workplaces import build_screen, build_workplaces
from wardnet.inventory.yamlfile import Path, YamlFile
from wardnet.model import intent


def build_ward(file: YamlFile, record: schema.WardFile | schema.DistrictFile, *, is_district: bool) -> intent.Ward:
    sites = tuple(_site(file, site, ("sites", index)) for index, site in enumerate(record.sites))
    return intent.Ward(record.id, record.name, is_district, sites, file.source(("id",)))


def build_district(
    file: YamlFile, record: schema.DistrictFile, wards: Iterable[intent.Ward], sha256: str
) -> intent.District:
    def each(key: str) -> Iterable[tuple[Any, intent.Source]]:
        return ((item, file.source((key, index))) for index, item in enumerate(getattr(record, key)))

    return intent.District(
        id=record.id,
        name=record.name,
        timezone=record.timezone,
        domain=record.domain,
        channels=tuple(
            intent.ChannelPlan(
                c.id, c.table, tuple(c.prefixes), tuple(c.resolvers), source, time_sources=tuple(c.time_sources)
            )
            for c, source in each("channels")
        ),
        zones=tuple(intent.Zone(z.id, z.channel, z.description, z.outside, source) for z, source in each("zones")),
        conduits=tuple(
            intent.Conduit(c.id, c.from_zone, c.to_zone, _allow(c.allow), c.reason, source)
            for c, source in each("conduits")
        ),
        exceptions=tuple(
            intent.ExceptionGrant(
                e.id,
                e.from_host,
                e.to_host,
                _allow(e.allow),
                e.owner,
                e.approver,
                e.document,
                e.reason,
                e.valid_from,
                e.expires,
                source,
            )
            for e, source in each("exceptions")
        ),
        services=tuple(
            intent.Service(s.id, s.name, s.channel, s.url, s.ipv4, s.ipv6, source) for s, source in each("services")
        ),
        reflectors=tuple(intent.Reflector(r.id, r.channel, r.ipv4, r.ipv6, source) for r, source in each("reflectors")),
        wards=tuple(sorted(wards, key=lambda ward: (not ward.is_district, ward.id))),
        sha256=sha256,
        workplaces=build_workplaces(file, record.workplaces),
    )


def _allow(items: Iterable[intent.Ports]) -> tuple[intent.Ports, ...]:
    """One entry a protocol, ports in order: 'tcp/443, tcp/80' is tcp with two ports; 'any' swallows the rest."""
    ports: dict[str, set[int] | None] = {}
    for item in items:
        so_far = ports.setdefault(item.protocol, set())
        if not item.ports or so_far is None:
            ports[item.protocol] = None
        else:
            so_far.update(item.ports)
    return tuple(intent.Ports(protocol, tuple(sorted(ports[protocol] or ()))) for protocol in sorted(ports))


def _site(file: YamlFile, site: schema.SiteRecord, path: Path) -> intent.Site:
    def each(key: str, items: Iterable[Any]) -> Iterable[tuple[Any, Path]]:
        return ((item, (*path, key, index)) for index, item in enumerate(items))

    return intent.Site(
        id=site.id,
        name=site.name,
        kind=site.kind,
        circuits=tuple(_circuit(file, circuit, at) for circuit, at in each("circuits", site.circuits)),
        networks=tuple(_network(file, network, at) for network, at in each("networks", site.networks)),
        gateway=intent.Gateway(
            site.gateway.id,
            site.gateway.platform,
            site.gateway.management_network,
            file.source((*path, "gateway")),
            site.gateway.vrf,
        ),
        hosts=tuple(_host(file, host, at) for host, at in each("hosts", site.hosts)),
        source=file.source(path),
        switch=_switch(file, site.switch, (*path, "switch")) if site.switch else None,
    )


def _network(file: YamlFile, network: schema.NetworkRecord, path: Path) -> intent.Network:
    leased = intent.DhcpRange(network.dhcp.first, network.dhcp.last) if network.dhcp else None
    return intent.Network(
        network.id, network.zone, network.vlan, network.interface, network.ipv4, network.ipv6, file.source(path),
        parent=network.parent, dhcp=leased, names=network.names, time=network.time,
        wifi=build_wifi(network.wifi, file.source((*path, "wifi"))) if network.wifi else None,
    )  # fmt: skip


def _switch(file: YamlFile, switch: schema.SwitchRecord, path: Path) -> intent.Switch:
    ports = [(port, file.source((*path, "ports", index))) for index, port in enumerate(switch.ports)]
    return intent.Switch(
        switch.id, switch.platform, switch.management_network, switch.ipv4, switch.ipv6,
        tuple(_switch_port(port, source) for port, source in ports),
        file.source(path),
    )  # fmt: skip


def _switch_port(port: schema.SwitchPortRecord, source: intent.Source) -> intent.SwitchPort:
    mode = intent.PortMode.ACCESS if port.access else intent.PortMode.TRUNK if port.trunk else intent.PortMode.UNUSED
    networks = (port.access,) if port.access else tuple(port.trunk)
    return intent.SwitchPort(port.name, mode, networks, port.to, source)


def _circuit(file: YamlFile, circuit: schema.CircuitRecord, path: Path) -> intent.Circuit:
    rates = [
        intent.ContractedRate(
            rate.down * 1000, rate.up * 1000, rate.valid_from, file.source((*path, "contracted_kbps", index))
        )
        for index, rate in enumerate(circuit.contracted_kbps)
    ]
    return intent.Circuit(
        circuit.id, circuit.channel, circuit.provider, circuit.interface,
        circuit.ipv4, circuit.ipv4_peer, circuit.ipv6, circuit.ipv6_peer,
        tuple(sorted(rates, key=lambda rate: rate.valid_from)),
        circuit.valid_from, circuit.valid_to, file.source(path),
        addressing=circuit.addressing,
        pppoe=intent.Pppoe(circuit.pppoe.user, circuit.pppoe.password) if circuit.pppoe else None,
        routing=circuit.routing,
        bgp=intent.Bgp(circuit.bgp.local_as, circuit.bgp.peer_as) if circuit.bgp else None,
        parent=circuit.parent,
        vlan=circuit.vlan,
    )  # fmt: skip


def _host(file: YamlFile, host: schema.HostRecord, path: Path) -> intent.Host:
    ports = tuple(
        intent.Attachment(a.name, a.network, a.ipv4, a.ipv6, file.source((*path, "interfaces", index)), a.mac)
        for index, a in enumerate(host.interfaces)
    )
    scanner = build_scanner(host.scanner, file.source((*path, "scanner"))) if host.scanner else None
    screen = build_screen(host.screen, file.source((*path, "screen"))) if host.screen else None
    return intent.Host(host.id, host.role, host.os, host.channel, ports, file.source(path), scanner, screen)
