"""`python -m lab.demo`: boots the lab, provisions, measures, proves, breaks and heals, and says what was seen.

`--only STEP` repeats one step on a lab that was kept.
"""

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
from lab.build import CHECKOUT, WINDOW_PORT
from lab.demo.claims import Claims
from lab.demo.script import SCRIPTS, Step, declare
from lab.demo.stage import Stage
from lab.errors import LabError
from lab.handle import Lab
from lab.layout import DEFAULT_NAME, Layout
from lab.record import require_record
from lab.topology import choose_wards
from wardnet.inventory import InventoryErrors, find_inventory, read_district

# The table needs this width; where nobody sets one (a log, a pipe), it is taken.
out = Console() if sys.stdout.isatty() else Console(width=120)


def _steps() -> str:
    return "; ".join(f"{name}: {', '.join(step.id for step in script)}" for name, script in SCRIPTS.items())


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    wards: Annotated[
        int | None, typer.Option(min=1, help="How many wards, in the inventory's order; 2, or 1 with --workplaces.")
    ] = None,
    workplaces: Annotated[
        bool, typer.Option("--workplaces", help="Of a ward's workplaces instead of its lines.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the lab running at the end.")] = False,
    only: Annotated[str, typer.Option(help="One step, on a lab that runs. " + _steps())] = "",
    name: Annotated[str, typer.Option("--name", envvar="WARDNET_LAB")] = DEFAULT_NAME,
    inventory: Annotated[Path | None, typer.Option("--inventory", "-i", help="The inventory's folder.")] = None,
) -> None:
    """Show the main job on the lab district. Ends with 0 only if each thing was really seen."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    claims = Claims()
    wards = wards or (1 if workplaces else 2)
    try:
        if preflight.not_root():
            preflight.require(wards)
        chosen = _chosen(SCRIPTS["workplaces" if workplaces else "lines"], only)
        lab = Lab(Layout(name))
        if only:
            record = require_record(lab.layout)
            inventory, wards, keep = Path(record.inventory), len(record.wards), True
        folder = inventory or find_inventory(CHECKOUT / "inventory")
        ward = choose_wards(read_district(folder), wards)[0]
    except (InventoryErrors, LabError) as error:
        out.print(f"demo: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    declare(claims, chosen, name, workplaces)
    stage = Stage(lab, folder, wards, ward, out, claims, workplaces)
    problem: BaseException | None = None
    try:
        for step in chosen:
            with stage.step(step.title):
                step.run(stage)
    except (LabError, InventoryErrors, subprocess.SubprocessError, OSError) as error:
        problem = error
    finally:
        _end(stage, keep, problem)
    raise typer.Exit(0 if claims.all_shown and problem is None else 1)


def _chosen(script: tuple[Step, ...], only: str) -> tuple[Step, ...]:
    """LabError for a word that is no step."""
    if not only:
        return script
    found = tuple(step for step in script if step.id == only)
    if not found:
        raise LabError(f"no step {only}; there are {', '.join(step.id for step in script)}")
    return found


def _end(stage: Stage, keep: bool, problem: BaseException | None) -> None:
    """Say what was shown, and take down the lab if this run made it and nobody wants it kept."""
    stage.console.rule("What was shown")
    stage.claims.tell(stage.console)
    if problem is not None:
        stage.console.print("The demo stopped:", style="bold red", end=" ")
        stage.console.print(str(problem), markup=False, highlight=False, soft_wrap=True)
    layout = stage.lab.layout
    if stage.made and not keep:
        try:
            with stage.console.status("  taking the lab down"), lab_cli.locked(layout):
                teardown.take_down(layout, lambda _what: None)
            stage.console.print("The lab is taken down; KEEP=1 leaves it running.", highlight=False)
        except LabError as error:
            stage.console.print(f"The lab is not taken down: {error}", markup=False, soft_wrap=True)
    elif teardown.remains(layout):
        named = "" if layout.name == DEFAULT_NAME else f" --name {layout.name}"
        for line in (
            f"The lab runs on. Prometheus and the board: {_window(stage)}/consoles/index.html",
            f"Look around: .venv/bin/python -m lab status{named}",
            f"Inside a host: .venv/bin/python -m lab shell{named} HOST",
            f"Take it down: .venv/bin/python -m lab down{named}",
        ):
            stage.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _window(stage: Stage) -> str:
    try:
        return stage.prometheus
    except LabError:  # it did not come up whole
        return f"http://127.0.0.1:{WINDOW_PORT}"


if __name__ == "__main__":
    app()
