"""A machine whose SSH server listens here and there: the kernel's view of its sockets, and its systemd."""

from __future__ import annotations

import signal
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import load

access = load("module_utils", "wardnet_part_access")
candidate = load("module_utils", "wardnet_candidate")
host_module = load("module_utils", "wardnet_host")
listening = load("module_utils", "wardnet_listening")
taken_up = load("module_utils", "wardnet_taken_up")

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
        self.asked.append(f"{verb} {taken_up.SOCKET}")
        if verb == "stop":
            self.by_socket = "inactive"
        elif verb == "start" and MAIN not in self._sockets:
            self.by_socket = "active"


def play(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine in the place of this one, with a server that is to have OWN and does not run yet."""
    made = Machine(folder)
    made.config.write_text(" ".join(OWN))
    monkeypatch.setattr(taken_up, "PROC", made.proc)
    monkeypatch.setattr(taken_up, "PATIENCE", 0.5)
    monkeypatch.setattr(taken_up, "PID", folder / "none")
    monkeypatch.setattr(taken_up, "SEPARATION", folder / "separation")

    def kill(process: int, number: int) -> None:
        assert number == signal.SIGTERM
        made.asked.append(f"end {process}")
        made.end(process)

    monkeypatch.setattr(listening.os, "kill", kill)
    return made


class Host(host_module.Host):  # type: ignore[misc,name-defined]
    machine: Machine

    def attempt(self, argv: Any, stdin: Any = None) -> tuple[int, str, str]:  # noqa: ARG002
        if argv[0] == taken_up.SSHD:
            return (0, "", "") if taken_up.SEPARATION.is_dir() else (255, "", "Missing privilege separation directory")
        if "--property=MainPID" in argv:
            return 0, f"{MAIN if MAIN in self.machine._sockets else 0}\n", ""
        (self.machine.of_socket if taken_up.SOCKET in argv else self.machine.systemctl)(argv[1])
        return 0, "", ""


def made(machine: Machine, *addresses: str, units: str = "loaded") -> Any:
    step = {"role": "hardening", "part": "access", "access": {"listen": list(addresses)}}
    folder = machine.folder
    host = Host(state=folder, library=folder / "library", units=folder / "units", settle=0.4)
    host.machine = machine
    host.shown = {"ssh.service": {"LoadState": units}}
    if machine.by_socket:
        host.shown[taken_up.SOCKET] = {"ActiveState": machine.by_socket, "UnitFileState": "enabled"}
    part = access.Access(candidate.read_steps([step]), host)
    part.read()
    return part


def heard() -> set[tuple[str, int]]:
    return {each.key for each in taken_up.listening()}


def at(*addresses: str, port: int = 22) -> set[tuple[str, int]]:
    return {(address, port) for address in addresses}
