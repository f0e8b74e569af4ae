"""What is unknown about a device as a whole, so that nothing on it is proved until it is settled."""

from __future__ import annotations

from collections.abc import Iterator

from wardnet.audit.records import OpenPoint
from wardnet.model.device import Device, Link
from wardnet.model.policy import DevicePolicy, PolicyPort
from wardnet.model.span import Span

_PROBLEM_SETTINGS = ("bc_forwarding", "mc_forwarding", "accept_source_route", "seg6_enabled", "rpl_seg_enabled")
# What every kernel from 6.1 on lists for `all`, `default` and each port: where one lacks, the listing is not whole.
_LISTED = {
    4: ("forwarding", "rp_filter", "accept_local", "route_localnet", "src_valid_mark", "accept_source_route",
        "bc_forwarding", "mc_forwarding"),
    6: ("forwarding", "accept_source_route", "accept_ra", "seg6_enabled", "rpl_seg_enabled",
        "ignore_routes_with_linkdown"),
}  # fmt: skip
# Only where the kernel was built with multicast routing of IPv6: for all, or for none.
_LISTED_TOGETHER = "mc_forwarding"


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
        elif link.master is not None:
            yield from _of_member(link, port, policy)
    for link in device.links:
        if link.up and not link.loopback and link.name not in known:
            reason = f"port {link.name} is up and the policy does not know it: which channel is behind it?"
            yield OpenPoint(link.span, reason, f"add {link.name} to the inventory, or switch it off")
    if two_channels:
        yield from _unlisted(device, sorted(known))
        yield from _switches(device)
        yield from _advertised(device, known)


def bridge_of(device: Device, link: Link) -> Link | None:
    master = device.link(link.master) if link.master else None
    return master if master is not None and master.kind == "bridge" else None


def _of_member(link: Link, port: PolicyPort, policy: DevicePolicy) -> Iterator[OpenPoint]:
    """A port of the policy that belongs to another: what comes in by it comes in by its master too."""
    master = next((other for other in policy.ports if other.interface == link.master), None)
    if master is None:
        reason = f"port {port.interface} belongs to {link.master}, which the policy does not know"
    elif master.channel is not port.channel:
        reason = (
            f"port {port.interface} of channel {port.channel} belongs to {link.master} of channel {master.channel}: "
            "whoever is behind it is behind both"
        )
    else:
        return
    yield OpenPoint(link.span, reason, f"take {port.interface} out of {link.master}")


def _unlisted(device: Device, ports: list[str]) -> Iterator[OpenPoint]:
    """Settings that decide on forwarding and are not in the listing: nothing tells what they are."""
    settings = device.settings
    for family, wanted in _LISTED.items():
        prefix = f"net.ipv{family}.conf"
        names = ["all", "default", *(port.replace(".", "/") for port in ports)]
        if family == 6 and any(f"{prefix}.{name}.{_LISTED_TOGETHER}" in settings for name in names):
            wanted = (*wanted, _LISTED_TOGETHER)
        for name in names:
            missing = [setting for setting in wanted if f"{prefix}.{name}.{setting}" not in settings]
            if missing:
                reason = f"{prefix}.{name} is not wholly listed: {', '.join(missing)}"
                yield OpenPoint(Span(device.id, "sysctl.txt", f"{prefix}.{name}"), reason, "collect again")


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
    balancer = next((name for name in sorted(device.settings) if name.startswith("net.ipv4.vs.")), None)
    if balancer is not None:
        reason = "IPVS is loaded: it sends packets on by services of its own, which are not collected"
        yield OpenPoint(Span(device.id, "sysctl.txt", balancer), reason, "unload ip_vs")
    labels = device.settings.get("net.mpls.platform_labels", "0")
    if labels != "0":
        name = "net.mpls.platform_labels"
        yield OpenPoint(
            Span(device.id, "sysctl.txt", name), f"{name} is {labels}: MPLS is not modelled", f"`sysctl {name}=0`"
        )
