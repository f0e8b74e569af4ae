"""Programs of the device that could pass on what no forward rule would let through: each makes it unknown."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bench.mutation.kinds import Kind, Place, Places, at_ports, in_each_pair
from bench.mutation.leaks_filter import base
from bench.mutation.subjects import Subject, Way
from tests.unit.audit_support import (
    ACCEPT,
    Artefacts,
    edit_json,
    iif,
    payload,
    with_objects,
    with_rule,
    with_setting,
)
from wardnet.audit.records import Verdict


def line(protocol: str, address: str, port: int, name: str, pid: int, fd: int) -> str:
    """A socket as ss prints it."""
    shown = f"[{address}]" if ":" in address else address
    state = "LISTEN" if protocol == "tcp" else "UNCONN"
    return f'{protocol} {state} 0 128 {shown}:{port} *:* users:(("{name}",pid={pid},fd={fd}))\n'


def heard(artefacts: Artefacts, *lines: str) -> Artefacts:
    return {**artefacts, "listeners.txt": artefacts["listeners.txt"] + "".join(lines).encode()}


def own(subject: Subject, port: str, family: int) -> str:
    """The device's own address at a port."""
    entry = next(link for link in json.loads(subject.artefacts["ip-addr.json"]) if link["ifname"] == port)
    word = "inet" if family == 4 else "inet6"
    return str(next(a["local"] for a in entry["addr_info"] if a["family"] == word and a["scope"] == "global"))


def reached(subject: Subject, port: str, protocol: str, number: int, artefacts: Artefacts | None = None) -> Artefacts:
    """Somebody behind the port may reach the device there."""
    rule = [iif(port), payload(protocol, "dport", number), ACCEPT]
    return with_rule(subject.artefacts if artefacts is None else artefacts, rule, chain="input")


def dual_homed(protocol: str, number: int, name: str) -> Callable[[Subject, Way], Artefacts]:
    """One process at an address of each channel."""
    return lambda subject, way: heard(
        subject.artefacts,
        *(
            line(protocol, own(subject, port, way.family), number, name, 700, fd)
            for fd, port in enumerate((way.source, way.destination))
        ),
    )


def everywhere(protocol: str, number: int, name: str, address: str) -> Callable[[Subject, Way], Artefacts]:
    """One process at no address, that somebody on each channel may reach."""

    def made(subject: Subject, way: Way) -> Artefacts:
        edited = reached(subject, way.destination, protocol, number, reached(subject, way.source, protocol, number))
        return heard(edited, line(protocol, address, number, name, 700, 3))

    return made


def relay(name: str, protocol: str, number: int) -> Callable[[Subject, str], Artefacts]:
    """A program that one port reaches, at its own address, and that may connect wherever it likes."""
    return lambda subject, port: heard(
        reached(subject, port, protocol, number), line(protocol, own(subject, port, 4), number, name, 700, 3)
    )


def borrowed_socket(subject: Subject, way: Way) -> Artefacts:
    """It answers on one channel and has a socket bound to the other's port."""
    bound = f'udp UNCONN 0 0 *%{way.destination}:40123 *:* users:(("dnsmasq",pid=700,fd=9))\n'
    return heard(subject.artefacts, line("udp", own(subject, way.source, 4), 67, "dnsmasq", 700, 3), bound)


def ssh(words: str) -> Callable[[Subject, str], Artefacts]:
    """The SSH server is reached by a port and lets a session forward."""
    return lambda subject, port: {**relay("sshd", "tcp", 22)(subject, port), "sshd.txt": words.encode()}


PROXY = 3128


def proxy_at(address: str, artefacts: Artefacts) -> Artefacts:
    return heard(artefacts, line("tcp", address, PROXY, "squid", 700, 3))


def on_loopback(subject: Subject, port: str) -> Artefacts:
    """Loopback's addresses are taken from the wire too, where `route_localnet` is on."""
    edited = with_setting(reached(subject, port, "tcp", PROXY), f"net.ipv4.conf.{port}.route_localnet", "1")
    return proxy_at("127.0.0.1", edited)


def sent_to(statement: dict[str, Any], address: str) -> Callable[[Subject, str], Artefacts]:
    """Prerouting sends what a port brings to the device itself, and the input chain takes it."""

    def made(subject: Subject, port: str) -> Artefacts:
        edited = with_objects(reached(subject, port, "tcp", PROXY), base("dnat", "prerouting", -100, "nat"))
        edited = with_rule(edited, [iif(port), payload("tcp", "dport", 80), statement], chain="dnat")
        return proxy_at(address, with_setting(edited, f"net.ipv4.conf.{port}.route_localnet", "1"))

    return made


def local_route(destination: str) -> dict[str, Any]:
    return {"type": "local", "dst": destination, "dev": "lo", "table": "local", "protocol": "kernel", "flags": []}


