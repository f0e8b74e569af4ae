"""The SSH server as it ran, though its files have been edited since it last read them. A step of the way back of part
access: the host runs this very file with Python and gives it on its input what the server is to read, and where it is
to listen. Standard library only, nothing of wardnet.

A server that reads its files again takes up what somebody edited and did not mean to have yet, or got wrong, and nobody
may get in any more. So those files are out of its sight while it reads, or are as it had read them as far as that is
known, and are as they were on disk afterwards.

A server that the change has started again, or ended, is started again: what it was told on its start, no reading brings
back. Where systemd had listened for it, systemd listens again.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SYSTEMCTL = "/usr/bin/systemctl"
SSHD = "/usr/sbin/sshd"
PID = Path("/run/sshd.pid")  # sshd writes it whenever it has read its files
CONFIG = Path("/etc/ssh/sshd_config")
MORE = Path("/etc/ssh/sshd_config.d")
PROC = Path("/proc")
SEPARATION = Path("/run/sshd")  # goes with the service, and without it sshd takes no file, not even to try it
SOCKET = "ssh.socket"  # by which systemd itself listens, where somebody has chosen so
PATIENCE = 25.0  # seconds, twice: less than one step of the way back has
HELD = ".wardnet-held"
SERVERS = ("sshd", "sshd-session")  # the latter since OpenSSH 9.8
PORT = 22
LISTENS = "0A"  # TCP_LISTEN, in hexadecimal as the kernel prints it


@dataclass(frozen=True, order=True)
class Listener:
    """A TCP socket by which somebody may come in. `holders` are processes of SSH that have it; none where another
    program does."""

    address: str
    port: int
    holders: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return f"SSH at {self.address} port {self.port}"

    @property
    def key(self) -> tuple[str, int]:
        return self.address, self.port

    @property
    def is_loopback(self) -> bool:
        return self.address == "::1" or self.address.startswith("127.")


def listening() -> tuple[Listener, ...]:
    """Where processes of SSH take connections, at whatever port; and whoever does at SSH's own, as systemd may."""
    holders: dict[str, set[int]] = {}
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if (folder / "comm").read_text().strip() in SERVERS:
                for inode in _sockets(folder):
                    holders.setdefault(inode, set()).add(int(folder.name))
    found: dict[tuple[str, int], set[int]] = {}
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        with suppress(FileNotFoundError):  # a kernel without IPv6
            for address, port, inode in _parse((PROC / "net" / name).read_text(), family):
                if port == PORT or inode in holders:
                    found.setdefault((address, port), set()).update(holders.get(inode, ()))
    return tuple(sorted(Listener(*key, frozenset(pids)) for key, pids in found.items()))


def _sockets(folder: Path) -> Iterator[str]:
    for descriptor in (folder / "fd").iterdir():
        with suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                yield target[len("socket:[") : -1]


def _parse(text: str, family: int) -> Iterator[tuple[str, int, str]]:
    """Address, port and inode of each socket that listens."""
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == LISTENS:
            address, _, port = words[1].partition(":")
            groups = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
            packed = struct.pack(f"={len(groups)}I", *groups)  # each is printed as the machine has it in memory
            yield socket.inet_ntop(family, packed), int(port, 16), words[9]


def late(known: dict[str, str]) -> dict[str, str | None]:
    """Files that changed after the server last read them, each with what it had read of it: nothing for one that has
    come since. `known` holds the content of those that were confirmed; one that is neither is left out. Nothing where
    the server came under a clock that has been set right since: then nobody knows."""
    if not PID.exists():
        return {}
    taken_up = PID.stat().st_mtime_ns
    if taken_up < time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME):
        return {}
    found: dict[str, str | None] = {}
    for path in (CONFIG, *sorted(MORE.glob("*.conf"))):
        if path.exists() and path.stat().st_ctime_ns > taken_up and (str(path) in known or path != CONFIG):
            found[str(path)] = known.get(str(path))
    for path in map(Path, known):
        if not path.exists() and path.parent.exists() and path.parent.stat().st_ctime_ns > taken_up:
            found[str(path)] = known[str(path)]
    return found


