"""When a sitting at a kiosk is warned and ended, and when its line counts as down."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tests.unit.plugins_support import ROOT

FILES = ROOT / "roles" / "kiosk" / "files"


@pytest.fixture(scope="module")
def sitting() -> ModuleType:
    import importlib.util

    spec = importlib.util.spec_from_file_location("kiosk_sitting", FILES / "sitting.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kiosk_sitting"] = module  # dataclasses look there for their annotations
    spec.loader.exec_module(module)
    return module


def test_one_that_nobody_has_touched_goes_on(sitting: ModuleType) -> None:
    one = sitting.Sitting(idle=180, warning=30, began=1000)
    one.last_input(990)  # whoever sat here before
    assert not one.used
    assert one.state(1000 + 3600) == "calm"
    assert one.state(1000 + 6 * 3600) == "over", "it begins anew in the course of the day"


def test_one_that_was_used_is_warned_then_over(sitting: ModuleType) -> None:
    one = sitting.Sitting(idle=180, warning=30, began=1000)
    one.last_input(1010)
    assert [one.state(1010 + after) for after in (179, 181, 209, 211)] == ["calm", "warned", "warned", "over"]
    assert one.left(1200) == 20


def test_a_touch_during_the_warning_stays(sitting: ModuleType) -> None:
    one = sitting.Sitting(idle=180, warning=30, began=1000)
    one.last_input(1010)
    assert one.state(1200) == "warned"
    one.last_input(1201)
    assert one.state(1202) == "calm"
    assert one.state(1201 + 211) == "over"


def test_keys_of_the_kiosks_own_are_no_touch(sitting: ModuleType) -> None:
    one = sitting.Sitting(idle=60, warning=0, began=1000)
    one.pressed_itself(1060, 1060.4)
    one.last_input(1060.2)
    assert not one.used
    one.last_input(1070)
    assert one.used
    assert one.state(1130.5) == "over", "without a warning"


def test_the_first_answer_brings_the_line_back(sitting: ModuleType) -> None:
    line = sitting.Line(patience=25, answered=1000)
    assert not line.down(1025)
    assert line.down(1026)
    line.heard(1030)
    assert not line.down(1031)


def test_a_change_begins_an_untouched_one_anew_and_leaves_a_used_one_to_whoever_sits_there(sitting: ModuleType) -> None:
    untouched = sitting.Sitting(idle=180, warning=30, began=1000)
    untouched.changed = 1100
    assert untouched.state(1100) == "over"
    assert untouched.why(1100) == "what it shows has changed"
    used = sitting.Sitting(idle=180, warning=30, began=1000)
    used.last_input(1099)
    used.changed = 1100
    assert used.state(1101) == "calm"
    assert used.state(1290) == "warned", "who has left is warned as ever"
    for at in range(1100, 4700, 60):
        used.last_input(at)
    assert [used.state(at) for at in (4579, 4581, 4699, 4700)] == ["calm", "ending", "ending", "over"]
    assert used.until_change(4690) == 10
    assert used.why(4700) == "what it shows has changed, 3600 s ago"


def test_a_change_counts_once_its_files_stay_as_they_are(sitting: ModuleType) -> None:
    files = sitting.Changes("old")
    assert files.look("old", 10) is None
    assert [files.look(found, at) for found, at in (("half", 11), ("new", 14), ("new", 18))] == [None] * 3
    assert files.look("new", 19) == 19
    assert files.look("newer", 20) == 19, "it waits no longer for another one"
    assert files.look("old", 21) is None, "somebody has taken it back"
