"""Bridges of the device: which of their ports hear each other, below all rules and routes.

A bridge that does not look at VLANs joins all of its ports. One that does takes a frame in if its port is in the
frame's VLAN, and sends it out by the ports that are in it too. The device's own ports there are the bridge itself, for
what it gets without a tag, and the bridge's VLANs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wardnet.audit.carriers import carriers
from wardnet.audit.records import OpenPoint
from wardnet.model.device import Device, Link
from wardnet.model.frames import BridgeVlan
from wardnet.model.policy import DevicePolicy, PolicyPort
from wardnet.model.span import Span

KNOWN_TAGS = "802.1Q"


@dataclass(frozen=True, slots=True)
class Joined:
    """Two ports hear each other on `bridge`, in a VLAN where it looks at them. Only maybe, where there are `points`."""

    bridge: Link
    text: str
    span: Span
    points: tuple[OpenPoint, ...] = ()


def bridge_of(device: Device, link: Link) -> Link | None:
    master = device.link(link.master) if link.master else None
    return master if master is not None and master.kind == "bridge" else None


def joined(device: Device, source: str, destination: str) -> Joined | None:
    """How frames pass from one port to another on a bridge of which both are members."""
    first, second = device.link(source), device.link(destination)
    if first is None or second is None or not (first.up and second.up):
        return None
    bridge = bridge_of(device, first)
    if bridge is None or first.master != second.master:
        return None
    text, span = f"{bridge.name} joins {source} and {destination}", bridge.span
    points = [point for point in (_chains(device, bridge), *_not_told(device, bridge)) if point is not None]
    if bridge.filters == KNOWN_TAGS and device.vlans is not None:
        heard = {entry.vlan: entry for entry in vlans_of(device, destination)}
        shared = [entry for entry in vlans_of(device, source) if entry.vlan in heard]
        if not shared:
            return None
        text, span = f"{text} in VLAN {shared[0].vlan}", shared[0].span
    return Joined(bridge, text, span, tuple(points))


def vlans_of(device: Device, port: str) -> list[BridgeVlan]:
    return sorted((entry for entry in device.vlans or () if entry.port == port), key=lambda entry: entry.vlan)


def _chains(device: Device, bridge: Link) -> OpenPoint | None:
    filtered = next((t for t in device.ruleset.tables if t.layer == 2 and t.chains), None)
    if filtered is None:
        return None
    reason = "chains of the bridge family are not modelled"
    return OpenPoint(filtered.span, reason, f"take the ports out of bridge {bridge.name}")


def _not_told(device: Device, bridge: Link) -> Iterator[OpenPoint]:
    """Why it is not known which VLANs a bridge keeps apart."""
    if bridge.filters not in ("", KNOWN_TAGS):
        reason = f"bridge {bridge.name} keeps apart VLANs of {bridge.filters}, which is not modelled"
        settle = f"`ip link set {bridge.name} type bridge vlan_protocol 802.1Q`"
        yield OpenPoint(bridge.span, reason, settle)
    elif bridge.filters and device.vlans is None:
        reason = f"which VLANs the ports of bridge {bridge.name} are in is not in the snapshot"
        yield OpenPoint(bridge.span, reason, "let the role audit_account run, and collect again")


def member_problems(device: Device, link: Link, port: PolicyPort, policy: DevicePolicy) -> Iterator[OpenPoint]:
    """A port of the policy on a bridge that looks at VLANs: whoever is behind it reaches the device by its own port in
    each of them, which must be of the same zone."""
    bridge = bridge_of(device, link)
    assert bridge is not None
    untold = list(_not_told(device, bridge))
    yield from untold
    if untold:
        return
    ports = {other.interface: other for other in policy.ports}
    carried = {other.interface for other in carriers(device, policy)}
    own = {entry.vlan: entry for entry in vlans_of(device, bridge.name)}
    for entry in vlans_of(device, link.name):
        if entry.vlan not in own:
            continue
        name = _own_port(device, bridge, own[entry.vlan])
        if name is None or name in carried:
            continue  # of what carries ports of several zones it is known that it may be anybody's
        other = ports.get(name)
        if other is None or other.crosses(port):
            mine, theirs = port.apart(other) if other is not None else (f"channel {port.channel}", "")
            whose = f"a port of {theirs}" if theirs else "in no channel"
            reason = (
                f"port {port.interface} of {mine} is in VLAN {entry.vlan} of bridge {bridge.name}, and "
                f"so is {name}, {whose}: whoever is behind it is behind both"
            )
            settle = f"`bridge vlan del dev {port.interface} vid {entry.vlan}`, or correct the inventory"
            yield OpenPoint(entry.span, reason, settle)


def _own_port(device: Device, bridge: Link, entry: BridgeVlan) -> str | None:
    """By which of its own ports the device hears a VLAN of the bridge."""
    if entry.untagged:
        return bridge.name
    found = (link for link in device.links if link.kind == "vlan" and link.parent == bridge.name and link.up)
    return next((link.name for link in found if link.vlan == entry.vlan or link.vlan is None), None)
