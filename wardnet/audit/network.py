"""What the devices' proofs make together: from each place of the network to each other, over all ways.

Each device passes at most what its policy names, where that is proved of a pair of its ports. So what these parts make
together is an upper bound of what may get from place to place; where it is within what the conduits and exceptions say
end to end, the network is proved. A pair of ports of which it is not proved passes anything. Behind a device that puts
other addresses into headers these are whatever they can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from wardnet.audit.parts import MEANT, UNPROVED, Part, Step, followed
from wardnet.audit.question import FAMILIES
from wardnet.audit.records import (
    Cell,
    Hop,
    NetworkResult,
    OpenPoint,
    Packet,
    Verdict,
    Way,
    worst,
)
from wardnet.audit.sets.grants import Allowed
from wardnet.audit.sets.journeys import Journeys
from wardnet.audit.sets.space import Bdd, Space
from wardnet.audit.sets.witness import Witness, choose, packet
from wardnet.audit.translations import Rewriting, as_meant, rewriting
from wardnet.model.packet import Field, State, width
from wardnet.model.policy import NetworkPolicy, Place

_TO = (Field.DESTINATION, Field.DESTINATION_PORT)
_FROM = (Field.SOURCE, Field.SOURCE_PORT)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """Packets that reach a link by this step, from where they were before (None: they start there)."""

    link: str
    packets: Bdd
    step: Step | None
    before: _Arrival | None

    def steps(self) -> list[Step]:
        """All the way from the start."""
        if self.step is None or self.before is None:
            return []
        return [*self.before.steps(), self.step]


@dataclass(frozen=True, slots=True)
class _Found:
    verdict: Verdict
    packet: Packet
    path: tuple[Hop, ...]
    open_points: tuple[OpenPoint, ...]


Doubted = Callable[[Step], bool]


def judge_network(policy: NetworkPolicy, parts: Sequence[Part], backend: str | None = None) -> NetworkResult:
    """`parts` are the devices that were judged. Never raises for what stands in the artefacts."""
    together = [*parts, *(Part(device) for device in policy.assumed)]
    cells: list[Cell] = []
    ways: list[Way] = []
    for family in FAMILIES:
        found = _Network(policy, together, family, backend)
        for place in policy.places:
            for cell, way in found.from_place(place):
                cells.append(cell)
                ways += [way] if way else []
    verdict = worst([cell.verdict for cell in cells])
    return NetworkResult(verdict, tuple(cells), tuple(ways), policy.relays)


def _trusted(_step: Step) -> bool:
    return False


class _Network:
    """All of it in one family."""

    def __init__(self, policy: NetworkPolicy, parts: Sequence[Part], family: int, backend: str | None) -> None:
        self._family = family
        self._policy = policy
        self._space = space = Space(family, (), backend=backend)
        self._journeys = Journeys(space, policy)
        self._steps: dict[str, list[Step]] = {}  # by the link that they lead away from
        self._allowed: dict[str, Allowed] = {}
        self._rewriting: dict[str, Rewriting] = {}
        self._contracts: dict[tuple[str, str, str], Bdd] = {}
        for part in parts:
            name = part.policy.device
            self._allowed[name] = Allowed(space, part.policy)
            self._rewriting[name] = (
                as_meant(part.policy, family) if part.result is None else rewriting(part.policy, part.device, family)
            )
            for source in part.policy.ports:
                for destination in part.policy.ports:
                    if source.interface != destination.interface and source.link and destination.link:
                        self._steps.setdefault(source.link, []).append(Step(part, source, destination))
        self._outside = {link for place in policy.places if not place.site for link in place.links}
        self._proved = {part.policy.device: part.proved(family) for part in parts}
        self._unproved = any(self._is_unproved(step) for steps in self._steps.values() for step in steps)
        self._assumes = any(part.result is None for part in parts)

    def _is_unproved(self, step: Step) -> bool:
        """Of two ports of one zone nothing is said."""
        ends = (step.source.interface, step.destination.interface)
        return step.source.crosses(step.destination) and ends not in self._proved[step.part.policy.device]

    def from_place(self, start: Place) -> Iterator[tuple[Cell, Way | None]]:
        """To each other place, with a way where there is one that should not be."""
        shown = _Flood(self, start, _trusted)
        doubted = _Flood(self, start, self._is_unproved) if self._unproved else shown
        mistrusted = shown
        if self._assumes:
            mistrusted = _Flood(self, start, lambda step: step.part.result is None or self._is_unproved(step))
        for end in self._policy.places:
            if end is start:
                continue
            beyond = ~self._journeys.between(start, end)
            way = None
            for flood in (shown, doubted):
                arrival, left = flood.at(end, beyond)
                if arrival is not None:
                    way = self._way(flood, start, end, arrival, left)
                    break
            verdict = way.verdict if way else Verdict.PROVED
            assumed = way is None and mistrusted.at(end, beyond)[0] is not None
            cell = _cell(start, end, self._family, verdict, assumed=assumed)
            yield cell, Way(cell, way.packet, way.path, way.open_points) if way else None

    # --- what a step makes of packets

    def passed(self, step: Step, packets: Bdd, doubted: Doubted) -> Bdd:
        """What comes out of a set that is on the step's first link: of a device that nobody has read and that is
        doubted, anything."""
        space = self._space
        if step.part.device is None and doubted(step):
            return space.true
        taken = self.taken(step, packets)
        if not doubted(step):
            taken = taken & self._contract(step)
        if taken == space.false:
            return taken
        if step.destination.interface in self._rewriting[step.part.policy.device].leaving:
            taken = space.forget(taken, *_FROM)
        return taken

    def taken(self, step: Step, packets: Bdd) -> Bdd:
        """As the forward hook may see them: with whatever destination, where another one may be given (back)."""
        space = self._space
        limit = (1 << width(Field.DESTINATION, self._family)) - 1
        given = self._rewriting[step.part.policy.device].given
        turned = packets & space.any_of(
            space.between(Field.DESTINATION, low, min(high, limit)) for low, high in given if low <= limit
        )
        return packets | space.forget(turned, *_TO)

    def _contract(self, step: Step) -> Bdd:
        space = self._space
        key = (step.part.policy.device, step.source.interface, step.destination.interface)
        if key not in self._contracts:
            self._contracts[key] = (
                space.forget(self._allowed[key[0]].between(step.source, step.destination), Field.STATE)
                if step.source.crosses(step.destination)
                else space.true
            )
        return self._contracts[key]

    @property
    def space(self) -> Space:
        return self._space

    def steps(self, link: str, came_by: Step | None) -> Iterator[Step]:
        """From a link on. A device does not hear what it sent there itself, unless somebody outside sends it back."""
        for step in self._steps.get(link, ()):
            sent = came_by is not None and came_by.part is step.part and came_by.destination is step.source
            if not sent or link in self._outside:
                yield step

    # --- one packet of what should not get there

    def _way(self, flood: _Flood, start: Place, end: Place, arrival: _Arrival, left: Bdd) -> _Found:
        """One packet of it, its path, and what is not known of that: nothing, if one was found that is let through."""
        senders, receivers = (place.prefixes if place.site else () for place in (start, end))  # outside: anybody
        steps = arrival.steps()
        found = []
        for packets in flood.likely(arrival, left):
            witness = choose(self._space, packets, senders, receivers)
            points = tuple(point for step in steps for point in self._open(step, witness, last=step is steps[-1]))
            found.append((witness, points))
            if not points:
                break
        witness, points = found[0] if found[-1][1] else found[-1]
        hops = tuple(
            Hop("passes", f"{s.part.policy.device}: in by {s.source.interface}, out by {s.destination.interface}")
            for s in steps
        )
        sent = packet(witness, self._family, steps[0].source.interface, State.NEW)
        return _Found(Verdict.UNKNOWN if points else Verdict.VIOLATED, sent, hops, points)

    def _open(self, step: Step, witness: Witness, *, last: bool) -> Iterator[OpenPoint]:
        """What is not known of a packet's way through one device; nothing, where it was followed through it."""
        another = not last and step.destination.interface in self._rewriting[step.part.policy.device].leaving
        found = followed(step, self._family, witness, another_source=another)
        if found is not None and self._is_unproved(step) and found.reason == MEANT:
            found = replace(found, reason=UNPROVED)
        if found is not None:
            yield found


