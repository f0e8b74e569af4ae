"""Journals to runs. A journal is JSON lines: a header, then one line an event, then the end; see docs/runs.md.

A controller that was killed leaves a journal without its end, perhaps with half a last line: it is read all the same.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardnet.locale import _
from wardnet.runs.errors import JournalError
from wardnet.runs.outcome import outcomes
from wardnet.runs.places import SUFFIX
from wardnet.runs.records import Event, Play, Rollback, Run, RunState

FORMAT = 1


def parse_run(text: str, path: Path, running: bool = False) -> Run:
    """The run of a journal's text. JournalError where its header cannot be read."""
    records, unread = _records(text)
    if not records or records[0].get("event") != "run":
        raise JournalError(
            _("{file}: not a journal of a run, or one that was cut off before its first line").format(file=path)
        )
    header = records[0]
    if header.get("format") != FORMAT:
        said = _("{file}: a journal of format {theirs}, and this reads {ours}")
        raise JournalError(said.format(file=path, theirs=header.get("format"), ours=FORMAT))
    try:
        return _run(header, records[1:], path, running, unread)
    except (KeyError, TypeError, ValueError) as error:
        said = _("{file}: not readable as a journal: {error!r}")
        raise JournalError(said.format(file=path, error=error)) from error


def read_run(path: Path) -> Run:
    """The run of a journal; JournalError names the file and the reason."""
    try:
        with path.open("rb") as file:
            running = _is_held(file.fileno())
            text = file.read().decode("utf-8", errors="replace")
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error
    return parse_run(text, path, running)


def find_journals(folders: Iterable[Path]) -> list[Path]:
    """Journals, the newest first: a journal's name begins with when its run began, in UTC."""
    found = {path.name: path for folder in folders if folder.is_dir() for path in folder.glob(f"*{SUFFIX}")}
    return [found[name] for name in sorted(found, reverse=True)]


def read_runs(folders: Iterable[Path], most: int | None = None) -> tuple[list[Run], list[JournalError]]:
    """Runs, the newest first, and what could not be read."""
    runs: list[Run] = []
    errors: list[JournalError] = []
    for path in find_journals(folders):
        if most is not None and len(runs) >= most:
            break
        try:
            runs.append(read_run(path))
        except JournalError as error:
            errors.append(error)
    return runs, errors


def find_run(name: str, folders: Sequence[Path]) -> Run:
    """The run whose id begins with `name`, or the newest one for ''. JournalError where there is none, or several."""
    paths = find_journals(folders)
    if not paths:
        raise JournalError(_("no journal of a run in {folders}").format(folders=", ".join(map(str, folders))))
    matching = [path for path in paths if path.stem.startswith(name)]
    exact = [path for path in matching if path.stem == name]
    if not matching:
        raise JournalError(_("no run {run} in {folders}").format(run=name, folders=", ".join(map(str, folders))))
    if name and not exact and len(matching) > 1:
        several = ", ".join(path.stem for path in matching[:5])
        raise JournalError(_("{run} may be any of {several}").format(run=name, several=several))
    return read_run((exact or matching)[0])


