"""A Linux device from its artefacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from collectors.parsers import plain
from collectors.parsers.artefact import Artefact
from collectors.parsers.iproute import parse_addresses, parse_links, parse_routes, parse_rules
from collectors.parsers.nft import parse_ruleset
from collectors.parsers.servers import parse_servers
from wardnet.model.device import Device, KernelRoute, Link, PolicyRule, Server
from wardnet.model.packet import All, AnyOf, Not, Open, Predicate
from wardnet.model.snapshot import LINUX
from wardnet.model.span import Coverage, Span, Unknown

# Settings that the pipeline reads; all others are irrelevant to forwarded packets.
_SETTINGS_READ = (
    ".forwarding", ".force_forwarding", ".rp_filter", ".accept_local", ".route_localnet", ".src_valid_mark",
    ".accept_source_route", ".seg6_enabled", ".rpl_seg_enabled", ".mc_forwarding", ".bc_forwarding",
    "nf_conntrack_helper",
)  # fmt: skip


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
    settings = plain.parse_settings(artefacts["sysctl.txt"])
    listeners = plain.parse_listeners(artefacts["listeners.txt"])
    servers = parse_servers(artefacts["services.txt"]) if "services.txt" in artefacts else ()
    bypasses = {
        "tc-qdisc.json": plain.parse_disciplines(
            artefacts["tc-qdisc.json"], [link.name for link in links if link.up and not link.loopback]
        ),
        "xfrm-policy.txt": plain.parse_ipsec(artefacts["xfrm-policy.txt"]),
        "legacy-tables.txt": plain.parse_legacy_tables(artefacts["legacy-tables.txt"]),
    }
    unknowns = (*parsed.unknowns, *_of_links(links), *(unknown for found in bypasses.values() for unknown in found))
    read = sum(name.endswith(_SETTINGS_READ) for name in settings)
    coverage = (
        parsed.coverage,
        _of_link_coverage(links),
        Coverage("ip-addr.json", sum(len(link.addresses) for link in links), 0, 0),
        _of_rules("ip-rule.json", rules[4]),
        _of_rules("ip6-rule.json", rules[6]),
        _of_routes("ip-route.json", routes[4]),
        _of_routes("ip6-route.json", routes[6]),
        Coverage("sysctl.txt", read, len(settings) - read, 0),
        Coverage("listeners.txt", len(listeners), 0, 0),
        *((Coverage("clock.txt", 1, 0, 0),) if "clock.txt" in artefacts else ()),
        *((_of_servers(artefacts["services.txt"], servers),) if "services.txt" in artefacts else ()),
        *(
            Coverage(name, 0, max(0, _lines(artefacts[name]) - len(found)), len(found))
            for name, found in bypasses.items()
        ),
    )
    return Device(
        device, "linux", links, routes, rules, parsed.ruleset, settings, listeners, unknowns, coverage, servers
    )


def _now(artefacts: Mapping[str, Artefact], collected_at: int | None) -> int | None:
    """The earlier of both clocks; None where the device's is not known."""
    if "clock.txt" not in artefacts:
        return None
    clock = plain.parse_clock(artefacts["clock.txt"])
    return clock if collected_at is None else min(clock, collected_at)


def _lines(artefact: Artefact) -> int:
    if artefact.name.endswith(".json"):
        return len(artefact.records())
    return sum(bool(line.strip()) for line in artefact.text().splitlines())


def _of_servers(artefact: Artefact, servers: tuple[Server, ...]) -> Coverage:
    strange = sum(len(server.strange) for server in servers)
    return Coverage(artefact.name, max(0, _lines(artefact) - strange), 0, strange)


def _of_links(links: tuple[Link, ...]) -> tuple[Unknown, ...]:
    return tuple(
        Unknown(link.span, f"a program is attached to {link.name} (XDP)", f"`ip link set {link.name} xdp off`")
        for link in links
        if link.program
    ) + tuple(
        Unknown(link.span, f"VRF {link.name}: its routing is not modelled") for link in links if link.kind == "vrf"
    )


def _of_link_coverage(links: tuple[Link, ...]) -> Coverage:
    strange = sum(link.program for link in links)
    return Coverage("ip-link.json", len(links) - strange, 0, strange)


def _of_rules(name: str, rules: tuple[PolicyRule, ...]) -> Coverage:
    strange = sum(bool(open_terms(rule.selector)) for rule in rules)
    return Coverage(name, len(rules) - strange, 0, strange)


def _of_routes(name: str, routes: tuple[KernelRoute, ...]) -> Coverage:
    strange = sum(route.open is not None for route in routes)
    return Coverage(name, len(routes) - strange, 0, strange)


def open_terms(predicate: Predicate) -> tuple[tuple[Span, str], ...]:
    """Every unknown in a condition, with its place and reason."""
    match predicate:
        case Open(span=span, reason=reason):
            return ((span, reason),)
        case All(terms=terms) | AnyOf(terms=terms):
            return tuple(found for term in terms for found in open_terms(term))
        case Not(term=term):
            return open_terms(term)
    return ()
