"""What came of a commit, as the result of the play says it: in a sentence with host and ward. For the controller. Pure.
Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# ssh's words where no session came about, so that nothing can have been changed.
NEVER_REACHED = (
    "connect to host", "Host key verification failed", "Permission denied", "Could not resolve hostname",
    "banner exchange", "kex_exchange_identification",
)  # fmt: skip
# What the second run adds to the result of the first.
ADDED = ("actions", "changed_paths", "warnings")
Result = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """Of one host, which `name` names with its ward."""

    name: str

    def failed(self, result: Result) -> Result:
        """What was taken back at once is told apart from what never began."""
        why = str(result.get("why") or result.get("msg"))
        said = f"{self.name} was rolled back at once: {why}" if result.get("rolled_back") else f"{self.name}: {why}"
        return {**result, "msg": said + _steps_left(result.get("way_back_failed"))}

    def rolled_back(self, first: Result, rollback: Result | None, within: float, why: str) -> Result:
        """A change that nobody confirmed; `rollback` is what the host tells of it, None where it never does."""
        result = {**first, "failed": True, "armed": False}
        if rollback is None:
            return {**result, "msg": f"{self.name}: not confirmed, and it does not say that it went back: {why}"}
        said = f"{self.name} was rolled back by itself after {within:.0f} s: {why}"
        if rollback.get("boot"):
            said = f"{self.name} was rolled back by itself at its next boot: {rollback.get('why')}"
        said += _steps_left(rollback.get("failed"))
        return {**result, "rolled_back": True, "why": why, "last_rollback": rollback, "msg": said}

    def unreached(self, said: str, within: float | None) -> Result:
        """`within` where it does not answer since a change that goes back in so many seconds."""
        text = said.strip()
        if within is not None:
            text = f"does not answer since its change, which it was to take back by itself after {within:.0f} s: {text}"
        return {"unreachable": True, "changed": False, "msg": f"{self.name}: {text}"}


def _steps_left(steps: list[Any] | None) -> str:
    return f"; of the way back these steps failed: {', '.join(map(str, steps))}" if steps else ""


def how_far(run: str, last_run: str) -> str:
    """How far the run came whose connection broke, and of which nothing waits to go back: packages, files and services
    may have been changed. Ids of runs sort by time; a host that was started since knows of none."""
    if last_run == run:
        return "the connection broke while it was at work; what was done by then stays, and running it again is safe"
    if last_run and last_run < run:
        return "the connection broke before anything was changed"
    return "the connection broke, and it is not known whether anything was changed; running it again is safe"


def never_reached(said: str) -> bool:
    return any(words in said for words in NEVER_REACHED)


def is_cut_off(result: Result) -> bool:
    """Whether the module was killed: all that Ansible has of it then is a status."""
    status = result.get("rc")
    return "module_stdout" in result and isinstance(status, int) and (status < 0 or status > 128)


def merge(first: Result, second: Result) -> Result:
    """The result of a change that was made by the first run and confirmed by the second."""
    result = {**first, "armed": False, "confirmed": True, "changed": True}
    for key in ADDED:
        both = [*(first.get(key) or []), *(second.get(key) or [])]
        if both:
            result[key] = list(dict.fromkeys(both))
    return result
