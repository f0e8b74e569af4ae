"""The command line: up, status, run, shell, break, heal, power, replace, publish, preflight, down."""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lab import build, mirror, preflight, teardown, verify
from lab.blank import replace as put_blank
from lab.errors import LabError
from lab.faults import FAULTS, inject
from lab.faults import heal as take_back_faults
from lab.layout import COMMAND, DEFAULT_NAME, Layout
from lab.locking import locked as locked
from lab.power import Power
from lab.power import switch as switch_power
from lab.record import UP, Record, read_record, require_record
from lab.showing import showing
from lab.sources import SUITE_VARIABLE
from lab.status import in_short, show
from wardnet.inventory import find_inventory
from wardnet.inventory.problems import InventoryErrors
from wardnet.locale import _

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=_("A real district on one machine."),
)
out = Console()
err = Console(stderr=True)

Name = Annotated[str, typer.Option("--name", envvar="WARDNET_LAB", help=_("Keeps two labs on one machine apart."))]
Inventory = Annotated[Path | None, typer.Option("--inventory", "-i", help=_("The inventory's folder."))]


def _shown_record(layout: Layout) -> Record:
    """The record of a lab that is up; LabError, naming what a killed command left behind if there is any of it."""
    record = read_record(layout)
    if record is not None and record.state == UP:
        return record
    left = teardown.remains(layout)
    if left:
        with locked(layout):  # says so if another command is at it now
            raise LabError(
                _(
                    "the lab {name} is not up, but a command that was killed left of it: {left}. "
                    "`{lab} down` removes that; `{lab} up` does so too, and boots it"
                ).format(name=layout.name, left=in_short(left), lab=COMMAND)
            )
    return require_record(layout)


@app.command(
    help=_("Boot the server room, the district's own office and some wards. Does nothing if they run already.")
)
def up(
    wards: Annotated[int, typer.Option(min=0, help=_("How many wards, in the inventory's order."))] = 1,
    name: Name = DEFAULT_NAME,
    inventory: Inventory = None,
    window_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            show_default=str(build.WINDOW_PORT),
            help=_("Where 127.0.0.1 shows the lab's Prometheus; the next free port if it is in use."),
        ),
    ] = None,
    workplaces: Annotated[
        bool, typer.Option("--workplaces", help=_("With the packages that PCs are made of: some 600 MB, fetched once."))
    ] = False,
    suite: Annotated[
        str,
        typer.Option(envvar=SUITE_VARIABLE, help=_("Debian's: bookworm or trixie; the machine's own if not given.")),
    ] = "",
) -> None:
    layout = Layout(name)
    preflight.require_root()
    folder = inventory or find_inventory(build.CHECKOUT / "inventory")
    with locked(layout), showing(out) as progress:
        record, made = build.up(
            layout, folder, wards, window_port or build.WINDOW_PORT, progress, workplaces=workplaces, suite=suite
        )
    outcome = (
        _("The lab {name} is up: {hosts} hosts, {circuits} circuits.")
        if made
        else _("The lab {name} was up already, whole: {hosts} hosts, {circuits} circuits.")
    )
    out.print(outcome.format(name=name, hosts=len(record.hosts), circuits=len(record.circuits)))
    if not made and window_port not in (None, record.window):
        out.print(
            _("  --window-port {port} changes nothing in a lab that runs: `down` first").format(port=window_port),
            highlight=False,
            soft_wrap=True,
        )
    for host, reason in record.not_booted:
        out.print(
            _("  not booted: {host} ({reason})").format(host=host, reason=_(reason)), highlight=False, soft_wrap=True
        )
    if record.window is not None:
        out.print(
            "  " + _("Prometheus, once it is set up: http://127.0.0.1:{port}/").format(port=record.window),
            highlight=False,
            soft_wrap=True,
        )
    out.print(_("  state: {state}").format(state=layout.state), highlight=False, soft_wrap=True)


