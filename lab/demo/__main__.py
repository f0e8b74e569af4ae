"""`python -m lab.demo`: boots the lab, provisions, measures, proves, breaks and heals, and says what was seen."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lab import cli as lab_cli
from lab import preflight, teardown
from lab.build import CHECKOUT, WINDOW_PORT, up
from lab.demo import steps
from lab.demo.claims import Claims
from lab.demo.stage import BIN, Stage
from lab.errors import LabError
from lab.handle import Lab
from lab.layout import Layout
from lab.topology import choose_wards
from wardnet.inventory import InventoryErrors, read_district

# The table needs this width; where nobody sets one (a log, a pipe), it is taken.
out = Console() if sys.stdout.isatty() else Console(width=120)
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    wards: Annotated[int, typer.Option(min=1, help="How many wards, in the inventory's order.")] = 2,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the lab running at the end.")] = False,
    name: Annotated[str, typer.Option("--name", envvar="WARDNET_LAB")] = "wardnet",
    inventory: Annotated[Path, typer.Option("--inventory", "-i")] = CHECKOUT / "inventory" / "tay-ho",
) -> None:
    """Show the main job on the lab district. Ends with 0 only if each thing was really seen."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    lab, claims = Lab(Layout(name)), Claims()
    try:
        district = read_district(inventory)
        ward = choose_wards(district, wards)[0]
    except InventoryErrors as error:
        out.print(f"the inventory is not right:\n{error}", markup=False, highlight=False)
        raise typer.Exit(1) from None
    except LabError as error:
        out.print(f"demo: {error}", markup=False, highlight=False)
        raise typer.Exit(1) from None
    steps.declare(claims, name, ward, district)
    stage = Stage(lab, wards, out, claims)
    problem = None
    try:
        _run(stage, inventory, ward)
    except (LabError, subprocess.SubprocessError, OSError) as error:
        problem = error
    finally:
        _end(stage, keep, problem)
    raise typer.Exit(0 if claims.all_shown and problem is None else 1)


def _run(stage: Stage, inventory: Path, ward: str) -> None:
    with stage.step("The inventory"):
        checked = subprocess.run(
            [str(BIN / "wardnet"), "check", str(inventory)], text=True, capture_output=True, check=False
        )
        stage.console.print(checked.stdout + checked.stderr, markup=False, highlight=False)
        stage.claims["inventory"].settle(
            checked.returncode == 0, checked.stdout.splitlines()[0] if checked.stdout else ""
        )
    with stage.step(f"A district in a box: the server room, the district's office, {stage.wards} wards"):
        if preflight.not_root():
            preflight.require(stage.wards)
        with lab_cli.locked(stage.lab.layout), lab_cli.showing() as progress:
            record, _made = up(stage.lab.layout, inventory, stage.wards, WINDOW_PORT, progress)
        stage.claims["booted"].settle(True, f"{len(record.hosts)} hosts, {len(record.circuits)} circuits")
        for host, reason in record.not_booted:
            stage.say(f"not booted: {host} ({reason})")
    with stage.step("Ansible provisions over SSH, from the controller's station"):
        steps.provision(stage)
    with stage.step("PCs of both channels reach what they should, and nothing else"):
        steps.reach(stage, ward)
    with stage.step("Exporters on the gateways measure both channels; Prometheus scrapes them"):
        steps.measure(stage, ward)
    with stage.step("The auditor collects the gateways' state and proves the channels separate"):
        steps.prove(stage)
        steps.settle(stage, ward)
    steps.show(stage, "The district")
    with stage.step(f"One line is slowed: the WAN channel of {ward}"):
        steps.slow_line(stage, ward)
    with stage.step("The software is slowed instead: the portal"):
        steps.slow_server(stage, ward)
    with stage.step(f"A leak is opened in {ward}: internet to WAN"):
        crossing = steps.leak(stage, ward)
    with stage.step("The leak is closed"):
        steps.heal(stage, crossing)


def _end(stage: Stage, keep: bool, problem: BaseException | None) -> None:
    stage.console.rule("What was shown")
    stage.claims.tell(stage.console, _window(stage))
    if problem is not None:
        stage.console.print(f"[bold red]The demo stopped:[/] {problem}", highlight=False)
    layout = stage.lab.layout
    if keep and teardown.remains(layout):
        stage.console.print(
            f"The lab runs on. Prometheus and the board: {_window(stage)}/consoles/index.html\n"
            f"Look around: python -m lab status --name {layout.name}; python -m lab shell --name {layout.name} HOST\n"
            f"Take it down: python -m lab down --name {layout.name}",
            markup=False, highlight=False,
        )  # fmt: skip
    else:
        with stage.console.status("  taking the lab down"), lab_cli.locked(layout):
            teardown.take_down(layout, lambda _what: None)
        stage.console.print("The lab is taken down; KEEP=1 leaves it running.", highlight=False)


def _window(stage: Stage) -> str:
    try:
        return stage.prometheus
    except LabError:  # it did not come up
        return f"http://127.0.0.1:{WINDOW_PORT}"


if __name__ == "__main__":
    app()
