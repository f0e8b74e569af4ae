"""Files by which somebody changes a unit without touching it: which of them a candidate takes away, and which stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_engine import commit, make_host, survey
from tests.unit.plugins_support import load

drop_ins, packages, units = (load("module_utils", f"wardnet_{name}") for name in ("drop_ins", "packages", "units"))


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


def test_a_file_in_front_of_the_packages_goes_and_a_link_stays(tmp_path: Path, bases: dict[str, Path]) -> None:
    path = put(bases["etc"] / "a-b@c.service")
    (bases["run"] / "a-b@c.service").symlink_to("/dev/null")
    assert removed(tmp_path) == [str(path)]


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


def test_a_process_that_was_started_by_what_is_gone_starts_again(tmp_path: Path) -> None:
    there = put(tmp_path / "there.conf")
    shown = {
        "a": {"MainPID": "7", "DropInPaths": f"{there} {tmp_path}/gone.conf"},
        "b": {"MainPID": "7", "DropInPaths": str(there)},
        "c": {"MainPID": "0", "DropInPaths": f"{tmp_path}/gone.conf"},
        "d": {},
    }
    assert units.with_lost_drop_ins("abcd", shown) == [("restart", "a")]
