"""Exceptions to sets of packets: what may pass between two ports on different channels."""

from __future__ import annotations

from collections.abc import Iterable

from wardnet.audit.sets.space import Bdd, Space
from wardnet.model.intent import IPNetwork, Ports
from wardnet.model.packet import ICMP, ICMPV6, TCP, UDP, Field, State
from wardnet.model.policy import DevicePolicy, PolicyPort

_PROTOCOLS = {"tcp": TCP, "udp": UDP, "sctp": 132}
_ERRORS = {4: (3, 4, 5, 11, 12), 6: (1, 2, 3, 4)}  # what connection tracking calls related
_ECHO = {4: (8, 0), 6: (128, 129)}


def allowed(space: Space, policy: DevicePolicy, source: PolicyPort, destination: PolicyPort) -> Bdd:
    """What the grants let pass from one port to the other: a grant's flow, the answers to one the other way, and
    errors about either. Any router may have to send an error: so from any port of the channel of the flow's far end,
    but only to the near end itself."""
    channel = {port.interface: port.channel for port in policy.ports}
    of_source = channel.get(source.interface)  # what only carries ports of the channel is on nobody's way
    found = [space.false]
    for grant in policy.grants:
        if grant.sender.version != space.family:
            continue
        ends = (grant.from_interface, grant.to_interface)
        if ends == (source.interface, destination.interface):
            flow = _carried(space, grant.allow, answers=False)
            found.append(_between(space, grant.sender, grant.receiver) & flow)
        if ends == (destination.interface, source.interface):
            answer = _carried(space, grant.allow, answers=True) & space.value(Field.STATE, State.ESTABLISHED)
            found.append(_between(space, grant.receiver, grant.sender) & answer)
        if destination.interface == grant.from_interface and of_source is channel[grant.to_interface]:
            found.append(_errors(space, grant.sender))
        if destination.interface == grant.to_interface and of_source is channel[grant.from_interface]:
            found.append(_errors(space, grant.receiver))
    return space.any_of(found)


def _between(space: Space, source: IPNetwork, destination: IPNetwork) -> Bdd:
    return _in(space, Field.SOURCE, source) & _in(space, Field.DESTINATION, destination)


def _in(space: Space, field: Field, network: IPNetwork) -> Bdd:
    return space.between(field, int(network.network_address), int(network.broadcast_address))


def _carried(space: Space, allow: Iterable[Ports], *, answers: bool) -> Bdd:
    return space.any_of(_ports(space, ports, answers=answers) for ports in allow)


def _ports(space: Space, ports: Ports, *, answers: bool) -> Bdd:
    if ports.protocol == "icmp":
        kind = space.value(Field.PROTOCOL, ICMP if space.family == 4 else ICMPV6)
        types = (_ECHO[space.family][1 if answers else 0], *_ERRORS[space.family])
        return kind & space.any_of(space.value(Field.ICMP_TYPE, number) for number in types)
    carried = space.value(Field.PROTOCOL, _PROTOCOLS[ports.protocol])
    if not ports.ports:
        return carried
    field = Field.SOURCE_PORT if answers else Field.DESTINATION_PORT
    return carried & space.any_of(space.value(field, port) for port in ports.ports)


def _errors(space: Space, end: IPNetwork) -> Bdd:
    """Errors about a granted flow: related ICMP, to one of its ends."""
    kind = space.value(Field.PROTOCOL, ICMP if space.family == 4 else ICMPV6)
    types = space.any_of(space.value(Field.ICMP_TYPE, number) for number in _ERRORS[space.family])
    return kind & types & space.value(Field.STATE, State.RELATED) & _in(space, Field.DESTINATION, end)
