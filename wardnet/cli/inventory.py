"""wardnet inventory: change the inventory's files as a person would, checked before anything is on disk."""

from __future__ import annotations

import getpass
import re
import socket
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from ipaddress import ip_interface
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from collectors.errors import CollectError
from wardnet.cli.check import day_of
from wardnet.cli.console import DEFAULT_INVENTORY, Exit, err, fail, inventory_folder, load_district, out
from wardnet.compile import compile_plan
from wardnet.inventory import InventoryErrors
from wardnet.inventory.writing import (
    Line,
    NewWard,
    Proposal,
    WritingError,
    default_model,
    lines_of,
    office_of,
    propose_mac,
    propose_ward,
    read_files,
    slug,
)
from wardnet.locale import _
from wardnet.model.intent import Addressing, Channel, Circuit, District, HostRole, IPInterface, Site

inventory = typer.Typer(no_args_is_help=True, help=_("Change the inventory's files as a person would."))

FOLDER = Annotated[Path, typer.Option("--inventory", "-i", help=_("the inventory's folder"))]
YES = Annotated[bool, typer.Option("--yes", "-y", help=_("write without asking"))]


MOST_PCS = 150  # for clerks, of one ward
KNOWN_HOSTS = Path.home() / ".config" / "wardnet" / "known_hosts"


def interactive() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


@inventory.command(
    "add-ward",
    help=_(
        "Add a ward like another one, with the next free addresses. Asks for what is not given; without a terminal it "
        "takes what it would have proposed. Ends with 0 when it is written, with 1 when it is declined or not right."
    ),
)
def add_ward(
    folder: FOLDER = DEFAULT_INVENTORY,
    name: Annotated[str, typer.Option("--name", help=_("the ward's name, such as 'Hà Mới'"))] = "",
    ward: Annotated[str, typer.Option("--id", help=_("its id, such as ha-moi"))] = "",
    office_name: Annotated[str, typer.Option("--office-name", help=_("the name of its office"))] = "",
    like: Annotated[str, typer.Option("--like", help=_("id of the ward that it is made like"))] = "",
    pcs: Annotated[int | None, typer.Option("--pcs", min=0, max=MOST_PCS, help=_("how many PCs for clerks"))] = None,
    wan_provider: Annotated[str, typer.Option("--wan-provider", help=_("whose WAN line it is"))] = "",
    wan_kbps: Annotated[str, typer.Option("--wan-kbps", help=_("its rates, DOWN/UP in kbit/s"))] = "",
    wan_ipv4: Annotated[str, typer.Option("--wan-ipv4", help=_("the gateway's address on it, with its length"))] = "",
    wan_ipv6: Annotated[str, typer.Option("--wan-ipv6", help=_("the same for IPv6"))] = "",
    internet_provider: Annotated[str, typer.Option("--internet-provider", help=_("whose internet line it is"))] = "",
    internet_kbps: Annotated[str, typer.Option("--internet-kbps", help=_("its rates, DOWN/UP in kbit/s"))] = "",
    internet_addressing: Annotated[
        Addressing | None, typer.Option("--internet-addressing", help=_("where its addresses come from"))
    ] = None,
    internet_ipv4: Annotated[
        str, typer.Option("--internet-ipv4", help=_("the gateway's address on it, with its length"))
    ] = "",
    internet_ipv6: Annotated[str, typer.Option("--internet-ipv6", help=_("the same for IPv6"))] = "",
    pppoe_user: Annotated[str, typer.Option("--pppoe-user", help=_("who dials, for --internet-addressing pppoe"))] = "",
    valid_from: Annotated[
        str, typer.Option("--valid-from", help=_("first day of both contracts; today if not given"))
    ] = "",
    yes: YES = False,
) -> None:
    folder = inventory_folder(folder)
    district = load_district(folder)
    try:
        name = name or _ask(_("Name of the ward"), None)
        ward = ward or _ask(_("Its id"), slug(name))
        like = like or _ask(_("Made like the ward"), default_model(district))
        model, office = office_of(district, like)
        same = office.name.replace(model.name, name)
        office_name = office_name or _ask(_("Name of its office"), same if same != office.name else name)
        count = sum(host.role is HostRole.COUNTER for host in office.hosts)
        pcs = pcs if pcs is not None else int(_ask(_("PCs for clerks"), str(count), _is_count))
        wan = _line(office, Channel.WAN, wan_provider, wan_kbps, (wan_ipv4, wan_ipv6))
        net = _line(
            office, Channel.INTERNET, internet_provider, internet_kbps, (internet_ipv4, internet_ipv6),
            internet_addressing, pppoe_user,
        )  # fmt: skip
        day = _day(valid_from, district)
        new = NewWard(ward, name, office_name, like, day, {Channel.WAN: wan, Channel.INTERNET: net}, pcs)
        proposal = propose_ward(read_files(folder), district, new)
        if not _written(proposal, folder, yes=yes):
            raise typer.Exit(Exit.FAILED)
    except WritingError as error:
        fail(str(error))
    gateway = office.gateway.id.replace(model.id, ward)
    out.print(
        _(
            "next: wardnet bootstrap {gateway} -o FOLDER; at the new gateway the script in it; "
            "wardnet trust {gateway}; ansible-playbook playbooks/site.yml --limit 'hubs:ward_{ward}'"
        ).format(gateway=gateway, ward=ward.replace("-", "_")),
        markup=False,
        soft_wrap=True,
    )


