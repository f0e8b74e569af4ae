"""Changes that let nothing pass, each of which happens on gateways: none may be reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

from bench.mutation import harmless_rules
from bench.mutation.harmless_rules import NFT, Objects
from bench.mutation.kinds import Kind, Place, Places, once
from bench.mutation.leaks_filter import base, matched, network
from bench.mutation.leaks_programs import heard, line, own
from bench.mutation.subjects import Subject
from tests.unit.audit_support import (
    ACCEPT,
    DROP,
    UNKNOWN_MATCH,
    Artefacts,
    edit_json,
    iif,
    meta,
    oif,
    payload,
    with_objects,
    with_policy_rule,
    with_route,
    with_rule,
    with_setting,
)
from wardnet.audit.records import Verdict


def per(
    things: Callable[[Subject], Iterable[Any]], edit: Callable[[Subject, Any], Artefacts], *, anywhere: bool = False
) -> Places:
    """An edit for each of some things of a device."""

    def places(subject: Subject) -> Iterable[Place]:
        for thing in things(subject) if subject.ways or anywhere else ():
            at = ", ".join(map(str, thing)) if isinstance(thing, tuple) else str(thing)
            yield Place(at, lambda thing=thing: edit(subject, thing))  # type: ignore[misc]

    return places


def ports(subject: Subject) -> Iterable[str]:
    return subject.ports


def lans(subject: Subject) -> Iterable[tuple[str, int]]:
    return product(subject.lans, (4, 6))


def tables(subject: Subject) -> Iterable[tuple[str, int, str]]:
    kinds = ("unreachable", "blackhole", "prohibit")
    return product(sorted({subject.table(port) for port in subject.ports}), (4, 6), kinds)


def refusing(subject: Subject, place: tuple[str, int, str]) -> Artefacts:
    table, family, kind = place
    record = {"type": kind, "dst": "192.0.2.0/24" if family == 4 else "2001:db8:dead::/48", "table": table, "flags": []}
    return edit_json(
        subject.artefacts,
        "ip-route.json" if family == 4 else "ip6-route.json",
        lambda r: r.append({**record, "metric": 5}),
    )


def longer(subject: Subject, place: tuple[str, int]) -> Artefacts:
    """Half of its own network once more, by the port where it is."""
    port, family = place
    address, length = subject.network(port, family)
    return with_route(subject.artefacts, family, f"{address}/{length + 1}", port, subject.table(port))


def other_metric(subject: Subject, place: tuple[str, int]) -> Artefacts:
    port, family = place

    def change(routes: Objects) -> None:
        for route in routes:
            if route.get("dev") == port and route.get("metric") == 100:
                route["metric"] = 90

    return edit_json(subject.artefacts, "ip-route.json" if family == 4 else "ip6-route.json", change)


def more_addresses(subject: Subject, place: tuple[str, int]) -> Artefacts:
    """A second address of the device in its own LAN, with what the kernel makes of it."""
    port, family = place
    address = subject.host(port, family, 250)
    word, length = ("inet", 24) if family == 4 else ("inet6", 64)
    entry = {"family": word, "local": address, "prefixlen": length, "scope": "global"}

    def change(links: Objects) -> None:
        next(link for link in links if link["ifname"] == port)["addr_info"].append(entry)

    edited = edit_json(subject.artefacts, "ip-addr.json", change)
    record = {"type": "local", "dst": address, "dev": port, "table": "local", "metric": 0, "flags": []}
    return edit_json(edited, "ip-route.json" if family == 4 else "ip6-route.json", lambda routes: routes.append(record))


def within(subject: Subject, place: tuple[str, int]) -> Artefacts:
    """Hosts of one LAN by way of the gateway, with their own addresses."""
    port, family = place
    word = "ip" if family == 4 else "ip6"
    own_network = network(subject, port, family)
    rule = [iif(port), oif(port), payload(word, "saddr", own_network), payload(word, "daddr", own_network), ACCEPT]
    return with_rule(subject.artefacts, rule, last=True)


def no_route(subject: Subject, place: tuple[str, str]) -> Artefacts:
    """What no route of the port's table leads to may be accepted as long as it likes."""
    source, destination = place
    return with_rule(subject.artefacts, [iif(source), oif(destination), ACCEPT], last=True)


def apart(subject: Subject) -> Iterable[tuple[str, str]]:
    """Ports between which no route leads: an exception has some, and where a line has VLANs or sessions a carrier."""
    return sorted({(w.source, w.destination) for w in subject.ways}) if subject.name == "tay-ho-gw" else ()


