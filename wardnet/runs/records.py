"""Records of runs: what a journal says, and what follows from it for each host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

Parts = Mapping[str, Mapping[str, tuple[str, ...]]]
Drift = Mapping[str, tuple[str, ...]]


class HostState(Enum):
    """How a host came out of a run, the gravest first."""

    ROLLED_BACK = "rolled_back"  # changed, not confirmed, back by itself
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    UNFINISHED = "unfinished"  # begun, and the run ended or was cut off before its end
    NOT_REACHED = "not_reached"  # the run stopped before it
    CHANGED = "changed"
    OK = "ok"

    @property
    def well(self) -> bool:
        return self in (HostState.CHANGED, HostState.OK)


class RunState(Enum):
    FINISHED = "finished"  # every host is well
    FAILED = "failed"  # ended, and some host is not well
    INTERRUPTED = "interrupted"  # no end was written: killed, power cut, Ctrl-C
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Rollback:
    """A host that went back by itself. `when` as the host wrote it, ISO 8601, or empty; `run` made the change;
    `failed_steps` of the way back."""

    when: str
    why: str
    run: str = ""
    parts: tuple[str, ...] = ()
    failed_steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One task's result on one host that is worth keeping."""

    at: datetime
    host: str
    play: int
    role: str
    task: str
    status: str  # ok | changed | failed | unreachable | ignored
    action: str = ""
    message: str = ""
    parts: Parts = field(default_factory=dict)
    drift: Drift = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    rolled_back: Rollback | None = None
    earlier_rollback: Rollback | None = None
    partial: bool = False  # of a commit: not all that the host is made of, as audit.yml's
    updates_at: int | None = None  # when security updates last came to their end there, in seconds since 1970


@dataclass(frozen=True, slots=True)
class Play:
    """A play in the order of the playbook. `hosts` are all it is for; None where that was not known when the run
    began. `batches` are those that began, in order; `ended` says whether the last of them came to its end. `stops`: one
    host's failure is the end of the run."""

    name: str
    hosts: tuple[str, ...] | None
    serial: tuple[str | int, ...] = ()
    batches: tuple[tuple[str, ...], ...] = ()
    ended: bool = False
    stops: bool = False


@dataclass(frozen=True, slots=True)
class HostOutcome:
    host: str
    ward: str
    state: HostState
    last: datetime | None = None  # of its last event
    message: str = ""
    parts: Parts = field(default_factory=dict)
    drift: Drift = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    rolled_back: Rollback | None = None
    earlier_rollback: Rollback | None = None
    read: bool = False  # whether its running state was read as a whole
    whole: bool = False  # whether the run was about all that it is made of: read, or published for it to fetch
    updates_at: int | None = None  # when security updates last came to their end there, in seconds since 1970


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    path: Path
    started: datetime
    ended: datetime | None
    state: RunState
    user: str
    machine: str
    playbook: str
    program: str
    argv: tuple[str, ...]
    playbooks: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]
    inventory: tuple[str, ...]
    model_sha256: str
    district: str
    as_of: str
    check: bool
    limit: str
    resumes: str
    withheld: int
    plays: tuple[Play, ...]
    hosts: tuple[HostOutcome, ...]
    events: tuple[Event, ...]
    unread_lines: int = 0  # lines that could not be read, a cut last one apart
    district_name: str = ""
    ward_names: Mapping[str, str] = field(default_factory=dict)  # by id, as people call them
    timezone: str = ""  # the district's, by its name in the tz database

    def count(self, *states: HostState) -> int:
        return sum(host.state in states for host in self.hosts)

    def outcome(self, host: str) -> HostOutcome | None:
        return next((one for one in self.hosts if one.host == host), None)

    def ward_name(self, ward: str) -> str:
        return self.ward_names.get(ward) or ward


def plain(run: Run) -> dict[str, Any]:
    """For --json: a run without its raw events' repetition of hosts."""
    return {
        "run": run.id,
        "state": run.state.value,
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat() if run.ended else None,
        "user": run.user,
        "machine": run.machine,
        "playbook": run.playbook,
        "argv": list(run.argv),
        "model_sha256": run.model_sha256,
        "as_of": run.as_of,
        "timezone": run.timezone or None,
        "check": run.check,
        "limit": run.limit,
        "resumes": run.resumes or None,
        "hosts": [plain_host(host) for host in run.hosts],
    }


def plain_host(host: HostOutcome) -> dict[str, Any]:
    return {
        "host": host.host,
        "ward": host.ward,
        "state": host.state.value,
        "last": host.last.isoformat() if host.last else None,
        "message": host.message or None,
        "parts": {part: {key: list(lines) for key, lines in lists.items()} for part, lists in host.parts.items()},
        "drift": {part: list(lines) for part, lines in host.drift.items()},
        "changes": list(host.changes),
        "rolled_back": plain_rollback(host.rolled_back),
        "earlier_rollback": plain_rollback(host.earlier_rollback),
        "updates_at": host.updates_at,
    }


def plain_rollback(rollback: Rollback | None) -> dict[str, Any] | None:
    if rollback is None:
        return None
    return {
        "when": rollback.when,
        "why": rollback.why,
        "run": rollback.run or None,
        "parts": list(rollback.parts),
        "failed_steps": list(rollback.failed_steps),
    }
