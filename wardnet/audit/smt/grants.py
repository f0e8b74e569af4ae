"""What the policy lets pass between two ports: the flows of conduits and grants, the answers, and the errors about
them."""

from __future__ import annotations

from collections import defaultdict

from wardnet.audit.smt.conditions import Ends, UnencodableError
from wardnet.audit.smt.packet import View
from wardnet.audit.smt.terms import FALSE, Term, between, both, conj, disj, neg, number, one_of, same
from wardnet.model.intent import Channel, IPNetwork, Ports
from wardnet.model.packet import ICMP, ICMPV6, Field, State
from wardnet.model.policy import DevicePolicy, Passing

_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
_LINK_ONLY = "router"  # what IPv6 routers are asked and say: it stays between neighbours
_ECHO_REQUEST, _ECHO_REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_ERRORS = {4: (3, 4, 5, 11, 12), 6: (1, 2, 3, 4)}


class Granted:
    """Of one packet, gathered once, however many pairs of ports are asked about."""

    def __init__(self, policy: DevicePolicy, view: View) -> None:
        self._share = view.packet.script.share
        self._channels = {port.interface: port.channel for port in policy.ports}
        self._flows: dict[Ends, list[Term]] = defaultdict(list)
        self._errors: dict[tuple[str, Channel], list[Term]] = defaultdict(list)  # to a port, by a channel
        error = self._share(both(_icmp(view, _ERRORS), view.is_state(State.RELATED)))
        established = view.is_state(State.ESTABLISHED)
        for passing in policy.passings:
            sender, receiver = (
                _Side(view, passing.senders, passing.not_senders),
                _Side(view, passing.receivers, passing.not_receivers),
            )
            if sender.empty or receiver.empty:
                continue
            start, end = passing.from_interface, passing.to_interface
            if start is not None and end is not None:
                ends = sender.at(Field.SOURCE), receiver.at(Field.DESTINATION)
                self._flows[start, end].append(conj((*ends, _carried(view, passing, Field.DESTINATION_PORT))))
                ends = receiver.at(Field.SOURCE), sender.at(Field.DESTINATION)
                answer = (*ends, _carried(view, passing, Field.SOURCE_PORT), established)
                self._flows[end, start].append(conj(answer))
            for near, far, side in ((start, end, sender), (end, start, receiver)):
                if near is not None:
                    # Any router towards the far end may have to send one, to the near end alone.
                    told = both(error, side.at(Field.DESTINATION))
                    self._errors[near, self._channels[far or near]].append(told)

    def between(self, source: str, destination: str) -> Term:
        """A packet from one port to the other is what a conduit or grant names, answers it, or is an error about
        it."""
        found = list(self._flows.get((source, destination), ()))
        if source in self._channels:
            found += self._errors.get((destination, self._channels[source]), ())
        return self._share(disj(dict.fromkeys(found)))


class _Side:
    """One end of a flow, in the packet's family."""

    def __init__(self, view: View, inside: tuple[IPNetwork, ...], outside: tuple[IPNetwork, ...]) -> None:
        self._view = view
        self._inside = [network for network in inside if network.version == view.packet.family]
        self._outside = [network for network in outside if network.version == view.packet.family]

    @property
    def empty(self) -> bool:
        return not self._inside

    def at(self, field: Field) -> Term:
        view = self._view
        here = disj(_in(view, field, network) for network in self._inside)
        there = disj(_in(view, field, network) for network in self._outside)
        return view.packet.script.share(both(here, neg(there)))


def _carried(view: View, passing: Passing, side: Field) -> Term:
    return view.packet.script.share(disj(_one(view, ports, side) for ports in passing.allow))


def _one(view: View, ports: Ports, side: Field) -> Term:
    if ports.protocol == "icmp":
        echo = _ECHO_REQUEST if side is Field.DESTINATION_PORT else _ECHO_REPLY
        family = view.packet.family
        return _icmp(view, {family: (echo[family], *_ERRORS[family])})
    if ports.protocol == _LINK_ONLY:
        return FALSE
    if ports.protocol not in _NUMBERS:
        raise UnencodableError(f"a flow of protocol {ports.protocol}")
    protocol = same(view.fields[Field.PROTOCOL], number(_NUMBERS[ports.protocol], 8))
    if not ports.ports:
        return protocol
    return both(protocol, one_of(view.fields[side], tuple(ports.ports), view.packet.sort(side)))


def _icmp(view: View, types: dict[int, tuple[int, ...]]) -> Term:
    family = view.packet.family
    protocol = same(view.fields[Field.PROTOCOL], number(ICMP if family == 4 else ICMPV6, 8))
    return both(protocol, one_of(view.fields[Field.ICMP_TYPE], types[family], 8))


def _in(view: View, field: Field, network: IPNetwork) -> Term:
    first, last = int(network.network_address), int(network.broadcast_address)
    return between(view.fields[field], first, last, view.packet.sort(field))
