"""The words for runs, in the reader's language: states, counts, and the table at the end of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from zoneinfo import ZoneInfo

from wardnet.locale import _
from wardnet.runs.reasons import in_words
from wardnet.runs.records import Drift, HostOutcome, HostState, Parts, Run, RunState

# Never the colour alone: each state has its sign.
SIGNS = {
    HostState.OK: "●",
    HostState.CHANGED: "●",
    HostState.ROLLED_BACK: "↩",
    HostState.FAILED: "✖",
    HostState.UNREACHABLE: "○",
    HostState.UNFINISHED: "▲",
    HostState.NOT_REACHED: "–",
}
GRAVE = (
    HostState.ROLLED_BACK,
    HostState.FAILED,
    HostState.UNREACHABLE,
    HostState.UNFINISHED,
    HostState.NOT_REACHED,
)


def host_state(state: HostState, check: bool = False) -> str:
    """`check`: of a run that changed nothing."""
    return {
        HostState.OK: _("nothing to do"),
        HostState.CHANGED: _("would be changed") if check else _("changed"),
        HostState.ROLLED_BACK: _("rolled back"),
        HostState.FAILED: _("failed"),
        HostState.UNREACHABLE: _("unreachable"),
        HostState.UNFINISHED: _("not finished"),
        HostState.NOT_REACHED: _("not begun"),
    }[state]


def run_state(state: RunState) -> str:
    return {
        RunState.FINISHED: _("finished"),
        RunState.FAILED: _("stopped with errors"),
        RunState.INTERRUPTED: _("interrupted"),
        RunState.RUNNING: _("running"),
    }[state]


def part_name(part: str) -> str:
    """A part of a host in words; its own name where there are none for it."""
    return {
        "filter": _("packet filter"),
        "settings": _("kernel settings"),
        "network": _("addresses, routes and rules"),
        "routing": _("routing daemon"),
        "shaping": _("bandwidth shaping"),
        "switch": _("switch ports"),
        "access": _("logging in"),
        "files": _("files and services"),
        "packages": _("packages"),
        "units": _("services"),
    }.get(part, part)


def local(at: datetime | None, zone: str = "", to: str = "%H:%M:%S") -> str:
    """A time with its zone, which is the reader's own where none is named; `-` for none. `to`: how exactly."""
    if at is None:
        return "-"
    there = at.astimezone()
    with suppress(OSError, ValueError):  # a zone that this machine does not know
        there = at.astimezone(ZoneInfo(zone)) if zone else there
    return there.strftime(f"%Y-%m-%d {to} %Z")


def told_at(when: str, zone: str = "") -> str:
    """A time as a host wrote it, told like all others; as it is where it is none."""
    try:
        return local(datetime.fromisoformat(when), zone)
    except ValueError:
        return when


def reason(host: HostOutcome) -> str:
    """Why a host is not well, in one line; '' for one that is."""
    if host.rolled_back is not None:
        return in_words(one_line(host.rolled_back.why))
    if host.state is HostState.NOT_REACHED:
        return _("the run stopped before it")
    if host.state is HostState.UNFINISHED:
        return _("the run stopped before it was done with it")
    return in_words(said(host)) if not host.state.well else ""


def said(host: HostOutcome) -> str:
    """Its message in one line, without its own name and ward at the beginning: a table has columns for these."""
    message = one_line(host.message)
    for name in (f"{host.host} (ward {host.ward}): ", f"{host.host}: "):
        message = message.removeprefix(name)
    return message


def one_line(text: str) -> str:
    return " ".join(text.split())


def part_lines(parts: Parts) -> list[str]:
    """What was changed, or would be, as lines under the names of the parts: + is intended, - is not."""
    lines: list[str] = []
    for part, lists in sorted(parts.items()):
        lines.append(part_name(part))
        lines += [f"  + {line.removeprefix('+')}" for line in lists.get("missing", ())]
        lines += [f"  - {line.removeprefix('-')}" for line in lists.get("foreign", ())]
        lines += [f"  ~ {line}" for line in (*lists.get("paths", ()), *lists.get("needs", ()))]
    return lines


