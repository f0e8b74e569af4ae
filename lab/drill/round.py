"""Many drills, dealt to the wards and run side by side: at one device one after the other, at different wards at
once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle, islice
from typing import Any
from zoneinfo import ZoneInfo

from lab.drill.kinds import KINDS, Target
from lab.drill.one import Limits, Outcome, drill
from lab.drill.watch import GATEWAY_STATE, SWITCH_STATE, Device, Dialler
from lab.handle import Lab
from wardnet.compile import compile_plan, to_plain
from wardnet.inventory import read_district
from wardnet.model.intent import SiteKind


@dataclass(frozen=True)
class Station:
    """A ward of the lab, with what can be drilled in it: (device, its compiled plan) by target."""

    ward: str
    devices: dict[Target, tuple[Device, dict[str, Any]]]


def stations(lab: Lab) -> list[Station]:
    """The lab's wards, and the district's own office, that have a gateway which the manager reaches."""
    district = read_district(lab.layout.inventory)
    plan = compile_plan(district, datetime.now(ZoneInfo(district.timezone)).date())
    booted = {host.id for host in lab.record.hosts}
    found = []
    offices = (gateway.ward for gateway in plan.gateways if gateway.site_kind is SiteKind.DISTRICT_OFFICE)
    for ward in dict.fromkeys((*lab.record.wards, *offices)):
        devices: dict[Target, tuple[Device, dict[str, Any]]] = {}
        for gateway in plan.gateways:
            if gateway.site_kind is SiteKind.SERVER_ROOM:
                continue  # the hub: all others are reached through it
            if gateway.ward == ward and gateway.reached and gateway.id in booted and gateway.management_ipv4:
                device = Device(lab, gateway.id, str(gateway.management_ipv4), GATEWAY_STATE)
                devices.setdefault(Target.GATEWAY, (device, to_plain(gateway)))
        for switch in plan.switches:
            if switch.ward == ward and switch.managed and switch.id in booted and switch.management_ipv4:
                device = Device(lab, switch.id, str(switch.management_ipv4), SWITCH_STATE)
                devices.setdefault(Target.SWITCH, (device, to_plain(switch)))
        if Target.GATEWAY in devices:
            found.append(Station(ward, devices))
    return found


def deal(number: int, found: Sequence[Station], kinds: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    """Numbered kinds by ward: each kind as often as any other, each ward as many as any other that can have them. Kinds
    for which no ward has the device are left out."""
    possible = [name for name in kinds if any(KINDS[name].target in station.devices for station in found)]
    dealt: dict[str, list[tuple[int, str]]] = {station.ward: [] for station in found}
    order = sorted(
        enumerate(islice(cycle(possible), number), 1),
        key=lambda item: sum(KINDS[item[1]].target in station.devices for station in found),
    )  # what few wards can have is dealt first
    for item in order:
        able = [station.ward for station in found if KINDS[item[1]].target in station.devices]
        least = min(able, key=lambda ward: len(dealt[ward]))
        dealt[least].append(item)
    return {ward: sorted(items) for ward, items in dealt.items()}


def run_all(
    lab: Lab, found: Sequence[Station], dealt: dict[str, list[tuple[int, str]]], at_once: int, limits: Limits,
    tell: Callable[[Outcome], None],
) -> list[Outcome]:  # fmt: skip
    """All outcomes by number; `tell` gets each as it comes, from several threads."""
    dialler = Dialler(lab.layout)
    outcomes: list[Outcome] = []

    def ward_after(station: Station) -> None:
        for number, kind in dealt[station.ward]:
            device, plan = station.devices[KINDS[kind].target]
            outcome = drill(lab, dialler, number, kind, station.ward, device, plan, limits)
            outcomes.append(outcome)
            tell(outcome)

    try:
        with ThreadPoolExecutor(at_once) as pool:
            for done in [pool.submit(ward_after, station) for station in found]:
                done.result()
    finally:
        dialler.close()
    return sorted(outcomes, key=lambda outcome: outcome.number)
