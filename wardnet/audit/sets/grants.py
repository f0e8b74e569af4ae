"""Conduits and exceptions to sets of packets: what may pass between two ports of different zones."""

from __future__ import annotations

from collections.abc import Iterable

from wardnet.audit.sets.space import Bdd, Space
from wardnet.model.intent import IPNetwork, Ports
from wardnet.model.packet import ICMP, ICMPV6, TCP, UDP, Field, State
from wardnet.model.policy import DevicePolicy, PolicyPort

_PROTOCOLS = {"tcp": TCP, "udp": UDP, "sctp": 132}
_ERRORS = {4: (3, 4, 5, 11, 12), 6: (1, 2, 3, 4)}  # what connection tracking calls related
_ECHO = {4: (8, 0), 6: (128, 129)}


class Services:
    """Parts that flows are made of, in one family."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._icmp = space.value(Field.PROTOCOL, ICMP if space.family == 4 else ICMPV6)
        self.errors = self._icmp & self._kinds(_ERRORS[space.family])

    def inside(self, field: Field, networks: tuple[IPNetwork, ...]) -> Bdd:
        space = self._space
        return space.any_of(
            space.between(field, int(network.network_address), int(network.broadcast_address))
            for network in networks
            if network.version == space.family
        )

    def carried(self, allow: Iterable[Ports], *, answers: bool) -> Bdd:
        return self._space.any_of(self._ports(ports, answers=answers) for ports in allow)

    def _ports(self, ports: Ports, *, answers: bool) -> Bdd:
        space = self._space
        if ports.protocol == "icmp":
            return self._icmp & self._kinds((_ECHO[space.family][1 if answers else 0], *_ERRORS[space.family]))
        if ports.protocol not in _PROTOCOLS:
            return space.false  # between neighbours, never forwarded
        carried = space.value(Field.PROTOCOL, _PROTOCOLS[ports.protocol])
        if not ports.ports:
            return carried
        field = Field.SOURCE_PORT if answers else Field.DESTINATION_PORT
        return carried & space.any_of(space.value(field, port) for port in ports.ports)

    def _kinds(self, numbers: Iterable[int]) -> Bdd:
        return self._space.any_of(self._space.value(Field.ICMP_TYPE, number) for number in numbers)


class Allowed:
    """What a device's conduits and grants let pass in one family, gathered once, however many pairs of ports are asked
    about."""

    def __init__(self, space: Space, policy: DevicePolicy) -> None:
        self._space = space
        self._services = services = Services(space)
        self._channels = {port.interface: port.channel for port in policy.ports}
        self._between: dict[tuple[str, str], list[Bdd]] = {}
        self._errors: dict[tuple[str, str], list[Bdd]] = {}  # to a port, from any of the channel
        established = space.value(Field.STATE, State.ESTABLISHED)
        error = services.errors & space.value(Field.STATE, State.RELATED)
        for passing in policy.passings:
            sender = passing.senders, passing.not_senders
            receiver = passing.receivers, passing.not_receivers
            if space.false in (self._end(Field.SOURCE, *sender), self._end(Field.DESTINATION, *receiver)):
                continue  # none in this family
            start, end = passing.from_interface, passing.to_interface
            if start is not None and end is not None:
                flow = self._end(Field.SOURCE, *sender) & self._end(Field.DESTINATION, *receiver)
                flow = flow & services.carried(passing.allow, answers=False)
                self._between.setdefault((start, end), []).append(flow)
                answer = self._end(Field.DESTINATION, *sender) & self._end(Field.SOURCE, *receiver)
                answer = answer & services.carried(passing.allow, answers=True) & established
                self._between.setdefault((end, start), []).append(answer)
            for near, far, side in ((start, end, sender), (end, start, receiver)):
                if near is not None:
                    channel = self._channels[near if far is None else far]
                    told = error & self._end(Field.DESTINATION, *side)
                    self._errors.setdefault((near, channel), []).append(told)

    def between(self, source: PolicyPort, destination: PolicyPort) -> Bdd:
        """What may pass from one port to the other: a flow, the answers to one the other way, and errors about either.
        Any router may have to send an error: so from any port of the channel of the flow's far end, but only to the
        near end itself."""
        found = list(self._between.get((source.interface, destination.interface), ()))
        channel = self._channels.get(source.interface)  # what only carries ports of the channel is on nobody's way
        if channel is not None:
            found += self._errors.get((destination.interface, channel), ())
        return self._space.any_of(found)

    def _end(self, field: Field, inside: tuple[IPNetwork, ...], outside: tuple[IPNetwork, ...]) -> Bdd:
        return self._services.inside(field, inside) & ~self._services.inside(field, outside)
