"""The two ends of a line that get other addresses: the hub waits for the gateway, not for one that stays as it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import load

reach = load("module_utils", "wardnet_reach")
FAR, OTHER = ("10.30.1.1", 22), ("10.30.2.1", 22)


class Line:
    """Who answers, look by look; the last look goes on."""

    def __init__(self, *looks: set[tuple[str, int]]) -> None:
        self.looks = list(looks)
        self.asked: list[list[tuple[str, int]]] = []

    def __call__(self, targets: Any, _seconds: float) -> set[tuple[str, int]]:
        self.asked.append(sorted(targets))
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return look & set(targets)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "PAUSE", 0.0)


def far_ends(folder: Path, monkeypatch: pytest.MonkeyPatch, line: Line, *targets: Any, own: bool = True) -> Any:
    monkeypatch.setattr(reach, "answering", line)
    return reach.FarEnds(str(folder), targets or (FAR,), lambda _address: own)


def later() -> float:
    return time.monotonic() + 60


def test_the_far_end_has_changed_when_it_is_silent_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One lost packet is no silence."""
    line = Line({FAR}, set(), set(), {FAR}, set())
    assert far_ends(tmp_path, monkeypatch, line).await_change(later()) == []
    assert len(line.asked) == 4 + reach.QUIET


def test_one_that_answers_and_will_not_change_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line({FAR})
    reach.tell(str(tmp_path), FAR[0], reach.FAILED)
    assert far_ends(tmp_path, monkeypatch, line).await_change(later()) == [FAR[0]]
    assert far_ends(tmp_path, monkeypatch, line, OTHER, own=False).await_change(later()) == []
    assert far_ends(tmp_path, monkeypatch, Line({OTHER}), OTHER, own=False).await_change(later()) == [OTHER[0]]


def test_one_that_does_not_change_in_time_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = far_ends(tmp_path, monkeypatch, Line({FAR}), FAR, OTHER)
    assert FAR[0] in ends.await_change(time.monotonic())


@pytest.mark.parametrize(
    ("word", "answers", "missed"),
    [
        ("confirmed", False, []),  # what it was asked over may be congested; it has been confirmed
        ("failed", True, [FAR[0]]),  # it answers, and goes back in a while
        ("untouched", True, []),  # an earlier run has changed it
        ("untouched", False, [FAR[0]]),
        (None, True, [FAR[0]]),  # it is at it, and not confirmed yet
    ],
)
def test_the_hub_is_confirmed_when_the_far_end_has_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str | None, answers: bool, missed: list[str]
) -> None:
    if word:
        reach.tell(str(tmp_path), FAR[0], word)
    ends = far_ends(tmp_path, monkeypatch, Line({FAR} if answers else set()))
    assert ends.await_confirmed(time.monotonic()) == missed


def test_one_that_the_play_does_not_change_must_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(set(), {FAR})
    assert far_ends(tmp_path, monkeypatch, line, own=False).await_confirmed(later()) == []
    assert len(line.asked) == 2


def test_nothing_is_waited_for_without_far_ends(tmp_path: Path) -> None:
    ends = reach.FarEnds(str(tmp_path), (), lambda _address: True)
    assert (ends.await_change(0.0), ends.await_confirmed(0.0)) == ([], [])


def test_lines_that_get_an_address_are_known_by_port_and_family() -> None:
    missing = ["address 10.31.9.1/30 on buoi-wan", "route 10.20.1.0/24 via 10.31.9.2", "address fd20:31:9::1/64 on x"]
    parts = {"network": {"missing": missing, "foreign": ["address 10.31.1.1/30 on tu-lien-wan"]}}
    assert reach.addressed_lines(parts) == {("buoi-wan", False), ("x", True)}
    assert reach.addressed_lines({}) == frozenset()
