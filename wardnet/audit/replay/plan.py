"""What to send to hear whether a verdict holds: the report's crossings, what must pass, and samples of what must not.

Nothing goes from or to an address that is no place's. The same result, places and nonce give the same plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from wardnet.audit.records import CHANNELS, ZONES, AuditResult, Crossing, DeviceResult, Packet, Pair, Verdict
from wardnet.audit.replay.borders import Borders, inside
from wardnet.audit.replay.records import Kind, LeftOut, Place, Planned, ReplayPlan, Shot
from wardnet.model.intent import IPAddress, IPNetwork, Ports
from wardnet.model.packet import ICMP, ICMPV6, TCP, UDP
from wardnet.model.policy import AuditPolicy, Passing

COPIES = 3
EPHEMERAL_PORT = 40000
SYN = 2
PROTOCOLS = {"tcp": TCP, "udp": UDP}
ECHO = {4: (ICMP, 8), 6: (ICMPV6, 128)}
# One packet of each for every pair of ports that must be apart.
SAMPLES = (Ports("tcp", (443,)), Ports("udp", (53,)), Ports("icmp", ()))
USUAL_PORTS = {"tcp": 443, "udp": 53}
USUAL_HOSTS = (10, 2, 1)  # as offsets in a prefix that a place stands for


@dataclass(frozen=True, slots=True)
class _Way:
    """From a port of a device to another, in one family."""

    device: DeviceResult
    from_port: str
    to_port: str
    family: int


@dataclass(frozen=True, slots=True)
class _Made:
    packet: Shot
    listener: Place
    first: Shot | None = None


class _NotSentError(Exception):
    """Why a packet can't be sent."""


