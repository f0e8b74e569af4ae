"""Packets that belong to a connection: there has to be a first one that passed, or that the device itself may have let
start.

A packet has a connection's ends, or the same ends turned round; of ICMP also the kind of request, or its answer, which
the kernel's tuple holds (net/netfilter/nf_conntrack_proto_icmp.c). An ICMP error is related to it if it goes to
one of its ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from wardnet.audit.smt.chains import Log, Run, changes
from wardnet.audit.smt.conditions import Ends, Pairs
from wardnet.audit.smt.packet import Unknown, View
from wardnet.audit.smt.passage import Passage, Passed
from wardnet.audit.smt.terms import (
    FALSE,
    TRUE,
    Term,
    between,
    both,
    choose,
    conj,
    disj,
    either,
    implies,
    neg,
    number,
    one_of,
    same,
)
from wardnet.model.connections import marks_set_beside
from wardnet.model.device import Hook
from wardnet.model.packet import ICMP, ICMPV6, Field, State
from wardnet.model.span import Span

_ERRORS = {4: ((3, 5), (11, 12)), 6: ((1, 4),)}
_STARTING = {4: (8, 13, 15, 17), 6: (128, 139)}  # requests: of other ICMP no connection starts
_ANSWERING = {4: (0, 14, 16, 18), 6: (129, 140)}  # each in its request's place
_PAIRED = ((Field.SOURCE, Field.DESTINATION), (Field.SOURCE_PORT, Field.DESTINATION_PORT))


@dataclass(frozen=True, slots=True)
class _Flow:
    """A connection: when there is one, its ends as its first packet left with them, what that `asked` if it was ICMP,
    and the mark that it was given."""

    there: Term
    ends: dict[Field, Term]
    asked: Term
    mark: Term

    def straight(self, view: View) -> Term:
        """The packet goes the way of the first one."""
        return both(self._straight(view), self._protocol(view))

    def part(self, view: View) -> Term:
        """It goes either way."""
        crossed = conj(
            both(same(view.fields[one], self.ends[other]), same(view.fields[other], self.ends[one]))
            for one, other in _PAIRED
        )
        return both(either(self._straight(view), both(crossed, self._answers(view))), self._protocol(view))

    def error(self, view: View) -> Term:
        """It is an error, and goes to one of the ends."""
        return both(_error(view), disj(same(view.fields[Field.DESTINATION], self.ends[name]) for name in _PAIRED[0]))

    def holds(self, view: View) -> Term:
        """It belongs to the connection as its state says: a new one can only be more of what began it."""
        return conj((
            implies(view.is_state(State.NEW), self.straight(view)),
            implies(view.is_state(State.ESTABLISHED), self.part(view)),
            implies(view.is_state(State.RELATED), self.error(view)),
        ))  # fmt: skip

    def _straight(self, view: View) -> Term:
        """The ends are those of the first packet; where it is ICMP, it asks what that asked."""
        kind = same(view.fields[Field.ICMP_TYPE], self.asked)
        ends = conj(same(view.fields[name], self.ends[name]) for pair in _PAIRED for name in pair)
        return both(ends, implies(_icmp(view), kind))

    def _answers(self, view: View) -> Term:
        """Where it is ICMP, it answers what the first packet asked."""
        told, family = view.fields[Field.ICMP_TYPE], view.packet.family
        pairs = zip(_STARTING[family], _ANSWERING[family], strict=True)
        answers = (both(same(self.asked, number(one, 8)), same(told, number(other, 8))) for one, other in pairs)
        return implies(_icmp(view), disj(answers))

    def _protocol(self, view: View) -> Term:
        return same(view.fields[Field.PROTOCOL], self.ends[Field.PROTOCOL])


def belongs(passage: Passage, packet: Passed, moved: Term, first: Unknown, later: Unknown | None) -> Term:
    """The packet is part of a connection, or related to one, as its state says, and finds its mark there; `moved` if
    its ends were put back. `first` is that connection's first packet, which may have passed in another link state;
    `later` one that may have set the mark since, where marks matter."""
    script = first.script
    started = passage.run(first, (State.NEW,), _pairs(passage), FALSE, number(0, 32))
    own = first.fresh(0)  # it is the device's own, and not one that was forwarded
    unsure = _guess(passage, first, "output and input", "a flow of the device's own may have these ends")
    forwarded = conj((neg(own), started.passes, started.last.is_state(State.NEW)))
    mine = conj((own, unsure, neg(moved), _own(passage, first, started.tracked)))
    view, ends = packet.tracked, {}
    for name in (Field.SOURCE, Field.DESTINATION, Field.SOURCE_PORT, Field.DESTINATION_PORT, Field.PROTOCOL):
        end = choose(own, started.tracked.fields[name], started.last.fields[name])
        ends[name] = script.share(end, first.sort(name))
    begun = both(_starts(started.tracked), either(both(forwarded, implies(moved, started.translated)), mine))
    if passage.device.ruleset.zones:
        begun = both(begun, _guess(passage, first, "flows", "in which zone a connection is tracked"))
    asked = started.tracked.fields[Field.ICMP_TYPE]
    flow = _Flow(begun, ends, asked, started.last.fields[Field.CONNECTION_MARK])
    helped: Term = FALSE
    if passage.device.ruleset.helpers or passage.kernel.helped():
        what = "connection tracking helpers and expectations"
        helped = both(neg(moved), _guess(passage, first, what, "helpers and expectations let in related connections"))
    marked, unmarked, again = _marks(passage, view, flow, own, started, first, later)
    known = conj((flow.there, flow.holds(view), marked))
    return conj((
        implies(view.is_state(State.NEW), choose(again, known, both(neg(moved), unmarked))),
        implies(view.is_state(State.ESTABLISHED), known),
        implies(view.is_state(State.RELATED), either(known, helped)),
    ))  # fmt: skip


def _guess(passage: Passage, packet: Unknown, place: str, reason: str) -> Term:
    return packet.unknown(Span(passage.device.id, "nft-ruleset.json", place), reason)


def _pairs(passage: Passage) -> list[Ends]:
    return [(one, other) for one in passage.entrances for other in passage.up]


def _marks(
    passage: Passage, view: View, flow: _Flow, own: Term, started: Passed, first: Unknown, later: Unknown | None
) -> tuple[Term, Term, Term]:
    """When the packet has its connection's mark; when it has none, as what begins one; and whether a new packet is not
    its connection's first."""
    mark = view.fields[Field.CONNECTION_MARK]
    if mark[0] == "#":  # no rule asks
        return TRUE, TRUE, FALSE
    marked = same(mark, flow.mark)
    if later is not None:
        marked = either(marked, own)  # what the device itself did with its own is not followed
        marked = either(marked, _remarked(passage, flow, own, started, first, later))
    return marked, same(mark, number(0, 32)), first.fresh(0) if later is not None else FALSE


