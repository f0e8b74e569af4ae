"""wardnet runs: what runs of the playbooks did, going on with one that was cut off, and reports of them."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from wardnet.cli.console import Exit, err, fail, out
from wardnet.locale import _
from wardnet.runs.drift import HostHistory, histories
from wardnet.runs.errors import RunsError
from wardnet.runs.journal import find_run, read_runs
from wardnet.runs.places import read_folders
from wardnet.runs.records import HostOutcome, HostState, Run, RunState, plain, plain_host
from wardnet.runs.report import report_html, report_text, sections
from wardnet.runs.resume import Resumption, newest_unfinished, program_environment, resume
from wardnet.runs.words import SIGNS, drift_lines, host_state, local, reason, run_state, signs

COLOURS = {
    HostState.OK: "green",
    HostState.CHANGED: "green",
    HostState.ROLLED_BACK: "red",
    HostState.FAILED: "red",
    HostState.UNREACHABLE: "magenta",
    HostState.UNFINISHED: "yellow",
    HostState.NOT_REACHED: "dim",
}
RUN_COLOURS = {
    RunState.FINISHED: "green",
    RunState.FAILED: "red",
    RunState.INTERRUPTED: "yellow",
    RunState.RUNNING: "cyan",
}

runs = typer.Typer(
    no_args_is_help=False,
    invoke_without_command=True,
    help=_("Runs of the playbooks: list them, look into one, go on with one, report it, and what has drifted."),
)
RUN = Annotated[str, typer.Argument(help=_("the run's id, or how it begins; the newest where not given"))]
UNFINISHED = Annotated[
    str,
    typer.Argument(
        help=_("the run's id, or how it begins; the newest unfinished one that changes hosts where not given"),
    ),
]


@runs.callback()
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_runs()


@runs.command("list", help=_("List runs, the newest first."))
def list_runs(
    most: Annotated[int, typer.Option("--most", "-n", min=1, help=_("how many"))] = 20,
    as_json: Annotated[bool, typer.Option("--json", help=_("for programs"))] = False,
) -> None:
    found, errors = read_runs(read_folders(), most)
    if as_json:
        typer.echo(json.dumps([plain(run) for run in found], ensure_ascii=False, indent=2))
    elif not found:
        out.print(_("no runs yet in {folders}").format(folders=", ".join(map(str, read_folders()))), markup=False)
    else:
        out.print(runs_table(found))
    for error in errors:
        err.print(str(error), markup=False)


def runs_table(found: list[Run]) -> Table:
    """One row a run: when, what, who, how it ended, and how its hosts came out."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in (_("run"), _("started")):
        table.add_column(name, no_wrap=True)
    for name in (_("who"), _("playbook"), _("state")):
        table.add_column(name, overflow="fold")
    table.add_column(_("hosts"), no_wrap=True)
    for run in found:
        playbook = Path(run.playbook).stem + (" --check" if run.check else "")
        state = Text(run_state(run.state), style=RUN_COLOURS[run.state])
        started = local(run.started, run.timezone, "%H:%M")
        table.add_row(run.id, started, Text(run.user), Text(playbook), state, Text(signs(run)))
    return table


@runs.command("show", help=_("Show one run: how every host came out, what was changed there, and why one is not well."))
def show(
    run_id: RUN = "",
    host: Annotated[str, typer.Option("--host", help=_("this host alone, with every task that did something"))] = "",
    as_json: Annotated[bool, typer.Option("--json", help=_("for programs"))] = False,
) -> None:
    run = _find(run_id)
    chosen = [one for one in run.hosts if host in ("", one.host)]
    if host and not chosen:
        fail(_("run {run} knows no host {host}").format(run=run.id, host=host))
    if as_json:
        record = plain_host(chosen[0]) if host else plain(run)
        typer.echo(json.dumps(record, ensure_ascii=False, indent=2))
        return
    _show_head(run)
    out.print(hosts_table(run, chosen))
    for one in chosen:
        _show_host(run, one)
    if host:
        for event in run.events:
            if event.host == host:
                where = f"{event.role}: {event.task}" if event.role else event.task
                out.print(Text(f"{local(event.at, run.timezone)}  {event.status:<11}  {where}"), soft_wrap=True)


