"""What the play says came of a commit: the sentences of docs/provisioning.md, each of its own case."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.plugins_support import load

outcome = load("module_utils", "wardnet_outcome")
host = outcome.Outcome("buoi-gw (ward buoi)")
LEFT = "; of the way back these steps failed: filter: nft: no"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"msg": "held by anh"}, "buoi-gw (ward buoi): held by anh"),
        (
            {"msg": "x", "why": "no answer", "rolled_back": True},
            "buoi-gw (ward buoi) was rolled back at once: no answer",
        ),
        (
            {"msg": "x", "why": "y", "rolled_back": True, "way_back_failed": ["filter: nft: no"]},
            f"buoi-gw (ward buoi) was rolled back at once: y{LEFT}",
        ),
    ],
)
def test_what_was_taken_back_at_once_is_told_apart_from_what_never_began(result: dict[str, Any], said: str) -> None:
    assert host.failed(result) == {**result, "msg": said}


@pytest.mark.parametrize(
    ("rollback", "said"),
    [
        (None, "buoi-gw (ward buoi): not confirmed, and it does not say that it went back: no connection"),
        ({"run": "r"}, "buoi-gw (ward buoi) was rolled back by itself after 60 s: no connection"),
        (
            {"boot": True, "why": "it was started again", "failed": ["filter: nft: no"]},
            f"buoi-gw (ward buoi) was rolled back by itself at its next boot: it was started again{LEFT}",
        ),
    ],
)
def test_what_nobody_confirmed_says_how_it_went_back(rollback: dict[str, Any] | None, said: str) -> None:
    result = host.rolled_back({"changed": True, "armed": True}, rollback, 60.4, "no connection")
    assert (result["msg"], result["failed"], result["armed"]) == (said, True, False)
    assert result.get("last_rollback") == rollback
    assert result.get("rolled_back", False) is (rollback is not None)


def test_a_host_that_does_not_answer_is_unreachable_and_has_not_failed() -> None:
    assert host.unreached(" no route\n", None) == {
        "unreachable": True, "changed": False, "msg": "buoi-gw (ward buoi): no route",
    }  # fmt: skip
    assert (
        "does not answer since its change, which it was to take back by itself after 60 s: no route"
        in (host.unreached("no route", 60.0)["msg"])
    )


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("2026-11-30T17", "while it was at work"),
        ("2026-11-29T17", "before anything was changed"),
        ("2026-12-01T17", "it is not known whether"),
        ("", "it is not known whether"),
    ],
)
def test_a_run_whose_connection_broke_says_how_far_it_came(last: str, said: str) -> None:
    assert said in outcome.how_far("2026-11-30T17", last)


@pytest.mark.parametrize(
    ("result", "cut_off"),
    [
        ({"module_stdout": "", "rc": 137}, True),
        ({"module_stdout": "", "rc": -9}, True),
        ({"module_stdout": "", "rc": 1}, False),
        ({"rc": 137}, False),
    ],
)
def test_a_module_that_was_killed_is_told_by_its_status(result: dict[str, Any], cut_off: bool) -> None:
    assert outcome.is_cut_off(result) is cut_off


def test_a_confirmed_change_has_what_both_runs_did_once() -> None:
    first = {"armed": True, "changed": True, "actions": ["reload a"], "changed_paths": ["/a"], "token": "t"}
    merged = outcome.merge(first, {"actions": ["reload a", "restart b"], "confirmed": True})
    assert merged == {**first, "armed": False, "confirmed": True, "actions": ["reload a", "restart b"]}
