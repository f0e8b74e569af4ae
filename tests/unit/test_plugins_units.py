"""The engine's own decisions: which packages are due, and what a unit needs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import load

packages = load("module_utils", "wardnet_packages")
parts = load("module_utils", "wardnet_part")
units = load("module_utils", "wardnet_units")

DPKG = "nftables\tinstalled\t1.0.6-2\nsudo\tconfig-files\t1.9.13\ntzdata\tinstalled\t2026a\n"


@pytest.mark.parametrize(
    ("wanted", "due"),
    [
        (["nftables", "tzdata"], []),
        (["nftables", "sudo", "prometheus"], ["sudo", "prometheus"]),
        (["nftables=1.0.6-2", "tzdata=2026b"], ["tzdata=2026b"]),
    ],
    ids=["all there", "removed and unknown", "versions"],
)
def test_only_what_is_missing_or_of_another_version_is_due(wanted: list[str], due: list[str]) -> None:
    assert packages.missing(wanted, packages.parse_installed(DPKG)) == due


RUNNING = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
FRESH = units.Times(files=100.0, reload_files=100.0, started=200.0, changed_state=200.0)


@pytest.mark.parametrize(
    ("state", "shown", "times", "verbs"),
    [
        ("running", RUNNING, FRESH, []),
        ("running", RUNNING | {"UnitFileState": "disabled"}, FRESH, ["enable"]),
        ("running", RUNNING | {"UnitFileState": "static"}, FRESH, []),
        ("running", RUNNING | {"ActiveState": "failed"}, FRESH, ["restart"]),
        ("running", RUNNING | {"NeedDaemonReload": "yes"}, FRESH, ["restart"]),
        ("running", RUNNING, units.Times(201.0, 0.0, 200.0, 300.0), ["restart"]),
        ("running", RUNNING, units.Times(0.0, 201.0, 200.0, 200.0), ["reload"]),
        ("running", RUNNING, units.Times(0.0, 201.0, 200.0, 202.0), []),
        ("running", RUNNING, units.Times(201.0, 201.0, 200.0, 200.0), ["restart"]),
        ("running", {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": ""}, FRESH,
         ["enable", "restart"]),
        ("running", {"LoadState": "masked", "ActiveState": "inactive", "UnitFileState": "masked"}, FRESH,
         ["unmask", "enable", "restart"]),
        ("off", RUNNING, FRESH, ["stop", "disable"]),
        ("off", {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": ""}, FRESH, []),
        ("masked", RUNNING, FRESH, ["stop", "mask"]),
        ("masked", {"LoadState": "masked", "ActiveState": "inactive", "UnitFileState": "masked"}, FRESH, []),
    ],
)  # fmt: skip
def test_a_unit_gets_the_fewest_verbs_that_bring_it_there(
    state: str, shown: dict[str, str], times: Any, verbs: list[str]
) -> None:
    assert units.decide({"name": "x.service", "state": state}, shown, times) == verbs


def test_units_are_read_in_the_order_asked_for() -> None:
    text = "Id=a.service\nActiveState=active\n\nId=b.service\nActiveState=failed\n"
    assert [unit["Id"] for unit in units.parse_show(text)] == ["a.service", "b.service"]


def test_a_started_timer_has_no_process_to_be_steady() -> None:
    class Shown:
        settle = 30.0

        def run(self, _argv: list[str]) -> str:
            return "Id=x.timer\nActiveState=active\n\nId=y.service\nActiveState=active\nMainPID=7\n"

    units.steady(Shown(), ["x.timer", "y.service"])


LEFT_OUT = {
    **RUNNING, "ActiveState": "inactive", "ConditionResult": "no", "ConditionTimestampMonotonic": "7000000",
}  # fmt: skip


def test_a_unit_that_says_that_it_is_not_for_this_machine_is_left_in_peace() -> None:
    unit = {"name": "auditd.service", "conditional": True}
    assert units.decide(unit, LEFT_OUT, FRESH) == []
    assert units.decide(unit, LEFT_OUT | {"UnitFileState": "disabled"}, FRESH) == ["enable"]
    assert units.decide(unit, LEFT_OUT, units.Times(201.0, 0.0, 200.0, 200.0)) == ["restart"], "its files have changed"
    assert units.decide({"name": "x.service"}, LEFT_OUT, FRESH) == ["restart"], "no other may be silenced like this"
    stopped = LEFT_OUT | {"ConditionResult": "yes"}
    never = LEFT_OUT | {"ConditionTimestampMonotonic": "0"}
    assert units.decide(unit, stopped, FRESH) == units.decide(unit, never, FRESH) == ["restart"]


def test_one_that_somebody_may_be_at_is_started_but_not_anew() -> None:
    unit = {"name": "kiosk.service", "waits": True, "conditional": True}
    changed = units.Times(201.0, 0.0, 200.0, 200.0)
    assert units.decide(unit, RUNNING | {"NeedDaemonReload": "yes"}, changed) == []
    assert units.decide(unit, RUNNING | {"ActiveState": "activating"}, FRESH) == [], "between two sittings"
    assert units.decide(unit, RUNNING | {"ActiveState": "inactive"}, FRESH) == ["restart"]
    assert units.decide(unit, RUNNING | {"ActiveState": "failed"}, FRESH) == ["restart"]
    assert units.decide(unit, LEFT_OUT, FRESH) == []


@pytest.mark.parametrize(
    ("said", "container", "counts"),
    [("any", False, True), ("container", True, True), ("container", False, False), (None, True, False)],
)
def test_whose_own_conditions_count_where(said: str | None, container: bool, counts: bool) -> None:
    """On a machine the audit log is never off in peace, whatever condition somebody has given it."""

    class Host:
        def attempt(self, argv: list[str]) -> tuple[int, str, str]:
            assert argv == ["/usr/bin/systemd-detect-virt", "--container", "--quiet"]
            return 0 if container else 1, "", ""

    (unit,) = units.resolve(Host(), [{"name": "auditd.service", "conditional": said}])
    assert units.decide(unit, LEFT_OUT, FRESH) == ([] if counts else ["restart"])


def test_a_unit_that_is_not_masked_keeps_no_other_from_its_state() -> None:
    """A file of its name by hand is in the way of a mask."""
    ran: list[str] = []

    class Host:
        def attempt(self, argv: list[str]) -> tuple[int, str, str]:
            ran.append(" ".join(argv[1:]))
            return (1, "", f"File {argv[-1]} already exists.\n") if "mask" in argv else (0, "", "")

        def run(self, argv: list[str]) -> str:
            raise AssertionError(argv)

    due = [("mask", "rsync.service"), ("mask", "telnet.socket"), ("restart", "chrony.service")]
    with pytest.raises(parts.PartError, match=r"mask rsync\.service: .*; systemctl mask telnet\.socket: "):
        units.carry_out(Host(), due, {})
    assert ran[:3] == ["mask -- rsync.service", "mask -- telnet.socket", "restart -- chrony.service"]


def test_when_such_a_unit_was_asked_counts_as_its_start(tmp_path: Path) -> None:
    (tmp_path / "x.conf").touch()
    asked = LEFT_OUT | {"ConditionTimestampMonotonic": str(int((time.monotonic() + 60) * 1e6))}
    unit = {"name": "x.service", "conditional": True, "files": [str(tmp_path / "x.conf")]}
    assert not units.times(unit, asked).needs_restart
    assert units.times(unit, LEFT_OUT | {"ConditionTimestampMonotonic": "1"}).needs_restart


def test_a_file_from_the_future_restarts_nothing(tmp_path: Path) -> None:
    """A clock that ran ahead and was set right leaves such files; every run would restart their unit."""
    ahead, past = tmp_path / "ahead", tmp_path / "past"
    for path, date in ((ahead, time.time() + 86400), (past, 1000.0)):
        path.touch()
        os.utime(path, (date, date))
    assert units.newest([str(ahead), str(past)]) == 1000.0
    assert units.newest([str(ahead)]) == 0.0


@pytest.mark.parametrize("wrong_by", [-2 * 365 * 86400, 365 * 86400])
def test_a_file_that_a_run_wrote_under_a_wrong_clock_is_taken_up(tmp_path: Path, wrong_by: int) -> None:
    """Where the run died before it started the unit again, and the clock was set right since."""
    written, bundle, host_module = (load("module_utils", f"wardnet_{name}") for name in ("written", "bundle", "host"))
    host = host_module.Host(lock=tmp_path / "run" / "lock")
    path, rights = tmp_path / "x.conf", tmp_path / "rights"
    for each in (path, rights):
        each.touch()
        os.utime(each, (time.time() + wrong_by,) * 2)
    began = time.monotonic()
    changes = [bundle.Change(path, "write", None), bundle.Change(rights, "mode", None)]
    written.note_written(host, [*changes, bundle.Change(rights, "write", None, quiet=True)])

    def verbs(started: float, **files: list[str]) -> list[str]:
        at = str(int(started * 1e6))
        shown = RUNNING | {"ActiveEnterTimestampMonotonic": at, "StateChangeTimestampMonotonic": at}
        unit = {"name": "x.service", **files, "written": written.read_written(host)}
        found: list[str] = units.decide(unit, shown, units.times(unit, shown))
        return found

    assert verbs(began - 0.5, files=[str(path)]) == ["restart"]
    assert verbs(began - 0.5, reload_files=[str(path)]) == ["reload"]
    assert verbs(time.monotonic() + 1, files=[str(path)]) == []
    assert verbs(began - 0.5, files=[str(rights)]) == []
    assert list(written.read_written(host)) == [str(path)]


def test_a_file_that_is_brought_back_has_its_former_time(tmp_path: Path) -> None:
    """A unit that runs with the former file must not seem to have missed a change of it."""
    way_back, undo = load("module_utils", "wardnet_way_back"), load("module_utils", "wardnet_undo")
    file = tmp_path / "shape"
    file.write_text("former\n")
    os.utime(file, (1_000_000_000, 1_000_000_000))
    entry = way_back.plain("shaping", way_back.keep_file(file))
    file.write_text("harmful\n")
    assert undo.restore(entry)
    assert file.read_text() == "former\n"
    assert units.newest([str(file)]) == 1_000_000_000


def test_masks_come_off_and_their_way_back_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each run would fail where it enables the unit, and go back."""
    way_back, undo, packet_filter, host_module = (
        load("module_utils", f"wardnet_{name}") for name in ("way_back", "undo", "part_filter", "host")
    )
    name, etc = "nftables.service", tmp_path / "etc"
    etc.mkdir()
    (etc / name).symlink_to("/dev/null")
    monkeypatch.setattr(way_back, "MASKS", ((str(etc), "always"), (str(tmp_path / "run"), "running")))
    ran = []

    class Host(host_module.Host):  # type: ignore[misc, name-defined]
        def attempt(self, argv: Any, stdin: Any = None) -> tuple[int, str, str]:  # noqa: ARG002
            ran.append(" ".join(argv[1:]))
            if "unmask" in argv:
                (etc / name).unlink(missing_ok=True)
            return 0, "", ""

    shown = {name: {"LoadState": "masked", "UnitFileState": "masked", "ActiveState": "active"}}
    part = packet_filter.Filter((), Host(shown=shown, lock=tmp_path / "lock"))
    monkeypatch.setattr(packet_filter.Filter, "_service", name)
    monkeypatch.setattr(packet_filter.Filter, "_end_connections", lambda _: 0)
    part._former, part._running, part._intended = "", [], []
    back = [way_back.plain("filter", entry) for entry in part.undo()]
    part.confirmed()
    unmask = "unmask --quiet"
    assert ran == [f"{unmask} -- {name}", f"{unmask} --runtime -- {name}", f"enable --quiet {name}", f"restart {name}"]
    assert not (etc / name).is_symlink()
    assert undo.restore(next(entry for entry in back if entry["kind"] == "file"))
    assert (etc / name).readlink() == Path("/dev/null")
    (etc / name).unlink()
    (etc / name).symlink_to("/lib/systemd/system/other.service")
    assert way_back.keep_masks(name) == []
