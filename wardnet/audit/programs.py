"""Programs on a device that could pass on from one channel to the other what no forward rule would let through.

A program belongs to the channel of the ports that its sockets are bound to, or at whose addresses they listen. Where a
socket is bound to no port, it also belongs to the channels from whose ports the input chains let somebody reach it:
Linux takes a packet to any of its addresses by whichever port it comes. One that belongs to both is an open point.
What answers names or time also asks: whom, and over which port, its configuration says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from wardnet.audit.carriers import carriers
from wardnet.audit.records import OpenPoint
from wardnet.audit.relays import relaying
from wardnet.audit.sets.pipeline import Pipeline
from wardnet.model.device import Device, Listener, Server
from wardnet.model.intent import Channel, IPAddress
from wardnet.model.packet import Field
from wardnet.model.policy import DevicePolicy
from wardnet.model.span import Span

_PROCESS = re.compile(r'\("((?:[^"\\]|\\.)*)",pid=(\d+),fd=\d+\)')
_IPV4_ONLY, _IPV6_ONLY = "0.0.0.0", "::"  # noqa: S104 - as ss prints them; an IPv6 socket that hears both is *
_ANYWHERE = ("*", _IPV4_ONLY, _IPV6_ONLY, "")
_NUMBERS = {"tcp": 6, "udp": 17}
# What answers from what others told it: these ask on behalf of whoever asks them.
_ASKING = {("udp", "53"): "names", ("tcp", "53"): "names", ("tcp", "853"): "names", ("udp", "123"): "time"}


Channels = Mapping[str, tuple[Channel, ...]]  # of a port: several, of what carries ports of several


@dataclass
class _Program:
    name: str  # dnsmasq (pid 77)
    span: Span
    command: str  # dnsmasq; empty where the listing names no process
    numbers: set[str] = field(default_factory=set)  # it listens at, of protocols' ports
    ports: dict[Channel, set[str]] = field(default_factory=dict)  # port of the device -> by channel
    unbound: list[Listener] = field(default_factory=list)  # to no port: everywhere, or at an address
    elsewhere: list[Listener] = field(default_factory=list)  # at an address of no channel's port, and bound to none
    answers: dict[str, set[IPAddress]] = field(default_factory=dict)  # names or time -> at which addresses

    def belongs(self, port: str, channels: Channels) -> None:
        for channel in channels[port]:
            self.ports.setdefault(channel, set()).add(port)

    def hears(self, listener: Listener) -> None:
        """What it answers there, where that is names or time."""
        what = _ASKING.get((listener.protocol, listener.port))
        if what is not None:
            address = listener.address.partition("%")[0].strip("[]")
            answers = self.answers.setdefault(what, set())
            answers |= set() if address in _ANYWHERE else {ip_address(address)}


def programs_of(device: Device, policy: DevicePolicy, pipelines: Sequence[Pipeline]) -> Iterator[OpenPoint]:
    """Open points of a device with ports of two channels; none where it has ports of one. `pipelines`, one a family,
    have not passed anything yet."""
    if len({port.channel for port in policy.ports}) < 2:
        return
    channels: dict[str, tuple[Channel, ...]] = {}
    for end in (*policy.ports, *carriers(device, policy)):
        channels[end.interface] = (*channels.get(end.interface, ()), end.channel)
    for program in _programs(device, channels):
        for listener in program.unbound:
            for port in _reaching(listener, pipelines, channels):
                program.belongs(port, channels)
        for listener in program.elsewhere:
            # On loopback too: `route_localnet`, a new destination or an address of `lo` may lead there.
            if found := _reaching(listener, pipelines, channels):
                program.hears(listener)
            for port in found:
                program.belongs(port, channels)
        if len(program.ports) > 1:
            joined = " and ".join(
                f"{', '.join(sorted(ports))} ({channel})" for channel, ports in sorted(program.ports.items())
            )
            reason = f"{program.name} has to do with {joined}: what it passes on from one to the other is not known"
            yield OpenPoint(program.span, reason, "run one for each channel, bound to that channel's ports")
            continue
        for channel in program.ports if program.numbers - _answered(program) else ():
            # systemd may listen for the SSH server, and start one for each connection.
            shell = program.command == "systemd" and "22" in program.numbers
            name = "sshd" if shell else program.command
            yield from relaying(device, name, program.name, program.span, channel)
        for what, addresses in program.answers.items():
            yield from _asking(device, program, what, addresses, channels)


def _programs(device: Device, channels: Channels) -> list[_Program]:
    at = {interface.ip: link.name for link in device.links if not link.loopback for interface in link.addresses}
    found: dict[str, _Program] = {}
    for listener in device.listeners:
        if listener.protocol not in _NUMBERS:
            continue  # raw sockets see copies of ICMP; what they send is no part of anybody's connection
        address, _, bound = listener.address.partition("%")
        address = address.strip("[]")
        holders = _PROCESS.findall(listener.process) or [("", "")]
        for name, pid in holders:
            title = f"{name} (pid {pid})" if name else f"whatever listens on {listener.protocol} {listener.port}"
            program = found.setdefault(pid or title, _Program(title, listener.span, name))
            program.numbers.add(listener.port)
            port = bound.strip("[]") or (None if address in _ANYWHERE else at.get(ip_address(address)))
            if port is not None and port in channels:
                program.belongs(port, channels)
                if not bound:
                    program.unbound.append(listener)
            elif port is None and address in _ANYWHERE:
                program.unbound.append(listener)
            else:
                if not bound:
                    program.elsewhere.append(listener)
                continue
            program.hears(listener)
    return list(found.values())


def _answered(program: _Program) -> set[str]:
    """Ports at which it does no more than answer names or time: whom it asks itself is looked into apart."""
    return {number for (_protocol, number), what in _ASKING.items() if what in program.answers}


def _reaching(listener: Listener, pipelines: Sequence[Pipeline], channels: Channels) -> set[str]:
    """Ports by which a first packet may reach somebody who listens at every address, or at one, by whichever port."""
    if not listener.port.isdigit():
        return set(channels)
    found = set()
    address = listener.address.strip("[]")
    own = None if address in _ANYWHERE else ip_address(address)
    for pipeline in pipelines:
        if address == (_IPV6_ONLY if pipeline.family == 4 else _IPV4_ONLY):
            continue
        if own is not None and own.version != pipeline.family:
            continue
        space = pipeline.space
        wanted = space.value(Field.PROTOCOL, _NUMBERS[listener.protocol])
        wanted = wanted & space.value(Field.DESTINATION_PORT, int(listener.port)) & pipeline.reached
        if own is not None:
            wanted = wanted & space.value(Field.DESTINATION, int(own))
        found |= {port for port in channels if port in space.ports and wanted & space.entering(port) != space.false}
    return found


def _asking(
    device: Device, program: _Program, what: str, addresses: set[IPAddress], channels: Channels
) -> Iterator[OpenPoint]:
    """Whoever answers names or time must ask over the ports of its own channel."""
    known = (s for s in device.servers if s.answers == what and addresses and addresses <= set(s.listens))
    server = next(known, None)
    if server is None:
        reason = f"{program.name} answers {what}, and nothing in the snapshot says whom it asks itself"
        yield OpenPoint(program.span, reason, "let the role zone_services run it, and collect again")
        return
    for span, line in server.strange:
        reason = f"{program.name}, {server.path}: {line}"
        yield OpenPoint(span, reason, "leave it out: the role zone_services does not write it")
    yield from _upstreams(program, server, channels)


def _upstreams(program: _Program, server: Server, channels: Channels) -> Iterator[OpenPoint]:
    own = set(program.ports)
    for asked in server.asks:
        of_port = channels.get(asked.port or "", ())
        channel = of_port[0] if len(of_port) == 1 else None
        if channel is None:
            bound = "bound to no port" if asked.port is None else f"bound to {asked.port}, a port of no channel"
            reason = f"{program.name}, {server.path}: what it asks {asked.address} is {bound}: by which line it leaves"
            yield OpenPoint(asked.span, f"{reason} is not known", "bind it to the port of its channel's line")
        elif own != {channel}:
            reason = (
                f"{program.name} answers on {', '.join(sorted(p for ports in program.ports.values() for p in ports))} "
                f"({', '.join(sorted(own))}) and asks {asked.address} by {asked.port} ({channel}): {server.path}"
            )
            yield OpenPoint(asked.span, reason, "let it ask the resolvers or clocks of its own channel")
