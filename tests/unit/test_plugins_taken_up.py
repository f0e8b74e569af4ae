"""The way back of where SSH is to be had: the server listens where it did, and whoever did so for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_sshd import EVERYWHERE, MAIN, OWN, Machine, at, heard, made, play
from tests.unit.plugins_support import load

parts = load("module_utils", "wardnet_part")
taken_up = load("module_utils", "wardnet_taken_up")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return play(tmp_path, monkeypatch)


def back(part: Any) -> dict[str, Any]:
    (command,) = [entry for entry in part.undo() if isinstance(entry, parts.UndoCommand)]
    assert command.argv[-1].endswith("/library/taken_up.py")
    given: dict[str, Any] = json.loads(command.stdin)
    return {**given, "listened": [*map(tuple, given["listened"])]}


@pytest.fixture
def server(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """As taken_up.py asks it: by running programs."""

    def run(argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if argv[0] == taken_up.SSHD:
            assert taken_up.SEPARATION.is_dir()
            return subprocess.CompletedProcess(argv, machine.refused, "", "of a wrong line" * bool(machine.refused))
        if "--property=MainPID" in argv:
            return subprocess.CompletedProcess(argv, 0, f"{MAIN if MAIN in machine._sockets else 0}\n", "")
        if taken_up.SOCKET in argv:
            machine.of_socket(argv[1])
        else:
            machine.systemctl(argv[1])
            if argv[1] == "stop":
                machine.end(MAIN)
        return subprocess.CompletedProcess(argv, 0, "", "")

    machine.refused = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(taken_up.subprocess, "run", run)
    return machine


def go(given: dict[str, Any]) -> str:
    said: str = taken_up.reload(
        given["services"], given["files"], given["listened"], given["ran"], bool(given["by_socket"])
    )
    return said


def test_the_way_back_has_the_server_where_it_was(server: Machine) -> None:
    former = ("127.0.0.1", "::1", "10.30.1.77", "fd20:30:1::77")
    server.listen(MAIN, *former)
    given = back(made(server, *OWN))
    assert {*given["listened"]} == at(*former)
    server.listen(MAIN, *OWN)  # the change
    server.config.write_text(" ".join(former))
    assert go(given) == ""
    assert server.asked == ["try-reload-or-restart"]
    assert heard() == at(*former)


def test_the_way_back_starts_a_server_that_reading_does_not_bring_back(server: Machine) -> None:
    server.listen(200, *EVERYWHERE)  # somebody's own, which the change has ended
    given = back(made(server, *OWN))
    server.end(200)
    server.config.write_text(" ".join(EVERYWHERE))
    assert go(given) == ""
    assert server.asked == ["try-reload-or-restart", "restart"]
    assert heard() == at(*EVERYWHERE)


def test_the_way_back_starts_a_server_again_that_the_change_has_started_again(server: Machine) -> None:
    """It was told on its start where to listen, at a port of its own; to read its files changes nothing in that."""
    server.listen(MAIN, *EVERYWHERE, port=2222)
    given = back(made(server, *OWN))
    assert {*given["listened"]} == at(*EVERYWHERE, port=2222)
    server.systemctl("restart")  # the change, with a drop-in that says nothing of it

    def started(verb: str, ask: Any = server.systemctl) -> None:
        ask(verb)
        if verb == "restart":
            server.listen(MAIN, *EVERYWHERE, port=2222)

    server.systemctl = started  # type: ignore[method-assign]
    server.asked.clear()
    assert go(given) == ""
    assert server.asked == ["restart"]
    assert heard() == at(*EVERYWHERE, port=2222)


@pytest.mark.parametrize("refused", [0, 255])
def test_the_way_back_starts_a_server_that_the_change_has_ended(server: Machine, refused: int) -> None:
    """Whatever sshd says of its files: there is nothing to lose."""
    server.listen(MAIN, *EVERYWHERE)
    given = back(made(server, *OWN))
    server.end(MAIN)
    server.config.write_text(" ".join(EVERYWHERE))
    server.refused = refused  # type: ignore[attr-defined]
    assert go(given) == ""
    assert server.asked == ["restart"]
    assert heard() == at(*EVERYWHERE)
    if not refused:
        assert go(given) == "", "a second time, too"


def test_the_way_back_has_systemd_listen_again(server: Machine) -> None:
    server.by_socket = "active"
    server.listen(MAIN, *EVERYWHERE)
    part = made(server, *OWN)
    links = {path: part.host.units / path for path in ("sockets.target.wants/ssh.socket", "sshd.service")}
    (links["sockets.target.wants/ssh.socket"]).parent.mkdir(parents=True)
    links["sockets.target.wants/ssh.socket"].symlink_to("/lib/systemd/system/ssh.socket")
    kept = {entry.path: entry.link for entry in part.undo() if isinstance(entry, parts.UndoFile)}
    assert kept[str(links["sockets.target.wants/ssh.socket"])] == "/lib/systemd/system/ssh.socket"
    assert kept[str(links["sshd.service"])] is None, "made by the change, so it goes"
    commands = [entry for entry in part.undo() if isinstance(entry, parts.UndoCommand)]
    assert [(entry.when, entry.argv[1:]) for entry in commands[:-1]] == [
        ("boot", ("start", "--no-block", "ssh.socket"))
    ]
    given = json.loads(commands[-1].stdin)
    part.apply()
    server.asked.clear()
    server.config.write_text("10.9.9.9")
    assert go({**given, "listened": [*map(tuple, given["listened"])]}) == ""
    assert server.asked == ["stop", "start ssh.socket", "restart"]
    assert heard() == at(*EVERYWHERE)


def test_the_way_back_stops_no_server_that_would_not_start_again(server: Machine) -> None:
    server.listen(MAIN, *OWN)
    server.stubborn = {"try-reload-or-restart"}
    server.refused = 255  # type: ignore[attr-defined]
    said = taken_up.reload(["ssh.service"], {}, [("0.0.0.0", 22)])
    assert said == "ssh.service would not start again: of a wrong line; SSH at 0.0.0.0 port 22 is not back"
    assert server.asked == ["try-reload-or-restart"]
    assert heard() == at(*OWN)


def test_the_program_takes_what_it_is_given_on_its_input(tmp_path: Path) -> None:
    """As the host runs it: with Python alone, nothing of wardnet."""
    script = Path(taken_up.__file__).read_text().replace("/usr/bin/systemctl", "/bin/true").replace(
        "/usr/sbin/sshd", "/bin/false"
    )  # fmt: skip
    (tmp_path / "taken_up.py").write_text(script.replace("PATIENCE = 25.0", "PATIENCE = 0.2"))
    given = json.dumps({"services": ["ssh.service"], "files": {}, "listened": [["192.0.2.99", 22]]})
    argv = [sys.executable, "-I", str(tmp_path / "taken_up.py")]
    done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 1
    assert "SSH at 192.0.2.99 port 22 is not back" in done.stderr
