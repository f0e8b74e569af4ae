"""The commit of a candidate on a host: survey, judge, arm, apply, probe, and in a second run confirm. The order of it
is what this file is about; what each part does is in the parts. Standard library only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils import wardnet_after as after
from ansible.module_utils import wardnet_packages as packages
from ansible.module_utils import wardnet_probe as probe
from ansible.module_utils import wardnet_units as units
from ansible.module_utils.wardnet_bundle import Bundle
from ansible.module_utils.wardnet_bundle_entries import BundleError
from ansible.module_utils.wardnet_candidate import UNGUARDED, Step
from ansible.module_utils.wardnet_confirmed import was_confirmed
from ansible.module_utils.wardnet_host import CommandError, Host
from ansible.module_utils.wardnet_lost import Lost, start_again
from ansible.module_utils.wardnet_part import PartError, RefusedError, Undo
from ansible.module_utils.wardnet_survey import Survey
from ansible.module_utils.wardnet_transaction import Transaction, begins_after, last_rollback, mark_told
from ansible.module_utils.wardnet_way_back import keep_file
from ansible.module_utils.wardnet_written import note_written

MEBI = 1 << 20
INODES = 64
UPDATED = "upgraded"
NOTHING = "nothing was touched"
LOGINS = ("access", "accounts")
BROKEN = (PartError, CommandError, BundleError, OSError)


@dataclass(frozen=True)
class Options:
    who: str
    run: str
    host: str
    confirm_within: int
    probes: tuple[dict[str, Any], ...]
    min_free: int
    partial: bool = False


class TakenBackError(Exception):
    """The change was made and taken back by this run."""

    def __init__(self, why: str, facts: dict[str, Any]) -> None:
        super().__init__(why)
        self.facts = facts


def commit(host: Host, steps: tuple[Step, ...], options: Options) -> dict[str, Any]:
    """The result of the first run, as wardnet_candidate.py says. The caller holds the lock, but in check mode."""
    transaction = Transaction(host)
    if not host.check_mode:
        transaction.finish_former()
    survey = Survey(host, steps, options.partial)
    survey.read_files()
    survey.read_owed()
    survey.read_packages()
    survey.make_parts()
    survey.read_units()
    awaits_packages = bool(survey.due_packages) and not host.check_mode
    if not awaits_packages:
        survey.read_parts()
        survey.judge()
    result = {"armed": False, "confirmed": False, "rolled_back": False, **_updates(host)}
    told = last_rollback(host)
    if told:
        result["last_rollback"] = told
    held = transaction.holder() if host.check_mode else None
    if held:
        result["held"] = held
    if host.check_mode:
        result["last_run"] = transaction.last_run()
    if host.check_mode or (not awaits_packages and not survey.differs):
        if not host.check_mode:
            survey.remember(options.run)
            mark_told(host, told)
        return {**survey.as_result(), **result}
    check_disk(host, survey, options.min_free)
    if awaits_packages:
        install_packages(survey)
        try:
            survey.read_units()
            survey.read_parts()
            survey.judge()
        except RefusedError as error:
            raise RefusedError(_but_packages(str(error), survey)) from error
    said = survey.as_result()
    if survey.guarded:
        token = change(host, survey, transaction, options)
        if options.confirm_within:
            mark_told(host, told)
            within = begins_after(options.confirm_within)
            return {**said, **result, "armed": True, "token": token, "goes_back_within": within}
        make_last(host, survey, transaction, token)
        transaction.remembered()
    done = finish(host, survey, options)
    mark_told(host, told)
    return {**said, **result, "actions": done, "confirmed": bool(survey.guarded)}


def confirm(host: Host, steps: tuple[Step, ...], options: Options, token: str) -> dict[str, Any]:
    """The result of the second run, over the new connection."""
    transaction = Transaction(host)
    survey = Survey(host, steps, options.partial)
    survey.read_files()
    survey.make_parts()
    survey.read_units()
    tags = {}
    if not was_confirmed(host, token):  # else only the answer to that was lost
        log = transaction.lasting(token, of_steps(survey)) or make_last(host, survey, transaction, token)
        tags = log.get("tags") or {}
        survey.remember(options.run, token)
        transaction.remembered()
    done = finish(host, survey, options, tags)
    return {"changed": True, "armed": False, "confirmed": True, "rolled_back": False, "actions": done}


def change(host: Host, survey: Survey, transaction: Transaction, options: Options) -> str:
    """Makes the change of all guarded parts, from armed to probed; its token. TakenBackError where it was undone."""
    guarded = survey.guarded
    asked = probe.questions(options.probes)
    answered = probe.ask(asked)
    demands, unknown = probe.demanded(answered), probe.not_demanded(asked, answered)
    if unknown:
        host.warn(f"did not answer before the change either, so that it was not demanded: {', '.join(unknown)}")
    names = [part.name for part in guarded]
    tags = {key: sorted(found) for key, found in changed_tags(survey).items() if found}
    facts = {"who": options.who, "run": options.run, "host": options.host, "parts": names, "tags": tags}
    facts["steps"] = of_steps(survey)
    budget = options.confirm_within + int(host.settle)
    token = transaction.begin(list(way_back(survey)), **facts)
    begun = time.monotonic()
    try:
        transaction.arm(0, budget, f"the change was not finished within {begins_after(budget)} s")
        for part in guarded:
            part.prepare()
            if part.files_when == "apply":
                put_files(survey, (step for step in survey.steps if step.part == part.name))
            part.apply()
            start_again(host, survey.lost.get(part.name, Lost()), begun)
        for part in guarded:
            part.verify()
        silent = probe.wait_for(demands, time.monotonic() + host.settle)
        if silent:
            raise PartError(f"no longer answered: {', '.join(silent)}")
        if options.confirm_within:
            said = f"nobody confirmed the change over a new connection within {begins_after(options.confirm_within)} s"
            transaction.arm(1, options.confirm_within, said)
            transaction.disarm(0)
    except (*BROKEN, RefusedError) as error:
        _go_back(transaction, names, error)
    return token


def _go_back(transaction: Transaction, names: list[str], error: Exception) -> None:
    why = str(error)
    report = transaction.take_back(why)
    facts = {**getattr(error, "facts", {}), "why": why, "rolled_back_parts": names}
    if report and report["failed"]:
        facts["way_back_failed"] = report["failed"]
    raise TakenBackError(why, facts) from error


def way_back(survey: Survey) -> Iterable[tuple[str, Undo]]:
    """All that brings the host back, the part that is changed last first; but who logs in, after the way to the host:
    a server that does not come back at once keeps nothing else from it. Files come before all commands anyway."""
    last_first = survey.guarded[::-1]
    for part in sorted(last_first, key=lambda part: part.name in LOGINS):
        for path in dict.fromkeys(change.path for change in part.files):
            yield part.name, keep_file(path)
        for entry in (*survey.lost.get(part.name, Lost()).back(), *part.undo()):
            yield part.name, entry


def make_last(host: Host, survey: Survey, transaction: Transaction, token: str) -> dict[str, Any]:
    """The confirmed change is written for the next boot; where that fails, all of it is taken back."""
    log = transaction.claim(token, of_steps(survey))
    parts = [part for part in survey.parts if part.name in log["parts"]]
    try:
        for part in parts:
            part.files = survey.all_changes(part.name)
            put_files(survey, (step for step in survey.steps if step.part == part.name))
            part.confirmed()
        after.note(host, survey.steps, _with(changed_tags(survey), log.get("tags")))
    except BROKEN as error:
        _go_back(transaction, [part.name for part in parts], error)
    transaction.end()
    return log


def of_steps(survey: Survey) -> dict[str, str]:
    """Which candidate it is."""
    return {step.key: step.sha256 for step in survey.steps}


def changed_tags(survey: Survey) -> dict[str, set[str]]:
    """Tags of the files that changed, by the step's key."""
    return {key: {change.tag for change in changes if change.tag} for key, changes in survey.changes.items()}


