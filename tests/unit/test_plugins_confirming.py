"""The end of a change: what is told of a former one, who may confirm what, and runs that die while they confirm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.plugins_engine import (
    FakeSystemd,
    commit,
    make_host,
    parts,
    step,
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