def make_plan(
    result: AuditResult, places: Sequence[Place], policy: AuditPolicy, *, nonce: str, most: int, seconds: int
) -> ReplayPlan:
    """At most `most` packets: crossings take half of them, controls half of the rest, samples what is left. The policy
    is the one that the result is of."""
    planner = _Planner(places, Borders(policy), nonce)
    packets: list[Planned] = []
    left_out: list[LeftOut] = []

    def take(found: Iterable[Planned | LeftOut], share: int) -> None:
        room = len(packets) + share
        for one in found:
            if isinstance(one, LeftOut):
                left_out.append(one)
            elif len(packets) < room:
                packets.append(one)
            else:
                reason = f"a replay has {most} packets at most"
                family = one.packet.family
                left_out.append(LeftOut(one.kind, one.about, one.device, one.from_port, one.to_port, family, reason))

    take(planner.counterexamples(result), (most + 1) // 2)
    take(planner.controls(result), (most - len(packets) + 1) // 2)
    take(planner.samples(result), most - len(packets))
    used = {place for one in packets for place in (one.packet.place, one.listener)}
    used |= {one.first.place for one in packets if one.first is not None}
    return ReplayPlan(
        seconds, COPIES, tuple(place for place in places if place.id in used), tuple(packets), tuple(left_out)
    )


class _Planner:
    def __init__(self, places: Sequence[Place], borders: Borders, nonce: str) -> None:
        self._borders, self._nonce = borders, nonce
        self._behind: dict[tuple[str, str], list[Place]] = {}
        for place in places:
            self._behind.setdefault((place.device, place.port), []).append(place)

    def counterexamples(self, result: AuditResult) -> Iterator[Planned | LeftOut]:
        """Each crossing that is certain, with the packet that shows it."""
        for device in result.devices:
            for crossing in device.crossings:
                if crossing.verdict is Verdict.VIOLATED:
                    way = _Way(device, crossing.from_port, crossing.to_port, crossing.family)
                    try:
                        yield self._planned(Kind.COUNTEREXAMPLE, crossing.id, way, self._crossing(way, crossing))
                    except _NotSentError as reason:
                        yield _left_out(Kind.COUNTEREXAMPLE, crossing.id, way, reason)

    def controls(self, result: AuditResult) -> Iterator[Planned | LeftOut]:
        """A flow that must pass, one for each ordered pair of ports and family that has any."""
        devices = {device.device: device for device in result.devices if device.collected}
        taken: set[tuple[str, str, str, int]] = set()
        for device, from_port, to_port, passing in self._borders.through():
            for family in (4, 6):
                key = device, from_port, to_port, family
                if device not in devices or key in taken or not _is_for(passing, family):
                    continue
                way = _Way(devices[device], from_port, to_port, family)
                try:
                    yield self._planned(Kind.CONTROL, passing.id, way, self._control(way, passing))
                    taken.add(key)
                except _NotSentError as reason:
                    yield _left_out(Kind.CONTROL, passing.id, way, reason)

    def samples(self, result: AuditResult) -> Iterator[Planned | LeftOut]:
        """Packets that must not cross, for each pair of ports that is not violated; the first of each pair before the
        second of any, of channels before zones."""
        for ports in SAMPLES:
            for crosses in (CHANNELS, ZONES):
                for device, pair in _kept_apart(result, crosses):
                    way = _Way(device, pair.from_port, pair.to_port, pair.family)
                    about = f"{pair.from_port} -> {pair.to_port}, {ports.protocol}"
                    try:
                        yield self._planned(Kind.FORBIDDEN, about, way, self._sample(way, ports))
                    except _NotSentError as reason:
                        yield _left_out(Kind.FORBIDDEN, about, way, reason)

    def _planned(self, kind: Kind, about: str, way: _Way, made: _Made) -> Planned:
        identity = f"{kind} {way.device.device} {way.from_port}>{way.to_port} ipv{way.family} {about}"
        mark = hashlib.sha256(f"{self._nonce} {identity}".encode()).hexdigest()[:32]
        return Planned(
            identity, kind, about, way.device.device, way.device.ward, way.from_port, way.to_port, made.first,
            made.packet, made.listener.id, mark,
        )  # fmt: skip

    def _crossing(self, way: _Way, crossing: Crossing) -> _Made:
        failed = sorted({*crossing.down, *crossing.gone, *crossing.needs_down})
        if failed:
            raise _NotSentError(f"it crosses only while down: {', '.join(failed)}")
        listener = self._at(way, way.to_port, crossing.packet.destination)
        packet = self._shot(way, crossing.packet)
        if crossing.packet.state in ("new", "untracked", "invalid"):
            return _Made(packet, listener)
        needs = crossing.needs
        if needs is None or crossing.packet.state != "established":
            raise _NotSentError(f"a packet that is {crossing.packet.state} can't be sent by itself")
        if not _answers(needs, crossing.packet):
            raise _NotSentError("its flow has to be answered first, on a way that the report does not have")
        self._at(way, way.from_port, needs.destination)
        return _Made(packet, listener, self._shot(way, needs))

    def _shot(self, way: _Way, packet: Packet) -> Shot:
        if packet.fragment:
            raise _NotSentError("it is a later fragment")
        if packet.next_header is not None and packet.next_header != packet.protocol:
            raise _NotSentError("it has extension headers")
        sender = self._at(way, packet.incoming, packet.source)
        return Shot(
            sender.id, packet.family, packet.source, packet.destination, packet.protocol, packet.source_port,
            packet.destination_port, packet.icmp_type, packet.icmp_code, packet.tcp_flags, packet.dscp,
        )  # fmt: skip

    def _at(self, way: _Way, port: str, address: str) -> Place:
        """The place behind a port that has the address, or may have it."""
        behind = self._behind.get((way.device.device, port), [])
        wanted = ip_address(address)
        for place in sorted(behind, key=lambda place: wanted not in place.addresses):
            if place.may_be(wanted):
                return place
        names = ", ".join(place.id for place in behind)
        raise _NotSentError(f"no place behind {port} may be {address}" + (f" ({names} may not)" if names else ""))

    def _control(self, way: _Way, passing: Passing) -> _Made:
        if not passing.allow or passing.allow[0].protocol not in (*PROTOCOLS, "icmp"):
            raise _NotSentError("it allows nothing that can be sent as one packet")
        source = self._one_of(way, way.from_port, passing.senders, passing.not_senders)
        destination = self._one_of(way, way.to_port, passing.receivers, passing.not_receivers)
        return _made(way.family, source, destination, passing.allow[0])

    def _one_of(
        self, way: _Way, port: str, networks: tuple[IPNetwork, ...], without: tuple[IPNetwork, ...]
    ) -> tuple[Place, IPAddress]:
        """A place behind a port, and an address of it in the networks: its own, else one that it stands for."""
        networks = tuple(network for network in networks if network.version == way.family)
        behind = self._behind.get((way.device.device, port), [])
        candidates = [(place, address) for place in behind for address in place.addresses]
        candidates += [(place, address) for place in behind for network in networks for address in _usual(network)]
        for place, address in candidates:
            if place.may_be(address) and inside(address, networks, without):
                return place, address
        raise _NotSentError(f"no place behind {port} may be in {', '.join(map(str, networks))}")

    def _sample(self, way: _Way, ports: Ports) -> _Made:
        made = _made(way.family, self._first(way, way.from_port), self._first(way, way.to_port), ports)
        letting = self._borders.letting(way.device.device, way.from_port, way.to_port, made.packet)
        if letting is not None:
            raise _NotSentError(f"{letting.id} lets it pass")
        return made

    def _first(self, way: _Way, port: str) -> tuple[Place, IPAddress]:
        for place in self._behind.get((way.device.device, port), []):
            for address in place.addresses:
                if address.version == way.family:
                    return place, address
        raise _NotSentError(f"no place behind {port} has an address of IPv{way.family}")


def _kept_apart(result: AuditResult, crosses: str) -> Iterator[tuple[DeviceResult, Pair]]:
    for device in result.devices:
        for pair in device.pairs:
            if pair.crosses == crosses and pair.verdict is not Verdict.VIOLATED:
                yield device, pair


def _left_out(kind: Kind, about: str, way: _Way, reason: _NotSentError) -> LeftOut:
    return LeftOut(kind, about, way.device.device, way.from_port, way.to_port, way.family, str(reason))


def _is_for(passing: Passing, family: int) -> bool:
    """Whether both of its ends have networks of the family."""
    return all(any(net.version == family for net in ends) for ends in (passing.senders, passing.receivers))


def _answers(first: Packet, packet: Packet) -> bool:
    """Whether a packet goes back to where the first one of its flow came from, so that it may be the first answer."""
    turned = (first.destination, first.source, first.protocol, first.destination_port, first.source_port)
    ends = (packet.source, packet.destination, packet.protocol, packet.source_port, packet.destination_port)
    return ends == turned and packet.protocol in PROTOCOLS.values()


def _usual(network: IPNetwork) -> Iterator[IPAddress]:
    if network.num_addresses == 1:
        yield network.network_address
    for offset in USUAL_HOSTS:
        if offset < network.num_addresses - 1:
            yield network.network_address + offset


def _made(family: int, source: tuple[Place, IPAddress], destination: tuple[Place, IPAddress], ports: Ports) -> _Made:
    (sender, from_address), (listener, to_address) = source, destination
    ends = sender.id, family, str(from_address), str(to_address)
    if ports.protocol not in PROTOCOLS:
        number, echo = ECHO[family]
        return _Made(Shot(*ends, number, icmp_type=echo, icmp_code=0), listener)
    port = (*ports.ports, USUAL_PORTS[ports.protocol])[0]
    flags = SYN if ports.protocol == "tcp" else None
    return _Made(Shot(*ends, PROTOCOLS[ports.protocol], EPHEMERAL_PORT, port, tcp_flags=flags), listener)
