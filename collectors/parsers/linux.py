"""A Linux device from its artefacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from collectors.parsers import plain
from collectors.parsers.artefact import Artefact
from collectors.parsers.bridge import cover_bridge_vlans, parse_bridge_vlans
from collectors.parsers.conntrack import cover_connections, parse_connections
from collectors.parsers.coverage import Tally
from collectors.parsers.iproute import listed_addresses, parse_addresses, parse_links, parse_routes, parse_rules
from collectors.parsers.nft import parse_ruleset
from collectors.parsers.servers import cover_servers, parse_servers
from collectors.parsers.sshd import cover_sshd, parse_sshd
from collectors.parsers.sysctl import parse_settings
from wardnet.model.device import Device, KernelRoute, Link, Listener, PolicyRule
from wardnet.model.packet import Open, Predicate, leaves
from wardnet.model.snapshot import LINUX
from wardnet.model.span import Coverage, Span, Unknown


def parse_device(device: str, contents: Mapping[str, bytes], collected_at: int | None = None) -> Device:
    """All artefacts of one device; `contents` by artefact name. Raises ParseError for a missing or damaged one.

    `collected_at` is when that was by the collector's clock, in seconds since 1970. What has ended has ended by both
    clocks, the device's and the collector's.
    """
    artefacts = {name: Artefact(device, name, content) for name, content in contents.items()}
    for wanted in LINUX:
        if wanted.name not in artefacts and not wanted.later:
            Artefact(device, wanted.name, b"").fail("file", "missing from the snapshot")
    parsed = parse_ruleset(artefacts["nft-ruleset.json"], _now(artefacts, collected_at))
    addresses = parse_addresses(artefacts["ip-addr.json"])
    links = tuple(
        replace(link, addresses=addresses.get(link.name, ())) for link in parse_links(artefacts["ip-link.json"])
    )
    if addresses.keys() != {link.name for link in links}:
        artefacts["ip-addr.json"].fail("item 0", "other interfaces than in ip-link.json: collect again")
    routes = {
        4: parse_routes(artefacts["ip-route.json"], 4),
        6: parse_routes(artefacts["ip6-route.json"], 6),
    }
    rules = {4: parse_rules(artefacts["ip-rule.json"], 4), 6: parse_rules(artefacts["ip6-rule.json"], 6)}
    settings, of_settings = parse_settings(artefacts["sysctl.txt"])
    listeners = plain.parse_listeners(artefacts["listeners.txt"])
    servers = parse_servers(artefacts["services.txt"]) if "services.txt" in artefacts else ()
    sessions = plain.parse_sessions(artefacts["pppoe.txt"]) if "pppoe.txt" in artefacts else None
    sshd = parse_sshd(artefacts["sshd.txt"]) if "sshd.txt" in artefacts else None
    vlans = parse_bridge_vlans(artefacts["bridge-vlan.json"]) if "bridge-vlan.json" in artefacts else None
    connections = parse_connections(artefacts["connections.txt"]) if "connections.txt" in artefacts else None
    bypasses = {
        "tc-qdisc.json": plain.parse_disciplines(
            artefacts["tc-qdisc.json"], [link.name for link in links if link.up and not link.loopback]
        ),
        "xfrm-policy.txt": plain.parse_ipsec(artefacts["xfrm-policy.txt"]),
        "legacy-tables.txt": plain.parse_legacy_tables(artefacts["legacy-tables.txt"]),
    }
    unknowns = (
        *parsed.unknowns,
        *unknowns_of_links(links),
        *(unknown for found in bypasses.values() for unknown in found),
    )
    coverage = (
        parsed.coverage,
        cover_links(links),
        _of_addresses(artefacts["ip-addr.json"]),
        _of_rules("ip-rule.json", rules[4]),
        _of_rules("ip6-rule.json", rules[6]),
        _of_routes("ip-route.json", routes[4]),
        _of_routes("ip6-route.json", routes[6]),
        of_settings,
        _of_listeners(listeners),
        *((plain.cover_sessions(artefacts["pppoe.txt"], sessions),) if sessions is not None else ()),
        *((cover_sshd(artefacts["sshd.txt"]),) if sshd is not None else ()),
        *((_of_clock(),) if "clock.txt" in artefacts else ()),
        *((cover_servers(artefacts["services.txt"], servers),) if "services.txt" in artefacts else ()),
        *((cover_bridge_vlans(artefacts["bridge-vlan.json"], links),) if vlans is not None else ()),
        *((cover_connections(artefacts["connections.txt"], connections),) if connections is not None else ()),
        plain.cover_disciplines(artefacts["tc-qdisc.json"], bypasses["tc-qdisc.json"]),
        *(plain.cover_lines(artefacts[name], bypasses[name]) for name in ("xfrm-policy.txt", "legacy-tables.txt")),
    )
    return Device(
        device,
        "linux",
        links,
        routes,
        rules,
        parsed.ruleset,
        settings,
        listeners,
        unknowns,
        coverage,
        servers,
        sessions,
        sshd,
        vlans,
        connections,
    )


def _now(artefacts: Mapping[str, Artefact], collected_at: int | None) -> int | None:
    """The earlier of both clocks; None where the device's is not known."""
    if "clock.txt" not in artefacts:
        return None
    clock = plain.parse_clock(artefacts["clock.txt"])
    return clock if collected_at is None else min(clock, collected_at)


