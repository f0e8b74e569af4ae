"""A short lock-out drill: `make drill-lockout` in small. Nothing is held to a time here, since a slow machine may take
longer; the drill itself is (docs/lab.md)."""

from __future__ import annotations

import pytest

from lab import Lab
from lab.drill import Limits, Outcome, Station, run_all, stations
from lab.drill.kinds import Target
from tests.roles.roles_support import play

pytestmark = pytest.mark.lab

# What the tests of the engine do not do already, at two gateways side by side.
DRILLS = {"buoi": ["power-cut", "wrong-vlan", "low-rate"], "tay-ho": ["manager-killed", "interface-down"]}
LIMITS = Limits(confirm_within=15, settle=10, margin=900)


@pytest.fixture(scope="module")
def found(converged: Lab) -> list[Station]:
    return stations(converged)


@pytest.fixture(scope="module")
def outcomes(converged: Lab, found: list[Station]) -> dict[str, Outcome]:
    numbered = iter(range(1, 100))
    dealt = {ward: [(next(numbered), kind) for kind in kinds] for ward, kinds in DRILLS.items()}
    done = run_all(converged, found, dealt, 2, LIMITS, lambda _outcome: None)
    return {outcome.kind: outcome for outcome in done}


def test_a_ward_with_a_switch_and_the_office_can_be_drilled(found: list[Station]) -> None:
    assert {station.ward: set(station.devices) for station in found} == {
        "buoi": {Target.GATEWAY, Target.SWITCH},
        "tay-ho": {Target.GATEWAY},
    }


@pytest.mark.parametrize("kind", [kind for kinds in DRILLS.values() for kind in kinds])
def test_it_comes_back_by_itself_and_says_why(outcomes: dict[str, Outcome], kind: str) -> None:
    outcome = outcomes[kind]
    assert outcome.back, outcome.problem
    assert outcome.cut, outcome.problem
    assert outcome.why
    assert outcome.rolled_back
    assert outcome.told, outcome.problem
    assert outcome.came_back
    assert not outcome.problem


def test_afterwards_nothing_is_left_to_change(converged: Lab, outcomes: dict[str, Outcome]) -> None:
    hosts = ",".join(sorted({outcome.host for outcome in outcomes.values()}))
    after = play(converged, "site.yml", "--check", "--diff", "--limit", hosts)
    assert (after.status, after.changed) == (0, {}), after.tail