def finish(host: Host, survey: Survey, options: Options, former: dict[str, list[str]] | None = None) -> list[str]:
    """What cannot cut the way to the host: files, commands after them, units. What was done, in words. `former` holds
    tags of the files that the first run has put in place already. One command or unit that fails keeps none of the
    others from being brought about; all that failed is told."""
    after.note(host, survey.steps, _with(changed_tags(survey), former))
    note_written(host, survey.all_changes(UNGUARDED))
    put_files(survey, (step for step in survey.steps if step.part == UNGUARDED))
    done, failed = after.run_owed(host, survey.steps, survey.partial)
    try:
        bring_units(host, survey, options)
    except (PartError, CommandError) as error:
        if not failed:
            raise
        raise PartError("; ".join((*failed, str(error))), **getattr(error, "facts", {})) from error
    if failed:
        raise PartError("; ".join(failed))
    survey.remember(options.run)
    return [*done, *(f"{verb} {name}" for verb, name in survey.due_units)]


def _with(tags: dict[str, set[str]], more: dict[str, list[str]] | None) -> dict[str, set[str]]:
    return {key: found | set((more or {}).get(key, ())) for key, found in tags.items()}


def bring_units(host: Host, survey: Survey, options: Options) -> None:
    """What is due of units. PartError where one does not come, or a line over it leads nowhere any more."""
    survey.read_units()
    if any("/systemd/system" in str(change.path) for change in survey.all_changes()):
        host.run([units.SYSTEMCTL, "daemon-reload"])
    over = {unit["name"] for step in survey.steps for unit in step.units if unit.get("line")}
    over |= {name for part in survey.parts for name in part.services()}
    lines = [name for _, name in survey.due_units if name in over]
    demands = probe.demanded(probe.ask(probe.questions(options.probes))) if lines else ()
    units.carry_out(host, survey.due_units, host.shown, survey.conditional)
    silent = probe.wait_for(demands, time.monotonic() + host.settle) if demands else []
    if silent:
        raise PartError(
            f"since {', '.join(lines)} was started again no longer answered: {', '.join(silent)}. This is not taken "
            "back by itself: mend the line in the inventory, or its secret, and run again"
        )