def at_an_address_of_lo(subject: Subject, port: str) -> Artefacts:
    """Linux takes packets to it by any port."""

    def change(links: list[dict[str, Any]]) -> None:
        entry = {"family": "inet", "local": "192.0.2.1", "prefixlen": 32, "scope": "global"}
        next(link for link in links if link["ifname"] == "lo")["addr_info"].append(entry)

    edited = edit_json(reached(subject, port, "tcp", PROXY), "ip-addr.json", change)
    edited = edit_json(edited, "ip-route.json", lambda routes: routes.append(local_route("192.0.2.1")))
    return proxy_at("192.0.2.1", edited)


def at_a_local_route(subject: Subject, port: str) -> Artefacts:
    """No interface has the address, and a route makes it the device's."""
    edited = reached(subject, port, "tcp", PROXY)
    edited = edit_json(edited, "ip-route.json", lambda routes: routes.append(local_route("192.0.2.0/24")))
    return proxy_at("192.0.2.5", edited)


DROP_IN = "/etc/ssh/sshd_config.d/99.conf:"


SSHD = (
    "disableforwarding {}\nallowtcpforwarding {}\npermittunnel {}\n"
    "allowagentforwarding no\nallowstreamlocalforwarding no\nx11forwarding no\n"
)


CLOSED = SSHD.format("yes", "no", "no")


def own_flows(protocol: str, number: int) -> Callable[[Subject, str], Artefacts]:
    """Anybody may begin a flow to the device, so that an answer of it may be somebody's with a borrowed source."""
    return lambda subject, _: with_rule(subject.artefacts, [payload(protocol, "dport", number), ACCEPT], chain="input")


UNKNOWN: tuple[tuple[str, str, Places], ...] = (
    ("a proxy", "on one channel, and connects over the other", at_ports(relay("squid", "tcp", 3128))),
    ("a SOCKS server", "the same", at_ports(relay("ssh", "tcp", 1080))),
    ("a proxy on loopback", "that route_localnet opens", at_ports(on_loopback)),
    (
        "a proxy on loopback behind dnat",
        "the same, of what is sent elsewhere",
        at_ports(sent_to({"dnat": {"family": "ip", "addr": "127.0.0.1", "port": PROXY}}, "127.0.0.1")),
    ),
    ("a proxy behind a redirect", "which nobody asked for", at_ports(sent_to({"redirect": {"port": PROXY}}, "*"))),
    ("a proxy at an address of lo", "which all ports reach", at_ports(at_an_address_of_lo)),
    ("a proxy at an address of a local route", "the same", at_ports(at_a_local_route)),
    ("a print server", "the same", at_ports(relay("cupsd", "tcp", 631))),
    ("a relay of a script", "the same", at_ports(relay("python3", "udp", 5000))),
    ("a resolver", "whose configuration is not in the snapshot", at_ports(relay("dnsmasq", "udp", 53))),
    ("a time server", "the same", at_ports(relay("chronyd", "udp", 123))),
    ("a program on both channels", "at an address of each", in_each_pair(dual_homed("tcp", 8080, "nginx"))),
    ("a resolver on both channels", "at an address of each", in_each_pair(dual_homed("udp", 53, "unbound"))),
    (
        "an exporter on both channels",
        "one that would be no relay on one",
        in_each_pair(dual_homed("tcp", 9100, "node_exporter")),
    ),
    ("a program everywhere", "that both channels reach", in_each_pair(everywhere("tcp", 8080, "nginx", "*"))),
    ("a program everywhere in IPv6", "the same", in_each_pair(everywhere("udp", 5353, "avahi-daemon", "::"))),
    ("a socket of the other channel", "held by what answers on this one", in_each_pair(borrowed_socket)),
    ("an SSH server that forwards", "AllowTcpForwarding", at_ports(ssh(SSHD.format("no", "yes", "no")))),
    ("an SSH server that tunnels", "PermitTunnel", at_ports(ssh(SSHD.format("no", "no", "yes")))),
    (
        "an SSH server that forwards for some",
        "Match",
        at_ports(ssh(f"{CLOSED}{DROP_IN}Match User bob\n{DROP_IN}DisableForwarding no\n")),
    ),
    ("an SSH server that nobody knows of", "no configuration in the snapshot", at_ports(ssh(""))),
    (
        "flows to the device itself",
        "from anywhere, where an exception leads across",
        lambda subject: (
            Place(f"{p} {n}", lambda p=p, n=n: own_flows(p, n)(subject, ""))
            for p, n in (("tcp", 22), ("tcp", 9100), ("udp", 161))
            if subject.exception
        ),
    ),
)


KINDS = (*(Kind(name, does, places, Verdict.UNKNOWN) for name, does, places in UNKNOWN),)
