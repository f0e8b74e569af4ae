"""`bridge -j vlan show`: which VLANs each port of a bridge is in."""

from __future__ import annotations

from collections.abc import Collection

from collectors.parsers.artefact import Artefact, Item
from collectors.parsers.coverage import Tally
from wardnet.model.device import Link
from wardnet.model.frames import BridgeVlan
from wardnet.model.span import Coverage

_FLAGS = frozenset({"PVID", "Egress Untagged"})
_KEYS = frozenset({"vlan", "vlanEnd", "flags"})
_HIGHEST = 4094


def parse_bridge_vlans(artefact: Artefact) -> tuple[BridgeVlan, ...]:
    """One for each port and VLAN; a range of VLANs is several. Raises ParseError for what the listing cannot hold."""
    found: dict[tuple[str, int], BridgeVlan] = {}
    for item, entry in _entries(artefact):
        port = item.string("ifname")
        if strange := entry.values.keys() - _KEYS:
            artefact.fail(entry.where, f"a VLAN with {', '.join(sorted(strange))}")
        flags = set(entry.strings("flags"))
        if flags - _FLAGS:
            artefact.fail(entry.where, f"flag {min(flags - _FLAGS)!r} of a VLAN")
        first = entry.integer("vlan", 1, _HIGHEST)
        last = entry.integer("vlanEnd", first, _HIGHEST) if "vlanEnd" in entry.values else first
        for vlan in range(first, last + 1):
            if (port, vlan) in found:
                artefact.fail(entry.where, f"VLAN {vlan} of {port} stands twice")
            span = artefact.span(f"{port} VLAN {vlan}")
            found[port, vlan] = BridgeVlan(span, port, vlan, "PVID" in flags, "Egress Untagged" in flags)
    return tuple(found.values())


def cover_bridge_vlans(artefact: Artefact, links: Collection[Link]) -> Coverage:
    """Each entry of the listing."""
    tally = Tally(artefact.name)
    filtering = {link.name for link in links if link.filters}
    bridge_of = {link.name: link.name if link.kind == "bridge" else link.master for link in links}
    for item, entry in _entries(artefact):
        port = item.string("ifname")
        place = f"{port} VLAN {entry.integer('vlan', 1, _HIGHEST)}"
        if bridge_of.get(port) in filtering:
            tally.modelled(place)
        else:
            tally.irrelevant(place, "its bridge does not look at VLANs: all of its ports hear each other")
    return tally.coverage()


def _entries(artefact: Artefact) -> list[tuple[Item, Item]]:
    return [
        (item, entry)
        for index, record in enumerate(artefact.records())
        for item in (Item(artefact, f"item {index}", record),)
        for entry in item.items("vlans")
    ]
