"""What carries ports of the policy and is none itself: the port under VLANs, the line that a session is dialled over.

Untagged frames on such a port come in by the port itself, and Linux would forward them even where it has no address.
Somebody on any of its channels may send them: so it is judged as a port of each channel that stands on it, and of each
zone.
"""

from __future__ import annotations

from collections.abc import Iterator

from wardnet.audit.records import OpenPoint
from wardnet.model.device import Device, Hook, Link
from wardnet.model.intent import Channel
from wardnet.model.policy import DevicePolicy, PolicyPort
from wardnet.model.span import Span

# Of one cable with the port that they stand on.
_SHARING = ("macvlan", "macvtap", "ipvlan", "ipvtap")
_PLAIN = ("", "veth", "tap")  # a piece of hardware, and a virtual machine's or the lab's cables
# What stands on no other port but its own members, which are ports of the device too.
_ALONE = (*_PLAIN, "bridge", "bond", "team", "dummy", "dsa", "wwan")


def carriers(device: Device, policy: DevicePolicy) -> tuple[PolicyPort, ...]:
    """Those that the device has up, once for each channel that stands on them. Where several zones of it do, what comes
    in there is of none of them alone: it crosses to each."""
    own = {port.interface for port in policy.ports}
    found: dict[str, dict[Channel, set[str]]] = {}
    for port in policy.ports:
        for name in _below(device, port):
            link = device.link(name)
            if name not in own and link is not None and link.up:
                found.setdefault(name, {}).setdefault(port.channel, set()).add(port.area)
    return tuple(
        PolicyPort(name, channel, f"under {channel}", (), zone=" or ".join(sorted(zones)))
        for name, channels in found.items()
        for channel, zones in sorted(channels.items())
    )


def _below(device: Device, port: PolicyPort) -> tuple[str, ...]:
    """The ports under one, nearest first."""
    if port.parent is None:
        return ()
    line = _line(device, port) if port.dialled and port.tag is not None else None
    return (port.parent,) if line is None else (line.name, port.parent)


def _line(device: Device, port: PolicyPort) -> Link | None:
    """The tagged line that a session is dialled over, whatever its name."""
    return next((link for link in device.links if _is_vlan(link, port)), None)


def _is_vlan(link: Link, port: PolicyPort) -> bool:
    return link.kind == "vlan" and link.parent == port.parent and link.vlan == port.tag


def carrying_problems(device: Device, policy: DevicePolicy) -> Iterator[OpenPoint]:
    """Where the device does not carry its ports as the policy says, or a carrier has anything of its own."""
    for port in policy.ports:
        link = device.link(port.interface)
        if link is not None:
            yield from _misplaced(device, link, port)
    own = {port.interface for port in policy.ports}
    for name in sorted({name for port in policy.ports for name in _below(device, port)} - own):
        link = device.link(name)
        if link is not None:
            lines = [port for port in policy.ports if port.dialled and _is_vlan(link, port)]
            yield from _carrier(device, link, line=bool(lines))
    yield from _sessions(device, policy)


def _misplaced(device: Device, link: Link, port: PolicyPort) -> Iterator[OpenPoint]:
    settle = "correct the inventory, or the device"
    if link.kind in _SHARING:
        reason = f"port {link.name} shares the cable of {link.parent or 'another port'} ({link.kind})"
        yield OpenPoint(link.span, reason, "give it a port or a VLAN of its own")
    elif port.parent is None and link.kind not in _ALONE:
        over = "" if link.parent is None else f" over {link.parent}"
        reason = f"port {link.name} is of kind {link.kind}{over}, and a port by itself by the policy"
        yield OpenPoint(link.span, reason, settle)
    elif link.kind == "veth" and link.parent is not None:
        reason = f"port {link.name} is one end of a virtual cable whose other end is {link.parent}, of the same device"
        yield OpenPoint(link.span, reason, f"`ip link delete {link.name}`")
    if port.parent is None:
        return
    if port.dialled:
        if link.kind != "ppp":
            yield OpenPoint(link.span, f"port {link.name} is no dialled session, as the policy has it", settle)
        if port.tag is not None and _line(device, port) is None:
            reason = f"there is no VLAN {port.tag} of {port.parent}, over which the policy has {link.name} dialled"
            yield OpenPoint(link.span, reason, settle)
    elif not _is_vlan(link, port):
        tag = "" if link.vlan is None else f" {link.vlan}"
        found = f"VLAN{tag} of {link.parent}" if link.kind == "vlan" else "no VLAN"
        reason = f"port {link.name} is {found}, and VLAN {port.tag} of {port.parent} by the policy"
        yield OpenPoint(link.span, reason, settle)


def _carrier(device: Device, link: Link, *, line: bool) -> Iterator[OpenPoint]:
    name = link.name
    if link.kind not in _PLAIN and not line and not link.filters:
        reason = f"port {name} carries VLANs or sessions and is itself of kind {link.kind}, which is not modelled"
        yield OpenPoint(link.span, reason, "let a port of the hardware carry them")
    if link.master is not None:
        reason = f"port {name} carries VLANs or sessions and belongs to {link.master}: their frames may go there too"
        yield OpenPoint(link.span, reason, f"take {name} out of {link.master}")
    own = [str(address) for address in link.addresses if not address.ip.is_link_local]
    if own:
        reason = f"port {name} carries VLANs or sessions and has addresses of its own: {', '.join(own)}"
        yield OpenPoint(link.span, reason, f"remove them, or add {name} to the inventory")
    for chain in (chain for table in device.ruleset.tables for chain in table.chains.values()):
        here = chain.devices is None or name in chain.devices
        if chain.hook in (Hook.INGRESS, Hook.EGRESS) and here and chain.rules:
            reason = f"a chain at {name} sees the frames of what stands on it, which is not modelled"
            yield OpenPoint(chain.span, reason, "hang it on the ports that stand on it")


def _sessions(device: Device, policy: DevicePolicy) -> Iterator[OpenPoint]:
    """Over which ports sessions really are dialled. Which one is which port is not told, so all must be on a line."""
    dialled = [port for port in policy.ports if port.dialled]
    if dialled and device.sessions is None:
        reason = "over which port a session is dialled is not in the snapshot"
        yield OpenPoint(Span(device.id, "pppoe.txt", ""), reason, "let the role audit_account run, and collect again")
    lines = {_below(device, port)[0] for port in dialled}
    for session in device.sessions or ():
        if session.port not in lines:
            reason = f"a session is dialled over {session.port}, which the policy does not know of"
            yield OpenPoint(session.span, reason, "end it, or correct the inventory")
