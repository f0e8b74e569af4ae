"""A candidate on a host: what is touched when, who wins when two come, and that every bad day ends with the former
state. Files and processes are real; systemd is played.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.plugins_engine import (
    FakeSystemd,
    candidate,
    commit,
    confirm,
    engine,
    file,
    make_host,
    parts,
    step,
    transaction,
    undo,
)
from tests.unit.plugins_support import ROOT, load


@pytest.fixture
def host(tmp_path: Path) -> FakeSystemd:
    (tmp_path / "etc").mkdir()
    return make_host(tmp_path)


def running(tmp_path: Path, part: str = "shaping") -> str:
    return (tmp_path / f"running-{part}").read_text()


def report(host: FakeSystemd) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((host.state / "last-rollback.json").read_text())
    return found


def test_what_is_as_intended_is_left_alone(tmp_path: Path, host: FakeSystemd) -> None:
    result = commit(host, step(tmp_path, wanted="old"))
    assert (result["changed"], result["armed"], result["parts"], result["drift"]) == (False, False, {}, [])
    assert not (host.state / "undo").exists()


def test_a_change_is_armed_made_and_lasts_once_confirmed(tmp_path: Path, host: FakeSystemd) -> None:
    early, late, plain = (tmp_path / "etc" / name for name in ("early", "late", "plain"))
    steps = [
        step(tmp_path, files=[file(early, "e")]),
        step(tmp_path, part="filter", files=[file(late, "l")]),
        {"role": "b_role", "part": "files", "files": [file(plain, "p")]},
    ]
    first = commit(host, *steps)
    assert (first["armed"], first["confirmed"], running(tmp_path), running(tmp_path, "filter")) == (
        True, False, "new", "new",
    )  # fmt: skip
    assert set(first["parts"]) == {"shaping", "filter", "files"}
    assert host.timers() == ["wardnet-rollback-confirm"]
    assert [path.exists() for path in (early, late, plain)] == [True, False, False]
    second = confirm(host, first["token"], *steps)
    assert second["confirmed"]
    assert [path.read_text() for path in (early, late, plain)] == ["e", "l", "p"]
    assert host.timers() == []
    assert list((host.state / "undo").iterdir()) == []
    assert not commit(host, *steps)["changed"]


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("due", [False, True])
def test_what_goes_before_packages_are_installed_is_followed_up_once(
    tmp_path: Path, host: FakeSystemd, monkeypatch: pytest.MonkeyPatch, due: bool, guarded: bool
) -> None:
    """As a file that keeps texts out of packages: it is gone when they are unpacked; what lacks them comes again."""
    told, said = tmp_path / "etc" / "left-out", tmp_path / "said"
    told.touch()
    seen: list[bool] = []
    installed = [not due]

    def install(*_: Any) -> None:
        seen.append(told.exists())
        installed[0] = True

    monkeypatch.setattr(engine.packages, "read_due", lambda *_: [] if installed[0] else ["thing"])
    monkeypatch.setattr(engine.packages, "install", install)
    after = [{"tag": "texts", "command": ["/bin/sh", "-c", f"echo once >> {said}"]}]
    folder = {"path": str(tmp_path / "etc"), "purge": ["left-out"], "tag": "texts"}
    steps = [
        {"role": "b_role", "part": "files", "early": True, "directories": [folder], "after": after},
        {"role": "b_role", "part": "files", "packages": ["thing"]},
        *([step(tmp_path)] if guarded else []),
    ]
    first = commit(host, *steps)
    if guarded:
        confirm(host, first["token"], *steps)
    assert seen == ([False] if due else [])
    assert not told.exists()
    assert said.read_text() == "once\n"
    assert not commit(host, *steps)["changed"]
    assert said.read_text() == "once\n"


def test_a_host_tells_of_its_updates_in_runs_that_change_nothing_too(tmp_path: Path, host: FakeSystemd) -> None:
    assert "updates_at" not in commit(host, step(tmp_path, wanted="old"))
    (host.state / "upgraded").write_text("1800000000\n")
    assert commit(host, step(tmp_path, wanted="old"))["updates_at"] == 1_800_000_000
    (host.state / "upgraded").write_text("nonsense")
    assert "updates_at" not in commit(host, step(tmp_path, wanted="old"))


def test_a_confirmation_whose_answer_was_lost_can_be_repeated(tmp_path: Path, host: FakeSystemd) -> None:
    token = commit(host, step(tmp_path))["token"]
    assert confirm(host, token, step(tmp_path))["confirmed"]
    assert confirm(host, token, step(tmp_path))["confirmed"]


def test_what_nobody_confirms_goes_back_and_is_told(tmp_path: Path, host: FakeSystemd) -> None:
    present, absent = tmp_path / "etc" / "present", tmp_path / "etc" / "absent"
    present.write_text("before")
    present.chmod(0o640)
    steps = [step(tmp_path, files=[file(present, "after"), file(absent, "after")])]
    token = commit(host, *steps)["token"]
    assert (present.read_text(), absent.read_text()) == ("after", "after")
    undo.main(["timer", "nobody confirmed", str(host.state)])
    assert (present.read_text(), present.stat().st_mode & 0o777, absent.exists()) == ("before", 0o640, False)
    assert running(tmp_path) == "old"
    said = report(host)
    assert (said["why"], said["run"], said["parts"], said["failed"]) == ("nobody confirmed", "run-1", ["shaping"], [])
    with pytest.raises(parts.PartError, match=r"not confirmed in time.*nobody confirmed"):
        confirm(host, token, *steps)
    transaction.Transaction(host).disarm()  # its timer has run
    assert commit(host, *steps)["last_rollback"]["why"] == "nobody confirmed"


def test_a_rollback_is_told_once_in_earnest_and_always_in_a_check(tmp_path: Path, host: FakeSystemd) -> None:
    commit(host, step(tmp_path))
    undo.main(["boot", "", str(host.state)])
    host.attempt(["/usr/bin/systemctl", "stop", "wardnet-rollback-confirm.timer"])
    host.check_mode = True
    assert commit(host, step(tmp_path))["last_rollback"]["boot"]
    assert commit(host, step(tmp_path))["last_rollback"]["boot"]
    host.check_mode = False
    assert commit(host, step(tmp_path, wanted="old"))["last_rollback"]["boot"]
    assert "last_rollback" not in commit(host, step(tmp_path, wanted="old"))


def test_a_check_touches_nothing(tmp_path: Path, host: FakeSystemd) -> None:
    host.check_mode = True
    result = commit(host, step(tmp_path, files=[file(tmp_path / "etc" / "x", "x")]))
    assert (result["changed"], result["armed"], running(tmp_path)) == (True, False, "old")
    assert not host.state.exists()
    assert not (tmp_path / "etc" / "x").exists()


@pytest.mark.parametrize("trouble", ["apply", "verify"])
def test_what_does_not_take_effect_is_taken_back_at_once(tmp_path: Path, host: FakeSystemd, trouble: str) -> None:
    path = tmp_path / "etc" / "x"
    steps = [
        step(tmp_path, part="filter"),
        step(tmp_path, files=[file(path, "x")], arguments={"trouble": trouble}),
    ]
    with pytest.raises(engine.TakenBackError):
        commit(host, *steps)
    assert (running(tmp_path), running(tmp_path, "filter"), path.exists()) == ("old", "old", False)
    assert host.timers() == []
    assert report(host)["parts"] == ["filter", "shaping"]


def test_a_step_of_the_way_back_that_fails_keeps_none_of_the_others_from_running(
    tmp_path: Path, host: FakeSystemd
) -> None:
    with pytest.raises(engine.TakenBackError) as caught:
        commit(host, step(tmp_path, arguments={"trouble": "back"}))
    assert running(tmp_path) == "old"
    assert caught.value.facts["way_back_failed"] == report(host)["failed"] == ["shaping: /bin/false: status 1"]


def test_the_way_to_the_host_comes_back_before_who_logs_in() -> None:
    """A server that is waited for keeps neither the network nor the filter from coming back."""
    names = ("filter", "settings", "network", "routing", "access", "accounts")
    guarded = tuple(SimpleNamespace(name=name, files=[], undo=lambda: [parts.UndoCommand(("true",))]) for name in names)
    back = [part for part, _ in engine.way_back(SimpleNamespace(guarded=guarded, lost={}))]
    assert back == ["routing", "network", "settings", "filter", "accounts", "access"]


def test_files_of_a_server_that_does_not_run_are_tried(
    tmp_path: Path, host: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the service goes the folder without which sshd takes none."""
    folder = tmp_path / "separation"
    monkeypatch.setattr(load("module_utils", "wardnet_taken_up"), "SEPARATION", folder)
    trial = ["/bin/sh", "-ec", f"[ -d {folder} ] # as /usr/sbin/sshd -t"]
    result = commit(host, step(tmp_path, files=[file(tmp_path / "etc" / "x", "x")], validate=[trial]))
    assert result["armed"]


