"""How drills are dealt, and what each kind does to a compiled plan."""

from __future__ import annotations

import copy
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lab.drill.__main__ import summary
from lab.drill.change import playbook
from lab.drill.kinds import KINDS, Target
from lab.drill.one import Limits, Outcome
from lab.drill.round import Station, deal
from wardnet.compile import compile_plan, to_plain
from wardnet.inventory import read_district

INVENTORY = Path(__file__).parents[2] / "inventory" / "tay-ho"


@pytest.fixture(scope="module")
def plans() -> dict[Target, dict[str, Any]]:
    plan = compile_plan(read_district(INVENTORY), date(2026, 11, 24))
    return {
        Target.GATEWAY: to_plain(plan.gateway("buoi-gw")),
        Target.SWITCH: to_plain(next(switch for switch in plan.switches if switch.ward == "buoi")),
    }


def station(ward: str, *targets: Target) -> Station:
    return Station(ward, dict.fromkeys(targets))  # type: ignore[arg-type]  # no device is needed to deal


def test_kinds_and_wards_get_their_share() -> None:
    found = [station(f"ward-{n}", Target.GATEWAY, *([Target.SWITCH] if n < 2 else [])) for n in range(8)]
    dealt = deal(100, found, KINDS)
    counts = Counter(kind for items in dealt.values() for _, kind in items)
    assert sum(counts.values()) == 100
    assert set(counts.values()) == {12, 13}
    assert {len(items) for items in dealt.values()} <= {12, 13}
    assert sorted(number for items in dealt.values() for number, _ in items) == list(range(1, 101))
    with_switch = {ward for ward, items in dealt.items() if "wrong-vlan" in {kind for _, kind in items}}
    assert with_switch == {"ward-0", "ward-1"}


def test_kinds_that_no_ward_can_have_are_left_out() -> None:
    dealt = deal(16, [station("one", Target.GATEWAY)], KINDS)
    assert len(dealt["one"]) == 16
    assert "wrong-vlan" not in {kind for _, kind in dealt["one"]}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_asks_for_something_else_than_the_plan(name: str, plans: dict[Target, dict[str, Any]]) -> None:
    plan = plans[KINDS[name].target]
    harm = KINDS[name].harm(copy.deepcopy(plan))
    assert harm.plan != plan or harm.step is not None


@pytest.mark.parametrize("target", Target)
def test_the_harmful_step_stands_just_before_the_commit(target: Target, tmp_path: Path) -> None:
    assert playbook(target, None, tmp_path).parent.name == "playbooks"
    made = playbook(target, {"part": "files"}, tmp_path)
    assert made == tmp_path / "playbook.yml"
    assert "harmful" in made.read_text().partition('"commit"')[0].rpartition('"role"')[0][-200:]


def outcome(number: int, **more: Any) -> Outcome:
    whole: dict[str, Any] = {
        "ward": "buoi", "host": "buoi-gw", "kind": "ssh-dropped", "back": True, "cut": True,
        "rolled_back": "2026-11-24T08:00:00Z", "why": "nobody came", "told": True, "seconds": 24.0, "within": 20.0,
    }  # fmt: skip
    return Outcome(number, **{**whole, **more})


@pytest.mark.parametrize(
    ("second", "differing", "said", "well"),
    [
        ({}, "", "2 of 2 came back", True),
        ({"back": False, "problem": "back 50 s after the armed time"}, "", "1 of 2 came back", False),
        ({}, "changed=1", "2 of 2 came back", False),
        # One that was never away has not come back; one that did, without a word of the run, is not well.
        ({"cut": False, "problem": "the manager was never cut off"}, "", "1 of 2 came back", False),
        ({"told": False, "problem": "the run did not say"}, "", "2 of 2 came back", False),
        ({"told": False, "kind": "power-cut", "problem": "the run did not say"}, "", "2 of 2 came back", False),
        # A manager that was killed says nothing; the next run has to.
        ({"told": False, "kind": "manager-killed", "problem": "no run said"}, "", "2 of 2 came back", False),
        ({"told": False, "kind": "manager-killed", "cut": False, "problem": "x"}, "", "1 of 2 came back", False),
    ],
)
def test_it_ends_with_how_many_came_back_after_what_counts_as_that(
    capsys: pytest.CaptureFixture[str], second: dict[str, Any], differing: str, said: str, well: bool
) -> None:
    outcomes = [outcome(1), outcome(2, **second)]
    assert summary(outcomes, differing, 61.0, Limits().margin) is well
    *before, counted, last = capsys.readouterr().out.splitlines()
    assert outcomes[1].problem in " ".join(before) or not outcomes[1].back, "why it is not well stands above"
    assert counted.endswith("and the manager in again, within the time that it was armed for")
    assert last == said