def _show_head(run: Run) -> None:
    out.print(Text.assemble(run.id, "  ", (run_state(run.state), RUN_COLOURS[run.state])))
    rows = [
        (_("playbook"), run.playbook + (" --check" if run.check else "")),
        (
            _("started"),
            _("{when} by {who} on {machine}").format(
                when=local(run.started, run.timezone), who=run.user, machine=run.machine
            ),
        ),
        (_("ended"), local(run.ended, run.timezone)),
        (_("inventory"), _("model {model}, as of {day}").format(model=run.model_sha256[:12] or "?", day=run.as_of)),
    ]
    if run.resumes:
        rows.append((_("goes on with"), run.resumes))
    if run.limit:
        rows.append((_("limit"), run.limit))
    for name, value in rows:
        out.print(Text(f"  {name}: {value}"), soft_wrap=True)
    if run.unread_lines:
        out.print(Text("  " + _("{count} lines of the journal are not readable").format(count=run.unread_lines)))


def hosts_table(run: Run, hosts: list[HostOutcome]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in (_("ward"), _("host"), _("state"), _("why")):
        table.add_column(name, overflow="fold")
    for one in hosts:
        state = Text(f"{SIGNS[one.state]} {host_state(one.state, run.check)}", style=COLOURS[one.state])
        table.add_row(Text(one.ward), Text(one.host), state, Text(reason(one)))
    return table


def _show_host(run: Run, host: HostOutcome) -> None:
    blocks = sections(run, host)
    if not blocks:
        return
    out.print()
    out.print(Text(host.host, style="bold"))
    for title, lines in blocks:
        out.print(Text(f"  {title}"))
        for line in lines:
            out.print(Text(f"    {line}"), soft_wrap=True)


@runs.command(
    "resume",
    help=_(
        "Go on with a run where it stopped: hosts that are finished are left alone, a canary that failed is one again."
    ),
)
def resume_run(
    run_id: UNFINISHED = "",
    more: Annotated[
        list[str] | None, typer.Argument(help=_("behind --: further arguments for ansible-playbook"))
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("say what would be done, and do nothing"))] = False,
    changed_inventory: Annotated[
        bool, typer.Option("--changed-inventory", help=_("although the inventory has changed since"))
    ] = False,
) -> None:
    given = list(more or ())
    if run_id.startswith("-"):  # no run, and arguments behind --
        run_id, given = "", [run_id, *given]
    run = _find(run_id) if run_id else _unfinished()
    try:
        way = resume(run, _model_now(run), changed_inventory, given)
    except RunsError as error:
        fail(str(error), Exit.FAILED)
    _say(way)
    if dry_run:
        return
    sys.stdout.flush()
    if not Path(way.cwd).is_dir():
        fail(_("the folder that run {run} was started in is gone: {folder}").format(run=run.id, folder=way.cwd))
    os.chdir(way.cwd)
    try:
        os.execvpe(way.argv[0], list(way.argv), program_environment(way))  # noqa: S606 - Ansible as if typed
    except OSError as error:
        fail(f"{way.argv[0]}: {error.strerror}")


def _unfinished() -> Run:
    found, errors = read_runs(read_folders())
    for error in errors:
        err.print(str(error), markup=False)
    run = newest_unfinished(found)
    if run is None:
        fail(_("nothing to go on with: no run that changes hosts is unfinished"), Exit.FAILED)
    said = _("run {run}: {playbook}, {when}, {state}")
    when = local(run.started, run.timezone, "%H:%M")
    told = said.format(run=run.id, playbook=Path(run.playbook).name, when=when, state=run_state(run.state))
    out.print(Text(told), soft_wrap=True)
    return run


def _say(way: Resumption) -> None:
    for left in way.remaining:
        if not left.hosts:
            if left.done:
                out.print(Text(_("{play}: done").format(play=left.play)), soft_wrap=True)
            continue
        steps = " + ".join(map(str, left.serial))
        said = _("{play}: {count} left ({hosts})").format(play=left.play, count=len(left.hosts), hosts=_few(left.hosts))
        if steps and len(left.serial) > 1:
            said += _(", in steps of {steps}").format(steps=steps)
        out.print(Text(said), soft_wrap=True)
    out.print(Text(f"$ cd {shlex.quote(way.cwd)} && {shlex.join(way.argv)}"), soft_wrap=True)


