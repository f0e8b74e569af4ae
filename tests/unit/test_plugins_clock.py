"""A clock that boots behind the last time it was seen is set forward; the machine's own is never touched here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.plugins_support import ROOT

SCRIPT = ROOT / "roles/kept_clock/templates/usr/local/lib/wardnet/clock.j2"

# Stands in for date and logger: says what time it is, and writes down what it is told.
FAKE = """#!/bin/sh
case "$1" in
  +%s) echo "$NOW" ;;
  *) echo "$(basename "$0") $*" >> "$SAID" ;;
esac
"""


def run(folder: Path, verb: str, now: int) -> str:
    """What the script told date and logger."""
    said = folder / "said"
    said.write_text("")
    done = subprocess.run(
        ["sh", str(SCRIPT), verb], env=fakes(folder, now), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return said.read_text()


def fakes(folder: Path, now: int) -> dict[str, str]:
    """The environment in which date and logger are stand-ins."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("date", "logger"):
        (tools / name).write_text(FAKE)
        (tools / name).chmod(0o755)
    state = str(folder / "state" / "clock")
    return {"PATH": f"{tools}:/usr/bin:/bin", "NOW": str(now), "SAID": str(folder / "said"), "WARDNET_CLOCK": state}


def test_a_clock_that_is_behind_is_set_forward_and_says_so(tmp_path: Path) -> None:
    run(tmp_path, "keep", 1_800_000_000)
    said = run(tmp_path, "restore", 1_000_000_000)
    assert "date --set=@1800000000" in said
    assert "800000000 s behind" in said


def test_a_clock_that_is_ahead_is_left_alone(tmp_path: Path) -> None:
    run(tmp_path, "keep", 1_800_000_000)
    assert run(tmp_path, "restore", 1_800_000_001) == ""


@pytest.mark.parametrize("kept", [None, "", "nonsense", "-5"])
def test_without_a_memory_nothing_is_set(tmp_path: Path, kept: str | None) -> None:
    if kept is not None:
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "clock").write_text(kept)
    assert run(tmp_path, "restore", 1_000_000_000) == ""


def test_the_last_time_counts_and_not_the_highest(tmp_path: Path) -> None:
    """A clock that once ran far ahead must not be set there for ever."""
    run(tmp_path, "keep", 4_000_000_000)
    run(tmp_path, "keep", 1_800_000_000)
    assert run(tmp_path, "restore", 1_800_000_001) == ""


def test_many_may_write_it_down_at_once(tmp_path: Path) -> None:
    """The timer and the shutdown do."""
    environment = fakes(tmp_path, 1_800_000_000)
    keeps = [subprocess.Popen(["sh", str(SCRIPT), "keep"], env=environment) for _ in range(24)]
    assert [keep.wait(timeout=120) for keep in keeps] == [0] * len(keeps)
    assert (tmp_path / "state" / "clock").read_text() == "1800000000\n"