def dropping(subject: Subject, place: tuple[str, str]) -> Artefacts:
    port, protocol = place
    return with_rule(subject.artefacts, [iif(port), matched({"meta": {"key": "l4proto"}}, protocol), DROP])


def unsure_drop(subject: Subject, port: str) -> Artefacts:
    return with_rule(subject.artefacts, [iif(port), UNKNOWN_MATCH, DROP])


def known(name: str, protocol: str, number: int) -> Callable[[Subject, str], Artefacts]:
    """A program that answers by itself, reached by a host behind one port at the device's own address there."""

    def made(subject: Subject, port: str) -> Artefacts:
        address = own(subject, port, 4)
        ends = [payload("ip", "saddr", subject.host(port, 4)), payload("ip", "daddr", address)]
        edited = with_rule(
            subject.artefacts, [iif(port), *ends, payload(protocol, "dport", number), ACCEPT], chain="input"
        )
        return heard(edited, line(protocol, address, number, name, 700, 3))

    return made


def wan_lans(subject: Subject) -> Iterable[str]:
    return subject.of("wan", lan=True)


def looped(subject: Subject, place: tuple[str, str]) -> Artefacts:
    name, address = place
    return heard(subject.artefacts, line("tcp", address, 3128, name, 701, 3))


SETTINGS = (
    ("net.ipv4.tcp_sack", "0"),
    ("net.ipv4.tcp_timestamps", "0"),
    ("net.ipv4.tcp_syncookies", "1"),
    ("net.ipv4.icmp_echo_ignore_all", "1"),
    ("net.ipv4.ip_default_ttl", "63"),
    ("net.ipv4.ip_local_port_range", "20000\t60999"),
    ("net.netfilter.nf_conntrack_max", "131072"),
    ("net.core.somaxconn", "512"),
    ("vm.swappiness", "10"),
    ("kernel.hostname", "renamed"),
    ("net.ipv4.conf.all.log_martians", "1"),
    ("net.ipv4.conf.all.rp_filter", "1"),
    ("net.ipv4.conf.all.rp_filter", "2"),
    ("net.ipv4.conf.all.send_redirects", "0"),
    ("net.ipv6.conf.all.forwarding", "0"),
    ("net.ipv4.conf.wan0.forwarding", "0"),
    ("net.ipv6.conf.wan0.accept_redirects", "0"),
    ("net.ipv6.conf.all.accept_ra", "0"),
    ("net.ipv6.conf.wan0.hop_limit", "63"),
    ("net.ipv4.conf.all.arp_ignore", "1"),
)


LISTINGS = ("ip-link.json", "ip-addr.json", "ip-route.json", "ip6-route.json", "tc-qdisc.json")


JSONS = (NFT, "ip-rule.json", "ip6-rule.json", *LISTINGS)


def backwards(subject: Subject, name: str) -> Artefacts:
    return edit_json(subject.artefacts, name, lambda records: list(reversed(records)))


def reformatted(subject: Subject, name: str) -> Artefacts:
    return {
        **subject.artefacts,
        name: json.dumps(json.loads(subject.artefacts[name]), indent=4, sort_keys=True).encode(),
    }


def of_links(change: Callable[[dict[str, Any]], None]) -> Callable[[Artefacts], Artefacts]:
    def changed(links: Objects) -> None:
        for entry in links:
            change(entry)

    return lambda artefacts: edit_json(artefacts, "ip-link.json", changed)


def idle(name: str, **more: Any) -> Callable[[Artefacts], Artefacts]:
    """An interface that is down, as some modules leave one."""

    def edit(artefacts: Artefacts) -> Artefacts:
        edited = edit_json(
            artefacts, "ip-link.json", lambda x: x.append({"ifname": name, "flags": ["NOARP"], "ifindex": 90, **more})
        )
        return edit_json(edited, "ip-addr.json", lambda x: x.append({"ifname": name, "addr_info": []}))

    return edit


