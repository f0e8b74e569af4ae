"""Programs that may pass on what they are given, by connections of their own: what comes in on one channel may leave by
the other, and no forward rule sees it.

A program that is reached is unknown unless it is one of a few that answer by themselves and connect to nobody whom the
asker names. They are told by the names of their processes. Of the SSH server its configuration says what it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from wardnet.audit.records import OpenPoint
from wardnet.model.device import Device
from wardnet.model.process import Forwards, Program
from wardnet.model.span import Span

# By what they do.
_NO_RELAYS = {
    "tells the time": "chronyd ntpd ntpsec systemd-timesyncd",
    "leases addresses, or takes one": "dhclient dhcpcd dhcpd dnsmasq kea-dhcp4 kea-dhcp6 radvd systemd-networkd",
    "learns routes": "bfdd bgpd bird mgmtd ospf6d ospfd staticd watchfrr zebra",
    "measures what its own configuration names": "wardnet-link-exporter wardnet-software-exporter",
    "tells how the device is": "lldpd node_exporter prometheus-node-exporter snmpd",
}
# As the kernel has a process's name: fifteen signs at most.
_KNOWN = frozenset(name[:15] for names in _NO_RELAYS.values() for name in names.split())


def relaying(device: Device, name: str, title: str, span: Span, channel: str) -> Iterator[OpenPoint]:
    """Of a program that is reached from one `channel`: why it may pass on to the other what it is given there."""
    if name == "sshd":
        yield from _sshd(device.sshd, title, span, channel)
    elif name not in _KNOWN:
        reason = f"{title} is reached from {channel}: whether it passes on what it is given is not known"
        yield OpenPoint(span, reason, "stop it on this device, or let nobody reach it")


def _sshd(found: Program | None, title: str, span: Span, channel: str) -> Iterator[OpenPoint]:
    if found is None:
        reason = f"{title} is reached from {channel}, and the snapshot does not say whether it forwards"
        yield OpenPoint(span, reason, "let the role audit_account run, and collect again")
    elif found.forwards is not Forwards.NOTHING:
        reason = f"{title} is reached from {channel}, and a session may be a relay to the other channel: {found.reason}"
        yield OpenPoint(found.span, reason, "`DisableForwarding yes` for everybody (role hardening)")
