"""What the policy's grants let pass between two ports: their flows, the answers, and the errors about them."""

from __future__ import annotations

from wardnet.audit.smt.conditions import UnencodableError
from wardnet.audit.smt.packet import View
from wardnet.audit.smt.terms import Term, between, both, conj, disj, number, one_of, same
from wardnet.model.intent import IPNetwork, Ports
from wardnet.model.packet import ICMP, ICMPV6, Field, State, width
from wardnet.model.policy import DevicePolicy, Grant

_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
_ECHO_REQUEST, _ECHO_REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_ERRORS = {4: (3, 4, 5, 11, 12), 6: (1, 2, 3, 4)}


def granted(policy: DevicePolicy, view: View, source: str, destination: str) -> Term:
    """A packet from one port to the other is what a grant names, answers it, or is an error about it."""
    channels = {port.interface: port.channel for port in policy.ports}
    found = []
    for grant in policy.grants:
        if grant.sender.version != view.packet.family:
            continue
        if (source, destination) == (grant.from_interface, grant.to_interface):
            carried = _carried(view, grant, Field.DESTINATION_PORT)
            found.append(conj((_from(view, grant.sender), _to(view, grant.receiver), carried)))
        if (destination, source) == (grant.from_interface, grant.to_interface):
            carried = both(_carried(view, grant, Field.SOURCE_PORT), view.is_state(State.ESTABLISHED))
            found.append(conj((_from(view, grant.receiver), _to(view, grant.sender), carried)))
        for near, far, end in (
            (grant.from_interface, grant.to_interface, grant.sender),
            (grant.to_interface, grant.from_interface, grant.receiver),
        ):
            # Any router towards the far end may have to send one, to the near end alone.
            if destination == near and channels.get(source) is channels[far]:
                found.append(conj((_icmp(view, _ERRORS), view.is_state(State.RELATED), _to(view, end))))
    return view.packet.script.share(disj(found))


def _carried(view: View, grant: Grant, side: Field) -> Term:
    return disj(_one(view, ports, side) for ports in grant.allow)


def _one(view: View, ports: Ports, side: Field) -> Term:
    if ports.protocol == "icmp":
        echo = _ECHO_REQUEST if side is Field.DESTINATION_PORT else _ECHO_REPLY
        family = view.packet.family
        return _icmp(view, {family: (echo[family], *_ERRORS[family])})
    if ports.protocol not in _NUMBERS:
        raise UnencodableError(f"a grant of protocol {ports.protocol}")
    protocol = same(view.fields[Field.PROTOCOL], number(_NUMBERS[ports.protocol], 8))
    return both(protocol, one_of(view.fields[side], tuple(ports.ports), 16)) if ports.ports else protocol


def _icmp(view: View, types: dict[int, tuple[int, ...]]) -> Term:
    family = view.packet.family
    protocol = same(view.fields[Field.PROTOCOL], number(ICMP if family == 4 else ICMPV6, 8))
    return both(protocol, one_of(view.fields[Field.ICMP_TYPE], types[family], 8))


def _from(view: View, network: IPNetwork) -> Term:
    return _in(view, Field.SOURCE, network)


def _to(view: View, network: IPNetwork) -> Term:
    return _in(view, Field.DESTINATION, network)


def _in(view: View, field: Field, network: IPNetwork) -> Term:
    return between(view.fields[field], int(network[0]), int(network[-1]), width(field, view.packet.family))
