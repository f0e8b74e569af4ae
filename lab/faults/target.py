"""Where a fault is injected: one ward of a running lab, one channel, and what stands there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from lab import access
from lab.errors import LabError
from lab.layout import Layout
from lab.record import Record
from lab.topology import Kind, Topology, Wire
from wardnet.locale import _
from wardnet.model.intent import Channel, District
from wardnet.model.plan import GatewayPlan, Plan, Port, PortKind


@dataclass(frozen=True, slots=True)
class Target:
    layout: Layout
    record: Record
    district: District
    plan: Plan
    topology: Topology
    ward: str
    channel: Channel

    @property
    def gateway(self) -> GatewayPlan:
        """The gateway of the ward's office. LabError if the ward is not in this lab."""
        for node in self.topology.nodes:
            if node.kind is Kind.GATEWAY and node.ward == self.ward and node.gateway is not None:
                return node.gateway
        wards = sorted({node.ward for node in self.topology.nodes if node.kind is Kind.GATEWAY and node.ward})
        raise LabError(
            _("no ward {ward} in the lab {name}; it has {wards}").format(
                ward=self.ward, name=self.layout.name, wards=", ".join(wards)
            )
        )

    @property
    def wire(self) -> Wire:
        gateway = self.gateway
        return next(w for w in self.topology.wires if w.near == gateway.id and w.channel is self.channel)

    def lan(self, channel: Channel) -> Port:
        """The gateway's first LAN of a channel that people sit on: not the management one."""
        gateway = self.gateway
        return next(
            port
            for port in gateway.ports
            if port.kind is PortKind.NETWORK
            and port.channel is channel
            and gateway.management_ipv4 not in [own.ip for own in port.own]
        )

    def line_port(self, channel: Channel) -> Port:
        return next(p for p in self.gateway.ports if p.kind is PortKind.CIRCUIT and p.channel is channel)

    def table(self, channel: Channel) -> int:
        return self.district.channel(channel).table

    def service_host(self) -> str:
        """The booted host on which the channel's portal stands."""
        for node in self.topology.nodes:
            outside = node.outside is not None
            if node.kind is Kind.PORTAL and outside is (self.channel is Channel.INTERNET):
                return node.id
        raise LabError(_("no portal on the channel {channel} in this lab").format(channel=self.channel))


def inside(layout: Layout, host: str, argv: Sequence[str], *, stdin: str | None = None) -> str:
    """Run a command in the booted host as its root. LabError with what it said when it fails."""
    done = access.shell(layout, host, argv, stdin=stdin.encode() if stdin is not None else None, timeout=30)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
        raise LabError(
            _("on {host}, `{command}` failed: {said}").format(host=host, command=shlex.join(argv), said=said)
        )
    return done.stdout.decode()
