"""`python -m lab.drill`: cuts the manager off from the lab's gateways, and sees whether they come back by themselves.

Says what counts as having come back, ends with `N of N came back`, and with status 0 only where all did and each run
said which ward went back, and why.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lab import preflight
from lab.drill.change import CHECKOUT, playbook
from lab.drill.kinds import KINDS, Target
from lab.drill.one import Limits, Outcome
from lab.drill.round import Station, deal, run_all, stations
from lab.errors import LabError
from lab.handle import Lab
from lab.layout import Layout
from wardnet.inventory.problems import InventoryErrors

DEFAULT = Limits()
# The table needs this width; where nobody sets one (a log, a pipe), it is taken.
out = Console() if sys.stdout.isatty() else Console(width=150)
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def lockout(
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many changes.")] = 16,
    at_once: Annotated[int, typer.Option(min=1, help="How many wards at once; as many are booted.")] = 8,
    kinds: Annotated[str, typer.Option(help="Of: " + ", ".join(KINDS))] = ",".join(KINDS),
    confirm_within: Annotated[
        int, typer.Option(min=5, help="Seconds for which a change is armed.")
    ] = DEFAULT.confirm_within,
    settle: Annotated[int, typer.Option(min=5, help="Seconds more while it is made.")] = DEFAULT.settle,
    margin: Annotated[
        int, typer.Option(min=0, help="Seconds beyond the armed time that count as in time.")
    ] = DEFAULT.margin,
    as_json: Annotated[Path | None, typer.Option("--json", help="A file for the outcomes.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the lab running at the end.")] = False,
    name: Annotated[str, typer.Option("--name", help="The lab's name.")] = "drill",
) -> None:
    """Cut the manager off in many ways; each gateway has to come back by itself, soon after the armed time."""
    for received in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(received, lambda number_, _frame: sys.exit(128 + number_))
    unknown = sorted(set(kinds.split(",")) - set(KINDS))
    if unknown:
        raise typer.BadParameter(f"no such kind: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    limits = Limits(confirm_within, settle, margin)
    begun = time.monotonic()
    try:
        preflight.require_root()
        lab = make_ready(name, at_once)
        found = stations(lab)
        dealt = deal(number, found, kinds.split(","))
        out.print(
            f"{sum(map(len, dealt.values()))} changes at {len(found)} wards, {min(at_once, len(found))} at once; each "
            f"is armed for {confirm_within} s once it is made, and for {confirm_within + settle} s until then: that is "
            f"the time to be back in{f', or {margin} s more' if margin else ''}",
            soft_wrap=True,
        )
        outcomes = run_all(lab, found, dealt, at_once, limits, Teller())
        differing = check(lab, found)
    except (LabError, InventoryErrors, OSError, subprocess.SubprocessError) as error:
        out.print(f"drill: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    finally:
        if not keep:
            command("down", "--name", name)
    if as_json:
        as_json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n")
    raise typer.Exit(0 if summary(outcomes, differing, time.monotonic() - begun, limits.margin) else 1)


class Teller:
    """One line an outcome, as it comes."""

    def __init__(self) -> None:
        self._lock = Lock()

    def __call__(self, outcome: Outcome) -> None:
        with self._lock:
            out.print(line(outcome), markup=False, highlight=False, soft_wrap=True)


def line(outcome: Outcome) -> str:
    head = f"{outcome.number:3} {outcome.ward} {outcome.host} {outcome.kind}:"
    if not outcome.came_back:
        return f"{head} NOT {'BACK' if not outcome.back else 'CUT OFF'}: {outcome.problem}"
    seconds = f"{outcome.seconds} s after arming, {outcome.within} s armed"
    missing = f" ({outcome.problem})" if outcome.problem else ""
    return f"{head} rolled back {outcome.rolled_back} ({outcome.why}); the manager was in again {seconds}{missing}"


def summary(outcomes: Iterable[Outcome], differing: str, seconds: float, margin: int) -> bool:
    """Prints it, with what counted as back last; whether all is well."""
    outcomes = list(outcomes)
    table = Table("kind", "changes", "came back", "cut off", "a run said why", "slowest", "armed for at most")
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        of_kind = [outcome for outcome in outcomes if outcome.kind == kind]
        slowest = max((outcome.seconds or 0 for outcome in of_kind), default=0)
        within = max((outcome.within or 0 for outcome in of_kind), default=0)
        counts: list[int | str] = [
            len(of_kind),
            *(sum(getattr(o, field) for o in of_kind) for field in ("back", "cut", "told")),
        ]
        table.add_row(kind, *map(str, counts), f"{slowest:.1f} s", f"{within:.1f} s")
    out.print(table)
    back = sum(outcome.came_back for outcome in outcomes)
    for outcome in outcomes:
        if outcome.back and not (outcome.told and outcome.cut):
            out.print(f"but {line(outcome).strip()}", markup=False, highlight=False, soft_wrap=True)
    if differing:
        out.print(f"but the shipped playbooks would still change something:\n{differing}", markup=False)
    out.print(f"took {seconds / 60:.0f} min {seconds % 60:.0f} s")
    beyond = f" or {margin} s more" if margin else ""
    counted = f"by itself, in its former state, and the manager in again, within the time that it was armed for{beyond}"
    out.print(f"a gateway that was cut off counts as back where it is so {counted}", highlight=False, soft_wrap=True)
    out.print(f"{back} of {len(outcomes)} came back", highlight=False)
    return back == len(outcomes) and all(outcome.told for outcome in outcomes) and not differing


def command(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "lab", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=CHECKOUT)


def make_ready(name: str, wards: int) -> Lab:
    """A lab whose gateways and switches are set up."""
    out.print(f"booting {wards} wards")
    done = command("up", "--name", name, "--wards", str(wards))
    if done.returncode:
        raise LabError(done.stderr or done.stdout)
    lab = Lab(Layout(name))
    out.print("setting them up")
    for path in playbooks(lab):
        status, said = play(lab, path)
        if status:
            raise LabError(f"{path.name} failed:\n{said[-4000:]}")
    return lab


def playbooks(lab: Lab) -> list[Path]:
    """Those that set up what is drilled."""
    targets = {target for station in stations(lab) for target in station.devices}
    return list(dict.fromkeys(playbook(target, None, Path()) for target in Target if target in targets))


def play(lab: Lab, path: Path, *more: str) -> tuple[int, str]:
    argv = [
        "env",
        f"--chdir={CHECKOUT}",
        f"ANSIBLE_CONFIG={CHECKOUT / 'ansible.cfg'}",
        f"WARDNET_RUNS={lab.state / 'drill-runs'}",
        str(Path(sys.executable).with_name("ansible-playbook")),
        f"--inventory={lab.state / 'inventory' / 'wardnet.yml'}",
        f"--extra-vars=@{lab.state / 'ansible-vars.yml'}",
        '--extra-vars={"wardnet_serial": ["100%"]}',
        str(path),
        *more,
    ]
    done = lab.run("controller", argv, stdin=b"", timeout=1800)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def check(lab: Lab, found: Iterable[Station]) -> str:
    """What the shipped playbooks would still change at the devices, in their words; empty where it is nothing."""
    names = ",".join(device.host for station in found for device, _ in station.devices.values())
    said = []
    for path in playbooks(lab):
        status, output = play(lab, path, "--check", "--diff", f"--limit={names}")
        if status or "changed=" not in output or any(
            "changed=" in row and "changed=0" not in row for row in output.splitlines()
        ):  # fmt: skip
            said.append(output[-4000:])
    return "\n".join(said)


if __name__ == "__main__":
    app()