@app.command(help=_("Take everything of the lab off the machine, also after its processes were killed."))
def down(
    name: Name = DEFAULT_NAME,
    every: Annotated[
        bool, typer.Option("--all", help=_("Every lab on this machine, and the folder they share."))
    ] = False,
    here: Annotated[bool, typer.Option("--here", help=_("Every lab that was made from this checkout."))] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help=_("With --all or --here: the cached image and packages too."))
    ] = False,
) -> None:
    preflight.require_root()
    names = teardown.all_labs() if every else teardown.labs_of(build.CHECKOUT) if here else {name}
    for one in sorted(names):
        layout = Layout(one)
        with locked(layout), showing(out) as progress:
            progress.step(_("taking down the lab {name}").format(name=one))
            there = teardown.take_down(layout, progress.note)
        out.print((_("The lab {name} is gone.") if there else _("There is no lab {name}.")).format(name=one))
    if every or here:
        teardown.forget(cache=cache)


@app.command(
    help=_("Hosts, circuits and faults, as the system has them now. Exit 1 if something of the lab is broken.")
)
def status(name: Name = DEFAULT_NAME) -> None:
    layout = Layout(name)
    preflight.require_root()
    record = _shown_record(layout)
    for part in show(layout, record):
        out.print(part)
    if verify.faults_of(layout, record):
        raise LabError(_("the lab {name} is broken: `{lab} up` makes it anew").format(name=name, lab=COMMAND))


@app.command(name="break", help=_("Inject one named fault."))
def break_(
    fault: Annotated[str, typer.Argument(help=", ".join(FAULTS))],
    ward: Annotated[str, typer.Option(help=_("The ward whose office is broken."))],
    channel: Annotated[str | None, typer.Option(help=_("wan or internet, where the fault has the choice."))] = None,
    name: Name = DEFAULT_NAME,
) -> None:
    layout = Layout(name)
    preflight.require_root()
    with locked(layout):
        made = inject(layout, fault, ward, channel)
    out.print(
        _("{fault} holds in {ward} on {channel}: it {does}.").format(
            fault=made.fault, ward=made.ward, channel=made.channel, does=_(FAULTS[fault].does)
        )
    )
    out.print(_("  must be found as: {verdict}").format(verdict=made.verdict), highlight=False, soft_wrap=True)


@app.command(help=_("Take back the faults that were injected."))
def heal(
    fault: Annotated[str | None, typer.Argument(help=_("One fault; all of them if none is named."))] = None,
    ward: Annotated[str | None, typer.Option(help=_("Only in this ward."))] = None,
    name: Name = DEFAULT_NAME,
) -> None:
    layout = Layout(name)
    preflight.require_root()
    with locked(layout):
        healed = take_back_faults(layout, fault, ward)
    for one in healed:
        out.print(
            _("healed: {fault} in {ward} on {channel}").format(fault=one.fault, ward=one.ward, channel=one.channel),
            highlight=False,
        )
    if not healed:
        out.print(_("No such fault holds."))


@app.command(
    name="power", help=_("Cut a host's power as a mains failure does, or give it again; what is on its disk stays.")
)
def power_command(
    host: Annotated[str, typer.Argument(help=_("The host, as `status` names it."))],
    what: Annotated[Power, typer.Argument(help=_("off, on, or cycle for both."))],
    name: Name = DEFAULT_NAME,
) -> None:
    layout = Layout(name)
    preflight.require_root()
    with locked(layout):
        require_record(layout)
        switch_power(layout, host, what)
    if what is Power.OFF:
        out.print(_("{host} is off.").format(host=host), highlight=False)
    else:
        out.print(_("{host} is on and has booted.").format(host=host), highlight=False)


@app.command(help=_("Put a new machine in a host's place, with Debian and nothing else; the old one's disk is lost."))
def replace(
    host: Annotated[str, typer.Argument(help=_("The host, as `status` names it."))],
    name: Name = DEFAULT_NAME,
) -> None:
    layout = Layout(name)
    preflight.require_root()
    with locked(layout):
        require_record(layout)
        put_blank(layout, host)
    out.print(_("{host} is a new machine with nothing on it.").format(host=host), highlight=False)