def _few(hosts: tuple[str, ...]) -> str:
    return ", ".join(hosts) if len(hosts) <= 8 else ", ".join(hosts[:8]) + ", …"


def _model_now(run: Run) -> str:
    """The hash of what the run's inventory says today; '' where it was no inventory of wardnet's."""
    sources = [Path(source) for source in run.inventory if Path(source).name in ("wardnet.yml", "wardnet.yaml")]
    if not sources:
        return ""
    from wardnet.cli.console import load_district
    from wardnet.compile import compile_plan

    district = load_district(sources[0].parent)
    day = run.environment.get("WARDNET_AS_OF") or os.environ.get("WARDNET_AS_OF")
    at = date.fromisoformat(day) if day else datetime.now(ZoneInfo(district.timezone)).date()
    return compile_plan(district, at).model_sha256


@runs.command("report", help=_("Write a run as a page to print and file (.html), or as plain text (.txt)."))
def report(
    run_id: RUN = "",
    output: Annotated[Path, typer.Option("--output", "-o", help=_("the file, .html or .txt"))] = Path("report.html"),
) -> None:
    run = _find(run_id)
    if output.suffix not in (".html", ".txt"):
        fail(_("{file}: a report is .html or .txt").format(file=output))
    text = report_html(run) if output.suffix == ".html" else report_text(run)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{output}: {error.strerror}")
    out.print(_("written: {file}").format(file=output), markup=False, soft_wrap=True)


@runs.command("drift", help=_("The last that is known of what was changed by hand on each host."))
def drift(
    ward: Annotated[str, typer.Option("--ward", "-w", help=_("this ward alone"))] = "",
    as_json: Annotated[bool, typer.Option("--json", help=_("for programs"))] = False,
) -> None:
    found, errors = read_runs(read_folders())
    known = [one for one in histories(found) if ward in ("", one.ward)]
    for error in errors:
        err.print(str(error), markup=False)
    if as_json:
        typer.echo(json.dumps([_plain_history(one) for one in known], ensure_ascii=False, indent=2))
    else:
        if not known:
            fail(_("no run has come to a host of ward {ward} yet").format(ward=ward) if ward else _("no runs yet"))
        _show_drift(known, {run.id: run.timezone for run in found})
    if any(one.drift for one in known):
        raise typer.Exit(Exit.FAILED)


def _show_drift(known: list[HostHistory], zones: Mapping[str, str]) -> None:
    """`zones`: each run's, in which its times are told."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in (_("ward"), _("host"), _("drift"), _("not rolled out"), _("read")):
        table.add_column(name, overflow="fold")
    for one in known:
        drifted = sum(map(len, one.drift.values()))
        text = Text(f"▲ {drifted}", style="yellow") if drifted else Text("-" if one.read_at is None else "● 0")
        pending = sum(len(lines) for lists in one.pending.values() for lines in lists.values())
        waiting = Text(str(max(0, pending - drifted)) if one.read_at else "-")
        read = local(one.read_at, zones.get(one.read_run, ""))
        table.add_row(Text(one.ward), Text(one.host), text, waiting, Text(read))
    out.print(table)
    for one in known:
        if one.drift:
            out.print()
            out.print(Text(one.host, style="bold"))
            for line in drift_lines(one.drift):
                out.print(Text(f"  {line}"), soft_wrap=True)


def _plain_history(one: HostHistory) -> dict[str, Any]:
    return {
        "host": one.host,
        "ward": one.ward,
        "read": one.read_at.isoformat() if one.read_at else None,
        "run": one.read_run or None,
        "drift": {part: list(lines) for part, lines in one.drift.items()},
        "healed": {part: list(lines) for part, lines in one.healed.items()},
        "last_success": one.last_success.isoformat() if one.last_success else None,
        "rollbacks": one.rollbacks,
    }


def _find(name: str) -> Run:
    try:
        return find_run(name, read_folders())
    except RunsError as error:
        fail(str(error))
