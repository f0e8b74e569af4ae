"""The end of a change: what is told of a former one, who may confirm what, and runs that die while they confirm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.plugins_engine import (
    FakeSystemd,
    commit,
    confirm,
    engine,
    file,
    make_host,
    parts,
    step,
    survey,
    transaction,
    undo,
)


@pytest.fixture
def host(tmp_path: Path) -> FakeSystemd:
    (tmp_path / "etc").mkdir()
    return make_host(tmp_path)


def running(tmp_path: Path) -> str:
    return (tmp_path / "running-shaping").read_text()


def test_a_run_that_fails_leaves_the_former_rollback_to_be_told(tmp_path: Path, host: FakeSystemd) -> None:
    commit(host, step(tmp_path))
    undo.main(["timer", "nobody confirmed", str(host.state)])
    transaction.Transaction(host).disarm()
    with pytest.raises(parts.RefusedError, match="is full"):
        commit(host, step(tmp_path), min_free=1 << 40)
    assert commit(host, step(tmp_path))["last_rollback"]["why"] == "nobody confirmed"
    host.check_mode = True
    assert "last_rollback" not in commit(host, step(tmp_path))


def test_a_rollback_that_comes_while_another_is_told_is_not_taken_for_it(tmp_path: Path, host: FakeSystemd) -> None:
    commit(host, step(tmp_path))
    undo.main(["timer", "the first", str(host.state)])
    transaction.Transaction(host).disarm()
    told = transaction.last_rollback(host)
    commit(host, step(tmp_path))
    undo.main(["timer", "the second", str(host.state)])
    transaction.mark_told(host, told)
    assert transaction.last_rollback(host)["why"] == "the second"


@pytest.mark.parametrize("at", ["remembered", "remember"])
def test_a_confirming_run_that_dies_once_the_change_lasts_can_be_asked_again(
    tmp_path: Path, host: FakeSystemd, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    path = tmp_path / "etc" / "x"
    steps = [step(tmp_path), {"role": "b_role", "part": "files", "files": [file(path, "x")]}]
    token = commit(host, *steps)["token"]

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(survey.Survey if at == "remember" else transaction.Transaction, at, die)
        with pytest.raises(KeyboardInterrupt):
            confirm(host, token, *steps)
    undo.main(["boot", "", str(host.state)])
    assert (running(tmp_path), path.exists()) == ("new", False)
    assert confirm(host, token, *steps)["confirmed"]
    assert (running(tmp_path), path.exists()) == ("new", True)
    assert not commit(host, *steps)["changed"]
    again = step(tmp_path, wanted="newer")
    confirm(host, commit(host, again)["token"], again)
    assert list((host.state / "undo").iterdir()) == []


def test_no_other_candidate_is_confirmed_than_the_one_that_was_made(tmp_path: Path, host: FakeSystemd) -> None:
    path = tmp_path / "etc" / "x"
    token = commit(host, step(tmp_path))["token"]
    for other in (step(tmp_path, files=[file(path, "x")]), step(tmp_path, wanted="newer")):
        with pytest.raises(parts.RefusedError, match="another candidate"):
            confirm(host, token, other)
    assert not path.exists()
    assert host.timers() == ["wardnet-rollback-confirm"], "it goes back by itself"
    assert confirm(host, token, step(tmp_path))["confirmed"]


def test_who_was_silent_before_a_change_is_named_and_not_demanded(
    tmp_path: Path, host: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.probe, "ask", lambda asked: frozenset(q for q in asked if q.address == "192.0.2.1"))
    probes = ({"port": "wan0", "channel": "internet", "targets": ["192.0.2.1", "192.0.2.2"]},)
    assert commit(host, step(tmp_path), probes=probes)["armed"]
    (said,) = host.warnings
    assert said.endswith("was not demanded: 192.0.2.2 over internet at wan0")


def test_what_is_refused_after_packages_says_that_they_are_there(
    tmp_path: Path, host: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.packages, "read_due", lambda *_: ["thing"])
    monkeypatch.setattr(engine.packages, "install", lambda *_: None)
    path = tmp_path / "etc" / "x"
    validate = [["/bin/false"]]
    wrong = {"role": "b_role", "part": "files", "files": [file(path, "x")], "packages": ["thing"], "validate": validate}
    with pytest.raises(parts.RefusedError, match=r"nothing was touched but packages \(thing\): "):
        commit(host, wrong)
    early = {"role": "a_role", "part": "files", "files": [file(tmp_path / "etc" / "key", "k")], "early": True}
    with pytest.raises(parts.RefusedError, match=r"touched but packages \(thing and the files before them\): "):
        commit(host, early, wrong)
    assert not path.exists()
