"""systemd units of a candidate: what each needs to come to its state, and bringing it there. Standard library only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.wardnet_host import SYSTEMCTL, Host
from ansible.module_utils.wardnet_part import PartError

DETECT_VIRT = "/usr/bin/systemd-detect-virt"

PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "MainPID",
    "ActiveEnterTimestampMonotonic",
    "StateChangeTimestampMonotonic",
    "ConditionResult",
    "ConditionTimestampMonotonic",
    "DropInPaths",
)
CLOCK_ERROR = 5  # seconds that a clock may be set back without more ado
STEADY = 20  # seconds, or `settle`, within which a started unit must be active, and stay so on a second look


def parse_show(text: str) -> list[dict[str, str]]:
    """One dict a unit, in the order asked for, from `systemctl show` output."""
    return [
        dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        for block in text.strip().split("\n\n")
    ]


WORDS = {
    "unmask": "unmasked", "enable": "enabled", "restart": "started", "reload": "reloaded", "stop": "stopped",
    "mask": "masked", "disable": "disabled",
}  # fmt: skip


@dataclass(frozen=True)
class Times:
    """Unix seconds: when the files of a unit last changed, and when it last took files up."""

    files: float
    reload_files: float
    started: float
    changed_state: float  # a reload is a change of state, a start too

    @property
    def needs_restart(self) -> bool:
        return self.files > self.started

    @property
    def needs_reload(self) -> bool:
        return self.reload_files > max(self.started, self.changed_state)


def decide(unit: dict[str, Any], shown: dict[str, str], times: Times) -> list[str]:
    """The verbs that bring a unit to its state."""
    enabled, active = shown.get("UnitFileState"), shown.get("ActiveState")
    state = unit.get("state") or "running"
    if state == "masked":
        stop = [] if active in ("inactive", "failed") else ["stop"]
        return stop + ([] if enabled == "masked" else ["mask"])
    if state == "off":
        if shown.get("LoadState") == "not-found":
            return []
        stop = [] if active in ("inactive", "failed") else ["stop"]
        return stop + (["disable"] if enabled == "enabled" else [])
    verbs = []
    if shown.get("LoadState") == "masked":
        verbs.append("unmask")
    if enabled not in ("enabled", "static", "alias", "indirect", "generated"):
        verbs.append("enable")
    left_out = bool(unit.get("conditional")) and is_left_out(shown)
    runs = active == "active" or left_out
    if unit.get("waits"):
        return verbs + ([] if runs or active == "activating" else ["restart"])
    if not runs or times.needs_restart or shown.get("NeedDaemonReload") == "yes":
        verbs.append("restart")
    elif times.needs_reload:
        verbs.append("reload")
    return verbs


def resolve(host: Host, units: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The units, with whether `conditional` counts on this host in place of where it does."""
    found = list(units)
    asked = any(unit.get("conditional") == "container" for unit in found)
    counts = {"any": True, "container": asked and host.attempt([DETECT_VIRT, "--container", "--quiet"])[0] == 0}
    return [{**unit, "conditional": counts.get(unit.get("conditional") or "", False)} for unit in found]


def is_left_out(shown: dict[str, str]) -> bool:
    """Whether the unit was to be started, and its own conditions say that it is not for this machine."""
    asked = shown.get("ConditionTimestampMonotonic") not in (None, "", "0")
    return asked and shown.get("ConditionResult") == "no" and shown.get("ActiveState") == "inactive"