def _remarked(passage: Passage, flow: _Flow, own: Term, started: Passed, first: Unknown, later: Unknown) -> Term:
    """A later packet of the connection may have set its mark: to what is not followed."""
    unsure = _guess(passage, first, "marks of connections", "a later packet of a connection may set its mark")
    if marks_set_beside(passage.device.ruleset):
        return unsure
    moved = later.fresh(0) if passage.translates() else FALSE
    packet = passage.run(later, (State.NEW, State.ESTABLISHED, State.RELATED), _pairs(passage), moved, flow.mark)
    return conj((unsure, neg(own), packet.remarked, flow.holds(packet.tracked), implies(moved, started.translated)))


def _icmp(view: View) -> Term:
    return same(view.fields[Field.PROTOCOL], number(ICMP if view.packet.family == 4 else ICMPV6, 8))


def _error(view: View) -> Term:
    kind = view.fields[Field.ICMP_TYPE]
    return both(_icmp(view), disj(between(kind, low, high, 8) for low, high in _ERRORS[view.packet.family]))


def _starts(view: View) -> Term:
    return implies(_icmp(view), one_of(view.fields[Field.ICMP_TYPE], _STARTING[view.packet.family], 8))


def _own(passage: Passage, first: Unknown, view: View) -> Term:
    """What the device sends itself, and output lets out; or what it takes, and input lets in. A chain that changes
    packets is taken to let through anything."""
    found = []
    anywhere = first.ports("own", passage.up)
    nowhere = first.no_port()
    for hook, field, incoming, outgoing in (
        (Hook.OUTPUT, Field.SOURCE, nowhere, anywhere),
        (Hook.INPUT, Field.DESTINATION, anywhere, nowhere),
    ):
        seen = View(first, {**view.fields, Field.STATE: number(State.NEW, 3), Field.MARK: first.fresh(32),
                            Field.CONNECTION_MARK: first.fresh(32),
                            Field.TRANSLATED: first.fresh(1)}, incoming, outgoing)  # fmt: skip
        there = passage.routing.own(seen, field)
        pairs = Pairs(("", name) if hook is Hook.OUTPUT else (name, "") for name in ("", *passage.up))
        for table, chain in passage.hook(hook):
            if not chain.translates and not changes(table, chain.name):
                there = Run(table, seen, passage.routing, pairs, Log()).base(chain, first.script.share(there))
        found.append(there)
    return disj(found)
