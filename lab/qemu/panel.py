"""A guest's patch panel: a bridge of the lab's Open vSwitch that joins each card of the guest, a TAP, to cables.

An end that a host of the lab had moves here from its namespace. On the panel each end has a VLAN of its own. A card
with one plug is an access port of it; a card that carries tags is a trunk, so that its frames are tagged on the wire.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from lab.commands import capture, ip_batch
from lab.errors import LabError
from lab.layout import FABRIC, Layout
from lab.qemu.command import Card, Plug
from lab.switch import vsctl
from wardnet.locale import _

_OWN = 4000  # VLANs of the panel for ends without a tag, from here on


def taps(number: int, cards: Sequence[Card]) -> list[str]:
    """Names of the cards' TAPs of the lab's `number`th guest, in order."""
    return [f"g{number}t{at}" for at, _card in enumerate(cards)]


def lay(layout: Layout, number: int, guest: str, cards: Sequence[Card]) -> list[str]:
    """Plug all cards in; returns the names of their TAPs. LabError where an end is not there."""
    fabric, bridge = layout.netns(FABRIC), f"guest{number}"
    names = taps(number, cards)
    links, words = [], ["add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev"]
    for at, (tap, card) in enumerate(zip(names, cards, strict=True)):
        links += [f"tuntap add dev {tap} mode tap", f"link set {tap} up"]
        switches = [plug.port for plug in card.plugs if plug.host is None]
        if switches:
            words += ["--", "add-port", _bridge_of(layout, switches[0]), tap]
        else:
            tags = [plug.tag or _OWN + at for plug in card.plugs]
            words += ["--", "add-port", bridge, tap]
            words += ["vlan_mode=trunk", f"trunks={','.join(map(str, tags))}"] if card.trunk else [f"tag={tags[0]}"]
            for index, (plug, tag) in enumerate(zip(card.plugs, tags, strict=True)):
                end = f"g{number}e{at}-{index}"
                _move(layout, plug, end)
                links.append(f"link set {end} up")
                words += ["--", "add-port", bridge, end, f"tag={tag}"]
        words += ["--", "set", "interface", tap, f"external_ids:host={guest}", f"external_ids:port={card.name}"]
    ip_batch(fabric, links)
    vsctl(layout, words, seconds=60)
    return names


def _move(layout: Layout, plug: Plug, end: str) -> None:
    name = layout.netns(plug.host or "")
    shown = json.loads(capture(["ip", "-n", name, "-json", "link", "show"]))
    if plug.port not in {link["ifname"] for link in shown}:
        raise LabError(_("{host} has no port {port} that a guest could have").format(host=plug.host, port=plug.port))
    ip_batch(name, [f"link set {plug.port} down", f"link set {plug.port} name {end} netns {layout.netns(FABRIC)}"])


def _bridge_of(layout: Layout, switch: str) -> str:
    found = vsctl(layout, ["--bare", "--columns=name", "find", "bridge", f"external_ids:switch={switch}"]).split()
    if len(found) != 1:
        raise LabError(_("the lab has no switch {switch}").format(switch=switch))
    return found[0]
