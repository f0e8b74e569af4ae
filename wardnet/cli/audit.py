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
) -> None:
    """Prove that nothing passes between the channels but what the exceptions grant, as of the snapshot's time.
    Ends with 0 when it is proved, 1 when it is violated, 3 when something is unknown, 2 when the input can't be
    used."""
    if policy is not None and inventory is not None:
        fail(_("--policy and --inventory exclude each other"))
    result = _result(snapshot, policy, inventory, ward or [])
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
    raise typer.Exit(_EXITS[result.verdict])


def _result(snapshot: Path, policy: Path | None, inventory: Path | None, wards: list[str]) -> AuditResult:
    try:
        found = read_snapshot(snapshot)
        wanted = (
            read_policy(policy, found.manifest.collected_at.date()) if policy else snapshot_policy(found, inventory)
        )
        return run_audit(found, wanted, wards)
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
