"""The demo's scripts, and what they choose from an inventory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.demo.claims import Claims
from lab.demo.script import SCRIPTS, declare
from lab.demo.workplaces import choose
from lab.errors import LabError
from tests.unit.compile_support import sample_plan


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_claim_is_made_once_and_can_be_shown_again(name: str) -> None:
    claims = Claims()
    declare(claims, SCRIPTS[name], "mine", name == "workplaces")
    assert len(list(claims)) == sum(len(step.shows) for step in SCRIPTS[name])
    for claim in claims:
        assert "--name mine" in claim.repeat
        assert ("--workplaces" in claim.repeat) == (name == "workplaces")
    assert not claims.all_shown


def test_one_office_and_one_building_are_chosen() -> None:
    chosen = choose(sample_plan())
    assert chosen.pushed == "tay-ho-pc-1,tay-ho-scanner-2"
    assert (chosen.hub, chosen.office_gateway) == ("tay-ho-hub", "tay-ho-gw")
    assert chosen.pulled == "buoi-building-gw,buoi-building-citizen-1"


@pytest.mark.parametrize(
    ("role", "what"), [("scanner", "scanner on a box with Linux"), ("counter", "clerk's PC at"), ("citizen", "citizen")]
)
def test_what_the_inventory_lacks_is_named(role: str, what: str) -> None:
    plan = sample_plan()
    with pytest.raises(LabError, match=f"the inventory has no {what}"):
        choose(replace(plan, hosts=tuple(host for host in plan.hosts if host.role != role)))