def put_files(survey: Survey, steps: Iterable[Step]) -> None:
    """The files of the steps, as far as they are not there yet."""
    for step in steps:
        bundle: Bundle = survey.bundles[step.key]
        bundle.lenient = False
        bundle.install(bundle.changes())


def install_packages(survey: Survey) -> None:
    early = tuple(step for step in survey.steps if step.early)
    after.note(survey.host, early, changed_tags(survey))
    note_written(survey.host, (change for step in early for change in survey.changes[step.key]))
    put_files(survey, early)
    quiet = {name for step in survey.steps if not step.start for name in step.packages}
    for start in (True, False):
        due = [name for name in survey.due_packages if (name not in quiet) is start]
        if due:
            packages.install(survey.host, due, start)
    for step in survey.steps:  # packages bring files and owners
        if not step.early:
            survey.changes[step.key] = survey.bundles[step.key].changes()
    survey.make_parts()


def _but_packages(refusal: str, survey: Survey) -> str:
    """What is refused once packages are installed has touched these, and the files that come before them."""
    early = any(survey.changes[step.key] for step in survey.steps if step.early)
    names = f"{', '.join(survey.due_packages)}{' and the files before them' if early else ''}"
    words = refusal if NOTHING in refusal else f"{refusal}; {NOTHING}"
    return words.replace(NOTHING, f"{NOTHING} but packages ({names})")


def check_disk(host: Host, survey: Survey, min_free: int) -> None:
    """RefusedError where one of the file systems that will be written to is full or read-only."""
    paths = {host.state, host.library, host.units, Path("/run"), *(change.path for change in survey.all_changes())}
    if survey.due_packages:
        paths |= {Path("/var/cache/apt"), Path("/usr")}
    seen = set()
    for path in sorted(paths):
        folder = next(parent for parent in (path, *path.parents) if parent.is_dir())
        device = folder.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        state = os.statvfs(folder)
        free = state.f_bavail * state.f_frsize
        if state.f_flag & os.ST_RDONLY:
            raise RefusedError(f"the file system of {folder} is read-only: nothing was touched")
        if free < min_free * MEBI or (state.f_files and state.f_favail < INODES):
            raise RefusedError(
                f"the file system of {folder} is full ({free // MEBI} MiB and {state.f_favail} inodes left, "
                f"{min_free} MiB wanted): nothing was touched. Make room, then run again"
            )


def _updates(host: Host) -> dict[str, Any]:
    """When security updates last came to their end here, as role hardening writes it down."""
    with suppress(OSError, ValueError):
        return {"updates_at": int(float((host.state / UPDATED).read_text()))}
    return {}
