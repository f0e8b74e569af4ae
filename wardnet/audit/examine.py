"""What crosses a device in one family, by the sets: each way with its packet, its path and the rule that lets it
through."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from wardnet.audit import suggest
from wardnet.audit.bridges import joined
from wardnet.audit.places import Places
from wardnet.audit.question import LinkState
from wardnet.audit.records import (
    Crossing,
    Hop,
    OpenPoint,
    Packet,
    Verdict,
)
from wardnet.audit.sets.chains import Walk
from wardnet.audit.sets.grants import Allowed
from wardnet.audit.sets.pipeline import Pipeline
from wardnet.audit.sets.space import Bdd, Guess
from wardnet.audit.sets.tracking import UNTRACKED_ICMPV6
from wardnet.audit.sets.witness import Witness, choose, flow_behind, needed_unknowns, packet
from wardnet.audit.steps.concrete import Probe
from wardnet.audit.steps.trace import Trace, Tracer
from wardnet.model.device import Hook
from wardnet.model.packet import ICMPV6, Field, State
from wardnet.model.policy import DevicePolicy, PolicyPort
from wardnet.model.span import Span


class Examiner:
    def __init__(self, pipeline: Pipeline, policy: DevicePolicy, places: Places) -> None:
        self.pipeline = pipeline
        self._space = pipeline.space
        self._policy = policy
        self._places = places
        self._device = pipeline.device
        self._allowed = Allowed(pipeline.space, policy)

    def examine(self, source: PolicyPort, destination: PolicyPort) -> list[Crossing]:
        """Every way from one port to the other that neither conduit nor grant covers, one for each rule that lets it
        through."""
        space = self._space
        passage = self.pipeline.passage
        found = list(self._bridged(source, destination))
        leaving = passage.packets & space.entering(source.interface) & space.leaving(destination.interface)
        left = leaving & ~self._allowed.between(source, destination)
        for rule, packets in self._by_rule(left):
            found.append(self._crossing(source, destination, packets, rule))
        if all(c.verdict is not Verdict.VIOLATED for c in found) and self._certain(left) != space.false:
            # Some packet gets through by one rule or the other, whatever the unknowns turn out to be.
            found.append(self._crossing(source, destination, left, None))
        for span, packets in passage.diverted:
            diverted = packets & space.entering(source.interface) & space.leaving(destination.interface)
            if diverted != space.false:
                found.append(self._crossing(source, destination, diverted, Hop("diverted", "sent elsewhere", span)))
        return found

    def _by_rule(self, packets: Bdd) -> Iterator[tuple[Hop | None, Bdd]]:
        """The packets by what lets them through the forward hook; certain ones first."""
        space = self._space
        if packets == space.false:
            return
        bases = self.pipeline.bases(Hook.FORWARD)
        strict = [base for base in bases if base.chain.policy != "accept"] or bases
        if not strict:
            yield None, packets
            return
        walk = Walk()
        strict[0].chains.walk(strict[0].chain, packets, walk)
        rest = packets
        for span, comment, accepted in walk.accepted_by:
            here = packets & accepted
            if here != space.false:
                yield Hop("forward", "accepted", span, comment), here
                rest = rest & ~here
        if rest != space.false:
            yield None, rest

    def _crossing(self, source: PolicyPort, destination: PolicyPort, packets: Bdd, rule: Hop | None) -> Crossing:
        space, pipeline = self._space, self.pipeline
        certain = self._certain(packets)
        verdict = Verdict.UNKNOWN if certain == space.false else Verdict.VIOLATED
        chosen = packets if certain == space.false else packets & certain
        passage = pipeline.passage
        new = space.value(Field.STATE, State.NEW)
        chosen = space.prefer(chosen, ~new | passage.beginning)
        senders = self._places.behind(source, self._policy)
        receivers = self._places.behind(destination, self._policy)
        witness = choose(space, chosen, senders, receivers, self._places.everywhere, passage.translations)
        needs, needs_rule, needs_links = None, None, LinkState()
        again = witness.state is State.NEW and chosen & passage.beginning == space.false
        if again or witness.state in (State.ESTABLISHED, State.RELATED):
            needs, needs_rule, needs_links = self._needed_flow(witness)
        trace = self._trace(source.interface, destination.interface, witness, begun=needs is not None)
        guesses = () if verdict is Verdict.VIOLATED else needed_unknowns(space, packets, witness)
        points = tuple(_settled(guess) for guess in guesses)
        if not trace.passed and rule is not None and rule.stage != "diverted":
            verdict = Verdict.UNKNOWN
            reason = "the example does not pass when it is followed step by step: the audit's two ways disagree"
            points = (*points, OpenPoint(Span(self._device.id, "", ""), reason, "report this as a fault of wardnet"))
        crossing = Crossing(
            id="",
            verdict=verdict,
            device=self._device.id,
            ward=self._policy.ward,
            family=pipeline.family,
            from_port=source.interface,
            from_channel=source.channel,
            from_zone=source.area,
            to_port=destination.interface,
            to_channel=destination.channel,
            to_zone=destination.area,
            packet=packet(witness, pipeline.family, source.interface),
            needs=needs,
            needs_rule=needs_rule,
            needs_down=tuple(self._named(needs_links.down)),
            follows="",
            path=tuple(trace.hops),
            rule=rule or trace.decided_by,
            route=trace.route,
            policy_rule=trace.policy_rule,
            down=tuple(sorted(witness.links.down)),
            gone=tuple(sorted(witness.links.gone)),
            failed=tuple(self._named(witness.links.down)),
            open_points=points,
            suggestion="",
        )
        return replace(crossing, suggestion=suggest.suggestion(crossing))

    def _certain(self, packets: Bdd) -> Bdd:
        """Those that pass whatever the unknowns turn out to be, with whatever marks."""
        return self._space.certain(self._space.forget(packets, Field.MARK, Field.CONNECTION_MARK))

    def _named(self, down: Collection[str]) -> Iterator[str]:
        """Ports that are down, in order; a circuit's by the name of the circuit."""
        circuits = {port.interface: port.label for port in self._policy.ports if not port.prefixes}
        for port in sorted(down):
            circuit = circuits.get(port, port)
            yield port if circuit == port else f"{circuit} ({port})"

    def _needed_flow(self, witness: Witness) -> tuple[Packet | None, Hop | None, LinkState]:
        """The first packet of a flow to which an established or related witness belongs, what lets it through, and in
        which link state."""
        space = self._space
        flows = flow_behind(space, self.pipeline.passage.flows, witness)
        for incoming in space.ports:
            for outgoing in space.ports:
                here = flows & space.entering(incoming) & space.leaving(outgoing)
                if here != space.false:
                    first = choose(space, here, (), (), self._places.everywhere)
                    trace = self._trace(incoming, outgoing, first)
                    sent = packet(first, self.pipeline.family, incoming, State.NEW)
                    return sent, trace.decided_by, first.links
        return None, None, LinkState()

    def _trace(self, incoming: str, outgoing: str, witness: Witness, *, begun: bool = False) -> Trace:
        """Where the packet's connection has `begun`, it finds a mark there, which it mostly leaves as it was."""
        mark = witness.fields[Field.CONNECTION_MARK]
        trace = self._traced(incoming, outgoing, witness, mark if begun else 0)
        return self._traced(incoming, outgoing, witness, 0) if begun and mark and not trace.passed else trace

    def _traced(self, incoming: str, outgoing: str, witness: Witness, mark: int) -> Trace:
        wanted = (witness.fields[Field.DESTINATION], witness.fields[Field.DESTINATION_PORT])
        tracer = Tracer(
            self._device,
            self.pipeline.family,
            witness.links,
            witness.guessed,
            state=_tracked_as(witness),
            translated_to=wanted,
            mark=mark,
        )
        start = {**witness.sent, Field.MARK: 0, Field.STATE: State.INVALID}
        trace = tracer.run(Probe(start, incoming), outgoing)
        if not trace.passed and (mark or witness.state in (State.ESTABLISHED, State.RELATED)):
            moved = Probe({**witness.fields, Field.MARK: 0}, incoming)
            trace = tracer.run(moved, outgoing, from_tracking=True)
        return trace

    def _bridged(self, source: PolicyPort, destination: PolicyPort) -> Iterator[Crossing]:
        """Two ports of one bridge: frames pass below all rules and routes."""
        found = joined(self._device, source.interface, destination.interface)
        if found is None:
            return
        space = self._space
        anything = space.value(Field.STATE, State.UNTRACKED) & space.value(Field.MARK, 0)
        witness = choose(
            space,
            anything & space.value(Field.TRANSLATED, 0),
            self._places.behind(source, self._policy),
            self._places.behind(destination, self._policy),
        )
        hop = Hop("bridge", found.text, found.span)
        yield Crossing(
            "", Verdict.UNKNOWN if found.points else Verdict.VIOLATED, self._device.id, self._policy.ward,
            self.pipeline.family, source.interface, source.channel, source.area,
            destination.interface, destination.channel, destination.area,
            packet(witness, self.pipeline.family, source.interface, State.UNTRACKED),
            None, None, (), "", (hop,), hop, None, None,
            (), (), (), found.points, suggest.unbridge(found.bridge.name, source.interface),
        )  # fmt: skip


def _tracked_as(witness: Witness) -> State:
    """What connection tracking makes of it, where no rule kept it from being tracked."""
    alone = witness.fields[Field.PROTOCOL] == ICMPV6 and witness.fields[Field.ICMP_TYPE] in UNTRACKED_ICMPV6
    return State.NEW if witness.state is State.UNTRACKED and not alone else witness.state


def _settled(guess: Guess) -> OpenPoint:
    return OpenPoint(guess.span, guess.reason, suggest.settle(guess.span))