def separate() -> None:
    """The folder that sshd wants to be there before it takes any file."""
    with suppress(OSError):  # sshd says what is wrong
        SEPARATION.mkdir(exist_ok=True)
        SEPARATION.chmod(0o755)


def main_process(service: str) -> str:
    """The unit's main process and when it began; empty where it does not run. A server that reads its files again stays
    the same."""
    argv = [SYSTEMCTL, "show", "--property=MainPID", "--value", "--", service]
    told = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE).stdout.strip()
    return identity(told)


def identity(process: str) -> str:
    try:
        fields = (PROC / process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return f"{process} {fields[19]}"


def reload(
    services: list[str],
    files: dict[str, str | None],
    listened: list[tuple[str, int]] | None = None,
    ran: dict[str, str] | None = None,
    by_socket: bool = False,
) -> str:
    """Has the server read its files while `files` are as given; what went wrong, or nothing. With `listened`, where SSH
    was to be had before: a server that does not come to it by reading is started again. So is one that is not the
    process that `ran`, by service, and one for which systemd listened."""
    held = {Path(path): Path(path).with_name(f".{Path(path).name}{HELD}") for path in files}
    until = time.monotonic() + 2 * PATIENCE
    try:
        for path, aside in held.items():
            if path.exists():
                path.replace(aside)
            content = files[str(path)]
            if content is not None:
                path.touch(mode=0o600)
                path.write_text(content)
        if by_socket or (ran is not None and {name: main_process(name) for name in services} != ran):
            said = _start_again(services, by_socket, until)
        else:
            said = _read_again(services, until)
            if listened is not None and (said or _lacking(listened, time.monotonic() + PATIENCE / 5)):
                said = _start_again(services, by_socket, until)
        lacking = _lacking(listened or [], until)
        return "; ".join([said] * bool(said) + [f"{Listener(*key)} is not back" for key in lacking])
    finally:
        for path, aside in held.items():
            if aside.exists():
                aside.replace(path)
            else:
                with suppress(FileNotFoundError):
                    path.unlink()


def _read_again(services: list[str], until: float) -> str:
    before = _read_at()
    said = _systemctl("try-reload-or-restart", services, until)
    deadline = time.monotonic() + PATIENCE
    while not said and before and _read_at() in (before, 0) and time.monotonic() < deadline:
        time.sleep(0.1)
    if not said and before and _read_at() in (before, 0):
        said = f"{', '.join(services)} did not read its files again"
    return said


def _start_again(services: list[str], by_socket: bool, until: float) -> str:
    """What the server was told on its start, no reading takes away; and one that does not run, reads nothing. One that
    runs is stopped only where it will start again."""
    separate()
    if any(main_process(service) for service in services):
        tried = subprocess.run([SSHD, "-t"], capture_output=True, text=True, check=False, timeout=PATIENCE)
        if tried.returncode != 0:
            return f"{', '.join(services)} would not start again: {(tried.stderr or '').strip()}"
    said = ""
    if by_socket:  # systemd does not listen for a service that runs
        _systemctl("stop", services, until)
        said = _systemctl("start", [SOCKET], until)
    _systemctl("reset-failed", services, until)  # however often it was started of late
    return said + _systemctl("restart", services, until)


def _lacking(listened: list[tuple[str, int]], until: float) -> list[tuple[str, int]]:
    """Those that are still not listened at by then."""
    while True:
        there = {each.key for each in listening()}
        lacking = [key for key in listened if key not in there]
        if not lacking or time.monotonic() > until:
            return lacking
        time.sleep(0.1)


def _systemctl(verb: str, services: list[str], until: float) -> str:
    said = ""
    for service in services:
        argv = [SYSTEMCTL, verb, service]
        patience = max(1.0, min(PATIENCE, until - time.monotonic()))
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=patience)
            said += done.stderr if done.returncode else ""
        except subprocess.TimeoutExpired as error:
            said += str(error)
    return said


def _read_at() -> int:
    return PID.stat().st_mtime_ns if PID.exists() else 0


def main() -> int:
    given = json.load(sys.stdin)
    listened = given.get("listened")
    keys = listened and [(address, port) for address, port in listened]
    said = reload(given["services"], given["files"], keys, given.get("ran"), bool(given.get("by_socket")))
    print(said, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