def unknowns_of_links(links: tuple[Link, ...]) -> tuple[Unknown, ...]:
    return tuple(
        Unknown(link.span, f"a program is attached to {link.name} (XDP)", f"`ip link set {link.name} xdp off`")
        for link in links
        if link.program
    ) + tuple(
        Unknown(link.span, f"VRF {link.name}: its routing is not modelled") for link in links if link.kind == "vrf"
    )


def cover_links(links: tuple[Link, ...]) -> Coverage:
    tally = Tally("ip-link.json")
    strange = {unknown.span.place: unknown for unknown in unknowns_of_links(links)}
    for link in links:
        if unknown := strange.get(link.name):
            tally.unknown(link.name, unknown.reason, unknown.settle)
        else:
            tally.modelled(link.name)
    return tally.coverage()


def _of_addresses(artefact: Artefact) -> Coverage:
    """Counted in addresses."""
    tally = Tally(artefact.name)
    for name, place, family in listed_addresses(artefact):
        if family in ("inet", "inet6"):
            tally.modelled(f"{name} {place}")
        else:
            tally.irrelevant(f"{name} {place}", f"an address of {family}, not of IP")
    return tally.coverage()


def _of_rules(name: str, rules: tuple[PolicyRule, ...]) -> Coverage:
    tally = Tally(name)
    for rule in rules:
        if found := open_terms(rule.selector):
            tally.unknown(rule.span.place, found[0][1])
        else:
            tally.modelled(rule.span.place)
    return tally.coverage()


def _of_routes(name: str, routes: tuple[KernelRoute, ...]) -> Coverage:
    tally = Tally(name)
    for number, route in enumerate(routes):
        if route.open is not None:
            tally.unknown(route.span.place, route.open)
        else:
            tally.modelled(f"#{number}")
    return tally.coverage()


def _of_listeners(listeners: tuple[Listener, ...]) -> Coverage:
    tally = Tally("listeners.txt")
    for listener in listeners:
        if listener.protocol in ("tcp", "udp"):
            tally.modelled(listener.span.place)
        else:
            reason = "it hears copies; what it sends belongs to nobody's connection"
            tally.irrelevant(listener.span.place, reason)
    return tally.coverage()


def _of_clock() -> Coverage:
    tally = Tally("clock.txt")
    tally.modelled("line 1")
    return tally.coverage()


def open_terms(predicate: Predicate) -> tuple[tuple[Span, str], ...]:
    """Every unknown in a condition, with its place and reason."""
    return tuple((one.span, one.reason) for one in leaves(predicate) if isinstance(one, Open))