def show(host: Host, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The properties of each unit by its name, by one question to systemd."""
    if not names:
        return {}
    out = host.run([SYSTEMCTL, "show", f"--property={','.join(PROPERTIES)}", "--", *names])
    return dict(zip(names, parse_show(out)))  # noqa: B905 - a managed host's Python may be older than 3.10


def is_started(shown: dict[str, str]) -> bool:
    """Whether the unit has run since boot and will at the next one."""
    return shown.get("ActiveState") == "active" and shown.get("UnitFileState") == "enabled"


def unmask(host: Host, name: str) -> None:
    """Takes away a mask that somebody has put over a unit of host.unit(): neither a start nor a boot gets by it."""
    if host.unit(name).get("LoadState") == "masked":
        host.run([SYSTEMCTL, "unmask", "--quiet", "--", name])
        host.attempt([SYSTEMCTL, "unmask", "--quiet", "--runtime", "--", name])


def plan(units: Iterable[dict[str, Any]], shown: dict[str, dict[str, str]]) -> list[tuple[str, str]]:
    """What is due, as (verb, unit)."""
    return [
        (verb, unit["name"])
        for unit in units
        for verb in decide(unit, shown[unit["name"]], times(unit, shown[unit["name"]]))
    ]


def entered(shown: dict[str, str]) -> float:
    """When the unit was started, by the steady clock, in seconds."""
    return _seconds(shown, "ActiveEnterTimestampMonotonic")


def _seconds(shown: dict[str, str], timestamp: str) -> float:
    """One of the unit's timestamps by the steady clock; 0 where it has none."""
    return int(shown.get(timestamp) or 0) / 1e6


def booted() -> float:
    """When the steady clock began, in Unix seconds."""
    return time.time() - time.monotonic()


def times(unit: dict[str, Any], shown: dict[str, str]) -> Times:
    boot = booted()
    left_out = unit.get("conditional") and is_left_out(shown)
    return Times(
        files=max(newest(unit.get("files") or []), unit.get("removed") or 0.0, boot + _written(unit, "files")),
        reload_files=max(newest(unit.get("reload_files") or []), boot + _written(unit, "reload_files")),
        started=boot + (_seconds(shown, "ConditionTimestampMonotonic") if left_out else entered(shown)),
        changed_state=boot + _seconds(shown, "StateChangeTimestampMonotonic"),
    )


def _written(unit: dict[str, Any], files: str) -> float:
    """When a run has last written one of them since the boot, by the steady clock: it is so under a wrong one, too."""
    known = unit.get("written") or {}
    return max((known[path] for path in unit.get(files) or [] if path in known), default=0.0)


def newest(paths: list[str]) -> float:
    """When one of the files last changed. What is dated in the future was written under a clock that has been set right
    since; it would have its unit restarted by every run, and says nothing."""
    dates = [Path(path).stat().st_mtime for path in paths if Path(path).exists()]
    return max((date for date in dates if date <= time.time() + CLOCK_ERROR), default=0.0)


def carry_out(
    host: Host, due: list[tuple[str, str]], shown: dict[str, dict[str, str]], conditional: frozenset[str] = frozenset()
) -> None:
    """PartError, with the unit's journal, where one does not come to its state or does not stay there; what is due of
    the others is done all the same. Those that are `conditional` may find that they are not for this machine."""
    if any(unit.get("NeedDaemonReload") == "yes" or unit.get("LoadState") == "not-found" for unit in shown.values()):
        host.run([SYSTEMCTL, "daemon-reload"])
    failed: dict[str, str] = {}  # words by unit
    for verb, name in due:
        code, _, err = host.attempt([SYSTEMCTL, verb, "--", name])
        if code != 0:
            failed.setdefault(name, f"systemctl {verb} {name}: {err.strip()}")
    if failed:
        raise PartError("; ".join(failed.values()), journal=journal(host, next(iter(failed))))
    steady(host, [name for verb, name in due if verb == "restart"], conditional)


def steady(host: Host, names: list[str], conditional: frozenset[str] = frozenset()) -> None:
    """Waits until all started units are active with the same process on two looks."""
    deadline = time.monotonic() + max(STEADY, host.settle)
    before: list[tuple[str, str]] = []
    while names:
        states = show(host, names)
        looks = [(state["ActiveState"], state.get("MainPID", "")) for state in states.values()]  # timers have none
        bad = [
            name
            for name, state in states.items()
            if state["ActiveState"] != "active" and not (name in conditional and is_left_out(state))
        ]
        if not bad and looks == before:
            return
        if any(state["ActiveState"] == "failed" for state in states.values()) or time.monotonic() > deadline:
            unsteady = bad or names
            raise PartError(
                f"does not stay active after its start: {', '.join(unsteady)}", journal=journal(host, unsteady[0])
            )
        before = looks
        time.sleep(0.7)


def journal(host: Host, name: str) -> list[str]:
    command = ["/usr/bin/journalctl", "--no-pager", "--lines=15", "--output=cat", f"--unit={name}"]
    return host.attempt(command)[1].splitlines()
