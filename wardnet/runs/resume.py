"""From an interrupted run to the command that goes on where it stopped. Pure.

The command is the run's own, with one more extra variable, which wardnet's playbooks heed:
    wardnet_resume: {"run": id, "hosts": {play: pattern}, "serial": {play: [how many at a time, ...]}}
`hosts` are those of a play that are not finished, in their order, and `serial` what is left of its steps: a canary
that went well is not repeated, one that did not is the canary again. Other playbooks get --limit alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wardnet.locale import _
from wardnet.runs.errors import ResumeError
from wardnet.runs.outcome import finished
from wardnet.runs.records import Play, Run, RunState
from wardnet.runs.withheld import WITHHELD

NOBODY = "all:!all"  # a play without hosts, which Ansible passes over
VARIABLE = "wardnet_resume"
RESUMES = "WARDNET_RESUMES"


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left of one play: its hosts in order, and how many of them at a time."""

    play: str
    hosts: tuple[str, ...]
    serial: tuple[int, ...]
    done: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resumption:
    """The command that goes on with a run, where it is started, and what it adds to the environment."""

    run: str
    argv: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]
    remaining: tuple[Remaining, ...]
    hosts: tuple[str, ...]


def resume(run: Run, model_sha256: str, changed_inventory: bool = False, extra: Sequence[str] = ()) -> Resumption:
    """How to go on. ResumeError where there is nothing left, the run still runs, the inventory is another than the
    run's (`model_sha256` is that of today's) and `changed_inventory` does not allow that, or a secret of the command
    was withheld and `extra` does not give it again."""
    if run.state is RunState.RUNNING:
        raise ResumeError(_("run {run} is still running").format(run=run.id))
    remaining = tuple(left for index, play in enumerate(run.plays) if (left := remaining_of(run, index, play)))
    hosts = tuple(dict.fromkeys(host for left in remaining for host in left.hosts))
    if not hosts:
        raise ResumeError(_("run {run} is finished: nothing is left of it").format(run=run.id))
    if run.model_sha256 and model_sha256 != run.model_sha256 and not changed_inventory:
        said = _(
            "the inventory is not the one of run {run} any more (model {old}, now {new}): run the playbook anew, or go "
            "on with what it says now with --changed-inventory"
        )
        raise ResumeError(said.format(run=run.id, old=run.model_sha256[:12], new=model_sha256[:12] or "?"))
    if any(WITHHELD in word for word in run.argv) and not extra:
        said = _(
            "secrets of the command of run {run} were not written down: give them again behind --, as -- -e NAME=VALUE"
        )
        raise ResumeError(said.format(run=run.id))
    heeded = {
        "run": run.id,
        "hosts": {left.play: ",".join(left.hosts) or NOBODY for left in remaining},
        "serial": {left.play: list(left.serial) for left in remaining if left.serial},
    }
    # A play that is wholly done is named too, with nobody.
    words = _own_words(run)
    argv = (run.program, *words, "--limit", ",".join(hosts), "-e", json.dumps({VARIABLE: heeded}), *extra)
    return Resumption(run.id, argv, run.cwd, {**run.environment, RESUMES: run.id}, remaining, hosts)


def newest_unfinished(runs: Iterable[Run]) -> Run | None:
    """The newest run in earnest that left something undone, or None. `runs` are the newest first. One whose hosts have
    since come well out of later runs in earnest of the same playbook is done, as one that was gone on with."""
    settled: dict[str, set[str]] = {}
    for run in runs:
        if run.check:
            continue
        left = {
            host for index, play in enumerate(run.plays) if (of := remaining_of(run, index, play)) for host in of.hosts
        }
        done = settled.setdefault(run.playbook, set())
        if run.state is RunState.RUNNING or left - done:
            return run
        done |= {host.host for host in run.hosts if host.state.well}
    return None


def remaining_of(run: Run, index: int, play: Play) -> Remaining | None:
    """What is left of a play; None where its hosts are not known, so that it is played as the playbook says."""
    if play.hosts is None:
        return None
    done = finished(play, index, run.events)
    left = tuple(host for host in play.hosts if host not in done)
    if not left or not play.serial:
        return Remaining(play.name, left, (), tuple(host for host in play.hosts if host in done))
    steps = [[host for host in batch if host not in done] for batch in batches(play.hosts, play.serial)]
    serial = tuple(len(step) for step in steps if step)
    return Remaining(play.name, left, serial, tuple(host for host in play.hosts if host in done))


def batches(hosts: Sequence[str], serial: Sequence[str | int]) -> list[tuple[str, ...]]:
    """The hosts in steps, as Ansible makes them: the last step is repeated until all have had their turn."""
    found: list[tuple[str, ...]] = []
    left = list(hosts)
    position = 0
    while left:
        size = _size(serial[min(position, len(serial) - 1)], len(hosts)) if serial else len(hosts)
        size = size if size > 0 else len(left)
        found.append(tuple(left[:size]))
        left = left[size:]
        position += 1
    return found


def _size(step: str | int, count: int) -> int:
    if isinstance(step, str) and step.endswith("%"):
        return int(float(step[:-1]) / 100 * count) or 1
    return int(step)


def _own_words(run: Run) -> list[str]:
    """The run's own arguments without its --limit, what an earlier resumption added, and playbooks before its own."""
    before = run.playbooks[: run.playbooks.index(run.playbook)] if run.playbook in run.playbooks else ()
    kept: list[str] = []
    words = list(run.argv)
    while words:
        word = words.pop(0)
        following = words[0] if words else ""
        if word in ("-l", "--limit"):
            words[:1] = []
        elif word.startswith("--limit=") or (word.startswith("-l") and not word.startswith("--") and len(word) > 2):
            continue
        elif word in ("-e", "--extra-vars") and (following.startswith(f'{{"{VARIABLE}"') or WITHHELD in following):
            words[:1] = []
        elif WITHHELD in word:
            continue
        elif word in before:
            before = tuple(one for one in before if one != word)
        else:
            kept.append(word)
    return kept


def program_environment(resumption: Resumption) -> dict[str, str]:
    """The whole environment for the command."""
    return {**os.environ, **resumption.environment}
