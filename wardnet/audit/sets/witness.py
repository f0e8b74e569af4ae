"""One readable packet out of a set: the addresses of real LANs, a usual port, the fewest unknowns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from wardnet.audit.question import LinkState
from wardnet.audit.records import Packet
from wardnet.audit.sets.chains import Translation
from wardnet.audit.sets.space import Bdd, Guess, Space
from wardnet.audit.sets.tracking import ANSWERS
from wardnet.model.intent import IPNetwork
from wardnet.model.packet import ICMP, ICMPV6, TCP, UDP, Field, State
from wardnet.model.span import Span

_STATES = (State.NEW, State.UNTRACKED, State.INVALID, State.ESTABLISHED, State.RELATED)
_SERVICES = ((TCP, 443), (TCP, 80), (TCP, 22), (UDP, 53), (TCP, 445), (UDP, 123), (TCP, None), (UDP, None))
_HIGH_PORT = 40000
_SYN, _ACK = 2, 16
_ECHO = {4: (ICMP, 8), 6: (ICMPV6, 128)}
# Hosts that LANs have most often, as offsets; the gateway itself is the first.
_CHANGING = (Field.DESTINATION, Field.DESTINATION_PORT, Field.TRANSLATED, Field.MARK, Field.CONNECTION_MARK)
_USUAL_HOSTS = (10, 2, 11, 20, 100)
# For the far end of a line of which no prefix is known: documentation addresses (RFC 5737, RFC 3849).
_ANYWHERE: dict[int, IPNetwork] = {4: IPv4Network("203.0.113.0/24"), 6: IPv6Network("2001:db8::/64")}


@dataclass(frozen=True, slots=True)
class Witness:
    """A packet as it is sent, its fields at the forward hook, the link state, and what the guesses have to be for it
    (of those that are true)."""

    sent: Mapping[Field, int]
    fields: Mapping[Field, int]
    state: State
    links: LinkState
    guesses: frozenset[tuple[str, Span, str]]

    def guessed(self, kind: str, span: Span, reason: str) -> bool:
        return (kind, span, reason) in self.guesses


def hosts(networks: Sequence[IPNetwork], family: int) -> Iterator[int]:
    """Addresses to try: usual hosts of the networks, then of nowhere in particular."""
    for network in [n for n in networks if n.version == family] or [_ANYWHERE[family]]:
        base, size = int(network.network_address), network.num_addresses
        if size == 1:
            yield base
        yield from (base + offset for offset in _USUAL_HOSTS if offset < size - 1)


def choose(
    space: Space,
    packets: Bdd,
    sources: Sequence[IPNetwork],
    destinations: Sequence[IPNetwork],
    elsewhere: Sequence[IPNetwork] = (),
    translations: Sequence[Translation] = (),
) -> Witness:
    """The witness of a set (not empty, ports already fixed): with a source and a destination out of the networks where
    they are expected, else `elsewhere`. The same set gives the same witness."""
    packets = _first(space, packets, space.near_states())
    for state in _STATES:
        wished = packets & space.value(Field.STATE, state)
        if wished != space.false:
            packets = wished
            break
    for name in (Field.TRANSLATED, Field.FRAGMENT, Field.DSCP):
        packets = space.prefer(packets, space.value(name, 0))
    likely: dict[Field, int | None] = {Field.SOURCE_PORT: _HIGH_PORT}
    for field, networks in ((Field.SOURCE, sources), (Field.DESTINATION, destinations)):
        packets, likely[field] = _placed(space, packets, field, networks, elsewhere)
    packets, likely[Field.DESTINATION_PORT] = _service(space, packets)
    packets = space.prefer(packets, space.like(Field.SOURCE_PORT, _HIGH_PORT))
    established = space.value(Field.STATE, State.ESTABLISHED)
    flags = _ACK if packets & established != space.false else _SYN
    packets = space.prefer(packets, space.value(Field.TCP_FLAGS, flags))
    packets = space.prefer(packets, space.value(Field.ICMP_CODE, 0))
    protocol = space.smallest(packets, Field.PROTOCOL)
    packets = packets & space.value(Field.PROTOCOL, protocol)
    packets = space.prefer(packets, space.value(Field.NEXT_HEADER, protocol))
    fields = {}
    for field in Field:
        fields[field] = space.smallest(packets, field, likely.get(field))
        packets = packets & space.like(field, fields[field])
    links = space.link_state(packets)
    packets = packets & space.in_state(links)
    assignment = space.assignment(packets)
    guesses = frozenset(
        (name.partition(".")[0], space.guesses[name].span, space.guesses[name].reason)
        for name, value in assignment.items()
        if value
    )
    sent = _before_translation(space, fields, translations)
    return Witness(sent, fields, State(fields[Field.STATE]), links, guesses)


def needed_unknowns(space: Space, packets: Bdd, witness: Witness) -> tuple[Guess, ...]:
    """The unknowns on which it hangs whether this packet is in the set."""
    for field, value in witness.fields.items():
        packets = packets & space.like(field, value)
    packets = packets & space.in_state(witness.links)
    return space.unknowns_in(space.headers(packets))


def flow_behind(space: Space, flows: Bdd, witness: Witness) -> Bdd:
    """The first packets of flows to which the witness can belong: the same addresses, ports and kind of request, or
    turned round; for an error, with its destination at one end."""
    if witness.state is State.RELATED:
        end = witness.fields[Field.DESTINATION]
        return flows & (space.like(Field.SOURCE, end) | space.like(Field.DESTINATION, end))
    one = space.true
    for field in (Field.SOURCE, Field.DESTINATION, Field.PROTOCOL, Field.SOURCE_PORT, Field.DESTINATION_PORT):
        one = one & space.like(field, witness.fields[field])
    same = turned = space.true
    if witness.fields[Field.PROTOCOL] == _ECHO[space.family][0]:
        kind = witness.fields[Field.ICMP_TYPE]
        requests = [request for request, answer in ANSWERS[space.family].items() if answer == kind]
        same = space.value(Field.ICMP_TYPE, kind)
        turned = space.any_of(space.value(Field.ICMP_TYPE, request) for request in requests)
    straight = flows & one & same
    found = straight if straight != space.false else flows & space.reversed(one) & turned
    return space.prefer(found, space.value(Field.CONNECTION_MARK, witness.fields[Field.CONNECTION_MARK]))


def packet(witness: Witness, family: int, incoming: str, state: State | None = None) -> Packet:
    """The witness as it is sent, for people and replayers."""
    sent = witness.sent
    protocol = sent[Field.PROTOCOL]
    ports = protocol in (TCP, UDP, 33, 132, 136)
    icmp = protocol == _ECHO[family][0]
    return Packet(
        family=family,
        incoming=incoming,
        source=address_text(sent[Field.SOURCE], family),
        destination=address_text(sent[Field.DESTINATION], family),
        protocol=protocol,
        source_port=sent[Field.SOURCE_PORT] if ports else None,
        destination_port=sent[Field.DESTINATION_PORT] if ports else None,
        icmp_type=sent[Field.ICMP_TYPE] if icmp else None,
        icmp_code=sent[Field.ICMP_CODE] if icmp else None,
        tcp_flags=sent[Field.TCP_FLAGS] if protocol == TCP else None,
        dscp=sent[Field.DSCP],
        mark=0,
        fragment=bool(sent[Field.FRAGMENT]),
        next_header=sent[Field.NEXT_HEADER] if family == 6 else None,
        state=(state or witness.state).name.lower(),
    )


def address_text(number: int, family: int) -> str:
    return str(IPv4Address(number) if family == 4 else IPv6Address(number))


def _narrow(space: Space, packets: Bdd, wishes: Sequence[Bdd]) -> Bdd:
    for wish in wishes:
        packets = space.prefer(packets, wish)
    return packets


def _first(space: Space, packets: Bdd, wishes: Iterator[Bdd]) -> Bdd:
    """The packets that fulfil the first wish which any of them fulfils."""
    for wish in wishes:
        wished = packets & wish
        if wished != space.false:
            return wished
    return packets


def _placed(
    space: Space, packets: Bdd, field: Field, networks: Sequence[IPNetwork], elsewhere: Sequence[IPNetwork]
) -> tuple[Bdd, int | None]:
    """The packets with a usual host's address, which is told, or one of the networks at least."""
    for places in (networks, elsewhere):
        for host in hosts(places, space.family):
            narrowed = packets & space.like(field, host)
            if narrowed != space.false:
                return narrowed, host
        here = space.any_of(
            space.around(field, int(n.network_address), int(n.broadcast_address))
            for n in places
            if n.version == space.family
        )
        if packets & here != space.false:
            return packets & here, None
    return packets, None


