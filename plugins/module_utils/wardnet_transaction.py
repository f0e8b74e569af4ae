"""One change of a host that takes itself back unless it is confirmed: the lock, the log of the way back, the timer.

In /var/lib/wardnet:
    undo/armed.json        the way back of a change that waits for its confirmation
    undo/confirming.json   the same while the change is being made to last; at boot it is taken back as well
    undo/undoing.json      being gone now
    undo/why               why it goes back, for the report of a way back that the power cuts
    undo/lasting           the log of a change that lasts, until it is written down in confirmed.json
    last-rollback.json     what was taken back last, and why
    way-back-left.json     the log of a way back some of whose files were not brought back; goes with the next change
Standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ansible.module_utils import wardnet_undo as undo
from ansible.module_utils.wardnet_host import PYTHON, SYSTEMCTL, Host
from ansible.module_utils.wardnet_part import PartError, RefusedError, Undo
from ansible.module_utils.wardnet_way_back import install, plain

SYSTEMD_RUN = "/usr/bin/systemd-run"
# The second is started before the first is stopped, so that there is no moment without one.
TIMERS = ("wardnet-rollback-apply", "wardnet-rollback-confirm")
LASTING = "lasting"  # no *.json, for which a boot would go the way back
CLAIMED = 300  # seconds after which a confirmation that died is taken back
GOING_BACK = 20  # seconds of those for which a change is armed that are kept for the way back itself
GOES_BACK = "goes-back"  # beside the lock: when the host begins to go back, and is back, by the steady clock


class HeldError(Exception):
    """Another run holds the host. `holder` says who, for the module's result."""

    def __init__(self, message: str, holder: dict[str, Any]) -> None:
        super().__init__(message)
        self.holder = holder


@contextmanager
def locked(host: Host, who: str, run: str, patience: float = 5.0) -> Iterator[None]:
    """Holds the host for this process; HeldError where another one does and does not let go in time."""
    host.lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # nobody else may hold or make it
    descriptor = os.open(host.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise HeldError(*_held(_parse(os.pread(descriptor, 4096, 0)), "is at work here")) from None
                time.sleep(0.2)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"who": who, "run": run, "since": now()}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _held(holder: dict[str, Any], doing: str, left: int | None = None) -> tuple[str, dict[str, Any]]:
    record = {"who": holder.get("who"), "run": holder.get("run"), "since": holder.get("since") or holder.get("armed")}
    record["seconds_left"] = left
    text = f"{record['who'] or 'somebody'} {doing} since {record['since'] or 'a while'} (run {record['run'] or '?'})"
    return f"{text}: nothing was touched", record


