"""Configurations of what answers names and time: where each program listens, whom it asks, and over which port.

`grep -H` over the files of wardnet's own instances: dnsmasq's for names and leases, chronyd's for time. Each line is
modelled, known to have no part in it, or makes the program's configuration unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from collectors.parsers.artefact import Artefact
from collectors.parsers.coverage import Tally
from wardnet.model.device import Asked, Server
from wardnet.model.intent import IPAddress
from wardnet.model.span import Coverage, Span

_LINE = re.compile(r"(/[^:]+/([A-Za-z0-9_-]+)\.(names|dhcp|time)\.conf):(.*)")
_PROGRAM = {"names": "dnsmasq", "dhcp": "dnsmasq", "time": "chronyd"}
_COMMENTS = ("#", "!", ";", "%")
_READ = ("listen-address", "bindaddress", "server", "bindacqdevice")
# Options that neither make it listen anywhere else nor ask anybody else, nor read any other file.
_WITHOUT_PART = {
    "dnsmasq": frozenset({
        "bind-dynamic", "bind-interfaces", "bogus-nxdomain", "bogus-priv", "cache-size", "dhcp-authoritative",
        "dhcp-broadcast", "dhcp-host", "dhcp-ignore-names", "dhcp-lease-max", "dhcp-leasefile", "dhcp-option",
        "dhcp-range", "domain", "domain-needed", "edns-packet-max", "enable-ra", "host-record", "interface",
        "local-ttl", "log-facility", "neg-ttl", "no-hosts", "no-negcache", "no-ping", "no-poll", "no-resolv",
        "pid-file", "port", "ra-param", "stop-dns-rebind",
    }),
    "chronyd": frozenset({
        "allow", "binddevice", "bindcmdaddress", "clientloglimit", "cmdport", "deny", "driftfile", "noclientlog",
        "pidfile", "port", "ratelimit",
    }),
}  # fmt: skip


def parse_servers(artefact: Artefact) -> tuple[Server, ...]:
    """One a file, in the listing's order. ParseError for a line that is none of a configuration's."""
    files: dict[str, list[tuple[int, str]]] = {}
    kinds: dict[str, str] = {}
    for number, line in enumerate(artefact.text().splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            artefact.fail(f"line {number}", f"not a line of a configuration: {line[:60]!r}")
        files.setdefault(match[1], []).append((number, match[4].strip()))
        kinds[match[1]] = match[3]
    return tuple(_server(artefact, path, kinds[path], lines) for path, lines in files.items())


def cover_servers(artefact: Artefact, servers: tuple[Server, ...]) -> Coverage:
    """Each line of the listing that is not blank."""
    strange = {span.place: reason for server in servers for span, reason in server.strange}
    tally = Tally(artefact.name)
    for number, line in enumerate(artefact.text().splitlines(), start=1):
        place = f"line {number}"
        match = _LINE.fullmatch(line)
        text = match[4].strip() if match else ""
        if place in strange:
            tally.unknown(place, strange[place])
        elif not text or text.startswith(_COMMENTS):
            tally.irrelevant(place, "a comment")
        elif re.split("[ =]", text, maxsplit=1)[0] in _READ:
            tally.modelled(place)
        else:
            tally.irrelevant(place, "the program neither listens nor asks anywhere else by it, nor reads another file")
    return tally.coverage()


def _server(artefact: Artefact, path: str, kind: str, lines: Iterable[tuple[int, str]]) -> Server:
    program = _PROGRAM[kind]
    listens: list[IPAddress] = []
    asked: list[tuple[Span, IPAddress, str | None]] = []
    device: str | None = None
    strange: list[tuple[Span, str]] = []
    said = set()
    for number, text in lines:
        if not text or text.startswith(_COMMENTS):
            continue
        span = artefact.span(f"line {number}")
        key, _, value = text.partition("=") if program == "dnsmasq" else text.partition(" ")
        key, value = key.strip(), value.strip()
        said.add(key)
        try:
            if key in ("listen-address", "bindaddress"):
                listens += [ip_address(each) for each in value.split(",")]
            elif key == "server":
                asked.append((span, *_upstream(program, value)))
            elif key == "bindacqdevice" and program == "chronyd":
                device = value
            elif key not in _WITHOUT_PART[program]:
                strange.append((span, f"option {key} is not modelled"))
        except ValueError:
            strange.append((span, f"option {key}: {value[:40]!r} is not modelled"))
    if kind == "names" and "no-resolv" not in said:
        strange.append((artefact.span(path), "without no-resolv it also asks whom /etc/resolv.conf names"))
    upstream = tuple(Asked(span, address, port or device) for span, address, port in asked)
    return Server(artefact.span(path), path, kind, tuple(listens), upstream, tuple(strange))


def _upstream(program: str, value: str) -> tuple[IPAddress, str | None]:
    """`10.0.0.1@wan0` of dnsmasq, `10.0.0.1 iburst` of chronyd. ValueError for anything else, such as a domain."""
    if program == "chronyd":
        return ip_address(value.split()[0]), None
    address, _, port = value.partition("@")
    if "#" in value or "@" in port:
        raise ValueError(value)
    try:
        ip_address(port)
    except ValueError:
        return ip_address(address), port or None
    return ip_address(address), None  # bound to an address is not bound to a port
