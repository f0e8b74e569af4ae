"""Commands after files: what fails or is cut off is still owed, told, and done by the next run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_engine import FakeSystemd, commit, confirm, engine, file, make_host, parts, step, undo


@pytest.fixture
def host(tmp_path: Path) -> FakeSystemd:
    (tmp_path / "etc").mkdir()
    return make_host(tmp_path)


def test_a_command_that_fails_keeps_no_other_from_running_and_is_run_again(tmp_path: Path, host: FakeSystemd) -> None:
    fails, tidied = tmp_path / "fails", tmp_path / "tidied"
    fails.touch()
    trial = {"tag": "ca", "command": ["/bin/sh", "-c", f"! test -e {fails}"]}
    wrong = {"tag": "ca", "command": ["/bin/sh", "-c", f"! test -e {fails} # another"]}
    tidy = {"tag": "zones", "command": ["/bin/sh", "-c", f"echo once >> {tidied}"]}
    steps = [
        {"role": "a", "part": "files", "files": [file(tmp_path / "etc/ca", "c", tag="ca")], "after": [trial, wrong]},
        {"role": "b", "part": "files", "files": [file(tmp_path / "etc/z", "z", tag="zones")], "after": [tidy]},
    ]
    with pytest.raises(parts.PartError, match=r"status 1; .*# another.*status 1"):
        commit(host, *steps)
    assert tidied.read_text() == "once\n"
    host.check_mode = True
    check = commit(host, *steps)
    assert (check["changed"], len(check["actions"]), check["changed_paths"]) == (True, 2, [])
    assert check["parts"]["files"]["needs"] == check["actions"]
    assert "did not end well before: /bin/sh -c ! test -e" in check["diff"][0]["after"]
    host.check_mode = False
    with pytest.raises(parts.PartError, match="status 1"):
        commit(host, *steps)
    fails.unlink()
    again = commit(host, *steps)
    assert (again["changed"], len(again["actions"])) == (True, 2)
    assert tidied.read_text() == "once\n"
    assert not commit(host, *steps)["changed"]
    assert not (host.state / "after.json").exists()


def test_units_come_all_the_same_and_both_are_told(
    tmp_path: Path, host: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise parts.PartError("x.service does not stay active", journal=["why"])

    monkeypatch.setattr(engine.units, "carry_out", fail)
    after = [{"tag": "t", "command": ["/bin/false"]}]
    one = {"role": "a", "part": "files", "files": [file(tmp_path / "etc/x", "x", tag="t")], "after": after}
    with pytest.raises(parts.PartError, match=r"/bin/false: status 1; x\.service does not stay active") as caught:
        commit(host, one)
    assert caught.value.facts == {"journal": ["why"]}


def test_a_run_that_dies_after_its_files_leaves_the_commands_to_the_next(
    tmp_path: Path, host: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    after = [{"tag": "t", "command": ["/usr/bin/touch", str(said)]}]
    one = {"role": "a", "part": "files", "files": [file(tmp_path / "etc/x", "x", tag="t")], "after": after}

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(host, "run", die)
        with pytest.raises(KeyboardInterrupt):
            commit(host, one)
    assert (tmp_path / "etc/x").exists()
    assert commit(host, one)["actions"] == [f"/usr/bin/touch {said}"]
    assert said.exists()


@pytest.mark.parametrize("asked_again", [True, False])
def test_a_confirming_run_that_dies_leaves_them_to_whoever_comes_next(
    tmp_path: Path, host: FakeSystemd, monkeypatch: pytest.MonkeyPatch, asked_again: bool
) -> None:
    said = tmp_path / "said"
    after = [{"tag": "t", "command": ["/usr/bin/touch", str(said)]}]
    one = step(tmp_path, files=[file(tmp_path / "etc/x", "x", tag="t")], after=after)
    token = commit(host, one)["token"]

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine, "finish", die)
        with pytest.raises(KeyboardInterrupt):
            confirm(host, token, one)
    done = confirm(host, token, one) if asked_again else commit(host, one)
    assert done["actions"] == [f"/usr/bin/touch {said}"]
    assert said.exists()
    assert not commit(host, one)["changed"]


def test_what_is_taken_back_leaves_nothing_owed(tmp_path: Path, host: FakeSystemd) -> None:
    after = [{"tag": "t", "command": ["/bin/false"]}]
    commit(host, step(tmp_path, files=[file(tmp_path / "etc/x", "x", tag="t")], after=after))
    undo.main(["boot", "", str(host.state)])
    assert not (host.state / "after.json").exists()


@pytest.mark.parametrize("partial", [True, False])
def test_what_nobody_wants_any_more_is_forgotten_but_by_a_part_of_the_roles(
    tmp_path: Path, host: FakeSystemd, partial: bool
) -> None:
    def one(role: str, *command: str) -> dict[str, Any]:
        files = [file(tmp_path / "etc" / role, "x", tag="t")]
        return {"role": role, "part": "files", "files": files, "after": [{"tag": "t", "command": [*command]}]}

    with pytest.raises(parts.PartError):
        commit(host, one("a", "/bin/false"))
    commit(host, one("b", "/bin/true"), partial=partial)
    assert commit(host, one("a", "/bin/true"))["changed"] is partial
