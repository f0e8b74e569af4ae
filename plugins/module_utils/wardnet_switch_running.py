"""What an access switch of Open vSwitch runs. Pure: takes the text that ovs-vsctl(8) and ovs-ofctl(8) print, and what
ip(8) says as JSON. Standard library only.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import Any

TABLES = ("Open_vSwitch", "Bridge", "Port", "Interface")
FRAGMENTS = "nx-match"  # the first fragment of a packet keeps its ports and ICMP type, so that flows see them
# How a port is said to be otherwise than usual, and the word of ovs-ofctl(8) that says it is as usual.
FLAGS = {"NO_STP": "stp", "NO_RECV": "receive", "NO_RECV_STP": "receive-stp", "NO_FLOOD": "flood",
         "NO_FWD": "forward", "NO_PACKET_IN": "packet-in"}  # fmt: skip


@dataclass(frozen=True)
class Running:
    """`up` by link, `addresses` as (link, address), `waiting` those of them that cannot be used yet."""

    tables: dict[str, list[dict[str, Any]]]
    up: dict[str, bool] = field(default_factory=dict)
    addresses: frozenset[tuple[str, str]] = frozenset()
    waiting: frozenset[tuple[str, str]] = frozenset()
    ways: frozenset[tuple[str, str]] = frozenset()  # (link, next hop)
    fragments: str = FRAGMENTS
    flags: frozenset[tuple[str, str]] = frozenset()  # (port, one of FLAGS)

    def has_bridge(self, name: str) -> bool:
        return any(row["name"] == name for row in self.tables["Bridge"])


def parse_tables(text: str) -> dict[str, list[dict[str, Any]]]:
    """Rows by table, from `ovs-vsctl --format=json -- list TABLE ...` of TABLES in that order."""
    decoder, at, found = json.JSONDecoder(), 0, {}
    for name in TABLES:
        while at < len(text) and text[at].isspace():
            at += 1
        table, at = decoder.raw_decode(text, at)
        rows = [dict(zip(table["headings"], map(_value, row), strict=True)) for row in table["data"]]
        found[name] = rows
    return found


def _value(raw: Any) -> Any:
    """A set as a sorted tuple, one of exactly one as its element; a map as a dict; a reference as its UUID."""
    if not isinstance(raw, list):
        return raw
    kind, items = raw
    if kind == "map":
        return {_value(key): _value(value) for key, value in items}
    if kind == "set":
        values = sorted((_value(item) for item in items), key=str)
        return values[0] if len(values) == 1 else tuple(values)
    return items


def many(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def parse_links(
    addresses: list[dict[str, Any]], *routes: list[dict[str, Any]]
) -> tuple[dict[str, bool], frozenset[tuple[str, str]], frozenset[tuple[str, str]], frozenset[tuple[str, str]]]:
    """Fields of Running after `tables`, from `address show` and both families' `route show default`."""
    up, found, waiting = {}, set(), set()
    for link in addresses:
        up[link["ifname"]] = "UP" in link.get("flags", [])
        for info in link.get("addr_info", []):
            address = ipaddress.ip_interface(f"{info['local']}/{info['prefixlen']}")
            if address.is_link_local or address.is_loopback:
                continue
            found.add((link["ifname"], str(address)))
            if info.get("tentative") or info.get("dadfailed"):
                waiting.add((link["ifname"], str(address)))
    ways = {(route.get("dev", ""), route.get("gateway", "")) for family in routes for route in family}
    return up, frozenset(found), frozenset(waiting), frozenset(ways)


def parse_description(text: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """How fragments are shown to flows, and which ports are otherwise than usual; from `ovs-ofctl show`."""
    port, flags = "", set()
    for line in text.splitlines():
        if found := re.fullmatch(r" (?:\d+|LOCAL)\((.*)\): addr:.*", line):
            port = found[1]
        elif found := re.fullmatch(r" +config: +(.*)", line):
            flags |= {(port, flag) for flag in found[1].split() if flag in FLAGS}
    mode = re.search(r"\bfrags=(\S+)", text)
    return mode[1] if mode else "", frozenset(flags)
