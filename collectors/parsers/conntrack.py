"""`/proc/net/nf_conntrack`: the connections that there are, each with the ends of both directions."""

from __future__ import annotations

import re
from ipaddress import ip_address

from collectors.parsers.artefact import Artefact
from collectors.parsers.coverage import Tally
from wardnet.model.span import Coverage
from wardnet.model.tracked import Connection

_LINE = re.compile(r"(ipv4|ipv6) +(2|10) +(\S+) +([0-9]+) .*")
_OVER = re.compile(r" (TIME_WAIT|CLOSE) ")
_ENDS = re.compile(r"\b(?:src|dst)=(\S+)")
_PORTS = re.compile(r"\b(?:sport|dport)=([0-9]+)(?= |$)")


def parse_connections(artefact: Artefact) -> tuple[Connection, ...]:
    """One a line. Raises ParseError for a line that is none, and for a listing without its end."""
    text = artefact.text()
    if text and not text.endswith("\n"):
        artefact.fail(f"offset {len(artefact.content)}", "the last line has no end: truncated")
    return tuple(_connection(artefact, number, line) for number, line in enumerate(text.splitlines(), start=1))


def _connection(artefact: Artefact, number: int, line: str) -> Connection:
    place = f"line {number}"
    match = _LINE.fullmatch(line)
    ends, ports = _ENDS.findall(line), _PORTS.findall(line)
    if match is None or len(ends) != 4 or len(ports) != line.count("port="):
        artefact.fail(place, f"not a connection: {line[:60]!r}")
    try:
        source, destination, answers_from, _ = map(ip_address, ends)
        port = int(ports[2]) if len(ports) == 4 else 0
    except ValueError as error:
        artefact.fail(place, str(error))
    alive = "[UNREPLIED]" not in line and not _OVER.search(line)
    return Connection(artefact.span(place), match[3], source, destination, answers_from, port, alive)


def cover_connections(artefact: Artefact, connections: tuple[Connection, ...]) -> Coverage:
    tally = Tally(artefact.name)
    for connection in connections:
        if connection.alive:
            tally.modelled(connection.span.place)
        else:
            tally.irrelevant(connection.span.place, "nobody has answered yet, or both ends have closed it")
    return tally.coverage()
