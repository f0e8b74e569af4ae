"""Link states: all combinations of ports that are down, judged at once."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from itertools import product

import pytest

from collectors.parsers.linux import parse_device
from tests.unit.audit_random import PORTS, RandomDevice
from tests.unit.audit_support import (
    ACCEPT,
    GATEWAY,
    Artefacts,
    crossings,
    gateway,
    iif,
    oif,
    payload,
    verdict,
    with_policy_rule,
    with_route,
    with_rule,
    with_setting,
)
from tests.unit.links_support import cut
from wardnet.audit.judge import channel_networks, judge
from wardnet.audit.question import LinkState, Question
from wardnet.audit.records import Crossing, Verdict, worst
from wardnet.audit.sets.pipeline import Pipeline
from wardnet.audit.sets.space import LINKS
from wardnet.audit.smt.opinion import second_opinion
from wardnet.model.intent import Channel
from wardnet.model.packet import Field, State

SETTING = "net.ipv6.conf.{}.ignore_routes_with_linkdown"
FIRST = (State.NEW, State.INVALID, State.UNTRACKED)


@pytest.fixture(autouse=True)
def four_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PORTS, "d", Channel.INTERNET)


def states(*, gone: bool = False) -> Iterator[LinkState]:
    """Each port up or down; with `gone`, or down with its addresses gone."""
    for kinds in product("ud" + "g" * gone, repeat=len(PORTS)):
        found = dict(zip(PORTS, kinds, strict=True))
        down, left = (frozenset(port for port, kind in found.items() if kind in which) for which in ("dg", "g"))
        yield LinkState(down, left)


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


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("family", [4, 6])
def test_all_link_states_at_once_are_each_state_by_itself(seed: int, family: int) -> None:
    """Of first packets: what belongs to a flow may have started in another state."""
    device = RandomDevice(seed).device()
    whole = Pipeline(device, family)
    for state in states(gone=family == 4 and seed < 3):
        alone = Pipeline(cut(device, state), family)
        assert counts(whole, state) == counts(alone, state), state
        space = whole.space
        for port in state.down & set(space.ports):
            through = space.entering(port) | space.leaving(port)
            assert whole.passage.packets & through & space.down(port) == space.false


@pytest.mark.parametrize("seed", [7, 9])
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
        for (source, destination), found in alone.verdicts.items():
            if state.down & {source, destination}:
                continue
            assert found is not None
            assert worst([together[source, destination, family], found]) is together[source, destination, family]
            if (source, destination, family, tuple(sorted(state.down))) in opened:
                assert found is Verdict.VIOLATED, state


# --- addresses of the device's own, and the ports that they are on


def own_address_routed(family: int, address: str) -> Artefacts:
    """The citizens' table leads to the WAN what is for the clerks' gateway, and a rule lets it pass. All up, that is
    for the device itself."""
    edited = with_route(gateway(), family, address, "wan0", "200")
    return with_rule(edited, [iif("citizen0"), oif("wan0"), payload("tcp", "dport", 443), ACCEPT])


def new_crossings(artefacts: Artefacts, family: int) -> list[Crossing]:
    found = crossings(verdict(artefacts), "citizen0", "wan0", family)
    return [crossing for crossing in found if crossing.packet.state == "new"]


def test_an_ipv6_address_leaves_with_its_port() -> None:
    (crossing,) = new_crossings(own_address_routed(6, "fd20:20:1::1"), 6)
    assert crossing.verdict is Verdict.VIOLATED
    assert crossing.packet.destination == "fd20:20:1::1"
    assert (crossing.down, crossing.gone) == (("clerks0",), ())


def test_an_ipv6_address_stays_on_a_port_that_lost_its_carrier() -> None:
    """Where routes are ignored without a carrier the port may have its addresses still, and then nothing crosses; or be
    down, and then it does."""
    ignoring = with_setting(own_address_routed(6, "fd20:20:1::1"), SETTING.format("clerks0"), "1")
    (crossing,) = new_crossings(ignoring, 6)
    assert (crossing.down, crossing.gone) == (("clerks0",), ("clerks0",))


def test_keeping_ipv6_addresses_on_a_port_that_is_down_keeps_no_route_to_them() -> None:
    kept = with_setting(own_address_routed(6, "fd20:20:1::1"), "net.ipv6.conf.all.keep_addr_on_down", "1")
    (crossing,) = new_crossings(kept, 6)
    assert (crossing.down, crossing.gone) == (("clerks0",), ())


def test_an_ipv4_address_leaves_with_a_port_that_is_gone_only() -> None:
    (crossing,) = new_crossings(own_address_routed(4, "10.20.1.1"), 4)
    assert crossing.verdict is Verdict.VIOLATED
    assert crossing.packet.destination == "10.20.1.1"
    assert (crossing.down, crossing.gone) == (("clerks0",), ("clerks0",))
    assert "the addresses of clerks0 have to be gone too" in crossing.suggestion


def test_an_address_that_is_on_no_port_stays() -> None:
    """On loopback, which never fails."""
    local = {"type": "local", "protocol": "kernel", "scope": "host"}
    for family, address in ((4, "10.99.0.1"), (6, "fd99::1")):
        edited = own_address_routed(family, address)
        assert new_crossings(edited, family)
        record = with_route(edited, family, address, "lo", "local", metric=0, **local)
        assert not new_crossings(record, family)


def test_a_route_leaves_with_the_source_that_it_prefers() -> None:
    """The main table leads on to the internet until that address is gone, and then the next rule to the WAN."""

    def preferring(table: str) -> Artefacts:
        edited = with_route(gateway(), 4, "10.77.0.0/16", "inet0", table, prefsrc="172.21.1.1")
        edited = with_policy_rule(edited, 4, priority=940, iif="citizen0", dst="10.77.0.0", dstlen=16, table=table)
        edited = with_policy_rule(edited, 4, priority=950, iif="citizen0", dst="10.77.0.0", dstlen=16, table="300")
        edited = with_route(edited, 4, "10.77.0.0/16", "wan0", "300")
        return with_rule(edited, [iif("citizen0"), oif("wan0"), payload("tcp", "dport", 443), ACCEPT])

    found = new_crossings(preferring("main"), 4)
    assert [(c.down, c.gone) for c in found] == [(("inet0",), ())]
    for table, opens in (("main", True), ("444", False)):
        device = parse_device(GATEWAY, preferring(table))
        passed = first_packets(Pipeline(device, 4), LinkState(frozenset({"wifi0"}), frozenset({"wifi0"})), "10.77.0.9")
        assert passed is opens


def first_packets(pipeline: Pipeline, state: LinkState, destination: str) -> bool:
    space = pipeline.space
    wanted = space.value(Field.STATE, State.NEW) & space.value(Field.DESTINATION, int(ip_address(destination)))
    ends = space.entering("citizen0") & space.leaving("wan0")
    return bool(pipeline.passage.packets & wanted & ends & space.in_state(state) != space.false)
