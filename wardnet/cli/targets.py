"""wardnet targets: Prometheus's service discovery from the inventory, as a file (file_sd) or served (http_sd)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from wardnet.cli.check import day_of
from wardnet.cli.console import DEFAULT_INVENTORY, Exit, fail, load_district
from wardnet.compile import compile_plan, compile_targets, to_json
from wardnet.inventory import read_district
from wardnet.live.discovery import serve
from wardnet.locale import _


def targets(
    inventory: Annotated[Path, typer.Option("--inventory", "-i", help=_("the inventory's folder"))] = DEFAULT_INVENTORY,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=_("write a file_sd file here, whole or not at all"))
    ] = None,
    listen: Annotated[str, typer.Option(help=_("serve http_sd at this address, such as 127.0.0.1:9809"))] = "",
    as_of: Annotated[str, typer.Option(help=_("the day to compile for; today if not given"))] = "",
) -> None:
    """Print, write or serve what Prometheus is to scrape."""
    district = load_district(inventory)

    def compiled() -> str:
        current = read_district(inventory)
        return to_json(compile_targets(current, compile_plan(current, day_of(as_of, current))))

    if output and listen:
        fail(_("give either --output or --listen, not both"), Exit.USAGE)
    if listen:
        host, _colon, port = listen.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            fail(_("'{listen}' is not an address and port, such as 127.0.0.1:9809").format(listen=listen), Exit.USAGE)
        try:
            serve(host.strip("[]"), int(port), compiled)
        except OSError as error:
            fail(_("cannot listen on {listen}: {why}").format(listen=listen, why=error.strerror), Exit.USAGE)
        return
    text = to_json(compile_targets(district, compile_plan(district, day_of(as_of, district))))
    if output:
        try:
            _write(output, text)
        except OSError as error:
            fail(_("cannot write {output}: {why}").format(output=output, why=error.strerror), Exit.USAGE)
    else:
        typer.echo(text, nl=False)


def _write(path: Path, text: str) -> None:
    """Replace the file in one step: Prometheus reads it at any moment."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
