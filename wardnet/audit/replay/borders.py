"""Where a packet of a replay gets from one zone to another, and what of the policy lets it: conduits and exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from wardnet.audit.replay.records import Planned, Shot
from wardnet.model.intent import IPAddress, IPNetwork, Ports
from wardnet.model.packet import ICMP, ICMPV6, TCP, UDP
from wardnet.model.policy import AuditPolicy, Passing, PolicyPort

_PROTOCOLS = {"tcp": (TCP,), "udp": (UDP,), "icmp": (ICMP, ICMPV6)}


class Borders:
    """The ports and passings of a policy's devices."""

    def __init__(self, policy: AuditPolicy) -> None:
        self._devices = policy.devices
        self._ports = {(device.device, port.interface): port for device in policy.devices for port in device.ports}
        self._passings = {device.device: device.passings for device in policy.devices}

    def port(self, device: str, interface: str) -> PolicyPort:
        return self._ports[device, interface]

    def through(self) -> Iterator[tuple[str, str, str, Passing]]:
        """What passes a device from one port to another, with the device and the two: exceptions first."""
        for granted in (True, False):
            for device in self._devices:
                for passing in device.exceptions if granted else device.conduits:
                    one, other = passing.from_interface, passing.to_interface
                    if one is not None and other is not None and one != other:
                        yield device.device, one, other, passing

    def letting(self, device: str, from_port: str, to_port: str, shot: Shot) -> Passing | None:
        """What lets such a packet begin a flow between the two ports."""
        for passing in self._passings.get(device, ()):
            if (passing.from_interface, passing.to_interface) == (from_port, to_port) and _lets(passing, shot):
                return passing
        return None

    def crossed(self, sent: Planned, device: str, port: str) -> bool:
        """A packet that came in at its sender's port and was heard behind this one has crossed: to the other channel,
        whichever device it was at; or to another zone at the sender's device, where nothing lets it."""
        source, here = self.port(sent.device, sent.from_port), self.port(device, port)
        if device == sent.device and self.letting(device, sent.from_port, port, sent.packet) is not None:
            return False
        return source.channel is not here.channel or (device == sent.device and source.crosses(here))


def inside(address: IPAddress, networks: tuple[IPNetwork, ...], without: tuple[IPNetwork, ...]) -> bool:
    return any(address in network for network in networks) and not any(address in network for network in without)


def _lets(passing: Passing, shot: Shot) -> bool:
    return (
        inside(ip_address(shot.source), passing.senders, passing.not_senders)
        and inside(ip_address(shot.destination), passing.receivers, passing.not_receivers)
        and any(_carries(allowed, shot) for allowed in passing.allow)
    )


def _carries(allowed: Ports, shot: Shot) -> bool:
    if shot.protocol not in _PROTOCOLS.get(allowed.protocol, ()):
        return False
    return not allowed.ports or shot.destination_port in allowed.ports
