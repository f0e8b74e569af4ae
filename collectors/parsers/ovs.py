"""Bridges of Open vSwitch: `ovsdb-client transact` of their tables, and `ovs-ofctl dump-flows` of each.

What can send a frame past its VLANs is unknown: mirrors, controllers, flows that do anything but drop or switch as
usual, ports of several links, tunnels in VLANs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from collectors.parsers.artefact import Artefact, Item
from collectors.parsers.coverage import Tally
from wardnet.model.snapshot import OVS_TABLES
from wardnet.model.span import Coverage, Unknown
from wardnet.model.switch import HIGHEST_VLAN, Flow, FlowAction, FrameBridge, FramePort, VlanMode

_WATCHERS = {
    "mirrors": "copies frames, whatever VLAN they are in, to a port or a VLAN of its own",
    "controller": "may change the flows at any time, and gets frames itself",
    "netflow": "tells others of frames",
    "sflow": "sends beginnings of frames to others",
    "ipfix": "tells others of frames",
}
_BRIDGE = re.compile(r"bridge (\S+)\.mgmt")
_FLOW = re.compile(r" *(\S.*?) +actions=(\S.*)")
# Words before the actions that are no condition on a frame.
_NO_CONDITION = ("cookie", "send_flow_rem", "importance", "reset_counts", "check_overlap")
_ENDING = ("idle_timeout", "hard_timeout")
_USUAL_PRIORITY = 32768
_LOCAL = 65534
_OPEN_TABLE = "a flow of another table than the first, which no flow here leads to"

Rows = dict[str, list[Item]]


def parse_bridges(database: Artefact, listing: Artefact) -> tuple[tuple[FrameBridge, ...], tuple[Unknown, ...]]:
    """All bridges, and what may send frames past their VLANs. Raises ParseError for what does not hold together."""
    tables = _tables(database)
    ports = {_reference(row): row for row in tables["Port"]}
    interfaces = {_reference(row): row for row in tables["Interface"]}
    unknowns: list[Unknown] = []
    flows = _flows(listing, unknowns)
    bridges = []
    for row in tables["Bridge"]:
        name = row.string("name")
        span = database.span(f"bridge {name}")
        for column, danger in _WATCHERS.items():
            if _set(row, column):
                settle = f"`ovs-vsctl clear bridge {name} {column}`"
                unknowns.append(Unknown(span, f"bridge {name} has {column}: it {danger}", settle))
        if name not in flows:
            listing.fail(f"bridge {name}", "its flows are not listed")
        made = tuple(
            _port(database, _found(row, ports, uuid), interfaces, unknowns) for uuid in _references(row, "ports")
        )
        bridges.append(FrameBridge(span, name, made, flows[name]))
    return tuple(bridges), tuple(unknowns)


def _tables(artefact: Artefact) -> Rows:
    """The rows of each table of the query, in its order."""
    found: Rows = {}
    results = artefact.records()
    if len(results) != len(OVS_TABLES):
        artefact.fail("offset 0", f"{len(OVS_TABLES)} tables were expected, not {len(results)}")
    for (table, columns), result in zip(OVS_TABLES.items(), results, strict=True):
        rows = Item(artefact, f"table {table}", result).items("rows")
        if "rows" not in result:
            artefact.fail(f"table {table}", "no rows: the query failed")
        for row in rows:
            if row.values.keys() != set(columns):
                artefact.fail(row.where, f"other columns than {', '.join(columns)}")
        found[table] = rows
    return found


# --- values of the database: one value, or ["set", [...]], ["map", [...]], ["uuid", "..."]


def _reference(row: Item) -> str:
    (found,) = _references(row, "_uuid")
    return found


def _set(row: Item, column: str) -> tuple[Any, ...]:
    match row.values[column]:
        case ["set", list(values)]:
            return tuple(values)
        case value:
            return (value,)


def _references(row: Item, column: str) -> tuple[str, ...]:
    found = []
    for value in _set(row, column):
        match value:
            case ["uuid", str(uuid)]:
                found.append(uuid)
            case _:
                row.fail(f"{column!r} is no reference: {str(value)[:60]}")
    return tuple(found)


def _found(row: Item, rows: Mapping[str, Item], uuid: str) -> Item:
    if uuid not in rows:
        row.fail(f"row {uuid} is not listed")
    return rows[uuid]


def _number(row: Item, column: str, highest: int) -> int | None:
    values = _set(row, column)
    if not values:
        return None
    value = values[0]
    if len(values) > 1 or not isinstance(value, int) or isinstance(value, bool) or not -1 <= value <= highest:
        row.fail(f"{column!r} must be a number up to {highest}, or none")
    return value


def _port(database: Artefact, row: Item, interfaces: Mapping[str, Item], unknowns: list[Unknown]) -> FramePort:
    name = row.string("name")
    span = database.span(f"port {name}")
    links = [_found(row, interfaces, uuid) for uuid in _references(row, "interfaces")]
    if [link.string("name") for link in links] != [name]:
        unknowns.append(
            Unknown(span, f"port {name} is of several links, or of one with another name", "take them apart")
        )
    kinds = {str(link.values["type"]) for link in links}
    if kinds - {"", "system", "internal"}:
        reason = f"port {name} leads elsewhere: a link of kind {', '.join(sorted(kinds))}"
        unknowns.append(Unknown(span, reason, f"`ovs-vsctl del-port {name}`"))
    tag, trunks = _number(row, "tag", HIGHEST_VLAN), _trunks(row)
    modes = [str(mode) for mode in _set(row, "vlan_mode")]
    mode = VlanMode.ACCESS if tag is not None else VlanMode.TRUNK  # as the switch takes a port that names none
    if modes and modes[0] in set(VlanMode):
        mode = VlanMode(modes[0])
    elif modes:
        reason = f"port {name} has VLAN mode {modes[0]}, which is not modelled"
        unknowns.append(Unknown(span, reason, f"`ovs-vsctl set port {name} vlan_mode=access`, or trunk"))
    if mode is VlanMode.TRUNK:
        tag = None
    number = _number(links[0], "ofport", _LOCAL) if links else None
    protected = row.values["protected"] is True
    return FramePort(span, name, mode, tag, trunks, number, protected, "internal" in kinds)


def _trunks(row: Item) -> tuple[int, ...]:
    found = _set(row, "trunks")
    if not all(isinstance(vlan, int) and not isinstance(vlan, bool) and 0 <= vlan <= HIGHEST_VLAN for vlan in found):
        row.fail("'trunks' must be VLANs")
    return tuple(sorted(found))


# --- flows


def _flows(listing: Artefact, unknowns: list[Unknown]) -> dict[str, tuple[Flow, ...]]:
    """By bridge; those of the first table, where every frame begins."""
    found: dict[str, list[Flow]] = {}
    for number, line, bridge in _lines(listing):
        place = f"line {number}"
        if bridge not in found:
            found[bridge] = []
        if not line:
            continue
        match = _FLOW.fullmatch(line)
        if match is None:
            listing.fail(place, f"not a flow: {line[:60]!r}")
        flow = _flow(listing, place, match[1], match[2])
        if flow is None:
            continue
        found[bridge].append(flow)
        if flow.action is FlowAction.OTHER:
            reason = f"a flow of bridge {bridge} does {match[2][:60]}: it may send frames into any VLAN, or past them"
            unknowns.append(Unknown(flow.span, reason, "let its flows do NORMAL or drop alone (role access_switch)"))
    return {bridge: tuple(flows) for bridge, flows in found.items()}


def _lines(listing: Artefact) -> Iterator[tuple[int, str, str]]:
    """Each line with its number and bridge; empty for the line that names one."""
    bridge = ""
    if not listing.text().endswith("\n"):
        listing.fail(f"offset {len(listing.content)}", "the last line has no end: truncated")
    for number, line in enumerate(listing.text().splitlines(), start=1):
        if match := _BRIDGE.fullmatch(line):
            bridge = match[1]
            yield number, "", bridge
        elif line.startswith(("NXST_FLOW", "OFPST_FLOW")):
            continue
        elif line.strip():
            if not bridge:
                listing.fail(f"line {number}", "a flow of no bridge")
            yield number, line, bridge


def _flow(listing: Artefact, place: str, conditions: str, actions: str) -> Flow | None:
    """None for one of another table."""
    priority, port, narrow = _USUAL_PRIORITY, None, []
    for word in re.split(r",\s*|\s+", conditions):
        key, _, value = word.partition("=")
        if key == "table":
            if value != "0":
                return None
        elif key == "priority" and value.isdecimal():
            priority = int(value)
        elif key == "in_port" and (value.isdecimal() or value == "LOCAL"):
            port = _LOCAL if value == "LOCAL" else int(value)
        elif key and key not in _NO_CONDITION:
            narrow.append(word if key not in _ENDING else f"{word} (it may end)")
    kinds = {"NORMAL": FlowAction.NORMAL, "drop": FlowAction.DROP}
    return Flow(listing.span(place), priority, port, tuple(narrow), kinds.get(actions.strip(), FlowAction.OTHER))


# --- coverage


def cover_database(artefact: Artefact, unknowns: tuple[Unknown, ...]) -> Coverage:
    """Each bridge, port and interface."""
    tally = Tally(artefact.name)
    strange = {unknown.span.place: unknown for unknown in unknowns if unknown.span.artefact == artefact.name}
    for table, rows in _tables(artefact).items():
        for row in rows:
            place = f"{table.lower()} {row.string('name')}"
            if unknown := strange.get(place):
                tally.unknown(place, unknown.reason, unknown.settle)
            else:
                tally.modelled(place)
    return tally.coverage()


def cover_flows(artefact: Artefact, unknowns: tuple[Unknown, ...]) -> Coverage:
    tally = Tally(artefact.name)
    strange = {unknown.span.place: unknown for unknown in unknowns if unknown.span.artefact == artefact.name}
    for number, line, _bridge in _lines(artefact):
        place = f"line {number}"
        match = _FLOW.fullmatch(line)
        if unknown := strange.get(place):
            tally.unknown(place, unknown.reason, unknown.settle)
        elif match is not None and _flow(artefact, place, match[1], match[2]) is None:
            tally.irrelevant(place, _OPEN_TABLE)
        else:
            tally.modelled(place)
    return tally.coverage()
