"""What is unknown about a device as a whole, so that nothing on it is proved until it is settled."""

from __future__ import annotations

from collections.abc import Iterator

from wardnet.audit.bridges import bridge_of, member_problems
from wardnet.audit.carriers import carriers, carrying_problems
from wardnet.audit.records import OpenPoint
from wardnet.model.device import Device, Link
from wardnet.model.policy import DevicePolicy, PolicyPort
from wardnet.model.span import Span, Treatment

_BRIDGE_CALLS = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")
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
    yield from carrying_problems(device, policy)
    carrying = {port.interface for port in carriers(device, policy)}
    for port in policy.ports:
        link = device.link(port.interface)
        if link is None:
            span = Span(device.id, "ip-link.json", port.interface)
            reason = f"port {port.interface} of the policy is not on the device"
            yield OpenPoint(span, reason, "correct the inventory, or the device")
        elif not (link.up and link.carrier):
            reason = f"port {port.interface} was down: the routes that come back with it are not in the snapshot"
            yield OpenPoint(link.span, reason, "collect again when it is up")
        elif link.loopback:
            reason = f"port {port.interface} of the policy is a loopback interface, by which nothing is forwarded"
            yield OpenPoint(link.span, reason, "correct the inventory, or collect again")
        elif link.master is not None:
            yield from _of_member(device, link, port, policy)
    for link in device.links:
        if link.up and not link.loopback and link.name not in known | carrying:
            reason = (
                f"port {link.name} is up and the policy does not know it ({kind_of(link)}): which channel is behind it?"
            )
            yield OpenPoint(link.span, reason, f"add {link.name} to the inventory, or switch it off")
    if policy.divided:
        yield from _unlisted(device, sorted(known | carrying))
        yield from _settings(device)
        yield from _bridged_flows(device)


_TUNNELS = (
    "gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan", "ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm",
    "vxlan", "geneve", "wireguard", "tun", "bareudp", "gtp", "amt", "ovpn",
)  # fmt: skip
_KINDS = {
    "bond": "a bond", "bridge": "a bridge", "dummy": "a dummy", "ppp": "a dialled session", "rmnet": "a modem",
    "tap": "a virtual cable", "team": "a team", "veth": "a virtual cable", "vlan": "a VLAN", "vrf": "a VRF",
    "wwan": "a modem",
}  # fmt: skip
# As udev and the kernel name what tells no kind of its own.
_NAMES = {"wl": "a Wi-Fi interface", "ww": "a modem", "usb": "a USB tether or adapter", "bnep": "a Bluetooth tether"}


def kind_of(link: Link) -> str:
    """What an interface is, for people."""
    if link.kind in _TUNNELS:
        return f"a tunnel, {link.kind}"
    if link.kind == "vlan" and link.parent is not None:
        return f"VLAN {link.vlan} of {link.parent}" if link.vlan is not None else f"a VLAN of {link.parent}"
    if link.kind:
        return _KINDS.get(link.kind, link.kind)
    if link.bus == "usb" and not link.name.startswith(("wl", "ww")):
        return _NAMES["usb"]
    return next((words for start, words in _NAMES.items() if link.name.startswith(start)), "a network interface")


def _of_member(device: Device, link: Link, port: PolicyPort, policy: DevicePolicy) -> Iterator[OpenPoint]:
    """A port of the policy that belongs to another: what comes in by it comes in by its master too."""
    bridge = bridge_of(device, link)
    if bridge is not None and bridge.filters:
        yield from member_problems(device, link, port, policy)
        return
    master = next((other for other in policy.ports if other.interface == link.master), None)
    if master is None:
        reason = f"port {port.interface} belongs to {link.master}, which the policy does not know"
    elif master.crosses(port):
        mine, others = port.apart(master)
        reason = (
            f"port {port.interface} of {mine} belongs to {link.master} of {others}: whoever is behind it is behind both"
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


def _settings(device: Device) -> Iterator[OpenPoint]:
    """Settings that open ways which are not modelled, or that nothing here knows."""
    for coverage in device.coverage:
        if coverage.artefact == "sysctl.txt":
            for treated in coverage.treated:
                if treated.treatment is Treatment.UNKNOWN:
                    place = ", ".join(treated.places)
                    yield OpenPoint(Span(device.id, coverage.artefact, place), treated.reason, treated.settle)


def _bridged_flows(device: Device) -> Iterator[OpenPoint]:
    """Connections that begin between two ports of one bridge are tracked where chains of IP, or chains of bridges that
    ask for a state, see its frames. What then belongs to such a connection is not modelled."""
    seen = [name for name in _BRIDGE_CALLS if device.settings.get(name, "0") != "0"]
    asked = any(table.layer == 2 and table.chains for table in device.ruleset.tables)
    for bridge in device.links:
        members = [link.name for link in device.links if link.master == bridge.name]
        if bridge.kind == "bridge" and bridge.up and len(members) > 1 and (seen or asked):
            how = f"{seen[0]} is {device.settings[seen[0]]}" if seen else "there are chains of the bridge family"
            reason = f"{how}: connections that begin within bridge {bridge.name} are tracked, and not modelled"
            settle = f"`sysctl {' '.join(f'{name}=0' for name in seen)}`" if seen else "remove the chains"
            yield OpenPoint(bridge.span, reason, settle)