def _is_held(descriptor: int) -> bool:
    """The callback holds a lock on its journal for as long as its run lives, whatever ends it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _records(text: str) -> tuple[list[dict[str, Any]], int]:
    lines = text.split("\n")
    cut = lines.pop()  # '' where the last line is whole
    found: list[dict[str, Any]] = []
    unread = 0
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
        except ValueError:
            # Half a line, and others after it: a disk that was full for a while.
            unread += bool(line.strip()) or number == 0
            continue
        if isinstance(record, dict):
            found.append(record)
    if cut:
        try:
            record = json.loads(cut)
        except ValueError:
            pass  # what the killed controller was writing
        else:
            found += [record] if isinstance(record, dict) else []
    return found, unread


def _run(
    header: Mapping[str, Any], records: Sequence[Mapping[str, Any]], path: Path, running: bool, unread: int
) -> Run:
    wards: Mapping[str, str] = header.get("wards") or {}
    plays = [_play(one) for one in header["plays"]]
    events: list[Event] = []
    ended: datetime | None = None
    begun: list[int] = []
    checks: list[bool] = []
    for record in records:
        match record.get("event"):
            case "play":
                index = int(record["play"])
                if begun:
                    plays[begun[-1]] = replace(plays[begun[-1]], ended=True)
                begun.append(index)
                if record["batch"]:
                    checks.append(bool(record.get("check")))
                hosts = plays[index].hosts if plays[index].hosts is not None else tuple(record["hosts"])
                batches = (*plays[index].batches, tuple(record["batch"]))
                plays[index] = replace(plays[index], hosts=hosts, batches=batches, ended=False)
            case "result":
                events.append(parse_event(record))
            case "end":
                ended = moment(record["at"])
    if ended is not None and begun:
        plays[begun[-1]] = replace(plays[begun[-1]], ended=True)
    came_out = outcomes(plays, events, wards)
    if ended is not None:
        state = RunState.FINISHED if all(host.state.well for host in came_out) else RunState.FAILED
    else:
        state = RunState.RUNNING if running else RunState.INTERRUPTED
    return Run(
        id=str(header["run"]),
        path=path,
        started=moment(header["at"]),
        ended=ended,
        state=state,
        user=str(header.get("user") or ""),
        machine=str(header.get("machine") or ""),
        playbook=str(header["playbook"]),
        program=str(header.get("program") or "ansible-playbook"),
        argv=tuple(map(str, header["argv"])),
        playbooks=tuple(map(str, header.get("playbooks") or ())),
        cwd=str(header.get("cwd") or ""),
        environment=dict(header.get("environment") or {}),
        inventory=tuple(header.get("inventory") or ()),
        model_sha256=str(header.get("model_sha256") or ""),
        district=str(header.get("district") or ""),
        district_name=str(header.get("district_name") or ""),
        ward_names={str(ward): str(name) for ward, name in (header.get("ward_names") or {}).items()},
        timezone=str(header.get("timezone") or ""),
        as_of=str(header.get("as_of") or ""),
        check=bool(header.get("check")) or (bool(checks) and all(checks)),
        limit=str(header.get("limit") or ""),
        resumes=str(header.get("resumes") or ""),
        withheld=int(header.get("withheld") or 0),
        plays=tuple(plays),
        hosts=tuple(came_out),
        events=tuple(events),
        unread_lines=unread,
    )


def _play(record: Mapping[str, Any]) -> Play:
    hosts = record.get("hosts")
    return Play(
        name=str(record["name"]),
        hosts=tuple(map(str, hosts)) if hosts is not None else None,
        serial=tuple(record.get("serial") or ()),
        stops=bool(record.get("stops")),
    )


def parse_event(record: Mapping[str, Any]) -> Event:
    """KeyError, TypeError or ValueError for a record that the callback did not write."""
    parts = {
        str(part): {str(key): tuple(map(str, lines)) for key, lines in lists.items()}
        for part, lists in (record.get("parts") or {}).items()
    }
    return Event(
        at=moment(record["at"]),
        host=str(record["host"]),
        play=int(record["play"]),
        role=str(record.get("role") or ""),
        task=str(record.get("task") or ""),
        status=str(record["status"]),
        action=str(record.get("action") or ""),
        message=str(record.get("message") or ""),
        parts=parts,
        drift={str(part): tuple(map(str, lines)) for part, lines in (record.get("drift") or {}).items()},
        changes=tuple(map(str, record.get("changes") or ())),
        rolled_back=_rollback(record.get("rolled_back")),
        earlier_rollback=_rollback(record.get("earlier_rollback")),
        partial=bool(record.get("partial")),
        updates_at=int(record["updates_at"]) if record.get("updates_at") else None,
    )


def _rollback(record: Mapping[str, Any] | None) -> Rollback | None:
    if not record:
        return None
    return Rollback(
        when=str(record.get("when") or ""),
        why=str(record.get("why") or ""),
        run=str(record.get("run") or ""),
        parts=tuple(map(str, record.get("parts") or ())),
        failed_steps=tuple(map(str, record.get("failed_steps") or ())),
    )


def moment(text: str) -> datetime:
    """A time of a journal, always in UTC. ValueError where it is none."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