def test_a_way_back_that_is_refused_lets_nothing_be_touched(tmp_path: Path, host: FakeSystemd) -> None:
    other = step(tmp_path, part="filter", files=[file(tmp_path / "etc" / "x", "x")])
    with pytest.raises(parts.RefusedError, match="way back"):
        commit(host, other, step(tmp_path, arguments={"trouble": "judge"}))
    assert (running(tmp_path), running(tmp_path, "filter")) == ("old", "old")
    assert not (host.state / "undo").exists()


def test_a_validator_that_refuses_one_file_keeps_all_from_being_touched(tmp_path: Path, host: FakeSystemd) -> None:
    path = tmp_path / "etc" / "x"
    wrong = {"role": "b_role", "part": "files", "files": [file(path, "no")]}
    wrong["validate"] = [["/bin/grep", "-q", "yes", "{root}" + str(path)]]
    with pytest.raises(parts.RefusedError, match="grep refuses it"):
        commit(host, step(tmp_path), wrong)
    assert (running(tmp_path), path.exists()) == ("old", False)


def test_a_full_disk_is_refused_before_anything_is_touched(tmp_path: Path, host: FakeSystemd) -> None:
    with pytest.raises(parts.RefusedError, match=r"is full .* nothing was touched"):
        commit(host, step(tmp_path), min_free=1 << 40)
    assert running(tmp_path) == "old"
    assert not (host.state / "undo").exists()


