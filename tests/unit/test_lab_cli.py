"""The command line says what is wrong in words, with its status, and never with a traceback."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from datetime import date
from io import StringIO
from pathlib import Path
from typing import IO

import pytest
from rich.console import Console

from lab import build, cli, handover, preflight, status, teardown
from lab.errors import LabError
from lab.layout import Layout
from lab.record import UP, CircuitRecord, HostRecord, Record, write_record

pytestmark = pytest.mark.long

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
        (("status", "--name", "nobody-has-this"), 1, "is not up: `.venv/bin/python -m lab up --wards 1` boots it"),
        (("heal", "--name", "nobody-has-this"), 1, "is not up"),
        (("run", "--name", "nobody-has-this", "host", "--", "true"), 1, "no host host in the lab nobody-has-this"),
        (("shell", "--name", "nobody-has-this", "host"), 1, "host host does not run in the lab nobody-has-this"),
        (("run", "host"), 2, "usage: .venv/bin/python -m lab run"),
    ],
)
def test_mistakes_are_told_in_words(words: tuple[str, ...], status: int, message: str) -> None:
    if os.geteuid() != 0 and status == 1 and "No Name" not in words:
        message = "not root"
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
    said = lab("status", WARDNET_LAB="from-the-environment").stderr
    assert ("not root" if os.geteuid() else "the lab from-the-environment is not up") in said


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
    monkeypatch.setattr("lab.locking.STATE_ROOT", tmp_path)
    monkeypatch.setattr("lab.layout.STATE_ROOT", tmp_path)


@pytest.mark.parametrize(
    "words",
    [["up"], ["down"], ["down", "--all"], ["status"], ["break", "slow-line", "--ward", "x"], ["heal"],
     ["publish", "x.deb"], ["replay", "x.json"]],
    ids="-".join,
)  # fmt: skip
def test_who_is_not_root_is_told_so_before_anything_else(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    monkeypatch.setattr(preflight, "not_root", lambda: True)
    monkeypatch.setattr("lab.locking.STATE_ROOT", state)
    monkeypatch.setattr("lab.layout.STATE_ROOT", state)
    assert run_cli(words, monkeypatch) == 1
    assert capsys.readouterr().err == "lab: not root: run the same command with sudo, or in a root shell\n"
    assert not state.exists()


@pytest.mark.usefixtures("elsewhere")
def test_a_lock_goes_with_its_lab(tmp_path: Path) -> None:
    layout = Layout("x")
    with cli.locked(layout):
        assert layout.lock.exists()
        with pytest.raises(LabError, match="another command is changing"), cli.locked(layout):
            pass
        layout.state.mkdir()
    assert layout.lock.exists()
    with cli.locked(layout):
        layout.state.rmdir()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("elsewhere")
def test_a_lock_that_its_holder_removed_is_not_taken_for_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening the file and locking it, its holder ends and another command makes the lock anew."""
    layout = Layout("x")
    real, moved = fcntl.flock, []

    def late(handle: IO[str], how: int) -> None:
        real(handle, how)
        if not moved:
            moved.append(layout.lock.rename(layout.lock.with_suffix(".gone")))

    monkeypatch.setattr(fcntl, "flock", late)
    with cli.locked(layout):
        with layout.lock.open() as other, pytest.raises(BlockingIOError):
            real(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert moved


@pytest.mark.usefixtures("elsewhere")
def test_status_names_what_a_killed_command_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        teardown, "remains", lambda _layout: ["process 1", "process 2", "mount /a", "folder /var/lib/wardnet-lab/x"]
    )
    assert run_cli(["status", "--name", "x"], monkeypatch) == 1
    said = capsys.readouterr().err
    assert "is not up, but a command that was killed left of it: process x 2, mount /a, folder /var/lib/" in said


def a_record() -> Record:
    blueprint = build.read_blueprint(CHECKOUT / "inventory" / "tay-ho", 8, date(2026, 11, 24))
    topology = blueprint.topology
    hosts = (HostRecord(n.id, str(n.kind), n.ward, n.site, handover.addresses(n)) for n in topology.nodes)
    circuits = (CircuitRecord(w.id, str(w.channel), w.ward, w.near, w.far) for w in topology.wires)
    return Record(
        name="x", state=UP, made_at="2026-11-24T00:00:00+00:00", inventory=str(blueprint.inventory),
        inventory_sha256="", as_of="2026-11-24", model_sha256="", wards=topology.wards, image="", suite="bookworm",
        window=19090, hosts=tuple(hosts), circuits=tuple(circuits), not_booted=(),
    )  # fmt: skip


@pytest.mark.usefixtures("elsewhere")
def test_status_fits_a_terminal_of_80_columns() -> None:
    layout, record = Layout("x"), a_record()
    console = Console(width=80, record=True, file=StringIO())
    console.print(status.hosts_table(layout, record))
    console.print(status.circuits_table(layout, record))
    shown = console.export_text()
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    words = set(shown.split())
    for host in record.hosts:
        assert {host.id, host.addresses[0], *(host.ward or "").split()} <= words
    assert {circuit.id for circuit in record.circuits} <= words


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("words", "message"),
    [(["heal", "nosuch"], "no fault nosuch; there are slow-line, "),
     (["heal", "--ward", "nowhere"], "no ward nowhere in the lab x; it has buoi, ")],
)  # fmt: skip
def test_heal_knows_what_it_is_asked_for(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Layout("x")
    layout.state.mkdir()
    write_record(layout, a_record())
    assert run_cli([*words, "--name", "x"], monkeypatch) == 1
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("elsewhere")
def test_a_window_port_for_a_lab_that_runs_is_said_to_change_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "up", lambda *_, **_options: (a_record(), False))
    monkeypatch.setattr(cli, "out", Console(file=sys.stdout))
    assert run_cli(["up", "--name", "x", "--window-port", "19099"], monkeypatch) == 0
    assert "--window-port 19099 changes nothing" in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("elsewhere")
def test_a_full_disk_in_the_midst_of_it_is_told_with_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_arguments: object, **_options: object) -> None:
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
