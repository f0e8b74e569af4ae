"""What is unknown about a device as a whole, so that nothing on it is proved until it is settled."""

from __future__ import annotations

from collections.abc import Iterator

from wardnet.audit.records import OpenPoint
from wardnet.model.device import Device, Link
from wardnet.model.policy import DevicePolicy
from wardnet.model.span import Span

_PROBLEM_SETTINGS = ("bc_forwarding", "mc_forwarding", "accept_source_route", "seg6_enabled")


def problems_of(device: Device, policy: DevicePolicy) -> Iterator[OpenPoint]:
    for unknown in device.unknowns:
        yield OpenPoint(unknown.span, unknown.reason, unknown.settle)
    known = {port.interface for port in policy.ports}
    two_channels = len({port.channel for port in policy.ports}) > 1
    for port in policy.ports:
        link = device.link(port.interface)
        if link is None:
            span = Span(device.id, "ip-link.json", port.interface)
            reason = f"port {port.interface} of the policy is not on the device"
            yield OpenPoint(span, reason, "correct the inventory, or the device")
        elif not (link.up and link.carrier):
            reason = f"port {port.interface} was down: the routes that come back with it are not in the snapshot"
            yield OpenPoint(link.span, reason, "collect again when it is up")
        elif link.master is not None and bridge_of(device, link) is None:
            reason = f"port {port.interface} belongs to {link.master}, which the policy does not know"
            yield OpenPoint(link.span, reason, f"take {port.interface} out of {link.master}")
    for link in device.links:
        if link.up and not link.loopback and link.name not in known:
            reason = f"port {link.name} is up and the policy does not know it: which channel is behind it?"
            yield OpenPoint(link.span, reason, f"add {link.name} to the inventory, or switch it off")
    if two_channels:
        yield from _switches(device)
        yield from _advertised(device, known)


def bridge_of(device: Device, link: Link) -> Link | None:
    master = device.link(link.master) if link.master else None
    return master if master is not None and master.kind == "bridge" else None


def _switches(device: Device) -> Iterator[OpenPoint]:
    """Settings that open ways which are not modelled."""
    for name, value in sorted(device.settings.items()):
        if not name.startswith(("net.ipv4.conf.", "net.ipv6.conf.")) or value in ("0", "-1"):
            continue
        setting = name.rpartition(".")[2]
        if setting not in _PROBLEM_SETTINGS:
            continue
        # The kernel wants `all` and the port's own for these; the default for new ports decides nothing.
        everywhere = device.settings.get(f"{name[: len('net.ipv4.conf')]}.all.{setting}", "0")
        if ".all." in name and value != "0":
            reason = f"{name} is {value}: source routing, multicast or broadcast forwarding is not modelled"
            yield OpenPoint(Span(device.id, "sysctl.txt", name), reason, f"`sysctl {name}=0`")
        elif setting == "mc_forwarding" and everywhere == "0" and ".default." not in name:
            reason = f"{name} is {value}: multicast forwarding is not modelled"
            yield OpenPoint(Span(device.id, "sysctl.txt", name), reason, "stop the multicast router")


def _advertised(device: Device, ports: set[str]) -> Iterator[OpenPoint]:
    """Routes that whoever is on the wire can change, and labels that pass by all routes."""
    for port in sorted(ports):
        name = f"net.ipv6.conf.{port.replace('.', '/')}.accept_ra"
        if device.settings.get(name) == "2":
            reason = f"{name} is 2: whoever sends router advertisements on {port} changes the routes"
            yield OpenPoint(Span(device.id, "sysctl.txt", name), reason, f"`sysctl {name}=0`")
    labels = device.settings.get("net.mpls.platform_labels", "0")
    if labels != "0":
        name = "net.mpls.platform_labels"
        yield OpenPoint(
            Span(device.id, "sysctl.txt", name), f"{name} is {labels}: MPLS is not modelled", f"`sysctl {name}=0`"
        )