def test_a_confirmation_of_another_change_is_refused(tmp_path: Path, host: FakeSystemd) -> None:
    token = commit(host, step(tmp_path))["token"]
    with pytest.raises(transaction.HeldError, match="another change") as caught:
        confirm(host, "of an earlier run", step(tmp_path), run="run-2")
    assert caught.value.holder["run"] == "run-1"
    assert confirm(host, token, step(tmp_path))["confirmed"]


def test_the_second_operator_is_told_who_waits_for_a_confirmation(tmp_path: Path, host: FakeSystemd) -> None:
    commit(host, step(tmp_path))
    with pytest.raises(transaction.HeldError, match=r"anh@office has made a change .* \(run run-1\)") as caught:
        commit(host, step(tmp_path, wanted="other"), run="run-2")
    assert 0 < caught.value.holder["seconds_left"] <= 60
    assert running(tmp_path) == "new"


def test_the_second_operator_is_told_who_is_at_work(host: FakeSystemd) -> None:
    other = FakeSystemd(state=host.state, lock=host.lock)
    assert transaction.Transaction(other).last_run() == ""
    with transaction.locked(host, "anh@office", "run-1"):
        assert transaction.Transaction(other).last_run() == "run-1"
        with (
            pytest.raises(transaction.HeldError, match="anh@office is at work here") as caught,
            transaction.locked(other, "binh@office", "run-2", patience=0.1),
        ):
            pass
        assert caught.value.holder["run"] == "run-1"
    with transaction.locked(other, "binh@office", "run-2"):
        pass
    assert transaction.Transaction(host).last_run() == "run-2", "whom a run asks whose connection broke"


def test_a_run_that_died_in_the_middle_is_taken_back_by_the_next_one(tmp_path: Path, host: FakeSystemd) -> None:
    path = tmp_path / "etc" / "x"
    died = step(tmp_path, files=[file(path, "x")], arguments={"trouble": "die"})
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.plugins_engine", str(tmp_path), json.dumps([died])],
        cwd=ROOT, check=False, capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 9, done.stderr.decode()
    assert (running(tmp_path), path.read_text()) == ("new", "x")
    assert host.timers() == ["wardnet-rollback-apply"]
    undo.main(["timer", "the change was not finished", str(host.state)])
    assert (running(tmp_path), path.exists(), report(host)["run"]) == ("old", False, "run-dead")


def test_a_dead_run_whose_timer_is_gone_too_is_taken_back_by_the_next_run(tmp_path: Path, host: FakeSystemd) -> None:
    commit(host, step(tmp_path))
    transaction.Transaction(host).disarm()
    result = commit(host, step(tmp_path, wanted="old"), run="run-2")
    assert not result["changed"]
    assert result["last_rollback"]["why"] == "the run that made the change died before it was confirmed"


