"""Leaks edited into raw artefacts are found, and harmless changes are not reported: one edit of each kind, and all
of them, in the slow tests; some hundreds in `make bench-audit`."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache

import pytest

from bench.mutation.run import Edited, judge_edited, spread
from bench.mutation.subjects import subjects
from bench.mutation.tables import HARMLESS, LEAKS, TABLES
from collectors.parsers.linux import parse_device
from tests.unit.audit_support import policy
from wardnet.audit.judge import channel_networks, judge
from wardnet.audit.records import Verdict

KINDS = [(table, number) for table, kinds in TABLES.items() for number in range(len(kinds))]
NAMES = [f"{table}: {TABLES[table][number].name}" for table, number in KINDS]


@cache
def first_of_each(table: str) -> dict[int, Edited]:
    """One edit of each kind; of the devices where it has a place another for each kind."""
    found: dict[int, Edited] = {}
    for edited in spread(table):
        found.setdefault(edited.kind, edited)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("table", "kind"), KINDS, ids=NAMES)
def test_each_kind_is_judged_as_it_demands(table: str, kind: int) -> None:
    outcome = judge_edited(first_of_each(table)[kind])
    assert not outcome.wrong, (outcome.subject, outcome.at, outcome.wrong)


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_all_places_of_all_kinds(table: str) -> None:
    """WARDNET_MUTATIONS=N: so many of each table, spread over kinds, devices and places."""
    count = os.environ.get("WARDNET_MUTATIONS")
    outcomes = [judge_edited(edited) for edited in spread(table, int(count) if count else None)]
    assert [outcome for outcome in outcomes if outcome.wrong] == []


def test_the_devices_are_proved_before_anything_is_edited() -> None:
    places = channel_networks(policy().devices)
    for subject in subjects():
        result = judge(parse_device(subject.policy.device, subject.artefacts), subject.policy, places)
        assert (result.verdict, result.disagreements) == (Verdict.PROVED, ()), subject.name


def test_every_leak_demands_to_be_found_and_no_harmless_change_to_be_reported() -> None:
    assert {kind.demanded for kind in LEAKS} == {Verdict.VIOLATED, Verdict.UNKNOWN}
    assert {kind.demanded for kind in HARMLESS} == {Verdict.PROVED}
    assert [name for name, count in Counter(NAMES).items() if count > 1] == []


@pytest.mark.parametrize(("table", "kinds"), [(name, len(kinds)) for name, kinds in TABLES.items()])
def test_a_sample_has_every_kind_before_any_twice(table: str, kinds: int) -> None:
    assert [edited.kind for edited in spread(table, kinds)] == list(range(kinds))
    assert {edited.subject for edited in spread(table)} == set(range(len(subjects())))
    assert len(spread(table)) == len(set(spread(table))) >= 200
