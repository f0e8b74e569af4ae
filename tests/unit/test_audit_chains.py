"""Chains as functions, as sets on their way, and packet by packet: three evaluations that must agree."""

from __future__ import annotations

from random import Random

import pytest

from wardnet.audit.question import LinkState
from wardnet.audit.sets.chains import Chains, Walk
from wardnet.audit.sets.conditions import Conditions
from wardnet.audit.sets.space import Space
from wardnet.audit.steps.concrete import Probe
from wardnet.audit.steps.trace import Tracer
from wardnet.model.device import (
    Chain,
    Choose,
    Decide,
    Device,
    FilterRule,
    Hook,
    Match,
    Ruleset,
    Statement,
    Table,
    Verdict,
)
from wardnet.model.packet import AnyOf, Field, InPort, InRanges, Masked, Not, OutPort, Predicate, State, equals
from wardnet.model.span import Span

PORTS = ("a", "b")
_ENDS = (Verdict.ACCEPT, Verdict.DROP, Verdict.RETURN, Verdict.CONTINUE)


def condition(random: Random) -> Predicate:
    number = random.randrange(4)
    return random.choice([
        equals(Field.DESTINATION_PORT, number),
        InRanges(Field.SOURCE_PORT, ((number, number + 1),)),
        Masked(Field.SOURCE, 1, number & 1),
        InPort((random.choice(PORTS),)),
        OutPort(("b*",)),
        Not(equals(Field.PROTOCOL, 6)),
        AnyOf((equals(Field.STATE, State.NEW), equals(Field.MARK, 1))),
    ])  # fmt: skip


def decision(random: Random, below: list[str]) -> Decide:
    if below and random.random() < 0.4:
        return Decide(random.choice((Verdict.JUMP, Verdict.GOTO)), random.choice(below))
    return Decide(random.choice(_ENDS))


def rule(random: Random, number: int, below: list[str]) -> FilterRule:
    statements: list[Statement] = [Match(condition(random)) for _ in range(random.randrange(3))]
    if random.random() < 0.2:
        statements.append(Choose(tuple((condition(random), decision(random, below)) for _ in range(2))))
    statements.append(decision(random, below))
    return FilterRule(Span("d", "nft", f"handle {number}"), "", tuple(statements))


def table(random: Random) -> Table:
    """A base chain, and chains that jump only downwards, as the kernel has it."""
    chains: dict[str, Chain] = {}
    for name in ("c2", "c1", "base"):
        below = [other for other in chains if other != name]
        rules = tuple(rule(random, number, below) for number in range(random.randrange(1, 6)))
        hook = Hook.FORWARD if name == "base" else None
        policy = random.choice((Verdict.ACCEPT, Verdict.DROP))
        chains[name] = Chain(Span("d", "nft", name), name, rules, hook, 0, policy)
    return Table(Span("d", "nft", "t"), "t", (4, 6), 3, chains)


@pytest.mark.parametrize("seed", range(60))
def test_three_evaluations_of_a_chain_agree(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - reproducible
    made = table(random)
    space = Space(4, PORTS)
    chains = Chains(space, Conditions(space), made)
    base = made.chains["base"]
    assert chains.pure("base")
    accepted = chains.accepted(base)
    walk = Walk()
    assert chains.walk(base, space.true, walk) == accepted
    assert space.any_of(packets for _, _, packets in walk.accepted_by) == accepted
    device = Device(
        "d", "linux", (), {4: (), 6: ()}, {4: (), 6: ()}, Ruleset((made,), frozenset(), False), {}, (), (), ()
    )
    tracer = Tracer(device, 4, LinkState(), lambda *_: False)
    for _ in range(40):
        flags = (Field.FRAGMENT, Field.TRANSLATED)
        fields = {field: 0 if field in flags else random.randrange(4) for field in Field}
        fields[Field.PROTOCOL] = random.choice((6, 17))
        probe = Probe(fields, random.choice(PORTS), random.choice(PORTS))
        outcome = tracer._chain(made, base, probe)
        passes = outcome.accepted if outcome.accepted is not None else base.policy is Verdict.ACCEPT
        here = accepted & space.entering(probe.incoming) & space.leaving(probe.outgoing)
        for field, value in fields.items():
            here = here & space.value(field, value)
        assert passes == (here != space.false)
