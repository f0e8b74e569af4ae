"""Where SSH is to be had, as the kernel's sockets tell: what differs is told and brought about."""

from __future__ import annotations

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


def test_the_kernels_own_sockets_are_read() -> None:
    """Those of a process that calls itself as OpenSSH's does, at whatever port, and of nobody else."""
    script = (
        "import ctypes, socket, sys\n"
        "ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)\n"
        "one = socket.create_server(('127.0.0.1', 0))\n"
        "other = socket.create_server(('127.0.0.7', 0))\n"
        "print(one.getsockname()[1], other.getsockname()[1], flush=True); sys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", script]
    with (
        subprocess.Popen([*argv, "sshd"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server,
        subprocess.Popen([*argv, "other"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
    ):
        assert server.stdout is not None
        assert other.stdout is not None
        one, two = map(int, server.stdout.readline().split())
        foreign = int(other.stdout.readline().split()[0])
        found = {each.key: each.holders for each in taken_up.listening()}
        server.communicate(b"")
        other.communicate(b"")
    assert found[("127.0.0.1", one)] == found[("127.0.0.7", two)] == {server.pid}
    assert ("127.0.0.1", foreign) not in found


def test_a_server_where_it_shall_be_is_no_difference(machine: Machine) -> None:
    machine.listen(MAIN, *OWN)
    part = made(machine, *OWN)
    assert not part.difference()
    part.apply()
    assert machine.asked == []


def test_addresses_are_compared_not_their_spelling(machine: Machine) -> None:
    machine.listen(MAIN, "127.0.0.1", "fd20:30:1::1")
    assert not made(machine, "127.0.0.1", "fd20:0030:1:0:0:0:0:1").difference()


def test_who_is_given_no_addresses_listens_as_it_likes(machine: Machine) -> None:
    machine.listen(MAIN, *EVERYWHERE)
    part = made(machine)
    assert not part.difference()
    assert part.services() == ()


def test_a_server_that_listens_everywhere_is_told_and_reads_its_files(machine: Machine) -> None:
    machine.listen(MAIN, *EVERYWHERE)
    part = made(machine, *OWN)
    difference = part.difference()
    assert difference.foreign == ("SSH at 0.0.0.0 port 22", "SSH at :: port 22")
    assert sorted(difference.missing) == sorted(f"SSH at {address} port 22" for address in OWN)
    part.judge(machine.folder)
    part.apply()
    part.verify()
    assert machine.asked == ["try-reload-or-restart"]
    assert heard() == at(*OWN)


def test_what_the_server_was_told_on_its_start_goes_with_a_start(machine: Machine) -> None:
    machine.told = " ".join(EVERYWHERE)
    machine.listen(MAIN, *EVERYWHERE)
    part = made(machine, *OWN)
    part.apply()
    assert machine.asked == ["try-reload-or-restart", "restart"]
    assert heard() == at(*OWN)


def test_a_server_by_hand_ends_and_the_service_has_its_place(machine: Machine) -> None:
    machine.listen(200, *EVERYWHERE)
    part = made(machine, *OWN)
    part.judge(machine.folder)
    part.apply()
    assert machine.asked == ["end 200", "restart"]
    assert heard() == at(*OWN)


def test_a_server_by_hand_at_another_port_ends(machine: Machine) -> None:
    machine.listen(MAIN, *OWN)
    machine.listen(200, "198.51.100.2", port=2222)
    part = made(machine, *OWN)
    assert part.difference().foreign == ("SSH at 198.51.100.2 port 2222",)
    part.apply()
    assert "end 200" in machine.asked
    assert f"end {MAIN}" not in machine.asked
    assert heard() == at(*OWN)


def test_what_a_session_has_on_the_loopback_is_its_own(machine: Machine) -> None:
    machine.listen(MAIN, *OWN)
    machine.listen(200, "127.0.0.1", "::1", port=6010)
    assert not made(machine, *OWN).difference()


@pytest.mark.parametrize("state", ["active", "inactive"])
def test_a_socket_of_systemds_ends_before_the_server_is_handed_it_again(machine: Machine, state: str) -> None:
    """The server that the manager has come in by holds systemd's own. It may be a condition of the service."""
    machine.by_socket = state
    machine.listen(MAIN, *(EVERYWHERE if state == "active" else OWN))
    part = made(machine, *OWN)
    assert "ssh.socket, by which systemd listens" in part.difference().foreign
    part.judge(machine.folder)
    part.apply()
    assert machine.asked == ["enable", "disable ssh.socket", "stop ssh.socket", "restart"]
    assert heard() == at(*OWN)


def test_a_socket_of_systemds_without_a_server_ends(machine: Machine) -> None:
    machine.by_socket = "active"
    machine.listen(1, "::", name="systemd")

    def stopped(verb: str, ask: Any = machine.of_socket) -> None:
        ask(verb)
        if verb == "stop":
            machine.end(1)

    machine.of_socket = stopped  # type: ignore[method-assign]
    made(machine, *OWN).apply()
    assert machine.asked[-2:] == ["stop ssh.socket", "restart"]
    assert heard() == at(*OWN)


def test_a_socket_of_systemds_that_is_off_is_no_difference(machine: Machine) -> None:
    machine.listen(MAIN, *OWN)
    part = made(machine, *OWN)
    part.host.shown[taken_up.SOCKET] = {"ActiveState": "inactive", "UnitFileState": "disabled"}
    assert not part.difference()


def test_a_server_that_does_not_run_is_started(machine: Machine) -> None:
    """With it went the folder that sshd wants before it tries its files."""
    part = made(machine, *OWN)
    part.judge(machine.folder)
    part.apply()
    assert machine.asked == ["restart"]
    assert heard() == at(*OWN)
    assert taken_up.SEPARATION.stat().st_mode & 0o777 == 0o755


def test_nobody_is_ended_where_the_service_would_not_start(machine: Machine) -> None:
    machine.listen(200, *EVERYWHERE)
    part = made(machine, *OWN, units="masked")
    with pytest.raises(
        parts.RefusedError, match=r"not served by ssh\.service here, which is masked: nothing was touched"
    ):
        part.judge(machine.folder)
    assert machine.asked == []


def test_more_addresses_than_sshd_takes_are_refused(machine: Machine) -> None:
    machine.listen(MAIN, *OWN)
    many = [f"10.30.1.{number}" for number in range(1, 18)]
    made(machine, *many[:16]).judge(machine.folder)
    with pytest.raises(parts.RefusedError, match="16 addresses at most, and ends where it is given 17"):
        made(machine, *many).judge(machine.folder)


def test_a_server_that_does_not_come_to_it_is_no_success(machine: Machine) -> None:
    machine.listen(MAIN, *EVERYWHERE)
    machine.stubborn = {"restart", "try-reload-or-restart"}
    with pytest.raises(parts.PartError, match=r"no SSH at 10\.30\.1\.1 port 22.*; SSH at 0\.0\.0\.0 port 22"):
        made(machine, *OWN).apply()