def three_ways(line: str) -> tuple[str, str, str, str]:
    """A line of drift as what it is about, and whether that is so in what runs, on disk, and as intended."""
    where, _colon, what = line.partition(": ")
    yes, no, other = _("yes"), _("no"), _("differs")
    kind, colon, item = what.partition(": ")
    if where == "running" and colon and kind == "missing":
        return item, no, yes, yes
    if where == "running" and colon and kind == "foreign":
        return item, yes, no, no
    if where == "running":
        return what, other, yes, yes
    return what, "-", other, yes


def drift_lines(drift: Drift) -> list[str]:
    """Drift as a table of three ways under the names of the parts."""
    lines: list[str] = []
    head = (_("running"), _("on disk"), _("intended"), _("what"))
    for part, items in sorted(drift.items()):
        told = [(running, disk, intended, what) for what, running, disk, intended in map(three_ways, items)]
        lines += [part_name(part), *table([head, *told])]
    return lines


def counts(run: Run) -> str:
    """One line: how many hosts came out how."""
    shown = [state for state in (HostState.OK, HostState.CHANGED, *GRAVE) if run.count(state)]
    return ", ".join(f"{run.count(state)} {host_state(state, run.check)}" for state in shown) or _("no hosts")


def signs(run: Run) -> str:
    """The same in a few columns: `●4 ↩1 –3`."""
    numbers: dict[str, int] = {}
    for state in (HostState.OK, HostState.CHANGED, *GRAVE):
        numbers[SIGNS[state]] = numbers.get(SIGNS[state], 0) + run.count(state)
    return " ".join(f"{sign}{number}" for sign, number in numbers.items() if number) or "-"


def end_of_run(run: Run) -> list[str]:
    """What a person reads when a run has ended: a table of the hosts that are not well, and where to read on."""
    bad = [host for host in run.hosts if not host.state.well]
    earlier = [host for host in run.hosts if host.earlier_rollback is not None]
    lines = [""]
    if bad:
        total = len(run.hosts)
        lines.append(_("not well, {bad} of {total} hosts:").format(bad=len(bad), total=total))
        order = sorted(bad, key=lambda host: (GRAVE.index(host.state), host.ward, host.host))
        head = (_("ward"), _("host"), _("state"), _("why"))
        lines += table(
            [head, *((h.ward, h.host, f"{SIGNS[h.state]} {host_state(h.state, run.check)}", reason(h)) for h in order)]
        )
    for host in earlier:
        back = host.earlier_rollback
        assert back is not None
        told = _("{host} had gone back by itself at {when}: {why}")
        when = told_at(back.when, run.timezone) or "?"
        lines.append(told.format(host=host.host, when=when, why=in_words(one_line(back.why))))
    lines.append(_("run {run}: {counts}; `wardnet runs show {run}`").format(run=run.id, counts=counts(run)))
    if bad:
        lines.append(
            _("go on where it stopped, when the reason is mended: `wardnet runs resume {run}`").format(run=run.id)
        )
    return lines


def interrupted(run: str, hosts: Iterable[str], seconds: int | None) -> list[str]:
    """What a person reads who stopped a run in its midst: at which hosts it was at work, what becomes of them by
    themselves, and how it is gone on with. `seconds`: for which a change is armed at most, where that is known."""
    at_work = sorted(hosts)
    lines = [""]
    if at_work:
        lines.append(_("stopped while it was at work at {hosts}").format(hosts=", ".join(at_work)))
        if seconds:
            said = _("a change there that was not confirmed is taken back by the host itself, within {seconds} s")
        else:
            said = _("a change there that was not confirmed is taken back by the host itself, in the time set for it")
        lines.append("  " + said.format(seconds=seconds))
    lines.append(_("run {run}: interrupted; `wardnet runs show {run}`").format(run=run))
    lines.append(_("go on where it stopped: `wardnet runs resume {run}`").format(run=run))
    return lines


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows with columns of one width; the last column is as long as it is."""
    cells = [list(map(str, row)) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]) - 1)]
    return [
        "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in cells
    ]
