"""Where SSH is to be had, as the kernel's sockets tell: what differs is told, brought about, and taken back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import load

access = load("module_utils", "wardnet_part_access")
candidate = load("module_utils", "wardnet_candidate")
host_module = load("module_utils", "wardnet_host")
taken_up = load("module_utils", "wardnet_taken_up")
parts = load("module_utils", "wardnet_part")

OWN = ("127.0.0.1", "::1", "10.30.1.1", "fd20:30:1::1")
EVERYWHERE = ("0.0.0.0", "::")
MAIN = 100
HEADING = "  sl  local_address rem_address st\n"


class Machine:
    """The kernel's view of TCP sockets and processes, and a systemd whose server listens where its file says."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.proc = folder, folder / "proc"
        self._sockets: dict[int, list[tuple[str, int]]] = {}
        self.stubborn: set[str] = set()  # verbs that have no effect
        self.told = ""  # addresses on the server's command line, in the place of its file
        self.on_disk = ""  # and what it would be told with its next start
        self.asked: list[str] = []
        self.config = folder / "addresses"
        self.by_socket = ""  # active or inactive, where there is such a thing
        self.starts = 0

    def listen(self, process: int, *addresses: str, port: int = 22, name: str = "sshd") -> None:
        self._sockets[process] = [(address, port) for address in addresses]
        folder = self.proc / str(process)
        (folder / "fd").mkdir(parents=True, exist_ok=True)
        (folder / "comm").write_text(f"{name}\n")
        self.starts += process != MAIN or not (folder / "stat").exists()
        self._begin(process)
        self._show()

    def _begin(self, process: int) -> None:
        fields = " ".join(["S", *["0"] * 18, str(self.starts)])
        (self.proc / str(process) / "stat").write_text(f"{process} (sshd) {fields}\n")

    def end(self, process: int) -> None:
        self._sockets.pop(process, None)
        if (self.proc / str(process)).exists():
            (self.proc / str(process)).rename(self.folder / f"ended-{process}-{len(list(self.folder.iterdir()))}")
        self._show()

    def _show(self) -> None:
        """What binds first has the port; a later one that would have it too does not get it."""
        tables = {4: HEADING, 6: HEADING}
        (self.proc / "net").mkdir(exist_ok=True)
        for process, sockets in self._sockets.items():
            for number, (address, port) in enumerate(sockets):
                inode = process * 100 + number
                packed = ip_address(address).packed
                groups = [packed[at : at + 4] for at in range(0, len(packed), 4)]
                text = "".join(f"{int.from_bytes(group, sys.byteorder):08X}" for group in groups)
                version = ip_address(address).version
                tables[version] += f"  0: {text}:{port:04X} 0:0 0A 0:0 0:0 0 0 0 {inode} 1\n"
                link = self.proc / str(process) / "fd" / str(number)
                link.unlink(missing_ok=True)
                link.symlink_to(f"socket:[{inode}]")
        (self.proc / "net" / "tcp").write_text(tables[4] + "  9: 0100007F:0016 0A00000A:9999 01 0 0 0 0 0 7 1\n")
        (self.proc / "net" / "tcp6").write_text(tables[6])

    def systemctl(self, verb: str) -> None:
        if verb == "reset-failed":
            return
        self.asked.append(verb)
        if verb not in ("restart", "try-reload-or-restart") or verb in self.stubborn:
            return
        if verb == "restart":
            self.told = self.on_disk
            self.starts += 1
        elif MAIN not in self._sockets:
            return
        addresses = EVERYWHERE if self.by_socket == "active" else (self.told or self.config.read_text()).split()
        self.listen(MAIN, *addresses)
        self._begin(MAIN)

    def of_socket(self, verb: str) -> None:
        """systemd does not listen for a service that runs."""
        self.asked.append(f"{verb} {access.SOCKET}")
        if verb == "stop":
            self.by_socket = "inactive"
        elif verb == "start" and MAIN not in self._sockets:
            self.by_socket = "active"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    made.config.write_text(" ".join(OWN))
    monkeypatch.setattr(taken_up, "PROC", made.proc)
    monkeypatch.setattr(taken_up, "PATIENCE", 0.5)
    monkeypatch.setattr(taken_up, "PID", tmp_path / "none")
    monkeypatch.setattr(taken_up, "SEPARATION", tmp_path / "separation")

    def kill(process: int, number: int) -> None:
        assert number == signal.SIGTERM
        made.asked.append(f"end {process}")
        made.end(process)

    monkeypatch.setattr(access.os, "kill", kill)
    return made


