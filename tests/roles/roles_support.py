"""What the tests of the roles share: runs of Ansible with their recap, and probes from hosts of the lab."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import Lab
from tests.lab.lab_support import CHECKOUT, LABS, ansible, command

NAME = f"{LABS}-roles"
PACKETS = Path(__file__).with_name("packets.py")
# A lab has two gateways that nobody works behind: no canary is needed.
AT_ONCE = ("-e", json.dumps({"wardnet_serial": ["100%"]}))
RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """One run of a playbook. `changed` holds the number of changed tasks by host, without those that had none."""

    status: int
    output: str
    seconds: float
    hosts: tuple[str, ...]
    changed: dict[str, int]
    failed: tuple[str, ...]  # or unreachable
    unreachable: tuple[str, ...]

    @property
    def tail(self) -> str:
        return self.output[-6000:]

    @property
    def said(self) -> str:
        """The output without its line breaks: Ansible wraps what is long."""
        return " ".join(self.output.split())


def play(lab: Lab, playbook: str, *more: str, timeout: float = 1500) -> Run:
    begun = time.monotonic()
    done = ansible(lab, playbook, *AT_ONCE, *more, timeout=timeout)
    output = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    rows = [(name, *map(int, numbers)) for name, *numbers in RECAP.findall(output)]
    return Run(
        status=done.returncode,
        output=output,
        seconds=time.monotonic() - begun,
        hosts=tuple(row[0] for row in rows),
        changed={row[0]: row[2] for row in rows if row[2]},
        failed=tuple(row[0] for row in rows if row[3] or row[4]),
        unreachable=tuple(row[0] for row in rows if row[3]),
    )


@contextmanager
def playing(lab: Lab, playbook: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """The playbook at work for the time of the block, then killed with all that it has started: Ansible's workers
    lead sessions of their own, and would go on."""
    argv = [sys.executable, "-m", "lab", "run", "--name", lab.name, "controller", "--", *command(lab, playbook)]
    with subprocess.Popen(
        [*argv, *AT_ONCE, *more], cwd=CHECKOUT, start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            for pid in family(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def interrupted(process: subprocess.Popen[bytes], name: str) -> str:
    """All that it says until its end after Ctrl-C for the first of its descendants that is of this program; once more
    where that does not end it, as Ansible may wait for ever on a worker that was ended while it told its result."""
    while True:
        for pid in family(process.pid):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if any(word.endswith(b"/" + name.encode()) for word in words[:2]):
                    os.kill(pid, signal.SIGINT)
                    break
        with suppress(subprocess.TimeoutExpired):
            return " ".join(process.communicate(timeout=60)[0].decode(errors="replace").split())


def family(pid: int) -> list[int]:
    """The process and all its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def said_by(process: subprocess.Popen[bytes]) -> str:
    """All that it says until its end, without line breaks."""
    return " ".join(process.communicate(timeout=900)[0].decode(errors="replace").split())


def inside(lab: Lab, host: str, *argv: str) -> str:
    """Output of a command of the booted host; AssertionError if it fails."""
    done = lab.shell(host, argv)
    assert done.returncode == 0, f"{host}: {argv}: {done.stderr.decode()}"
    return done.stdout.decode().strip()


@dataclass(frozen=True)
class Probe:
    kind: str  # tcp | udp | ping
    host: str
    port: int | None = None
    source: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.host}" + (f" port {self.port}" if self.port else "")


def answered(lab: Lab, host: str, probes: Sequence[Probe]) -> dict[str, bool]:
    """Which of the probes are answered when sent from the host, by their text."""
    given = json.dumps([probe.__dict__ for probe in probes]).encode()
    done = lab.run(host, [sys.executable, str(PACKETS), "probe"], stdin=given)
    assert done.returncode == 0, done.stderr.decode()
    return dict(zip(map(str, probes), json.loads(done.stdout), strict=True))


def wait_until(lab: Lab, host: str, probe: Probe, seconds: float = 120) -> bool:
    """Whether the probe is answered within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answered(lab, host, [probe])[str(probe)]:
            return True
    return False


@contextmanager
def running(lab: Lab, host: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """packets.py in the host's network for the time of the block, with its input and output."""
    argv = ["nsenter", f"--net={lab.layout.netns_path(host)}", sys.executable, str(PACKETS), *words]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """The next line of its output."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    """Gives it the line that it waits for."""
    assert process.stdin is not None
    process.stdin.write("now\n")
    process.stdin.flush()


@contextmanager
def serving(lab: Lab, host: str, address: str, port: int) -> Iterator[None]:
    """A server in the host's network that answers every line and ends no connection by itself."""
    with running(lab, host, "serve", address, str(port)) as server:
        assert said(server) == "listening"
        yield


def eventually(ask: Callable[[], bool], seconds: float = 120) -> bool:
    """Whether it comes true within the time, which is ample for a machine that has other work."""
    deadline = time.monotonic() + seconds
    while not ask():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def counters(lab: Lab, gateway: str, comment: str) -> int:
    """Packets that the rules with this comment have counted."""
    listing: list[dict[str, Any]] = json.loads(inside(lab, gateway, "nft", "-j", "list", "ruleset"))["nftables"]
    return sum(
        part["counter"]["packets"]
        for item in listing
        if item.get("rule", {}).get("comment") == comment
        for part in item["rule"]["expr"]
        if "counter" in part
    )
