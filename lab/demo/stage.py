"""What the demo's steps act on: the lab, the console, and programs that run at the district's stations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from lab import namespaces
from lab.access import run_environment
from lab.build import CHECKOUT, blueprint_of
from lab.demo.claims import Claims
from lab.errors import LabError
from lab.handle import Lab
from wardnet.live.errors import LiveError
from wardnet.live.status import ChannelStatus, read_status

BIN = Path(sys.executable).parent


@dataclass(slots=True)
class Stage:
    lab: Lab
    inventory: Path
    wards: int
    ward: str  # the one that things are shown on
    console: Console
    claims: Claims
    workplaces: bool = False  # whether the lab has what PCs are made of
    made: bool = False  # whether this run booted the lab
    started: float = field(default_factory=time.monotonic)
    separation: dict[str, str] = field(default_factory=dict)  # the last audit's verdict by gateway

    @property
    def prometheus(self) -> str:
        """Where the machine's loopback shows the lab's Prometheus. LabError where it does not."""
        window = self.lab.record.window
        if window is None:
            raise LabError("the lab has no monitoring host, so there is no Prometheus to look at")
        return f"http://127.0.0.1:{window}"

    @property
    def clerks_channels(self) -> int:
        """Rows of the table: the district's own office and each ward have two channels."""
        return 2 * (1 + len(self.lab.record.wards))

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        begun = time.monotonic()
        self.console.print(f"[bold cyan]▶ {what}[/]", highlight=False)
        yield
        took, total = time.monotonic() - begun, time.monotonic() - self.started
        self.console.print(f"[dim]  {took:.0f} s ({total:.0f} s in all)[/]", highlight=False)

    def say(self, text: str) -> None:
        self.console.print(f"  {text}", markup=False, highlight=False)

    def status(self) -> tuple[ChannelStatus, ...]:
        """Empty while Prometheus is not there yet."""
        try:
            return read_status(self.prometheus)
        except LiveError:
            return ()

    def channel(self, ward: str, channel: str) -> ChannelStatus | None:
        found = [one for one in self.status() if (one.ward, one.channel) == (ward, channel)]
        return found[0] if found else None

    def wait(self, what: str, seconds: float, ready: Callable[[], Any]) -> Any:
        """Ask until `ready` gives something true, and return it; its last answer when the time is over."""
        end = time.monotonic() + seconds
        with self.console.status(f"  {what}") as shown:
            while True:
                answer = ready()
                left = end - time.monotonic()
                if answer or left <= 0:
                    return answer
                shown.update(f"  {what} ({left:.0f} s at most)")
                time.sleep(1)  # between two questions to Prometheus, which scrapes every few seconds

    def at(self, host: str, argv: Sequence[str], on_line: Callable[[str], None], **environment: str) -> int:
        """Run one of this machine's programs at a station of the district, line by line. Returns its exit status."""
        process = subprocess.Popen(
            namespaces.enter_argv(self.lab.layout, host, [str(word) for word in argv]),
            cwd=CHECKOUT,
            env={**run_environment(self.lab.layout), "PATH": f"{BIN}:{os.environ['PATH']}", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                on_line(line.rstrip())
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise

    def station(self, role: str) -> str:
        """The booted host of a role that the district has once, such as controller or auditor."""
        for host in blueprint_of(self.lab.record).plan.hosts:
            if host.role == role:
                return host.id
        raise LabError(f"the inventory has no host of role {role}")

    def audit(self, name: str) -> tuple[int, dict[str, Any]]:
        """Collect a snapshot at the auditor's station and audit it. Returns the exit status and the report."""
        snapshot = self.lab.state / "demo" / name
        said: list[str] = []
        collected = self.at(
            self.station("auditor"),
            ["wardnet", "collect", "-i", str(self.lab.layout.inventory), "-o", str(snapshot),
             "--known-hosts", str(self.lab.layout.known_hosts), "--key", str(self.lab.layout.ssh / "auditor")],
            said.append,
        )  # fmt: skip
        if not (snapshot / "manifest.json").exists():
            raise LabError(f"wardnet collect ended with {collected} and no snapshot:\n" + "\n".join(said[-10:]))
        audited = subprocess.run(
            [str(BIN / "wardnet"), "audit", str(snapshot), "--json"], capture_output=True, text=True, check=False
        )
        try:
            report: dict[str, Any] = json.loads(audited.stdout)
        except ValueError:
            raise LabError(f"wardnet audit ended with {audited.returncode}: {audited.stderr.strip()}") from None
        self.separation = {device["device"]: device["verdict"] for device in report["devices"]}
        return audited.returncode, report