@dataclass
class _Flood:
    """Everything that may get anywhere from one place. What is on a link is kept apart by the port that it came by."""

    network: _Network
    start: Place
    doubted: Doubted
    _arrivals: dict[str, list[_Arrival]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        space = self.network.space
        waiting = [self._arrive(link, space.true, None, None) for link in dict.fromkeys(self.start.links)]
        there: dict[tuple[str, str, str], Bdd] = {}
        while waiting:
            arrival = waiting.pop(0)
            for step in self.network.steps(arrival.link, arrival.step):
                port = (step.destination.link, step.part.policy.device, step.destination.interface)
                before: Bdd = there.get(port, space.false)
                new = self.network.passed(step, arrival.packets, self.doubted) & ~before
                if new != space.false:
                    there[port] = before | new
                    waiting.append(self._arrive(step.destination.link, new, step, arrival))

    def _arrive(self, link: str, packets: Bdd, step: Step | None, before: _Arrival | None) -> _Arrival:
        found = _Arrival(link, packets, step, before)
        self._arrivals.setdefault(link, []).append(found)
        return found

    def at(self, end: Place, beyond: Bdd) -> tuple[_Arrival | None, Bdd]:
        """What reaches a place and lies in `beyond`: as it first did, on the first of its links where there is any.
        What starts on a link of its own is not asked about."""
        space = self.network.space
        for link in end.links:
            for arrival in self._arrivals.get(link, ()):
                left = arrival.packets & beyond
                if left != space.false and arrival.step is not None:
                    return arrival, left
        return None, space.false

    def likely(self, arrival: _Arrival, packets: Bdd) -> Iterator[Bdd]:
        """These packets; and of them the ones that a device on the way was seen to let pass."""
        yield packets
        space = self.network.space
        for step in arrival.steps():
            ends = (step.source.interface, step.destination.interface, space.family)
            for crossing in step.part.result.crossings if step.part.result else ():
                shown = crossing.verdict is Verdict.VIOLATED and crossing.needs is None and not crossing.down
                if shown and (crossing.from_port, crossing.to_port, crossing.family) == ends:
                    found = packets & _header(space, crossing.packet)
                    if found != space.false:
                        yield found


def _header(space: Space, seen: Packet) -> Bdd:
    """The packets with this one's ends and service."""
    found = space.value(Field.SOURCE, int(ip_address(seen.source)))
    found = found & space.value(Field.DESTINATION, int(ip_address(seen.destination)))
    found = found & space.value(Field.PROTOCOL, seen.protocol)
    for name, value in ((Field.SOURCE_PORT, seen.source_port), (Field.DESTINATION_PORT, seen.destination_port),
                        (Field.ICMP_TYPE, seen.icmp_type)):  # fmt: skip
        if value is not None:
            found = found & space.value(name, value)
    return found


def _cell(start: Place, end: Place, family: int, verdict: Verdict, *, assumed: bool) -> Cell:
    return Cell(
        start.ward, start.site, start.zone, start.channel, end.ward, end.site, end.zone, end.channel, family, verdict,
        assumed,
    )  # fmt: skip
