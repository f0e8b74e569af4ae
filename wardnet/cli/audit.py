"""wardnet audit: are the channels separate, as a snapshot shows the devices?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from collectors.parsers.artefact import ParseError
from wardnet.audit.errors import AuditError
from wardnet.audit.policyfile import read_policy
from wardnet.audit.records import AuditResult, Verdict
from wardnet.audit.report import canonical
from wardnet.audit.run import audit as run_audit
from wardnet.audit.run import snapshot_policy
from wardnet.audit.snapshot import read_snapshot
from wardnet.cli.audit_replay import Wanted, send
from wardnet.cli.audit_report import print_report
from wardnet.cli.console import Exit, err, fail
from wardnet.inventory import InventoryErrors
from wardnet.locale import _

_EXITS = {Verdict.PROVED: Exit.OK, Verdict.VIOLATED: Exit.FAILED, Verdict.UNKNOWN: Exit.UNKNOWN}


def audit(
    snapshot: Annotated[Path, typer.Argument(help=_("the snapshot's folder, made by `wardnet collect`"))],
    policy: Annotated[
        Path | None, typer.Option("--policy", help=_("a policy file, instead of the snapshot's inventory"))
    ] = None,
    inventory: Annotated[
        Path | None, typer.Option("--inventory", "-i", help=_("another inventory than the snapshot's own"))
    ] = None,
    ward: Annotated[
        list[str] | None, typer.Option("--ward", "-w", help=_("only this ward; may be given several times"))
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_("print the result as canonical JSON"))] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=_("write the result as canonical JSON to this file"))
    ] = None,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay", help=_("send crossings, flows that must pass and samples as real packets, and listen")
        ),
    ] = False,
    places: Annotated[
        Path | None, typer.Option("--places", help=_("with --replay: the hosts that may send and hear, a YAML file"))
    ] = None,
    replay_with: Annotated[
        str,
        typer.Option(
            "--replay-with",
            metavar="COMMAND",
            help=_("with --replay: what sends and listens; it reads the plan and writes the answers, as JSON"),
        ),
    ] = "",
    replay_most: Annotated[
        int, typer.Option("--replay-most", min=1, max=1000, help=_("with --replay: how many packets at most"))
    ] = 60,
    replay_seconds: Annotated[
        int, typer.Option("--replay-seconds", min=1, max=3600, help=_("with --replay: how long the prober may take"))
    ] = 120,
) -> None:
    """Prove that nothing passes between the channels but what the exceptions grant, as of the snapshot's time.
    Ends with 0 when it is proved, 1 when it is violated, 3 when something is unknown, 2 when the input can't be
    used. A replay makes the verdict worse where a packet crosses that was not to; a prober that fails ends it with
    2, unless it is violated."""
    if policy is not None and inventory is not None:
        fail(_("--policy and --inventory exclude each other"))
    if replay and (places is None or not replay_with):
        fail(_("--replay needs --places and --replay-with"))
    wanted = Wanted(places, replay_with, replay_most, replay_seconds) if replay and places is not None else None
    result = _result(snapshot, policy, inventory, ward or [], wanted)
    content = canonical(result)
    if output is not None:
        try:
            _write(output, content)
        except OSError as error:
            fail(f"{output}: {error.strerror}")
    if as_json:
        typer.echo(content.decode(), nl=False)
    else:
        print_report(result)
    if result.replay is not None and result.replay.failed:
        err.print(f"wardnet: {_('the prober failed')}: {result.replay.failed}", markup=False)
        raise typer.Exit(Exit.FAILED if result.verdict is Verdict.VIOLATED else Exit.USAGE)
    raise typer.Exit(_EXITS[result.verdict])


def _result(
    snapshot: Path, policy: Path | None, inventory: Path | None, wards: list[str], replay: Wanted | None
) -> AuditResult:
    try:
        found = read_snapshot(snapshot)
        if policy is None and inventory is None and not found.inventory:
            fail(_("{folder} has no inventory in it: name --policy, or --inventory").format(folder=snapshot))
        wanted = (
            read_policy(policy, found.manifest.collected_at.date()) if policy else snapshot_policy(found, inventory)
        )
        result = run_audit(found, wanted, wards)
        return result if replay is None else send(result, wanted, replay)
    except InventoryErrors as errors:
        for problem in errors.problems:
            err.print(str(problem), markup=False)
        fail(_("the inventory can't be used"))
    except (AuditError, ParseError) as error:
        fail(str(error))


def _write(path: Path, content: bytes) -> None:
    """All of it, or nothing."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
