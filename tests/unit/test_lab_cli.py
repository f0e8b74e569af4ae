"""The command line says what is wrong in words, with its status, and never with a traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import build, cli, preflight, teardown
from lab.errors import LabError
from lab.layout import Layout

CHECKOUT = Path(__file__).parents[2]


def lab(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "200", **environment}
    argv = [sys.executable, "-m", "lab", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=CHECKOUT, env=env, timeout=60)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("bogus",), 2, "No such command"),
        (("up", "--wards", "-1"), 2, "greater than or equal to 0"),
        (("up", "--nope"), 2, "No such option"),
        (("break", "slow-line"), 2, "Missing option"),
        (("up", "--name", "No Name"), 1, "is no name for a lab"),
        (("status", "--name", "nobody-has-this"), 1, "is not up: `python -m lab up --wards 1` boots it"),
        (("heal", "--name", "nobody-has-this"), 1, "is not up"),
        (("run", "--name", "nobody-has-this", "host", "--", "true"), 1, "no host host in the lab nobody-has-this"),
        (("shell", "--name", "nobody-has-this", "host"), 1, "host host does not run in the lab nobody-has-this"),
        (("run", "host"), 2, "usage: python -m lab run"),
    ],
)
def test_mistakes_are_told_in_words(words: tuple[str, ...], status: int, message: str) -> None:
    if os.geteuid() != 0 and words[0] in ("run", "shell", "heal"):
        status, message = (1, "not root") if words[0] != "heal" else (1, "")
    done = lab(*words)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_command() -> None:
    done = lab("--help")
    assert done.returncode == 0
    for command in ("up", "down", "status", "run", "shell", "break", "heal", "publish", "preflight"):
        assert f" {command} " in done.stdout


def test_the_name_can_come_from_the_environment() -> None:
    assert "the lab from-the-environment is not up" in lab("status", WARDNET_LAB="from-the-environment").stderr


def run_cli(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["lab", *words])
    try:
        return cli.run_cli()
    except SystemExit as done:
        return int(done.code or 0)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Root's rights and a folder of state, as far as these tests need them."""
    monkeypatch.setattr(preflight, "not_root", lambda: False)
    monkeypatch.setattr(cli, "STATE_ROOT", tmp_path)
    monkeypatch.setattr("lab.layout.STATE_ROOT", tmp_path)


@pytest.mark.usefixtures("elsewhere")
def test_a_full_disk_in_the_midst_of_it_is_told_with_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/var/lib/wardnet-lab/x/hosts/y")

    monkeypatch.setattr(build, "up", full)
    assert run_cli(["up", "--name", "x"], monkeypatch) == 1
    assert capsys.readouterr().err == "lab: No space left on device: /var/lib/wardnet-lab/x/hosts/y\n"


def test_whatever_fails_in_the_midst_takes_down_what_was_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bug, an interrupt and a full disk alike."""
    taken: list[str] = []
    inventory = CHECKOUT / "inventory" / "tay-ho"
    monkeypatch.setattr(preflight, "require", lambda *_: None)
    monkeypatch.setattr(build, "_running", lambda *_: None)
    monkeypatch.setattr(teardown, "take_down", lambda layout, _say: taken.append(layout.name))
    for failure in (KeyboardInterrupt(), OSError(errno.ENOSPC, "full"), LabError("no"), SystemExit(143)):

        def fail(*_arguments: object, failure: BaseException = failure) -> None:
            raise failure

        monkeypatch.setattr(build, "_make", fail)
        with pytest.raises(type(failure)):
            build.up(Layout("x"), inventory, 0, 19090, build.Progress())
    assert taken == ["x"] * 4
