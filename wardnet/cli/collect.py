"""wardnet collect: read every managed gateway over SSH, read-only, into a snapshot."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from collectors import by_hand
from collectors.collect import Reading, Target, read_all, write_snapshot
from collectors.errors import CollectError
from collectors.platforms import ARTEFACTS
from collectors.transport.local import LocalTransport
from collectors.transport.ssh import PORT, Login, SshTransport, read_key, read_known_hosts
from wardnet import __version__
from wardnet.cli.console import DEFAULT_INVENTORY, Exit, err, fail, inventory_folder, load_district, out
from wardnet.compile import compile_plan
from wardnet.inventory import inventory_sha256
from wardnet.locale import _
from wardnet.model.intent import District
from wardnet.model.plan import GatewayPlan, SwitchPlan

KNOWN_HOSTS = Path.home() / ".config" / "wardnet" / "known_hosts"
KEY = Path.home() / ".ssh" / "wardnet-audit"


def collect(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=_("the snapshot's folder; it must not exist yet"))
    ] = None,
    inventory: Annotated[Path, typer.Option("--inventory", "-i", help=_("the inventory's folder"))] = DEFAULT_INVENTORY,
    device: Annotated[
        list[str] | None, typer.Option("--device", help=_("only this gateway; may be given several times"))
    ] = None,
    ward: Annotated[
        list[str] | None, typer.Option("--ward", "-w", help=_("only this ward; may be given several times"))
    ] = None,
    known_hosts: Annotated[
        Path, typer.Option("--known-hosts", envvar="WARDNET_KNOWN_HOSTS", help=_("file of pinned host keys"))
    ] = KNOWN_HOSTS,
    key: Annotated[Path, typer.Option("--key", envvar="WARDNET_AUDIT_KEY", help=_("the auditor's private key"))] = KEY,
    user: Annotated[str, typer.Option("--user", help=_("the read-only account on the devices"))] = "wardnet-audit",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help=_("the devices' SSH port"))] = PORT,
    timeout: Annotated[float, typer.Option(min=0.1, help=_("seconds to wait for each answer"))] = 15.0,
    switches: Annotated[
        bool, typer.Option("--switches", help=_("also the managed access switches, which need the account too"))
    ] = False,
    local: Annotated[bool, typer.Option("--local", help=_("read this machine, as the one --device named"))] = False,
    script: Annotated[
        str, typer.Option("--script", help=_("only print a script that reads a device of this platform by hand"))
    ] = "",
    taken_from: Annotated[
        Path | None, typer.Option("--from", help=_("a folder with what was read by hand, a folder a device"))
    ] = None,
) -> None:
    """Read every managed gateway into a snapshot. Ends with 0; with 1 when a device is missing, which the
    snapshot then names with the reason; with 2 when there is no snapshot."""
    if script:
        typer.echo(_script(script), nl=False)
        return
    if output is None:
        fail(_("--output is missing: the snapshot's folder"))
    if taken_from is not None:
        _take_in(taken_from, output, inventory)
        return
    district = load_district(inventory, Exit.USAGE)
    chosen = _chosen(district, device or [], ward or [], switches=switches)
    try:
        if local:
            if len(chosen) != 1:
                fail(_("--local needs one --device: the id of this machine in the inventory"))
            targets = [Target(chosen[0].id, chosen[0].platform, lambda: LocalTransport(timeout))]
        else:
            read_known_hosts(known_hosts)
            read_key(key)
            login = Login(user, key, known_hosts, port, timeout)
            targets = [_target(each, login) for each in chosen]
        if output.exists():
            fail(_("{folder} exists already: name another folder").format(folder=output))
        readings = _read(targets)
        write_snapshot(output, readings, dict(_files(inventory_folder(inventory))), district.sha256, _by())
    except CollectError as error:
        fail(str(error))
    missing = [reading for reading in readings if reading.reason]
    for reading in missing:
        err.print(_("missing: {device}: {reason}").format(device=reading.device, reason=reading.reason), markup=False)
    _say_collected(readings, output)
    if missing:
        raise typer.Exit(Exit.FAILED)


def _say_collected(readings: Sequence[Reading], output: Path) -> None:
    said = _("{count} of {all} devices collected into {folder}")
    count = sum(not reading.reason for reading in readings)
    out.print(said.format(count=count, all=len(readings), folder=output), markup=False, soft_wrap=True)


def _by() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}, wardnet {__version__}"


def _script(platform: str) -> str:
    known = {each.value: each for each in ARTEFACTS}
    if platform not in known:
        fail(_("--script takes {known}, not {platform}").format(known=", ".join(known), platform=platform))
    return by_hand.script(known[platform])


def _take_in(folder: Path, output: Path, inventory: Path) -> None:
    """A snapshot of what was read by hand. It has an inventory only where one is named."""
    files: dict[str, bytes] = {}
    if inventory != DEFAULT_INVENTORY:
        load_district(inventory, Exit.USAGE)
        files = dict(_files(inventory))
    try:
        readings = by_hand.read_folders(folder)
        write_snapshot(output, readings, files, inventory_sha256(files), _by())
    except CollectError as error:
        fail(str(error))
    _say_collected(readings, output)


def _chosen(
    district: District, devices: list[str], wards: list[str], *, switches: bool
) -> list[GatewayPlan | SwitchPlan]:
    """The managed gateways that were asked for, all of them if none was named; and the `switches`, or one that is
    named."""
    today = datetime.now(UTC).astimezone(ZoneInfo(district.timezone)).date()
    plan = compile_plan(district, today)
    managed: list[GatewayPlan | SwitchPlan] = [gateway for gateway in plan.gateways if gateway.reached]
    managed += [switch for switch in plan.switches if switch.managed and (switches or switch.id in devices)]
    for name in devices:
        if name not in {gateway.id for gateway in managed}:
            fail(_("no managed gateway {name} in the inventory").format(name=name))
    for name in wards:
        if name not in {gateway.ward for gateway in managed}:
            fail(_("no ward {name} with a managed gateway in the inventory").format(name=name))
    return [each for each in managed if (not devices or each.id in devices) and (not wards or each.ward in wards)]


def _target(each: GatewayPlan | SwitchPlan, login: Login) -> Target:
    address = str(each.management_ipv4 or each.management_ipv6)
    return Target(each.id, each.platform, lambda: SshTransport(each.id, address, login))


def _read(targets: list[Target]) -> list[Reading]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(_("reading gateways"), total=len(targets))
        return read_all(targets, done=lambda _: progress.advance(task))


def _files(inventory: Path) -> Iterator[tuple[str, bytes]]:
    """The files that make the inventory, as its hash has them."""
    for path in [inventory / "district.yml", *sorted((inventory / "wards").glob("*.yml"))]:
        yield path.relative_to(inventory).as_posix(), path.read_bytes()
