"""wardnet check: is the inventory right? All errors at once, as file:line: message."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from wardnet.cli.console import DEFAULT_INVENTORY, Exit, err, fail, fail_with, inventory_folder, load_district, out
from wardnet.compile import compile_plan
from wardnet.inventory import errors_on, warnings
from wardnet.locale import _
from wardnet.model.intent import District
from wardnet.model.plan import GatewayPlan, HostPlan, SwitchPlan


def check(
    inventory: Annotated[Path, typer.Argument(help=_("the inventory's folder"))] = DEFAULT_INVENTORY,
    as_of: Annotated[str, typer.Option(help=_("the day to check for, such as 2026-01-31; today if not given"))] = "",
) -> None:
    """Validate an inventory. Exit 0 when it is right, 1 with every error as file:line: message."""
    district = load_district(inventory)
    day = day_of(as_of, district)
    for problem in warnings(district, day):
        err.print(_("warning: {problem}").format(problem=problem), markup=False)
    wrong = errors_on(district, day)
    if wrong:
        fail_with(wrong, inventory_folder(inventory))
    plan = compile_plan(district, day)
    listed: list[GatewayPlan | SwitchPlan | HostPlan] = [*plan.gateways, *plan.switches, *plan.hosts]
    skipped: dict[str, list[str]] = {}
    pulled = [item.id for item in listed if not isinstance(item, SwitchPlan) and item.pulled]
    for item in listed:
        if item.unmanaged_reason:
            skipped.setdefault(item.unmanaged_reason, []).append(item.id)
    out.print(
        _(
            "{name}: {wards} wards, {sites} sites, {gateways} gateways, {switches} switches and {hosts} hosts are right"
        ).format(
            name=district.name,
            wards=sum(not ward.is_district for ward in district.wards),
            sites=len(district.sites),
            gateways=len(plan.gateways),
            switches=len(plan.switches),
            hosts=len(plan.hosts),
        ),
        markup=False,
    )
    if pulled:
        out.print(_("pulled, since they have only the internet: {names}").format(names=", ".join(pulled)), markup=False)
    for reason, names in skipped.items():
        out.print(_("not managed, {reason}: {names}").format(reason=_(reason), names=", ".join(names)), markup=False)


def day_of(text: str, district: District) -> date:
    """The day that a person named, or today where the district is."""
    if not text:
        return datetime.now(UTC).astimezone(ZoneInfo(district.timezone)).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        fail(_("'{text}' is not a day, such as 2026-01-31").format(text=text), Exit.USAGE)
