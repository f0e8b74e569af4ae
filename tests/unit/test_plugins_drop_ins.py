"""Files by which somebody changes a unit without touching it: which of them a candidate takes away, and which stay."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit import plugins_engine
from tests.unit.plugins_engine import commit, confirm, make_host, survey
from tests.unit.plugins_support import load

drop_ins, lost, packages, units = (
    load("module_utils", f"wardnet_{name}") for name in ("drop_ins", "lost", "packages", "units")
)


@pytest.fixture
def bases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("control", "run-control", "etc", "run", "local")}
    for folder in found.values():
        folder.mkdir()
    monkeypatch.setattr(drop_ins, "BASES", tuple(found.values()))
    monkeypatch.setattr(drop_ins, "OURS", found["etc"])
    monkeypatch.setattr(drop_ins, "RUNNING", found["run"])
    return found


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[Service]\n")
    return path


def removed(tmp_path: Path, **more: Any) -> list[str]:
    step = {"role": "r", "part": "files", "units": [{"name": "a-b@c.service"}], **more}
    host = make_host(tmp_path)
    found = survey.Survey(host, load("module_utils", "wardnet_candidate").read_steps([step]))
    found.read_files()
    return [str(change.path) for change in found.all_changes() if change.kind == "remove"]


@pytest.mark.parametrize("folder", ["a-b@c.service.d", "a-b@.service.d", "a-.service.d"])
@pytest.mark.parametrize("base", ["control", "run-control", "etc", "run", "local"])
def test_what_adds_to_a_unit_goes(tmp_path: Path, bases: dict[str, Path], base: str, folder: str) -> None:
    path = put(bases[base] / folder / "mine.conf")
    assert removed(tmp_path) == [str(path)]


def test_what_adds_to_all_services_goes_but_what_a_container_says_at_run_time(
    tmp_path: Path, bases: dict[str, Path]
) -> None:
    path = put(bases["etc"] / "service.d" / "mine.conf")
    put(bases["run"] / "service.d" / "zzz-container.conf")
    assert removed(tmp_path) == [str(path)]


def test_what_adds_to_another_name_of_the_unit_goes(tmp_path: Path, bases: dict[str, Path]) -> None:
    (bases["etc"] / "other.service").symlink_to("/usr/lib/systemd/system/a-b@c.service")
    path = put(bases["run"] / "other.service.d" / "mine.conf")
    assert removed(tmp_path) == [str(path)]


@pytest.mark.parametrize(
    "target", ["/dev/null", "/lib/systemd/system/y.service", "../lib/systemd/system/a-b@c.service"]
)
def test_a_file_in_front_of_the_packages_goes_and_a_link_of_systemds_stays(
    tmp_path: Path, bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    path = put(bases["etc"] / "a-b@c.service")
    if target.startswith(".."):  # as systemctl makes none, but an administrator may
        monkeypatch.setattr(drop_ins, "PACKAGED", (str(tmp_path / "lib"),))
    (bases["run"] / "a-b@c.service").symlink_to(target)
    assert removed(tmp_path) == [str(path)]


def test_a_link_in_front_of_the_packages_to_somewhere_else_goes(tmp_path: Path, bases: dict[str, Path]) -> None:
    path = bases["etc"] / "a-b@c.service"
    path.symlink_to(put(tmp_path / "mine.service"))
    other = bases["etc"] / "other.service"  # of nobody's
    other.symlink_to(tmp_path / "mine.service")
    assert removed(tmp_path) == [str(path)]


def test_a_file_in_front_goes_though_a_role_holds_other_files_of_that_folder(
    tmp_path: Path, bases: dict[str, Path]
) -> None:
    """As dialled_lines does on each gateway."""
    path = put(bases["etc"] / "a-b@c.service")
    folders = [{"path": str(bases["etc"]), "purge": ["wardnet-dial-*.service"]}]
    assert removed(tmp_path, directories=folders) == [str(path)]
    old = put(bases["etc"] / "wardnet-dial-old.service")
    assert removed(tmp_path, directories=folders) == [str(old), str(path)]


def test_what_lxc_writes_at_each_reload_stays_and_counts_for_nothing(tmp_path: Path, bases: dict[str, Path]) -> None:
    folder = put(bases["run"] / "a-b@c.service.d" / "zzz-lxc-override.conf").parent
    mine = put(folder / "mine.conf")
    in_etc = put(bases["etc"] / "a-b@c.service.d" / "zzz-lxc-mine.conf")
    assert removed(tmp_path) == [str(in_etc), str(mine)]
    mine.unlink()
    os.utime(folder, (time.time() + 0.5,) * 2)
    assert drop_ins.removed_at("a-b@c.service") == 0.0


def test_what_a_role_a_package_or_nobody_of_this_candidate_brings_stays(
    tmp_path: Path, bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = put(bases["etc"] / "a-b@c.service.d" / "wardnet.conf")
    theirs = put(bases["etc"] / "a-b@c.service.d" / "package.conf")
    put(bases["etc"] / "elsewhere.service.d" / "mine.conf")
    (tmp_path / "some.list").write_text(f"/.\n{theirs}\n")
    monkeypatch.setattr(packages, "LISTS", tmp_path)
    assert removed(tmp_path, files=[{"path": str(ours), "content": "[Service]\n"}]) == []
    masked = [{"name": "elsewhere.service", "state": "masked"}]
    assert removed(tmp_path, files=[{"path": str(ours), "content": "[Service]\n"}], units=masked) == []


def test_units_that_only_files_tell_of_are_held_too(tmp_path: Path, bases: dict[str, Path]) -> None:
    files = [
        {"path": str(bases["etc"] / "x.service.d" / "wardnet.conf"), "content": ""},
        {"path": str(bases["etc"] / "y.timer"), "content": ""},
    ]
    found = [put(bases["run"] / f"{name}.d" / "mine.conf") for name in ("x.service", "y.timer")]
    assert removed(tmp_path, units=[], files=files) == sorted(map(str, found))


def test_a_commit_takes_them_away_and_is_then_content(tmp_path: Path, bases: dict[str, Path]) -> None:
    path = put(bases["etc"] / "x.service.d" / "mine.conf")
    step = {"role": "r", "part": "files", "files": [{"path": str(bases["etc"] / "x.service"), "content": "x"}]}
    host = make_host(tmp_path)
    assert str(path) in commit(host, step)["changed_paths"]
    assert not path.exists()
    assert not commit(host, step)["changed"]


def test_when_a_drop_in_went_is_seen_by_its_folder(tmp_path: Path, bases: dict[str, Path]) -> None:
    folder = put(bases["etc"] / "a-.service.d" / "ours.conf").parent
    assert drop_ins.removed_at("a-b.service") == 0.0, "whoever wrote it knows what the unit needs"
    later = time.time() - 1000
    os.utime(folder, (later, later))
    assert drop_ins.removed_at("a-b.service") == 0.0, "it came after that"
    (folder / "ours.conf").unlink()
    os.utime(folder, (later, later))
    assert drop_ins.removed_at("a-b.service") == pytest.approx(later)
    assert drop_ins.removed_at("b.service") == 0.0
    os.utime(folder, (time.time() + 1000,) * 2)
    assert drop_ins.removed_at("a-b.service") == 0.0, "a clock that was set right since"


def shown(started: float, **more: str) -> dict[str, str]:
    """As of a service that runs, since then by the steady clock."""
    since = str(int(started * 1e6))
    return {"ActiveState": "active", "UnitFileState": "enabled", "MainPID": "7",
            "ActiveEnterTimestampMonotonic": since, **more}  # fmt: skip


def test_a_process_that_was_started_by_what_is_gone_is_found(tmp_path: Path) -> None:
    there, now = put(tmp_path / "there.conf"), time.monotonic()
    gone = f"{there} {tmp_path}/gone.conf"
    assert lost.runs_otherwise(shown(now, DropInPaths=gone), 0.0)
    assert not lost.runs_otherwise(shown(now, DropInPaths=str(there)), 0.0)
    assert not lost.is_running(shown(now, MainPID="0"))
    assert not lost.is_running({})
    # Whoever had systemd read its files again has it forget them.
    assert lost.runs_otherwise(shown(now - 100), time.time() - 50)
    assert not lost.runs_otherwise(shown(now - 100), time.time() - 150)


class Served(plugins_engine.Plain):
    def services(self) -> tuple[str, ...]:
        return ("x.service",)


class Systemd(plugins_engine.FakeSystemd):
    """With one service, x.service."""

    started = 1.0

    def attempt(self, argv: Any, stdin: Any = None) -> tuple[int, str, str]:
        if argv[1] == "show":
            said = [shown(self.started) if name == "x.service" else {} for name in argv[argv.index("--") + 1 :]]
            return 0, "\n\n".join("\n".join(f"{k}={v}" for k, v in one.items()) or "Id=" for one in said), ""
        if argv[0] == units.SYSTEMCTL and argv[1] in ("restart", "daemon-reload"):
            with (self.state.parent / "verbs").open("a") as stream:
                stream.write(f"{' '.join(argv[1:])}\n")
            self.started = time.monotonic() if argv[1] == "restart" else self.started
            return 0, "", ""
        answer: tuple[int, str, str] = super().attempt(argv, stdin)
        return answer


def host_with_a_service(tmp_path: Path) -> Systemd:
    make_host(tmp_path)
    survey.PARTS = (Served,)
    return Systemd(**{name: tmp_path / name for name in ("state", "library", "units", "lock")}, settle=1.0)


def test_a_service_of_a_part_starts_again_within_the_change_when_it_loses_a_drop_in(
    tmp_path: Path, bases: dict[str, Path]
) -> None:
    """Though nothing else differs; and it is the host that brings it back if nobody confirms."""
    put(bases["etc"] / "x.service.d" / "mine.conf")
    host, step = host_with_a_service(tmp_path), plugins_engine.step(tmp_path, wanted="old")
    result = commit(host, step)
    assert result["armed"]
    assert result["parts"]["shaping"]["needs"] == ["restart x.service"]
    assert (tmp_path / "verbs").read_text().splitlines() == ["daemon-reload", "restart -- x.service"]
    entries = json.loads((host.state / "undo" / "armed.json").read_text())["entries"]
    ran = [" ".join(entry["argv"]) for entry in entries if entry["kind"] == "command"]
    assert ran[:2] == ["/usr/bin/systemctl daemon-reload", "/usr/bin/systemctl try-restart -- x.service"]
    confirm(host, result["token"], step)
    assert not commit(host, step)["changed"]
    assert (tmp_path / "verbs").read_text().count("restart") == 1


def test_a_service_that_runs_with_what_went_long_ago_starts_again(tmp_path: Path, bases: dict[str, Path]) -> None:
    put(bases["run"] / "x.service.d" / "mine.conf").unlink()
    host, step = host_with_a_service(tmp_path), plugins_engine.step(tmp_path, wanted="old")
    result = commit(host, step)
    assert result["parts"]["shaping"]["needs"] == ["restart x.service"]
    assert "try-restart" not in (host.state / "undo" / "armed.json").read_text(), "what it ran with is not known"
    confirm(host, result["token"], step)
    assert not commit(host, step)["changed"]


def test_other_services_start_again_after_it(tmp_path: Path, bases: dict[str, Path]) -> None:
    put(bases["run"] / "x.service.d" / "mine.conf").unlink()
    host = host_with_a_service(tmp_path)
    step = {"role": "r", "part": "files", "units": [{"name": "x.service"}]}
    result = commit(host, step)
    assert (result["armed"], result["actions"]) == (False, ["restart x.service"])
    assert not commit(host, step)["changed"]
