"""Packets that belong to a connection: there has to be a first one that passed, or that the device itself may have let
start.

A packet has a connection's ends, or the same ends turned round; an ICMP error is related to it if it goes to one of
them.
"""

from __future__ import annotations

from wardnet.audit.smt.chains import Log, Run, changes
from wardnet.audit.smt.conditions import Pairs
from wardnet.audit.smt.packet import Unknown, View
from wardnet.audit.smt.passage import Passage, Passed
from wardnet.audit.smt.terms import (
    FALSE,
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
from wardnet.model.device import Hook
from wardnet.model.packet import ICMP, ICMPV6, Field, State, width
from wardnet.model.span import Span

_ERRORS = {4: ((3, 5), (11, 12)), 6: ((1, 4),)}
_STARTING = {4: (8, 13, 15, 17), 6: (128, 139)}  # requests: of other ICMP no connection starts
_PAIRED = ((Field.SOURCE, Field.DESTINATION), (Field.SOURCE_PORT, Field.DESTINATION_PORT))


def belongs(passage: Passage, packet: Passed, moved: Term, first: Unknown) -> Term:
    """The packet is part of a connection, or related to one, as its state says; `moved` if its ends were put back.
    `first` is that connection's first packet, which may have passed in another link state."""
    script = first.script
    pairs = [(one, other) for one in passage.entrances for other in passage.up]
    started = passage.run(first, (State.NEW,), pairs, FALSE)
    own = first.fresh(0)  # it is the device's own, and not one that was forwarded
    unsure = first.unknown(
        Span(passage.device.id, "nft-ruleset.json", "output and input"),
        "a flow of the device's own may have these ends",
    )
    forwarded = conj((neg(own), started.passes, started.last.is_state(State.NEW)))
    forwarded = both(forwarded, implies(moved, started.translated))
    mine = conj((own, unsure, neg(moved), _own(passage, first, started.tracked)))
    view, ends = packet.tracked, {}
    for name in (Field.SOURCE, Field.DESTINATION, Field.SOURCE_PORT, Field.DESTINATION_PORT, Field.PROTOCOL):
        end = choose(own, started.tracked.fields[name], started.last.fields[name])
        ends[name] = script.share(end, width(name, passage.family))
    flow = conj((_starts(started.tracked), either(forwarded, mine)))
    straight = conj(same(view.fields[name], ends[name]) for pair in _PAIRED for name in pair)
    crossed = conj(
        both(same(view.fields[one], ends[other]), same(view.fields[other], ends[one])) for one, other in _PAIRED
    )
    part = conj((either(straight, crossed), same(view.fields[Field.PROTOCOL], ends[Field.PROTOCOL])))
    to_an_end = disj(same(view.fields[Field.DESTINATION], ends[name]) for name in _PAIRED[0])
    error = both(_error(view), to_an_end)
    helped: Term = FALSE
    if passage.device.ruleset.helpers or passage.kernel.helped():
        span = Span(passage.device.id, "nft-ruleset.json", "connection tracking helpers and expectations")
        helped = both(neg(moved), first.unknown(span, "helpers and expectations let in related connections"))
    return conj((
        implies(view.is_state(State.ESTABLISHED), both(flow, part)),
        implies(view.is_state(State.RELATED), either(both(flow, error), helped)),
    ))  # fmt: skip


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
                            Field.TRANSLATED: first.fresh(1)}, incoming, outgoing)  # fmt: skip
        there = passage.routing.own(seen, field)
        pairs = Pairs(("", name) if hook is Hook.OUTPUT else (name, "") for name in ("", *passage.up))
        for table, chain in passage.hook(hook):
            if not chain.translates and not changes(table, chain.name):
                there = Run(table, seen, passage.routing, pairs, Log()).base(chain, first.script.share(there))
        found.append(there)
    return disj(found)
