"""Commands as the engine runs them on a host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.plugins_engine import FakeSystemd, commit, file, make_host, parts, step, transaction
from tests.unit.plugins_support import load

host_module = load("module_utils", "wardnet_host")


def test_a_command_says_what_it_says() -> None:
    host = host_module.Host()
    assert host.attempt(["/bin/sh", "-c", "cat; echo $LC_ALL >&2; exit 3"], "given") == (3, "given", "C\n")
    assert host.attempt(["/bin/cat"], b"\xff") == (0, "\ufffd", "")
    assert host.attempt(["/bin/cat"]) == (0, "", "")
    assert host.attempt(["/no/such"]) == (127, "", "/no/such is not installed")
    assert host.attempt(["/bin/true"], "nobody reads it" * 100_000)[0] == 0


def test_a_command_that_does_not_end_is_ended_with_all_that_it_has_started(tmp_path: Path) -> None:
    host = host_module.Host(patience=1.0)
    words = f"sleep 900 & echo $! > {tmp_path}/pid; wait"
    code, out, err = host.attempt(["/bin/sh", "-c", words])
    assert (code, out) == (124, "")
    assert err.endswith("had not ended after 1 s, and was ended")
    with pytest.raises(host_module.CommandError, match="had not ended after 1 s"):
        host.run(["/bin/sleep", "900"])
    stat = Path("/proc") / (tmp_path / "pid").read_text().strip() / "stat"
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_what_hangs_before_anything_is_touched_is_said_and_the_host_is_free_again(tmp_path: Path) -> None:
    host: FakeSystemd = make_host(tmp_path)
    host.patience = 1.0
    hanging = step(tmp_path, files=[file(tmp_path / "x", "x")], validate=[["/bin/sleep", "900"]])
    with (
        pytest.raises(parts.RefusedError, match=r"sleep refuses it, nothing was touched: .* had not ended after 1 s"),
        transaction.locked(host, "anh", "run-1"),
    ):
        commit(host, hanging)
    assert not os.path.lexists(tmp_path / "x")
    assert transaction.Transaction(host).holder() is None