class Host(host_module.Host):  # type: ignore[misc,name-defined]
    machine: Machine

    def attempt(self, argv: Any, stdin: Any = None) -> tuple[int, str, str]:  # noqa: ARG002
        if argv[0] == access.SSHD:
            return (0, "", "") if taken_up.SEPARATION.is_dir() else (255, "", "Missing privilege separation directory")
        if "--property=MainPID" in argv:
            return 0, f"{MAIN if MAIN in self.machine._sockets else 0}\n", ""
        (self.machine.of_socket if access.SOCKET in argv else self.machine.systemctl)(argv[1])
        return 0, "", ""


def made(machine: Machine, *addresses: str, units: str = "loaded") -> Any:
    step = {"role": "hardening", "part": "access", "access": {"listen": list(addresses)}}
    folder = machine.folder
    host = Host(state=folder, library=folder / "library", units=folder / "units", settle=0.4)
    host.machine = machine
    host.shown = {"ssh.service": {"LoadState": units}}
    if machine.by_socket:
        host.shown[access.SOCKET] = {"ActiveState": machine.by_socket, "UnitFileState": "enabled"}
    part = access.Access(candidate.read_steps([step]), host)
    part.read()
    return part


def listening() -> set[tuple[str, int]]:
    return {each.key for each in taken_up.listening()}


def at(*addresses: str, port: int = 22) -> set[tuple[str, int]]:
    return {(address, port) for address in addresses}


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
    assert listening() == at(*OWN)


def test_what_the_server_was_told_on_its_start_goes_with_a_start(machine: Machine) -> None:
    machine.told = " ".join(EVERYWHERE)
    machine.listen(MAIN, *EVERYWHERE)
    part = made(machine, *OWN)
    part.apply()
    assert machine.asked == ["try-reload-or-restart", "restart"]
    assert listening() == at(*OWN)


def test_a_server_by_hand_ends_and_the_service_has_its_place(machine: Machine) -> None:
    machine.listen(200, *EVERYWHERE)
    part = made(machine, *OWN)
    part.judge(machine.folder)
    part.apply()
    assert machine.asked == ["end 200", "restart"]
    assert listening() == at(*OWN)


def test_a_server_by_hand_at_another_port_ends(machine: Machine) -> None:
    machine.listen(MAIN, *OWN)
    machine.listen(200, "198.51.100.2", port=2222)
    part = made(machine, *OWN)
    assert part.difference().foreign == ("SSH at 198.51.100.2 port 2222",)
    part.apply()
    assert "end 200" in machine.asked
    assert f"end {MAIN}" not in machine.asked
    assert listening() == at(*OWN)


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
    assert listening() == at(*OWN)


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
    assert listening() == at(*OWN)


def test_a_socket_of_systemds_that_is_off_is_no_difference(machine: Machine) -> None:
    machine.listen(MAIN, *OWN)
    part = made(machine, *OWN)
    part.host.shown[access.SOCKET] = {"ActiveState": "inactive", "UnitFileState": "disabled"}
    assert not part.difference()


def test_a_server_that_does_not_run_is_started(machine: Machine) -> None:
    """With it went the folder that sshd wants before it tries its files."""
    part = made(machine, *OWN)
    part.judge(machine.folder)
    part.apply()
    assert machine.asked == ["restart"]
    assert listening() == at(*OWN)
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
        if access.SOCKET in argv:
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
    assert listening() == at(*former)


def test_the_way_back_starts_a_server_that_reading_does_not_bring_back(server: Machine) -> None:
    server.listen(200, *EVERYWHERE)  # somebody's own, which the change has ended
    given = back(made(server, *OWN))
    server.end(200)
    server.config.write_text(" ".join(EVERYWHERE))
    assert go(given) == ""
    assert server.asked == ["try-reload-or-restart", "restart"]
    assert listening() == at(*EVERYWHERE)


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
    assert listening() == at(*EVERYWHERE, port=2222)


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
    assert listening() == at(*EVERYWHERE)
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
    assert listening() == at(*EVERYWHERE)


def test_the_way_back_stops_no_server_that_would_not_start_again(server: Machine) -> None:
    server.listen(MAIN, *OWN)
    server.stubborn = {"try-reload-or-restart"}
    server.refused = 255  # type: ignore[attr-defined]
    said = taken_up.reload(["ssh.service"], {}, [("0.0.0.0", 22)])
    assert said == "ssh.service would not start again: of a wrong line; SSH at 0.0.0.0 port 22 is not back"
    assert server.asked == ["try-reload-or-restart"]
    assert listening() == at(*OWN)


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
