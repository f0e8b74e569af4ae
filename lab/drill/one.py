"""One drill: a device, a change that cuts the manager off from it, and what came of it."""

from __future__ import annotations

import copy
import difflib
import random
import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import power
from lab.drill.change import Change
from lab.drill.kinds import KINDS, Harm, Kind, Strike
from lab.drill.watch import Device, Dialler, until
from lab.errors import LabError
from lab.handle import Lab
from lab.power import Power


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds. A change is armed for `confirm_within` once it is made, and for `settle` more while it is being made:
    by then the device is to be back. `margin` more counts as in time."""

    confirm_within: int = 60
    settle: int = 15
    margin: int = 0
    patience: int = 300  # for what is not judged by its time: Ansible's start and end, and states that settle


@dataclass(frozen=True, slots=True)
class Outcome:
    """`seconds` from armed to the manager's new connection, `within` from armed to when the device was to be back."""

    number: int
    ward: str
    host: str
    kind: str
    back: bool  # by itself, in time, in its former state
    cut: bool  # a new connection failed in between
    rolled_back: str  # when, by the device's clock
    why: str
    told: bool  # the run named the device and the reason; where its manager was killed, the next run
    seconds: float | None
    within: float | None
    problem: str = ""

    @property
    def came_back(self) -> bool:
        """One that was never away has not come back."""
        return self.back and self.cut


class WrongError(Exception):
    """The drill did not go as it has to."""


def drill(
    lab: Lab, dialler: Dialler, number: int, kind_name: str, ward: str, device: Device, plan: dict[str, Any],
    limits: Limits,
) -> Outcome:  # fmt: skip
    """Makes the change, looks on, and says what came of it. Never raises for what the device does."""
    folder = Path(tempfile.mkdtemp(prefix=f"drill-{number}-", dir="/tmp"))  # a short path, for sockets
    attempt = _Attempt(lab, dialler, kind_name, ward, device, plan, limits, folder)
    problem = ""
    try:
        attempt.run(random.Random(number))  # noqa: S311 - when to strike
    except (WrongError, LabError, OSError) as error:
        problem = str(error)
    finally:
        attempt.end()
        back = not problem
        if back:  # else it is kept, and named
            shutil.rmtree(folder, ignore_errors=True)
    report = attempt.report
    if not problem and not attempt.cut:
        problem = "the manager was never cut off"
    if not problem and not attempt.told:
        problem = "no run said which ward and why"
    return Outcome(
        number=number,
        ward=ward,
        host=device.host,
        kind=kind_name,
        back=back,
        cut=attempt.cut,
        rolled_back=str(report.get("when") or ""),
        why=str(report.get("why") or ""),
        told=attempt.told,
        seconds=attempt.seconds,
        within=attempt.within,
        problem=problem,
    )