def test_a_confirmation_that_cannot_be_made_to_last_takes_all_back(tmp_path: Path, host: FakeSystemd) -> None:
    path = tmp_path / "etc" / "x"
    steps = [step(tmp_path, part="filter", files=[file(path, "x")], arguments={"trouble": "confirmed"})]
    token = commit(host, *steps)["token"]
    with pytest.raises(engine.TakenBackError, match="the disk gave up"):
        confirm(host, token, *steps)
    assert (running(tmp_path, "filter"), path.exists()) == ("old", False)


def test_a_reboot_in_the_middle_of_the_confirmation_comes_up_on_the_old_state(
    tmp_path: Path, host: FakeSystemd
) -> None:
    token = commit(host, step(tmp_path))["token"]
    transaction.Transaction(host).claim(token)
    undo.main(["boot", "", str(host.state)])
    assert running(tmp_path) == "old"
    assert report(host)["boot"]


def test_drift_is_told_apart_by_where_it_is(tmp_path: Path, host: FakeSystemd) -> None:
    path = tmp_path / "etc" / "x"
    steps = [step(tmp_path, files=[file(path, "x")])]
    confirm(host, commit(host, *steps)["token"], *steps)
    (tmp_path / "running-shaping").write_text("by hand")
    path.write_text("by hand")
    host.check_mode = True
    drift = commit(host, *steps)["drift"]
    assert {(item["part"], item["where"]) for item in drift} == {("shaping", "disk"), ("shaping", "running")}
    assert {"part": "shaping", "what": "foreign: by hand", "where": "running"} in drift
    changed = [step(tmp_path, wanted="newer", files=[file(path, "x")])]
    assert commit(host, *changed)["drift"] == drift, "another intention hides nothing"