CHANGES: dict[str, tuple[str, Places]] = {
    **harmless_rules.CHANGES,
    "one more drop": ("of a protocol, at a port", per(lambda s: product(s.ports, ("tcp", "udp", "gre")), dropping)),
    "a drop that is doubtful": ("at a port", per(ports, unsure_drop)),
    "an accept within a LAN": ("with its own addresses", per(lans, within)),
    "an accept where no route leads": ("between ports of different channels", per(apart, no_route)),
    "a route that refuses": ("in each table", per(tables, refusing)),
    "a longer route to a LAN": ("by its own port", per(lans, longer)),
    "an accept of a mark that no connection has": (
        "between two ports, in the forward chain",
        per(
            # Where the ruleset sets none.
            lambda s: () if b'"ct": {"key": "mark"}' in s.artefacts[NFT] else s.ways,
            lambda s, way: with_rule(
                s.artefacts,
                [iif(way.source), oif(way.destination), matched({"ct": {"key": "mark"}}, 1), ACCEPT],
            ),
        ),
    ),
    "another metric": ("of a port's routes", per(lambda s: product(s.ports, (4, 6)), other_metric)),
    "one more address": ("of the device in its own LAN", per(lans, more_addresses)),
    "a policy rule that refuses": (
        "at a port",
        per(
            lambda s: product(s.ports, (4, 6)),
            lambda s, p: with_policy_rule(
                s.artefacts,
                p[1],
                priority=900,
                iif=p[0],
                dst="192.0.2.0" if p[1] == 4 else "2001:db8:dead::",
                dstlen=24 if p[1] == 4 else 48,
                action="prohibit",
            ),
        ),
    ),
    "a policy rule to an empty table": (
        "at a port",
        per(
            lambda s: product(s.ports, (4, 6)),
            lambda s, p: with_policy_rule(s.artefacts, p[1], priority=500, iif=p[0], table="77"),
        ),
    ),
    "a policy rule that stands twice": (
        "of a port",
        per(ports, lambda s, port: with_policy_rule(s.artefacts, 4, priority=1011, iif=port, table=s.table(port))),
    ),
    "a setting that opens nothing": (
        "of the kernel",
        once(*((f"{name} = {value}", lambda a, n=name, v=value: with_setting(a, n, v)) for name, value in SETTINGS)),
    ),
    "stricter reverse paths": (
        "at a port",
        per(ports, lambda s, port: with_setting(s.artefacts, f"net.ipv4.conf.{port}.rp_filter", "1")),
    ),
    "a listing in another order": ("of each artefact", per(lambda _: LISTINGS, backwards, anywhere=True)),
    "a listing in another form": ("of each JSON artefact", per(lambda _: JSONS, reformatted, anywhere=True)),
    "other numbers of ports": (
        "and other addresses of their hardware",
        once(
            ("ifindex", of_links(lambda e: e.update(ifindex=e["ifindex"] + 40))),
            ("address", of_links(lambda e: e.update(address="02:00:00:00:00:77"))),
            ("mtu", of_links(lambda e: e.update(mtu=1492))),
            ("txqlen", of_links(lambda e: e.update(txqlen=5))),
            anywhere=True,
        ),
    ),
    "a port that is down": (
        "as some modules leave one",
        once(
            ("sit0", idle("sit0")),
            ("wlan0", idle("wlan0")),
            ("wg0", idle("wg0", linkinfo={"info_kind": "wireguard"})),
            anywhere=True,
        ),
    ),
    "an exporter": ("on one LAN", per(wan_lans, known("node_exporter", "tcp", 9100))),
    "an agent": ("on one LAN", per(wan_lans, known("wardnet-link-ex", "tcp", 9807))),
    "a server of leases": ("on one LAN", per(lambda s: s.lans, known("dnsmasq", "udp", 67))),
    "a program on loopback": (
        "for the device alone",
        per(lambda _: (("squid", "127.0.0.1"), ("cupsd", "::1")), looped),
    ),
    "a discipline without filters": (
        "at a port",
        per(
            ports,
            lambda s, port: edit_json(s.artefacts, "tc-qdisc.json", lambda q: q.append({"kind": "fq", "dev": port})),
        ),
    ),
    "an accept for the device alone": (
        "a host of the WAN to its agent",
        per(
            lambda s: s.of("wan", lan=False),
            lambda s, port: with_rule(
                s.artefacts,
                [iif(port), payload("ip", "saddr", "10.30.200.20"), payload("tcp", "dport", 9100), ACCEPT],
                chain="input",
            ),
        ),
    ),
    "a mark of what a port brings": (
        "and no rule looks at it",
        per(
            ports,
            lambda s, port: with_rule(
                with_objects(s.artefacts, base("marks", "prerouting", -150)),
                [iif(port), {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 0x99}}],
                chain="marks",
            ),
        ),
    ),
    "an accept whose end has come": (
        "before all checks",
        per(
            lambda s: s.ways,
            lambda s, way: with_rule(
                s.artefacts, [iif(way.source), oif(way.destination), meta("time", "2020-01-01 00:00:00", "<"), ACCEPT]
            ),
        ),
    ),
}


KINDS = tuple(Kind(name, does, places, Verdict.PROVED) for name, (does, places) in CHANGES.items())