class _Attempt:
    def __init__(
        self, lab: Lab, dialler: Dialler, kind_name: str, ward: str, device: Device, plan: dict[str, Any],
        limits: Limits, folder: Path,
    ) -> None:  # fmt: skip
        self.kind: Kind = KINDS[kind_name]
        self._lab, self._dialler, self._ward, self._device, self._limits = lab, dialler, ward, device, limits
        self.change = self._change(self.kind.harm(copy.deepcopy(plan)), folder)
        self._next = self._change(Harm(plan), folder / "next") if self.kind.strike is Strike.MANAGER else None
        self.cut = self.told = False
        self.seconds: float | None = None
        self.within: float | None = None
        self.report: dict[str, Any] = {}
        self._earlier = device.last_rollback()
        self._armed = self._deadline = 0.0  # when it was armed, and when the device is to go back, by the steady clock

    def _change(self, harm: Harm, folder: Path) -> Change:
        folder.mkdir(exist_ok=True)
        variables = {"commit_confirm_within": self._limits.confirm_within, "commit_settle": self._limits.settle}
        return Change(self._lab, self._device.host, self.kind.target, harm, folder, variables)

    def end(self) -> None:
        self.change.kill()
        if self._next is not None:
            self._next.kill()

    def run(self, chance: random.Random) -> None:
        before = self._device.state()
        self.change.start()
        if not until(self._is_armed, time.monotonic() + self._limits.patience, pause=0.02):
            raise WrongError(f"it was not armed in {self._limits.patience} s{self._last_words()}")
        self._armed = armed = time.monotonic()
        self._strike(chance)
        deadline = self._follow(armed)
        self.within = round(deadline - armed, 1)
        patience = deadline + self._limits.patience
        if not until(self._device.lets_in, patience, pause=0.2):
            raise WrongError(f"the manager does not get in again; kept: {self.change.log}")
        back = time.monotonic()
        self.seconds = round(back - armed, 1)
        self._compare(before)
        self._hear()
        if back > deadline + self._limits.margin:
            raise WrongError(f"back {back - deadline:.0f} s after the armed time, more than {self._limits.margin} s")

    def _is_armed(self) -> bool:
        if self._device.armed() or self._reported():
            return True
        if self.change.ended():
            raise WrongError(f"the run ended and nothing was armed{self._last_words()}")
        return False

    def _reported(self) -> bool:
        report = self._device.last_rollback()
        # That an earlier one has been told to somebody is written into it later.
        return any(report.get(key) != self._earlier.get(key) for key in ("run", "armed", "when"))

    def _strike(self, chance: random.Random) -> None:
        if self.kind.strike is Strike.NONE:
            return
        time.sleep(chance.uniform(0, 2))  # anywhere in the change, or before it, or after
        if self.kind.strike is Strike.MANAGER:
            self.change.kill()
        else:
            self._note_deadline(self._armed)  # lost with the power
            power.switch(self._lab.layout, self._device.host, Power.OFF)
            self.cut = not self._dialler.greets(self._device.address)
            power.switch(self._lab.layout, self._device.host, Power.ON)

    def _note_deadline(self, armed: float) -> None:
        """When it is to be back. The device sets another time once all is made; what an earlier change left there
        counts for nothing."""
        found = self._device.back_by()
        if found is not None and found > armed:
            self._deadline = found

    def _follow(self, armed: float) -> float:
        """Looks on until the device has gone back; when it was to be back at the latest."""
        self._deadline = self._deadline or armed + self._limits.confirm_within + self._limits.settle
        until_then = armed + self._limits.confirm_within + 2 * self._limits.settle + self._limits.patience
        while not (self._reported() and not self._device.armed()):
            now = time.monotonic()
            self._note_deadline(armed)
            if now > until_then:
                raise WrongError(f"it did not go back in {now - armed:.0f} s{self._last_words()}")
            if self.change.succeeded():
                raise WrongError(f"the manager confirmed the change{self._last_words()}")
            if not self.cut and not self._dialler.greets(self._device.address):
                self.cut = True
            time.sleep(0.1)
        self.report = self._device.last_rollback()
        return self._deadline

    def _compare(self, before: list[str]) -> None:
        """What runs is what ran; networkd and duplicate detection may need a moment."""
        now: list[str] = []

        def same() -> bool:
            now[:] = self._device.state()
            return now == before

        if not until(same, time.monotonic() + self._limits.patience / 2, pause=1.0):
            difference = list(difflib.unified_diff(before, now, lineterm="", n=0))[2:12]
            raise WrongError("it is not in its former state: " + "; ".join(difference))
        if self.report.get("failed"):
            raise WrongError(f"of the way back failed: {'; '.join(self.report['failed'])}")

    def _hear(self) -> None:
        """Whether the run names the device and says why it went back. A manager that was killed cannot: then the next
        run does, which has nothing else to do."""
        ward, host = re.escape(self._ward), re.escape(self._device.host)
        if self._next is None:
            run, wanted = self.change, rf"{ward} {host} \S+ rolled back \S"
        else:
            run, wanted = self._next, rf"{host} had gone back by itself at \S.*?: \S"
            run.start()
        if not until(run.ended, time.monotonic() + self._limits.patience):
            raise WrongError(f"the run does not end{self._last_words(run)}")
        if run is self._next and not run.succeeded():
            raise WrongError(f"the next run failed{self._last_words(run)}")
        self.told = bool(re.search(wanted, " ".join(run.said().split())))

    def _last_words(self, run: Change | None = None) -> str:
        lines = [line for line in (run or self.change).said().splitlines() if line.strip()][-6:]
        return f"; the run's last words: {' | '.join(lines)}" if lines else ""