def test_files_of_other_steps_are_not_purged(tmp_path: Path, host: FakeSystemd) -> None:
    folder = tmp_path / "etc"
    foreign = folder / "foreign.conf"
    foreign.write_text("foreign")
    owner = file(folder, "")
    directory = {"path": str(folder), "purge": ["*.conf"], "owner": owner["owner"], "group": owner["group"]}
    steps = [
        {"role": "a_role", "part": "files", "files": [file(folder / "a.conf", "a")], "directories": [directory]},
        {"role": "b_role", "part": "files", "files": [file(folder / "b.conf", "b")], "directories": [directory]},
    ]
    assert commit(host, *steps)["changed"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.conf", "b.conf"]
    assert not commit(host, *steps)["changed"]


def test_one_file_cannot_be_two(tmp_path: Path, host: FakeSystemd) -> None:
    path = tmp_path / "etc" / "x"
    steps = [{"role": role, "part": "files", "files": [file(path, role)]} for role in ("one", "two")]
    with pytest.raises(candidate.CandidateError, match="role one, part files and role two, part files"):
        commit(host, *steps)


def test_commands_run_after_files_that_changed_also_when_the_change_had_to_be_confirmed(
    tmp_path: Path, host: FakeSystemd
) -> None:
    after = [
        {"tag": "yes", "command": ["/usr/bin/touch", str(tmp_path / "yes")]},
        {"tag": "no", "command": ["/usr/bin/touch", str(tmp_path / "no")]},
    ]
    steps = [step(tmp_path, files=[file(tmp_path / "etc" / "x", "x", tag="yes")], after=after)]
    token = commit(host, *steps)["token"]
    assert not (tmp_path / "yes").exists()
    assert confirm(host, token, *steps)["actions"] == [f"/usr/bin/touch {tmp_path / 'yes'}"]
    assert ((tmp_path / "yes").exists(), (tmp_path / "no").exists()) == (True, False)


def test_a_secret_file_is_in_no_diff(tmp_path: Path, host: FakeSystemd) -> None:
    secret = file(tmp_path / "etc" / "x", "password: hunter22", secret=True, mode="0600")
    host.check_mode = True
    result = commit(host, {"role": "a_role", "part": "files", "files": [secret]})
    assert result["changed"]
    assert "hunter22" not in json.dumps(result)


def test_a_check_shows_what_would_be_started(tmp_path: Path, host: FakeSystemd) -> None:
    host.check_mode = True
    units = [{"name": "x.service"}]
    result = commit(host, {"role": "a_role", "part": "files", "units": units})
    (shown,) = result["diff"]
    assert (shown["before"], shown["after"]) == ("", "unit x.service enabled\nunit x.service started\n")


def test_what_goes_back_stands_on_the_host_and_needs_nothing_else(tmp_path: Path, host: FakeSystemd) -> None:
    path = tmp_path / "etc" / "x"
    commit(host, step(tmp_path, files=[file(path, "x")]))
    unit = host.units / "sysinit.target.wants" / "wardnet-undo.service"
    assert "Before=network-pre.target" in unit.read_text()
    script = [sys.executable, "-I", host.library / "undo.py", "boot", "", host.state]
    for _ in range(2):
        subprocess.run(script, check=True, cwd="/", timeout=120)
    assert (running(tmp_path), path.exists(), report(host)["boot"]) == ("old", False, True)


def test_a_run_that_is_still_at_work_is_ended_before_it_is_taken_back(tmp_path: Path, host: FakeSystemd) -> None:
    commit(host, step(tmp_path))
    log = host.state / "undo" / "armed.json"
    with subprocess.Popen(["sleep", "600"]) as hanging:
        log.write_text(
            json.dumps({**json.loads(log.read_text()), "pid": hanging.pid, "started": undo.began(hanging.pid)})
        )
        undo.main(["timer", "too slow", str(host.state)])
        assert hanging.wait(timeout=60) == -9
    assert running(tmp_path) == "old"


@pytest.mark.parametrize("died", [False, True], ids=["at work", "died"])
def test_what_a_run_has_started_ends_with_it(tmp_path: Path, host: FakeSystemd, died: bool) -> None:
    """A command of its that hangs must not go on while the host goes back, nor after it; nor its children."""
    words = f"cd {tmp_path}; (setsid sh -c 'echo $$ >> pids; sleep 600; echo >> late') & echo $$ >> pids; sleep 600"
    change = step(tmp_path, arguments={"trouble": "hang", "words": words})
    argv = [sys.executable, "-m", "tests.unit.plugins_engine", str(tmp_path), json.dumps([change])]
    with subprocess.Popen(argv) as module:
        deadline = time.monotonic() + 120
        while not (tmp_path / "pids").exists() or len((tmp_path / "pids").read_text().split()) < 2:
            assert time.monotonic() < deadline
            assert module.poll() is None
            time.sleep(0.1)
        if died:
            module.kill()
            module.wait()
        undo.main(["timer", "too slow", str(host.state)])
        module.wait(timeout=60)
    assert [pid for pid in (tmp_path / "pids").read_text().split() if undo.began(int(pid))] == []
    assert running(tmp_path) == "old"


def test_a_log_of_another_boot_ends_no_process_that_has_its_number_now(tmp_path: Path, host: FakeSystemd) -> None:
    commit(host, step(tmp_path))
    log = host.state / "undo" / "armed.json"
    with subprocess.Popen(["sleep", "600"], env={}) as innocent:
        log.write_text(json.dumps({**json.loads(log.read_text()), "pid": innocent.pid, "started": "1"}))
        undo.main(["timer", "too slow", str(host.state)])
        assert innocent.poll() is None
        innocent.kill()


def test_a_line_that_is_dialled_again_and_leads_nowhere_fails_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session is started again after the confirmation, and nothing takes that back."""
    unit = {"name": "wardnet-dial-inet0.service", "line": True}
    made = candidate.read_step({"role": "r", "part": "filter", "units": [unit]}, "r/filter/1")
    done: list[str] = []
    survey = SimpleNamespace(
        steps=(made,), changes={made.key: []}, bundles={}, due_units=[], conditional=frozenset(), parts=(),
        partial=False,
        read_units=lambda: None, all_changes=lambda *_: [], remember=lambda _run: done.append("remembered"),
    )  # fmt: skip
    asked = SimpleNamespace(probes=(), run="r")
    on = SimpleNamespace(settle=0.0, shown={}, state=tmp_path)
    monkeypatch.setattr(engine.units, "carry_out", lambda *_: done.append("restarted"))
    monkeypatch.setattr(engine.probe, "ask", lambda _: done.append("asked") or frozenset({"it"}))
    monkeypatch.setattr(engine.probe, "demanded", tuple)
    monkeypatch.setattr(engine.probe, "wait_for", lambda *_: ["192.0.2.1 out of ppp0"])
    assert engine.finish(on, survey, asked) == []
    assert done == ["restarted", "remembered"], "no session is touched, nobody is asked"
    done.clear()
    survey.due_units = [("restart", unit["name"])]
    with pytest.raises(parts.PartError, match=r"wardnet-dial-inet0.* no longer answered: 192\.0\.2\.1 out of ppp0"):
        engine.finish(on, survey, asked)
    assert done == ["asked", "restarted"]
