"""Artefacts of plain lines: listeners, IPsec policies, legacy tables, the clock; and queueing disciplines."""

from __future__ import annotations

import re
from collections.abc import Collection

from collectors.parsers.artefact import Artefact, Item
from collectors.parsers.coverage import Tally
from wardnet.model.device import Listener, Session
from wardnet.model.span import Coverage, Unknown

# Disciplines that no filter can hang on in any kernel: without classes, and `mq`, whose classes take none. A filter of
# any other may redirect packets past nftables.
# tbf holds another discipline, which is listed too, and no filter: the kernel refuses one ("doesn't support blocks").
_WITHOUT_FILTERS = frozenset(
    {"noqueue", "pfifo_fast", "pfifo", "bfifo", "pfifo_head_drop", "fq", "codel", "pie", "mq", "tbf"}
)


def parse_listeners(artefact: Artefact) -> tuple[Listener, ...]:
    """`ss -H -l -n -p -t -u -w`: protocol, state, queues, local address and port, peer, process."""
    found = []
    for number, line in enumerate(artefact.text().splitlines(), start=1):
        words = line.split(None, 6)
        if not words:
            continue
        if len(words) < 6 or ":" not in words[4]:
            artefact.fail(f"line {number}", f"not a listener: {line[:60]!r}")
        address, _, port = words[4].rpartition(":")
        process = words[6].strip() if len(words) > 6 else ""
        found.append(Listener(artefact.span(f"line {number}"), words[0], address.strip("[]"), port, process))
    return tuple(found)


def parse_disciplines(artefact: Artefact, ports: Collection[str]) -> tuple[Unknown, ...]:
    """`tc -j qdisc show`: what may hold filters that move packets past everything else. Each of `ports` (those that
    are up) has a discipline: one without is not wholly listed. Raises ParseError for a list of nothing."""
    found = []
    seen = set()
    for index, record in enumerate(artefact.records()):
        item = Item(artefact, f"item {index}", record)
        kind, port = item.string("kind"), item.string("dev")
        seen.add(port)
        if kind not in _WITHOUT_FILTERS:
            found.append(
                Unknown(
                    artefact.span(f"#{index} dev {port}"),
                    f"filters of queueing discipline {kind} on {port} may redirect packets",
                    _settle_discipline(kind, port),
                )
            )
    if not seen:
        artefact.fail("offset 0", "no queueing discipline at all")
    found += [
        Unknown(artefact.span(f"dev {port}"), f"no queueing discipline of {port} is listed", "collect again")
        for port in sorted(set(ports) - seen)
    ]
    return tuple(found)


def cover_disciplines(artefact: Artefact, found: tuple[Unknown, ...]) -> Coverage:
    """Each discipline of the listing; what it does not list of a port is no item of it."""
    strange = {unknown.span.place: unknown for unknown in found}
    tally = Tally(artefact.name)
    for index, record in enumerate(artefact.records()):
        item = Item(artefact, f"item {index}", record)
        place = f"#{index} dev {item.string('dev')}"
        if unknown := strange.get(place):
            tally.unknown(place, unknown.reason, unknown.settle)
        else:
            tally.irrelevant(f"#{index}", f"no filter can hang on {item.string('kind')}: it delays or drops")
    return tally.coverage()


def cover_lines(artefact: Artefact, found: tuple[Unknown, ...]) -> Coverage:
    """Each line of a listing that is bare where nothing is unknown."""
    tally = Tally(artefact.name)
    for number, line in enumerate(artefact.text().splitlines(), start=1):
        if line.strip():
            place = f"line {number}"
            unknown = next((unknown for unknown in found if unknown.span.place == place), found[0])
            tally.unknown(place, unknown.reason, unknown.settle)
    return tally.coverage()


def _settle_discipline(kind: str, port: str) -> str:
    if kind in ("ingress", "clsact"):
        return f"`tc filter show dev {port} ingress` and `egress`, or `tc qdisc del dev {port} {kind}`"
    return f"`tc filter show dev {port}`, or `tc qdisc replace dev {port} root pfifo_fast`"


def parse_ipsec(artefact: Artefact) -> tuple[Unknown, ...]:
    """`ip xfrm policy list`: any policy may tunnel packets past the routes."""
    if not artefact.text().strip():
        return ()
    return (Unknown(artefact.span("line 1"), "IPsec policies are not modelled", "`ip xfrm policy deleteall`"),)


def parse_legacy_tables(artefact: Artefact) -> tuple[Unknown, ...]:
    """Names of the tables that legacy iptables has loaded, which nftables does not list."""
    return tuple(
        Unknown(
            artefact.span(f"line {number}"),
            f"legacy iptables table {line.strip()} is loaded beside nftables and can't be read through it",
            "move its rules to nftables and unload it",
        )
        for number, line in enumerate(artefact.text().splitlines(), start=1)
        if line.strip()
    )


def parse_sessions(artefact: Artefact) -> tuple[Session, ...]:
    """`/proc/net/pppoe`: a heading, then number, hardware address and port of each session. Empty without PPPoE."""
    found = []
    for number, line in enumerate(artefact.text().splitlines(), start=1):
        match = re.fullmatch(r" *[0-9A-Fa-f]+ +(?:[0-9a-f]{2}:){5}[0-9a-f]{2} +(\S+) *", line)
        if match is not None:
            found.append(Session(artefact.span(f"line {number}"), match[1]))
        elif line.split() != ["Id", "Address", "Device"]:
            artefact.fail(f"line {number}", f"not a session: {line[:60]!r}")
    return tuple(found)


def cover_sessions(artefact: Artefact, sessions: tuple[Session, ...]) -> Coverage:
    tally = Tally(artefact.name)
    listed = {session.span.place for session in sessions}
    for number, _ in enumerate(artefact.text().splitlines(), start=1):
        place = f"line {number}"
        if place in listed:
            tally.modelled(place)
        else:
            tally.irrelevant(place, "the heading")
    return tally.coverage()


def parse_clock(artefact: Artefact) -> int:
    """`date +%s`: the device's clock, in seconds since 1970."""
    text = artefact.text().strip()
    if not re.fullmatch(r"[0-9]{9,11}", text):
        artefact.fail("line 1", "no number of seconds since 1970")
    return int(text)
