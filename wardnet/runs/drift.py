"""The last that is known of each host's drift and of its runs, from all journals. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from wardnet.runs.records import Drift, HostOutcome, HostState, Parts, Run


@dataclass(frozen=True, slots=True)
class HostHistory:
    """What all journals say of one host.

    `drift` and `pending` are of the last run that read the host whole: what somebody changed by hand, and what the
    inventory says and the host does not have yet; both empty after a run in earnest that went well. A run of a part of
    what the host is made of, as audit.yml, adds the drift that it finds, or takes away what it heals, and no more.
    `read_at` is None where no run ever read it whole. `last_success`: a run about all that the host is made of
    left it as intended, or found it so. `rollbacks` counts the times that the host went back by itself. `updates_at`:
    when security updates last came to their end there, as it last said, in seconds since 1970. `told`: of which way
    back the host told last, by the run that made the change and when it went back; each check tells of it again.
    """

    host: str
    ward: str
    last_run: str
    last_at: datetime
    last_state: HostState
    last_success: datetime | None = None
    read_at: datetime | None = None
    read_run: str = ""
    drift: Drift = field(default_factory=dict)
    pending: Parts = field(default_factory=dict)
    healed: Drift = field(default_factory=dict)
    rollbacks: int = 0
    updates_at: int | None = None
    told: tuple[str, str] | None = None


def histories(runs: Iterable[Run]) -> list[HostHistory]:
    """One record a host, by ward and host. `runs` in any order; a host that a run did not come to keeps its own."""
    found: dict[str, HostHistory] = {}
    for run in sorted(runs, key=lambda run: run.started):
        for outcome in run.hosts:
            if outcome.state is not HostState.NOT_REACHED:
                before = found.get(outcome.host)
                updates = outcome.updates_at or (before.updates_at if before else None)
                found[outcome.host] = replace(
                    _with(before, run, outcome), updates_at=updates, told=_told(before, outcome)
                )
    return sorted(found.values(), key=lambda one: (one.ward, one.host))


def _with(before: HostHistory | None, run: Run, outcome: HostOutcome) -> HostHistory:
    at = outcome.last or run.started
    # One that was only read and differs in nothing is as good as one that was brought there; a part of it says nothing
    # of the rest.
    as_intended = outcome.whole and (outcome.state is HostState.OK if run.check else outcome.state.well)
    success = at if as_intended else before.last_success if before else None
    rollbacks = (before.rollbacks if before else 0) + (outcome.rolled_back is not None)
    rollbacks += outcome.rolled_back is None and _is_news(before, outcome)
    last = (outcome.host, outcome.ward or (before.ward if before else ""), run.id, at, outcome.state, success)
    if not outcome.read:
        old = before or HostHistory(*last)
        drift = old.drift
        if outcome.drift and run.check:
            drift = _joined(old.drift, outcome.drift)
        elif outcome.drift and outcome.state.well:
            drift = _without(old.drift, outcome.drift)
        return HostHistory(*last, old.read_at, old.read_run, drift, old.pending, old.healed, rollbacks)
    if run.check:
        return HostHistory(*last, at, run.id, outcome.drift, outcome.parts, {}, rollbacks)
    # In earnest what was found is gone; it is remembered as healed.
    return HostHistory(*last, at, run.id, {}, {}, outcome.drift, rollbacks)


def _joined(known: Drift, found: Drift) -> Drift:
    """What is known of a host, and what a run has found that looked at a part of it."""
    return {
        part: tuple(dict.fromkeys((*known.get(part, ()), *found.get(part, ())))) for part in sorted({*known, *found})
    }


def _without(known: Drift, healed: Drift) -> Drift:
    left = {part: tuple(line for line in lines if line not in healed.get(part, ())) for part, lines in known.items()}
    return {part: lines for part, lines in left.items() if lines}


def _is_news(before: HostHistory | None, outcome: HostOutcome) -> bool:
    """A way back that the host tells of later is counted once: not where its own run had seen it already, nor when it
    is told again."""
    if outcome.earlier_rollback is None:
        return False
    return before is None or (before.last_state is not HostState.ROLLED_BACK and before.told != _told(None, outcome))


def _told(before: HostHistory | None, outcome: HostOutcome) -> tuple[str, str] | None:
    back = outcome.earlier_rollback
    return (back.run, back.when) if back is not None else before.told if before is not None else None