@app.command(help=_("Add a .deb to the mirror of a running lab."))
def publish(package: Path, name: Name = DEFAULT_NAME) -> None:
    layout = Layout(name)
    preflight.require_root()
    with locked(layout):
        described = mirror.publish(layout, require_record(layout).suite, package)
    out.print(_("published {described}").format(described=described), highlight=False)


@app.command(
    help=_(
        "Send an audit's counterexamples as real packets. Exit 0 if one crossed, 1 if all that were sent were stopped, "
        "3 if nothing can be said."
    )
)
def replay(
    crossing: Annotated[
        Path | None, typer.Argument(help=_("A crossing of `wardnet audit --json`, or a whole report."))
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help=_("Carry out the plan of `wardnet audit --replay` on standard input."))
    ] = False,
    places: Annotated[
        bool, typer.Option("--places", help=_("Print the lab's places for probes, for `wardnet audit --places`."))
    ] = False,
    name: Name = DEFAULT_NAME,
) -> None:
    from lab.handle import Lab
    from lab.replay import CannotReplay, crossings_in
    from lab.replay import replay as send

    preflight.require_root()
    if plan or places:
        _probe(Layout(name), plan)
        return
    if crossing is None:
        raise LabError(_("name a report, or give --plan or --places"))
    answers = []
    for one in crossings_in(crossing):
        way = f"{one['device']} {one['from_port']} -> {one['to_port']}"
        try:
            heard = send(Lab(Layout(name)), one)
        except CannotReplay as reason:
            out.print(_("{way}: not sent: {reason}").format(way=way, reason=reason), highlight=False)
            continue
        answers.append(heard)
        control = _("positive control heard") if heard.control else _("positive control NOT heard: nothing can be said")
        out.print(
            _("{way}: {heard} of {sent} packets from {sender} heard at {listener}; {control}").format(
                way=way,
                heard=heard.heard,
                sent=heard.sent,
                sender=heard.sender,
                listener=heard.listener,
                control=control,
            ),
            highlight=False,
        )
    if any(heard.crossed for heard in answers):
        raise typer.Exit(0)
    raise typer.Exit(1 if answers and all(heard.stopped for heard in answers) else 3)


def _probe(layout: Layout, plan: bool) -> None:
    """Prints the answers to the plan on standard input, or the lab's places, as JSON."""
    from lab.handle import Lab
    from lab.replay.whole import carry_out
    from lab.replay.whole import places as places_of

    lab = Lab(layout)
    try:
        answer = carry_out(lab, json.load(sys.stdin)) if plan else places_of(lab)
    except ValueError as error:
        raise LabError(_("no plan of `wardnet audit --replay`: {error}").format(error=error)) from None
    print(json.dumps(answer))


@app.command(name="preflight", help=_("Say all that this machine lacks to run a lab, and what to do about it."))
def preflight_command(wards: Annotated[int, typer.Option(min=0)] = 1) -> None:
    preflight.require(wards)
    out.print(_("This machine can run the lab."))


@app.command(
    name="run",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    help=_("HOST -- COMMAND: run a program of this machine in HOST's network."),
)
def run_command(host: str) -> None:
    raise LabError(_("write it as: {lab} run {host} -- COMMAND").format(host=host, lab=COMMAND))


@app.command(
    name="shell",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    help=_("HOST [-- COMMAND]: run a program of HOST inside it, or a login shell."),
)
def shell_command(host: str) -> None:
    raise LabError(_("write it as: {lab} shell {host} -- COMMAND").format(host=host, lab=COMMAND))


def run_cli() -> int:
    """The whole command line; returns the exit status. Errors are told in words, with status 1."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # A terminated `up` cleans up after itself as an interrupted one does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    try:
        app(prog_name=COMMAND)
    except (LabError, InventoryErrors) as error:
        err.print(f"lab: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    except OSError as error:  # no space, or no right, in the midst of something
        where = f": {error.filename}" if error.filename else ""
        err.print(f"lab: {error.strerror or error}{where}", markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0