def _service(space: Space, packets: Bdd) -> tuple[Bdd, int | None]:
    """A usual service, and its port; echo where it must be ICMP, or an error of it where it must be one."""
    kind, echo = _ECHO[space.family]
    for protocol, port in _SERVICES:
        wish = space.value(Field.PROTOCOL, protocol)
        if port is not None:
            wish = wish & space.like(Field.DESTINATION_PORT, port)
        if packets & wish != space.false:
            return packets & wish, port
    wish = space.value(Field.PROTOCOL, kind)
    return _narrow(space, packets, [wish, wish & space.value(Field.ICMP_TYPE, echo)]), None


def _before_translation(
    space: Space, fields: Mapping[Field, int], translations: Sequence[Translation]
) -> Mapping[Field, int]:
    """The header as it was before its destination was rewritten."""
    if not fields[Field.TRANSLATED]:
        return fields
    for translation in translations:
        before = translation.before
        for field, value in fields.items():
            if field not in _CHANGING:
                before = before & space.like(field, value)
        if not _writes(translation, fields) or before == space.false:
            continue
        port = fields[Field.DESTINATION_PORT]
        if translation.statement.ports is None:
            before = before & space.like(Field.DESTINATION_PORT, port)
        before = space.prefer(before, space.like(Field.DESTINATION_PORT, port))
        if before == space.false:
            continue
        sent = dict(fields)
        for field in (Field.DESTINATION, Field.DESTINATION_PORT):
            sent[field] = space.smallest(before, field)
            before = before & space.like(field, sent[field])
        sent[Field.TRANSLATED] = 0
        return sent
    return fields


def _writes(translation: Translation, fields: Mapping[Field, int]) -> bool:
    statement = translation.statement
    addresses, ports = statement.addresses, statement.ports
    return (addresses is None or addresses[0] <= fields[Field.DESTINATION] <= addresses[1]) and (
        ports is None or ports[0] <= fields[Field.DESTINATION_PORT] <= ports[1]
    )