@inventory.command(
    "replace-pc",
    help=_(
        "Another machine stands where a PC, scanner or screen stood: write its hardware address, and put the former "
        "one's SSH key into the archive. Ends with 0; with 1 when it is declined or not right."
    ),
)
def replace_pc(
    host: Annotated[str, typer.Argument(help=_("the host's id in the inventory"))],
    mac: Annotated[str, typer.Option("--mac", help=_("hardware address of the new one, as on its label"))] = "",
    port: Annotated[str, typer.Option("--port", help=_("which of its ports"))] = "eth0",
    folder: FOLDER = DEFAULT_INVENTORY,
    known_hosts: Annotated[
        Path, typer.Option("--known-hosts", envvar="WARDNET_KNOWN_HOSTS", help=_("file of pinned host keys"))
    ] = KNOWN_HOSTS,
    yes: YES = False,
) -> None:
    from collectors.transport.known_hosts import retire_host_key

    folder = inventory_folder(folder)
    district = load_district(folder)
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    try:
        mac = mac or _ask(_("Hardware address of the new one"), None)
        # As the files have it, whatever the label has; what is no address is left for the strict reader to name.
        proposal = propose_mac(read_files(folder), district, host, port, mac.strip().lower().replace("-", ":"))
        if proposal.after and not _written(proposal, folder, yes=yes):
            raise typer.Exit(Exit.FAILED)
        addresses = [
            str(each.ipv4) for _ward, site in district.sites for own in site.hosts if own.id == host
            for each in own.interfaces
        ]  # fmt: skip
        archive = retire_host_key(known_hosts, (host, *addresses), by)
    except (WritingError, CollectError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{known_hosts}: {error.strerror}")
    if archive is not None:
        out.print(_("the former key is in {archive}").format(archive=archive), markup=False, soft_wrap=True)
    out.print(_next(district, host), markup=False, soft_wrap=True)


def _next(district: District, name: str) -> str:
    """What is to be done with the new machine: only what management logs in to has a key to compare."""
    plan = compile_plan(district, _day("", district))
    host = next(each for each in plan.hosts if each.id == name)
    if host.reached:
        return _("next: wardnet trust {host}, with the digits that are read out there").format(host=name)
    if host.pulled:
        return _("next: ansible-playbook playbooks/publish.yml --limit {host}; it comes to that by itself").format(
            host=name
        )
    return _("next: by hand, since wardnet does not log in to {host}: {reason}").format(
        host=name, reason=_(host.unmanaged_reason or "")
    )


def _ask(what: str, proposed: str | None, right: Callable[[str], bool] = bool) -> str:
    """What the person says; without a terminal what is proposed. Ends the command where there is neither."""
    if not interactive():
        if proposed is None:
            fail(_("'{what}' is not given, and there is no terminal to ask at").format(what=what))
        return proposed
    while True:
        said: str = typer.prompt(what, default=proposed).strip()
        if right(said):
            return said


def _line(
    office: Site,
    channel: Channel,
    provider: str,
    kbps: str,
    addresses: tuple[str, str],
    addressing: Addressing | None = None,
    pppoe_user: str = "",
) -> Line:
    """A line as it was said, the rest like the office's own."""
    own = next((circuit for circuit in lines_of(office) if circuit.channel is channel), None)
    if own is None:
        raise WritingError(_("office '{office}' has no {channel} circuit").format(office=office.id, channel=channel))
    title = _("WAN") if channel is Channel.WAN else _("internet")
    provider = provider or _ask(_("Provider of the {line} line").format(line=title), own.provider)
    rates = kbps or _ask(
        _("Its rates, DOWN/UP in kbit/s"), _rates(own), lambda text: _RATES.fullmatch(text) is not None
    )
    match = _RATES.fullmatch(rates)
    if match is None:
        raise WritingError(_("'{text}' is not DOWN/UP in kbit/s, such as 20000/20000").format(text=rates))
    how = addressing or own.addressing
    given = tuple(_address(text, version) for text, version in zip(addresses, (4, 6), strict=True) if text)
    if how is not Addressing.STATIC and given:
        raise WritingError(_("with addressing {how} the provider gives the addresses").format(how=how))
    if how is Addressing.STATIC and not given and interactive():
        asked = _ask(_("Its IPv4 address with length, '-' for the next free one"), "-", _is_address)
        given += (_address(asked, 4),) if asked != "-" else ()
        asked = _ask(_("Its IPv6 address with length, '-' for the next free one"), "-", _is_address)
        given += (_address(asked, 6),) if asked != "-" else ()
    if how is Addressing.PPPOE:
        if own.addressing is not Addressing.PPPOE:
            raise WritingError(_("ward '{ward}' does not dial: --like one that does").format(ward=office.id))
        pppoe_user = pppoe_user or _ask(_("User that dials"), None)
    return Line(provider, int(match[1]), int(match[2]), how, given, pppoe_user)


_RATES = re.compile(r"(\d{2,9})/(\d{2,9})")


def _rates(circuit: Circuit) -> str:
    rate = circuit.contracted[-1]
    return f"{rate.down_bps // 1000}/{rate.up_bps // 1000}"


def _is_count(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,3}", text) is not None and int(text) <= MOST_PCS


def _is_address(text: str) -> bool:
    try:
        return text == "-" or ("/" in text and bool(ip_interface(text)))
    except ValueError:
        return False


def _address(text: str, version: int) -> IPInterface:
    try:
        found = ip_interface(text)
    except ValueError:
        found = None
    if found is None or found.version != version or "/" not in text:
        raise WritingError(
            _("'{text}' is not an IPv{version} address with its length").format(text=text, version=version)
        )
    return found


def _day(text: str, district: District) -> date:
    if text:
        return day_of(text, district)
    return datetime.now(UTC).astimezone(ZoneInfo(district.timezone)).date()


def _written(proposal: Proposal, folder: Path, *, yes: bool) -> bool:
    """Check, show, ask, write. False where nothing was written."""
    try:
        proposal.district()
    except InventoryErrors as errors:
        typer.echo(proposal.diff(), nl=False)
        for problem in errors.problems:
            err.print(str(problem), markup=False)
        fail(_("nothing was written: it would not be right"), Exit.FAILED)
    typer.echo(proposal.diff(), nl=False)
    if not yes:
        if not interactive():
            err.print(_("nothing was written: --yes writes it"), markup=False)
            return False
        if not typer.confirm(_("Write this?"), default=True):
            err.print(_("nothing was written"), markup=False)
            return False
    try:
        proposal.write(folder)
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror}")
    for name in proposal.after:
        out.print(_("written: {file}").format(file=folder / name), markup=False, soft_wrap=True)
    return True