def _parse(data: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        value = json.loads(data or b"{}")
        if isinstance(value, dict):
            return value
    return {}


def begins_after(armed: int) -> int:
    """Seconds after which a host that is to be its former self within `armed` seconds begins to go back."""
    return armed - min(GOING_BACK, armed // 3)


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Transaction:
    """The way back of one change on this host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._folder = host.state / undo.FOLDER
        self._token = ""

    # ---- what an earlier run left ----

    def finish_former(self) -> None:
        """HeldError where a change of another run still waits for its confirmation; one that was left by a run that
        died without a timer is taken back."""
        standing = self._standing()
        if standing is None:
            self._wait_for_undo()
            return
        # Whoever was confirming held the lock, which is this run's now: it has died.
        if self._timer_runs() and (self._folder / undo.ARMED).exists():
            left = self._seconds_left()
            doing = f"has made a change that is not confirmed yet and goes back by itself in {left} s; it waits"
            raise HeldError(*_held(standing[1], doing, left))
        undo.take_back(self._host.state, "now", "the run that made the change died before it was confirmed")
        self.disarm()
        self._wait_for_undo()

    def holder(self) -> dict[str, Any] | None:
        """Who holds the host now: a run that is at work, or one whose change waits for its confirmation."""
        with suppress(FileNotFoundError), self._host.lock.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return _held(_parse(stream.read()), "is at work here")[1]
        with suppress(FileNotFoundError):
            return _held(_parse((self._folder / undo.UNDOING).read_bytes()), "is going back")[1]
        standing = self._standing()
        if standing is None or not self._timer_runs():
            return None
        return _held(standing[1], "has made a change", self._seconds_left())[1]

    def last_run(self) -> str:
        """The run that held the host last since it was started, at work still or not; empty where there was none."""
        with suppress(FileNotFoundError):
            return str(_parse(self._host.lock.read_bytes()).get("run") or "")
        return ""

    def _standing(self) -> tuple[Path, dict[str, Any]] | None:
        """The log of a change that is neither lasting nor taken back, and where it lies."""
        for path in (self._folder / undo.ARMED, self._folder / undo.CONFIRMING):
            with suppress(FileNotFoundError):
                return path, _parse(path.read_bytes())
        return None

    def _wait_for_undo(self) -> None:
        deadline = time.monotonic() + undo.PATIENCE
        while (self._folder / undo.UNDOING).exists():
            if self._host.attempt([SYSTEMCTL, "is-active", "--quiet", *(f"{name}.service" for name in TIMERS)])[0]:
                undo.take_back(self._host.state, "now", "going back had been cut off")
                return
            if time.monotonic() > deadline:
                raise HeldError(*_held({}, "is going back to the former state"))
            time.sleep(0.2)

    # ---- arming ----

    def begin(self, entries: list[tuple[str, Undo]], **facts: Any) -> str:
        """Writes the whole way back to disk, as (part, entry) in the order in which it is gone; the token of it."""
        self.disarm()  # timers of a change that has been taken back by hand
        token = secrets.token_hex(16)
        self._answer_for(token)
        log = {
            **facts,
            "token": token,
            "armed": now(),
            "pid": os.getpid(),
            "started": undo.began(os.getpid()),
            "entries": [plain(part, entry) for part, entry in entries],
        }
        try:
            install(self._host)
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            (self._folder / LASTING).unlink(missing_ok=True)
            undo.write(self._folder / undo.ARMED, json.dumps(log), 0o600)
            kept = json.loads((self._folder / undo.ARMED).read_text())
        except OSError as error:  # as where the disk has become full since it was looked at
            with suppress(OSError):
                (self._folder / undo.ARMED).unlink()
            said = f"the way back cannot be written to disk ({error.strerror or error}): nothing was touched"
            raise RefusedError(said) from error
        if kept != json.loads(json.dumps(log)):
            (self._folder / undo.ARMED).unlink()
            raise RefusedError("the way back cannot be read again from the disk: nothing was touched")
        return token

    def _answer_for(self, token: str) -> None:
        """From now on all that this process starts bears the mark of the change, so that it ends with it."""
        self._token = os.environ[undo.STARTED_BY] = token

    def arm(self, timer: int, armed: int, why: str) -> None:
        """Has the host be its former self within `armed` seconds of its own steady clock, which no setting of the time
        moves."""
        seconds = begins_after(armed)
        name = TIMERS[timer]
        self._host.attempt([SYSTEMCTL, "stop", f"{name}.timer"])
        self._host.attempt([SYSTEMCTL, "reset-failed", f"{name}.service"])
        words = ["timer", why, str(self._host.state), self._token]  # no timer takes back another change than its own
        script = [PYTHON, "-I", str(self._host.library / "undo.py"), *words]
        self._host.run(
            [
                SYSTEMD_RUN, "--quiet", "--collect", f"--unit={name}", f"--on-active={seconds}",
                "--timer-property=AccuracySec=100ms", *script,
            ]
        )  # fmt: skip
        begun = time.monotonic()
        self._host.lock.with_name(GOES_BACK).write_text(f"{begun + seconds} {begun + armed}")

    def disarm(self, *timers: int) -> None:
        for timer in timers or range(len(TIMERS)):
            self._host.attempt([SYSTEMCTL, "stop", f"{TIMERS[timer]}.timer"])

    def _timer_runs(self) -> bool:
        units = [f"{name}.{kind}" for name in TIMERS for kind in ("timer", "service")]
        # One active unit of several is enough for status 0.
        return self._host.attempt([SYSTEMCTL, "is-active", "--quiet", *units])[0] == 0

    def _seconds_left(self) -> int:
        try:
            deadline = float(self._host.lock.with_name(GOES_BACK).read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return 0
        return max(0, round(deadline - time.monotonic()))

    # ---- its end ----

    def take_back(self, why: str) -> dict[str, Any] | None:
        """Goes back now. None where the timer was first; then it has been waited for."""
        report = undo.take_back(self._host.state, "now", why)
        self.disarm()
        if report is None:
            self._wait_for_undo()
        return report

    def claim(self, token: str, steps: dict[str, str] | None = None) -> dict[str, Any]:
        """The log of the change that the token names; errors as _log_of(), and RefusedError where it was made of other
        steps (hashes by key) than these. From now on a timer takes it back only
        where the caller, who holds the lock, dies before end(). A confirmation that died after it had begun is gone on
        with: nobody else is at it."""
        path, log = self._log_of(token)
        _compare(log, steps)
        self._answer_for(token)
        self.arm(0, CLAIMED, "the run that was confirming the change died")
        try:
            path.replace(self._folder / undo.CONFIRMING)
        except FileNotFoundError:  # the timer was first
            raise PartError(self._gone(token), taken_back=True) from None
        self.disarm(1)
        return log

    def _log_of(self, token: str) -> tuple[Path, dict[str, Any]]:
        """The log of the change that the token names, and where it lies. PartError where there is none any more,
        HeldError where another change waits."""
        path, log = self._standing() or (None, {})
        if path and log.get("token") == token:
            return path, log
        if path and path.name == undo.ARMED:
            message, holder = _held(log, "has changed this host")
            raise HeldError(f"another change than the one to be confirmed waits here: {message}", holder)
        raise PartError(self._gone(token), taken_back=True)

    def _gone(self, token: str) -> str:
        self._wait_for_undo()
        report = last_rollback(self._host) or {}
        why = f": {report['why']} ({report['when']})" if report else f" (no trace of {token[:8]})"
        return f"the change was not confirmed in time: the host has taken it back by itself{why}"

    def end(self) -> None:
        """The change lasts: what it wrote is on disk, and the way back is no more. PartError where somebody has gone it
        meanwhile."""
        os.sync()
        try:
            (self._folder / undo.CONFIRMING).replace(self._folder / LASTING)
        except FileNotFoundError:
            said = "the change was taken back while it was being confirmed"
            raise PartError(f"{said}: look at the host", taken_back=True) from None
        # It may hold secrets, and what it could not bring back nobody wants any more.
        (self._host.state / undo.LEFT).unlink(missing_ok=True)
        undo.sync(self._folder)
        self.disarm()

    def lasting(self, token: str, steps: dict[str, str]) -> dict[str, Any] | None:
        """The log of a change that lasts, where its confirming run died before it was remembered. Errors: as claim."""
        with suppress(FileNotFoundError):
            log = _parse((self._folder / LASTING).read_bytes())
            if log.get("token") == token:
                _compare(log, steps)
                return log
        return None

    def remembered(self) -> None:
        """It is written down which change lasts; its log may hold secrets."""
        (self._folder / LASTING).unlink(missing_ok=True)
        undo.sync(self._folder)


def _compare(log: dict[str, Any], steps: dict[str, str] | None) -> None:
    if steps is not None and log.get("steps") != steps:
        raise RefusedError("this is another candidate than the one that was made: it is not confirmed, and goes back")


def last_rollback(host: Host) -> dict[str, Any] | None:
    """What the host took back last, unless a run has told it already."""
    try:
        report = _parse((host.state / undo.REPORT).read_bytes())
    except FileNotFoundError:
        return None
    return None if report.get("told") or not report else report


def mark_told(host: Host, told: dict[str, Any] | None) -> None:
    """That this report has been told to somebody, by a run that came to its end; one that fails tells of its failure
    alone. It stays on disk."""
    report = last_rollback(host)
    if report and report == told:  # not one that has come since
        with suppress(OSError):  # it is told once more then
            undo.write(host.state / undo.REPORT, json.dumps({**report, "told": now()}, indent=1) + "\n")
