"""wardnet trust: take a device's SSH host key in, after a person has compared its fingerprint."""

from __future__ import annotations

import getpass
import socket
import sys
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from collectors.errors import CollectError, UnreachableError
from collectors.transport.known_hosts import HostKey, replace_host_key
from collectors.transport.ssh import (
    PORT,
    fetch_host_key,
    fingerprint,
    host_name,
    read_known_hosts,
    record_host_key,
)
from wardnet.bootstrap.spoken import DIGITS, as_digits, digits, spoken
from wardnet.cli.collect import KNOWN_HOSTS
from wardnet.cli.console import DEFAULT_INVENTORY, Exit, err, fail, load_district, out
from wardnet.compile import compile_plan
from wardnet.locale import _


def trust(
    host: Annotated[str, typer.Argument(help=_("the device's id in the inventory, or a name or address"))],
    address: Annotated[
        str, typer.Option("--address", help=_("where it is reached, if the inventory does not say"))
    ] = "",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help=_("its SSH port"))] = PORT,
    known_hosts: Annotated[
        Path, typer.Option("--known-hosts", envvar="WARDNET_KNOWN_HOSTS", help=_("file of pinned host keys"))
    ] = KNOWN_HOSTS,
    inventory: Annotated[Path, typer.Option("--inventory", "-i", help=_("the inventory's folder"))] = DEFAULT_INVENTORY,
    expected: Annotated[
        str,
        typer.Option(
            "--fingerprint",
            help=_("don't ask: record the key if this is its fingerprint: SHA256:..., or 30 digits"),
        ),
    ] = "",
    replaced: Annotated[
        bool,
        typer.Option(
            "--replaced",
            help=_("the device is another machine now; its former key goes into an archive"),
        ),
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help=_("seconds to wait for each answer"))] = 15.0,
) -> None:
    """Show a device's SSH host key and, once it is agreed to, record it with who and when. Ends with 0 when the key
    is recorded; with 1 when it was declined, or is another than the one on record or expected. A key that has changed
    is taken over with --replaced alone, and only if it is the one that was read out at the new machine."""
    where = address or _address(host, inventory)
    names = tuple(dict.fromkeys((host_name(host, port), host_name(where, port))))
    try:
        known = read_known_hosts(known_hosts) if known_hosts.exists() else None
        key = fetch_host_key(where, port, timeout)
    except (CollectError, UnreachableError) as error:
        fail(str(error))
    shown = fingerprint(key.asbytes())
    former = [old for name in names for old in (dict(known.lookup(name) or {}) if known is not None else {}).values()]
    if replaced:
        _replace(host, names, known_hosts, former, key, expected)
        return
    out.print(f"{host} ({where}:{port})  {key.get_name()}  {shown}", markup=False, soft_wrap=True)
    out.print(f"  {spoken(key.asbytes())}", markup=False, soft_wrap=True)
    if expected and not _is_of(expected, key):
        fail(_("not recorded: the fingerprint is not {fingerprint}").format(fingerprint=expected), Exit.FAILED)
    for name in names:
        recorded = dict(known.lookup(name) or {}) if known is not None else {}
        if not recorded:
            continue
        if any(old.asbytes() == key.asbytes() for old in recorded.values()):
            out.print(_("on record already in {file}").format(file=known_hosts), markup=False, soft_wrap=True)
            return
        _refuse(name, known_hosts, [fingerprint(old.asbytes()) for old in recorded.values()], shown)
    if not expected and not typer.confirm(_("Is this the fingerprint that the device's own console shows?")):
        fail(_("not recorded"), Exit.FAILED)
    try:
        record_host_key(known_hosts, names, key, _me())
    except OSError as error:
        fail(f"{known_hosts}: {error.strerror}")
    out.print(_("recorded in {file}").format(file=known_hosts), markup=False, soft_wrap=True)


def _is_of(said: str, key: HostKey) -> bool:
    """Whether the fingerprint that somebody said, in either form, is that of the key."""
    return said.strip() == fingerprint(key.asbytes()) or as_digits(said) == digits(key.asbytes())


def _replace(
    host: str, names: tuple[str, ...], known_hosts: Path, former: list[HostKey], key: HostKey, expected: str
) -> None:
    """Take the key of the machine in the old one's place. It is compared with what was read out there, which the
    person here types: it is not shown here, so that nobody can just agree to it."""
    if not former:
        fail(_("no key of {host} is on record, so none is replaced: leave --replaced out").format(host=host))
    if any(old.asbytes() == key.asbytes() for old in former):
        fail(
            _(
                "not replaced: the key that answers is the one on record. Is the old machine still plugged in, or the "
                "new one a copy of its disk? A copy needs keys of its own"
            ),
            Exit.FAILED,
        )
    if not expected:
        if not sys.stdin.isatty():
            fail(_("which digits were read out at the new machine? --fingerprint '12345 ...'"))
        expected = typer.prompt(_("The {digits} digits that are read out at the new machine").format(digits=DIGITS))
    if any(_is_of(expected, old) for old in former):
        fail(_("not replaced: what was read out is the key of the old machine"), Exit.FAILED)
    if not _is_of(expected, key):
        fail(
            _(
                "not replaced: what was read out is another key. Have it read once more; if it still differs, someone "
                "stands between, or it is not the machine that answers here"
            ),
            Exit.FAILED,
        )
    try:
        archive = replace_host_key(known_hosts, names, key, _me())
    except CollectError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{known_hosts}: {error.strerror}")
    out.print(
        _("replaced in {file}; the former key is in {archive}").format(file=known_hosts, archive=archive),
        markup=False,
        soft_wrap=True,
    )


def _me() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _refuse(name: str, known_hosts: Path, recorded: list[str], shown: str) -> None:
    err.print(_("THE HOST KEY OF {name} HAS CHANGED").format(name=name), style="bold red", markup=False)
    err.print(_("on record: {fingerprints}").format(fingerprints=", ".join(recorded)), markup=False)
    err.print(_("shown now: {fingerprint}").format(fingerprint=shown), markup=False)
    fail(
        _(
            "either the device was set up anew, or someone stands between. Find out which: if the machine was "
            "replaced, have its digits read out there and say --replaced; {file} is as it was"
        ).format(file=known_hosts),
        Exit.FAILED,
    )


def _address(host: str, inventory: Path) -> str:
    """Where the inventory says that the host is reached; the word itself where it is an address, or there is no
    inventory."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    if not inventory.is_dir():
        return host
    district = load_district(inventory, Exit.USAGE)
    plan = compile_plan(district, datetime.now(UTC).astimezone(ZoneInfo(district.timezone)).date())
    known = {one.id: str(one.ports[0].ipv4.ip) for one in plan.hosts}
    known |= {one.id: str(one.management_ipv4) for one in plan.gateways if one.management_ipv4 is not None}
    known |= {one.id: str(one.management_ipv4) for one in plan.switches if one.management_ipv4 is not None}
    if host not in known:
        fail(_("{host} is not in the inventory; --address says where it is reached").format(host=host))
    return known[host]
