"""Link states: all combinations of ports that are down, judged at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product

import pytest

from tests.unit.audit_random import PORTS, RandomDevice
from wardnet.audit.judge import channel_networks, judge
from wardnet.audit.question import LinkState, Question
from wardnet.audit.records import Verdict, worst
from wardnet.audit.sets.pipeline import Pipeline
from wardnet.audit.sets.space import LINKS
from wardnet.audit.smt.opinion import second_opinion
from wardnet.model.device import Device, KernelRoute, RouteType
from wardnet.model.intent import Channel
from wardnet.model.packet import Field, State

FIRST = (State.NEW, State.INVALID, State.UNTRACKED)


@pytest.fixture(autouse=True)
def four_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PORTS, "d", Channel.INTERNET)


def states() -> Iterator[LinkState]:
    for count in range(len(PORTS) + 1):
        yield from (LinkState(frozenset(down)) for down in combinations(PORTS, count))


def cut(device: Device, state: LinkState) -> Device:
    """The device as its artefacts would show it in that state: without the routes that went."""
    return replace(device, routes={family: tuple(_left(device, family, state)) for family in (4, 6)})


def _left(device: Device, family: int, state: LinkState) -> Iterator[KernelRoute]:
    for route in device.routes[family]:
        hops = tuple(hop for hop in route.next_hops if hop.port not in state.down)
        if route.type is not RouteType.UNICAST or not route.next_hops:
            yield route
        elif hops:
            yield replace(route, next_hops=hops)


def counts(pipeline: Pipeline, state: LinkState) -> dict[tuple[str, str], float]:
    """How many first packets pass in the state, by pairs of ports that are up."""
    space = pipeline.space
    first = space.any_of(space.value(Field.STATE, one) for one in FIRST)
    passed = space.forget(pipeline.passage.packets & first & space.in_state(state), LINKS)
    return {
        (a, b): space.bdd.count(passed & space.entering(a) & space.leaving(b), 500)
        for a, b in product(PORTS, PORTS)
        if not state.down & {a, b}
    }


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("family", [4, 6])
def test_all_link_states_at_once_are_each_state_by_itself(seed: int, family: int) -> None:
    """Of first packets: what belongs to a flow may have started in another state."""
    device = RandomDevice(seed).device()
    whole = Pipeline(device, family)
    for state in states():
        alone = Pipeline(cut(device, state), family)
        assert counts(whole, state) == counts(alone, state), state
        space = whole.space
        for port in state.down & set(space.ports):
            through = space.entering(port) | space.leaving(port)
            assert whole.passage.packets & through & space.down(port) == space.false


@pytest.mark.parametrize("seed", [1, 7, 9])
def test_both_engines_find_what_opens_in_a_state_by_itself(seed: int) -> None:
    """And what they find by a first packet is there in the state that is named."""
    made = RandomDevice(seed)
    device, wanted = made.device(), made.policy()
    result = judge(device, wanted, channel_networks([wanted]))
    assert result.disagreements == ()
    together = {(pair.from_port, pair.to_port, pair.family): pair.verdict for pair in result.pairs}
    opened = {(c.from_port, c.to_port, c.family, c.down) for c in result.crossings
              if c.verdict is Verdict.VIOLATED and c.packet.state == "new"}  # fmt: skip
    for state, family in product(states(), (4, 6)):
        alone = second_opinion(Question(cut(device, state), wanted, family))
        for (source, destination), verdict in alone.verdicts.items():
            if state.down & {source, destination}:
                continue
            assert verdict is not None
            assert worst([together[source, destination, family], verdict]) is together[source, destination, family]
            if (source, destination, family, tuple(sorted(state.down))) in opened:
                assert verdict is Verdict.VIOLATED, state
