"""The way back when things go wrong on it: who may go it, whose change it takes, and what is left of it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_engine import (
    FakeSystemd,
    commit,
    confirm,
    file,
    make_host,
    parts,
    step,
    transaction,
    undo,
    way_back,
)
from tests.unit.plugins_support import going_back

# The host's own program, with the lock of the test.
WAITS = (
    "import sys, pathlib; from tests.unit.plugins_engine import undo; undo.LOCK = pathlib.Path(sys.argv[1]); "
    "undo.say = lambda _: None; sys.exit(undo.main(['timer', 'died', sys.argv[2], sys.argv[3]]))"
)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystemd:
    (tmp_path / "etc").mkdir()
    made = make_host(tmp_path)
    monkeypatch.setattr(undo, "LOCK", made.lock)
    monkeypatch.setattr(undo, "say", lambda _report: None)
    return made


def running(tmp_path: Path) -> str:
    return (tmp_path / "running-shaping").read_text()


def logs(host: FakeSystemd) -> list[str]:
    return sorted(path.name for path in (host.state / "undo").iterdir())


def entry(kind: str = "file", **more: Any) -> dict[str, Any]:
    absent = {"path": "", "content": None, "link": None, "mode": 0o644, "uid": os.getuid(), "gid": os.getgid()}
    return {"part": "p", "kind": kind, "when": "always", "directory": False, "mtime_ns": None, **absent, **more}


# ---- by hand ----


def test_going_back_by_hand_ends_the_run_that_is_at_work(tmp_path: Path, host: FakeSystemd) -> None:
    commit(host, step(tmp_path))
    log = host.state / "undo" / "armed.json"
    with subprocess.Popen(["sleep", "600"]) as hanging, transaction.locked(host, "anh", "run-1"):
        record = {**json.loads(log.read_text()), "pid": hanging.pid, "started": undo.began(hanging.pid)}
        log.write_text(json.dumps(record))
        assert undo.main(["now", "by hand", str(host.state)]) == 0
        assert hanging.wait(timeout=60) == -9
    assert running(tmp_path) == "old"


def test_going_back_by_hand_leaves_a_confirmation_in_progress_alone(
    tmp_path: Path, host: FakeSystemd, capsys: pytest.CaptureFixture[str]
) -> None:
    token = commit(host, step(tmp_path))["token"]
    with transaction.locked(host, "anh", "run-1"):
        transaction.Transaction(host).claim(token)
        undo.main(["now", "by hand", str(host.state)])
        assert "a run is at work here, which may be confirming it" in capsys.readouterr().err
        assert (running(tmp_path), logs(host)) == ("new", ["confirming.json"])
    undo.main(["now", "by hand", str(host.state)])  # the run has died
    assert (running(tmp_path), logs(host)) == ("old", [])


def test_a_confirmation_whose_log_is_gone_is_none(tmp_path: Path, host: FakeSystemd) -> None:
    token = commit(host, step(tmp_path))["token"]
    change = transaction.Transaction(host)
    change.claim(token)
    (host.state / "undo" / "confirming.json").unlink()
    with pytest.raises(parts.PartError, match="was taken back while it was being confirmed") as caught:
        change.end()
    assert caught.value.facts["taken_back"]


def test_a_timer_that_comes_first_leaves_nothing_to_confirm(
    tmp_path: Path, host: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = commit(host, step(tmp_path))["token"]
    change = transaction.Transaction(host)
    timer = ["timer", "nobody confirmed", str(host.state), token]
    monkeypatch.setattr(change, "arm", lambda *_: undo.main(timer))
    with pytest.raises(parts.PartError, match=r"was not confirmed in time: .* nobody confirmed") as caught:
        change.claim(token)
    assert caught.value.facts["taken_back"]
    assert (running(tmp_path), logs(host)) == ("old", [])


def test_a_way_back_that_was_cut_off_keeps_its_first_reason(
    tmp_path: Path, host: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(host, step(tmp_path))

    def cut_off(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(undo, "go_through", cut_off)
        with pytest.raises(KeyboardInterrupt):
            undo.main(["timer", "nobody confirmed", str(host.state)])
    assert logs(host) == ["undoing.json", "why"]
    assert undo.main(["boot", "", str(host.state)]) == 0
    report = json.loads((host.state / "last-rollback.json").read_text())
    assert report["why"] == (
        "nobody confirmed; going back was cut off, and begun again: the host was started again before the change was "
        "confirmed"
    )
    assert logs(host) == [], "the next way back has its own reason"


# ---- whose change ----


def test_a_timer_takes_back_no_other_change_than_its_own(tmp_path: Path, host: FakeSystemd) -> None:
    former = commit(host, step(tmp_path))["token"]
    undo.main(["now", "by hand", str(host.state)])
    transaction.Transaction(host).disarm()
    later = commit(host, step(tmp_path), run="run-2")["token"]
    undo.main(["timer", "nobody confirmed", str(host.state), former])
    assert (running(tmp_path), logs(host)) == ("new", ["armed.json"])
    undo.main(["timer", "nobody confirmed", str(host.state), later])
    assert (running(tmp_path), logs(host)) == ("old", [])


def test_a_timer_that_was_left_is_stopped_by_the_next_change(tmp_path: Path, host: FakeSystemd) -> None:
    commit(host, step(tmp_path))
    undo.main(["now", "by hand", str(host.state)])
    assert host.timers() == ["wardnet-rollback-confirm"]
    change = transaction.Transaction(host)
    change.begin([], run="run-2", who="w", host="h", parts=[])
    change.arm(0, 60, "")
    assert host.timers() == ["wardnet-rollback-apply"]


def test_a_host_begins_to_go_back_in_time_to_be_back_within_what_was_promised(host: FakeSystemd) -> None:
    assert [transaction.begins_after(armed) for armed in (80, 60, 30, 3, 600)] == [60, 40, 20, 2, 580]
    change = transaction.Transaction(host)
    change.begin([], run="run-2", who="w", host="h", parts=[])
    change.arm(0, 60, "")
    begins, back = map(float, host.lock.with_name("goes-back").read_text().split())
    assert round(back - begins) == 20


def test_a_way_back_that_finds_no_room_is_refused_before_anything_is_touched(
    tmp_path: Path, host: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(parts.RefusedError, match=r"cannot be written to disk \(No space left on device\): nothing"):
        commit(host, step(tmp_path))
    assert running(tmp_path) == "old"
    assert not list(host.state.glob("undo/*"))


def test_a_confirmation_that_was_killed_is_gone_on_with(tmp_path: Path, host: FakeSystemd) -> None:
    steps = [step(tmp_path, files=[file(tmp_path / "etc" / "x", "x")])]
    token = commit(host, *steps)["token"]
    transaction.Transaction(host).claim(token)  # ... and killed
    assert logs(host) == ["confirming.json"]
    assert confirm(host, token, *steps)["confirmed"]
    assert (running(tmp_path), logs(host)) == ("new", [])


def test_no_other_token_goes_on_with_a_confirmation(tmp_path: Path, host: FakeSystemd) -> None:
    transaction.Transaction(host).claim(commit(host, step(tmp_path))["token"])
    with pytest.raises(parts.PartError, match="no trace of another"):
        confirm(host, "another", step(tmp_path))
    assert logs(host) == ["confirming.json"]


def test_a_confirmation_that_died_is_taken_back_by_its_timer(tmp_path: Path, host: FakeSystemd) -> None:
    """With the controller, too: nobody would go on with it."""
    token = commit(host, step(tmp_path))["token"]
    with transaction.locked(host, "anh", "run-1"):
        transaction.Transaction(host).claim(token)
        assert host.timers() == ["wardnet-rollback-apply"]
        # The lock is held: whoever confirms is alive.
        with subprocess.Popen([sys.executable, "-c", WAITS, host.lock, host.state, token]) as waiting:
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(timeout=4)
            assert (running(tmp_path), logs(host)) == ("new", ["confirming.json"])
            waiting.kill()
    assert undo.main(["timer", "the run died", str(host.state), "another token"]) == 0
    assert logs(host) == ["confirming.json"]
    assert undo.main(["timer", "the run died", str(host.state), token]) == 0
    assert (running(tmp_path), logs(host)) == ("old", [])


def test_a_timer_waits_for_a_confirmation_that_is_at_work(tmp_path: Path, host: FakeSystemd) -> None:
    steps = [step(tmp_path)]
    token = commit(host, *steps)["token"]
    with transaction.locked(host, "anh", "run-1"):
        transaction.Transaction(host).claim(token)
        with subprocess.Popen([sys.executable, "-c", WAITS, host.lock, host.state, token]) as waiting:
            assert confirm(host, token, *steps)["confirmed"]
            assert waiting.wait(timeout=60) == 0
    assert (running(tmp_path), logs(host), host.timers()) == ("new", [], [])


def test_a_later_run_does_not_wait_for_a_confirmation_that_died(tmp_path: Path, host: FakeSystemd) -> None:
    transaction.Transaction(host).claim(commit(host, step(tmp_path))["token"])
    transaction.Transaction(host).finish_former()
    assert (running(tmp_path), logs(host), host.timers()) == ("old", [], [])


# ---- what fails ----


def test_what_fails_once_is_tried_again(tmp_path: Path) -> None:
    words = f"test -e {tmp_path}/second || {{ touch {tmp_path}/second; exit 1; }}"
    once = entry("command", argv=["/bin/sh", "-c", words], stdin=None, harmless=[])
    assert going_back([once], "timer") == []


def test_commands_run_again_where_a_file_came_back_late(tmp_path: Path) -> None:
    """What takes up a file is run behind it."""
    seen = tmp_path / "seen"
    (tmp_path / "blocked").write_text("a file where a folder is needed")
    late = entry(path=str(tmp_path / "blocked" / "x"), content="eA==")
    words = f"echo x >> {seen}; rm -f {tmp_path}/blocked"
    take_up = entry("command", argv=["/bin/sh", "-c", words], stdin=None, harmless=[""])
    assert going_back([late, take_up], "timer") == []
    assert (seen.read_text(), (tmp_path / "blocked" / "x").read_text()) == ("x\nx\n", "x")


def test_the_only_copy_of_a_file_that_does_not_come_back_is_kept(tmp_path: Path, host: FakeSystemd) -> None:
    path = tmp_path / "etc" / "x"
    path.write_text("before")
    commit(host, step(tmp_path, files=[file(path, "after")]))
    path.unlink()
    path.mkdir()
    (path / "in the way").touch()
    assert undo.main(["boot", "", str(host.state)]) == 1
    assert logs(host) == []  # no boot tries again for ever
    left = host.state / undo.LEFT
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    assert str(path) in left.read_text()
    report = json.loads((host.state / "last-rollback.json").read_text())
    assert str(path) in report["failed"][0]
    shutil.rmtree(path)
    result = commit(host, step(tmp_path, files=[file(path, "after")]))
    assert left.exists()
    confirm(host, result["token"], step(tmp_path, files=[file(path, "after")]))
    assert not left.exists(), "it may hold secrets"


def test_a_report_that_cannot_be_written_keeps_nobody_from_being_told(
    tmp_path: Path, host: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(host, step(tmp_path))
    said: list[Any] = []
    monkeypatch.setattr(undo, "say", said.append)
    monkeypatch.setattr(undo, "write", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
    undo.main(["timer", "late", str(host.state)])
    assert said[0]["why"] == "late"
    assert (running(tmp_path), logs(host)) == ("old", [])


def test_a_directory_that_the_change_made_goes_and_none_that_somebody_uses(tmp_path: Path) -> None:
    ours, used = tmp_path / "ours.d", tmp_path / "used.d"
    entries = [entry(path=str(path)) for path in (ours, used, ours / "a.conf")]
    for path in (ours, used):
        path.mkdir()
    (ours / "a.conf").touch()
    (used / "theirs.conf").touch()
    for _ in range(2):
        assert going_back(entries, "timer") == []
    assert (ours.exists(), used.exists()) == (False, True)


# ---- who else ----


def test_nobody_else_can_make_or_hold_the_lock(tmp_path: Path) -> None:
    host = FakeSystemd(state=tmp_path / "state", lock=tmp_path / "run" / "wardnet" / "lock")
    with transaction.locked(host, "anh", "run-1"):
        assert stat.S_IMODE(host.lock.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(host.lock.stat().st_mode) == 0o600


def test_the_program_alone_knows_all_its_verbs(tmp_path: Path) -> None:
    """It stands on the host without the rest."""
    program = tmp_path / "undo.py"
    program.write_text(way_back.source())
    for words in (["now", "", str(tmp_path)], ["timer", "", str(tmp_path), "token"], ["boot", "", str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-I", program, *words], capture_output=True, text=True, check=False, timeout=120
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("text", ['{"entr', "[]", "{}", '{"entries": null}', "\0\0\0\0", ""])
@pytest.mark.parametrize("name", ["armed.json", "confirming.json", "undoing.json"])
def test_a_log_that_cannot_be_read_wedges_no_host(tmp_path: Path, host: FakeSystemd, name: str, text: str) -> None:
    folder = host.state / "undo"
    folder.mkdir(parents=True)
    (folder / name).write_text(text)
    item = step(tmp_path)
    result = commit(host, item)
    assert result["armed"]
    told = result["last_rollback"]
    assert (told["parts"], told["boot"]) == ([], False)
    assert told["why"].endswith("the way back cannot be read: nothing is back")
    kept = [name for name in logs(host) if name.startswith("unreadable-")]
    assert "cannot be read" in told["failed"][0]
    assert str(folder / kept[0]) in told["failed"][0]
    assert (folder / kept[0]).read_text() == text
    confirm(host, result["token"], item)
    assert "last_rollback" not in commit(host, item)


def test_a_log_that_cannot_be_read_keeps_no_host_from_starting(tmp_path: Path) -> None:
    program = tmp_path / "undo.py"
    program.write_text(way_back.source())
    (tmp_path / "undo").mkdir()
    (tmp_path / "undo" / "armed.json").write_text('{"entr')
    for status in (1, 0):
        done = subprocess.run(
            [sys.executable, "-I", program, "boot", "", str(tmp_path)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (status, "")
    report = json.loads((tmp_path / "last-rollback.json").read_text())
    assert report["boot"]
    assert "cannot be read" in report["failed"][0]
    assert not list((tmp_path / "undo").glob("*.json")), "the unit's condition: no later boot looks again"
