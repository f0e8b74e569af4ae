"""Every fault that the lab can inject: one entry each, with the verdict that the tool must reach about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.errors import LabError
from lab.faults import leaks, slowness
from lab.faults.edits import take_back
from lab.faults.target import Target
from lab.layout import COMMAND, Layout
from lab.record import FaultRecord, Record, require_record, write_record
from wardnet.locale import N_, _
from wardnet.model.intent import Channel


@dataclass(frozen=True, slots=True)
class Fault:
    """`break_` returns notes from which `heal` takes back exactly what was done."""

    does: str
    verdict: str
    channels: tuple[Channel, ...]  # it can be injected on; the first if none is named
    break_: Callable[[Target], dict[str, Any]]
    heal: Callable[[Layout, dict[str, Any]], None]


BOTH = (Channel.WAN, Channel.INTERNET)
CROSSING = (Channel.INTERNET,)  # the channel that the leaked packets come from

FAULTS: dict[str, Fault] = {
    "slow-line": Fault(
        does=N_("cuts the circuit to a tenth of its rate and delays each packet by 80 ms more, each way"),
        verdict="diagnose: line",
        channels=BOTH,
        break_=slowness.slow_line,
        heal=slowness.heal_line,
    ),
    "slow-server": Fault(
        does=N_("makes the portal take 1.5 s longer for each page; the line is as it was"),
        verdict="diagnose: server",
        channels=BOTH,
        break_=slowness.slow_server,
        heal=slowness.heal_server,
    ),
    "forwarding-leak": Fault(
        does=N_("lets IPv4 through from the citizens' LAN to the clerks' LAN"),
        verdict="audit: violated, ipv4",
        channels=CROSSING,
        break_=leaks.forwarding,
        heal=take_back,
    ),
    "leaked-route": Fault(
        does=N_("puts the WAN's prefixes into the internet's routing table, behind an accept that is too wide"),
        verdict="audit: violated, ipv4 and ipv6",
        channels=CROSSING,
        break_=leaks.leaked_route,
        heal=take_back,
    ),
    "ipv6-open": Fault(
        does=N_("leaves IPv6 open between the LANs of the two channels"),
        verdict="audit: violated, ipv6",
        channels=CROSSING,
        break_=leaks.ipv6_open,
        heal=take_back,
    ),
}


def _target(layout: Layout, record: Record, ward: str, channel: Channel) -> Target:
    from lab.build import blueprint_of

    blueprint = blueprint_of(record)
    return Target(layout, record, blueprint.district, blueprint.plan, blueprint.topology, ward, channel)


def fault_named(name: str) -> Fault:
    """LabError with all names for an unknown one."""
    if name not in FAULTS:
        raise LabError(_("no fault {name}; there are {faults}").format(name=name, faults=", ".join(FAULTS)))
    return FAULTS[name]


def inject(layout: Layout, name: str, ward: str, channel: str | None = None) -> FaultRecord:
    """Inject a fault into a ward of a running lab. LabError for an unknown one, or one that holds already."""
    fault = fault_named(name)
    chosen = Channel(channel) if channel in set(Channel) else None
    if channel is None:
        chosen = fault.channels[0]
    if chosen not in fault.channels:
        raise LabError(
            _("{name} takes --channel {channels}, not {channel}").format(
                name=name, channels=" or ".join(fault.channels), channel=channel
            )
        )
    record = require_record(layout)
    if any((one.fault, one.ward, one.channel) == (name, ward, chosen) for one in record.faults):
        raise LabError(
            _("{name} holds already in {ward} on the channel {chosen}: `{lab} heal` first").format(
                name=name, ward=ward, chosen=chosen, lab=COMMAND
            )
        )
    target = _target(layout, record, ward, chosen)
    assert target.gateway.ward == ward  # says so if the ward is not here
    made = FaultRecord(name, ward, str(chosen), fault.verdict, fault.break_(target))
    write_record(layout, record.with_faults((*record.faults, made)))
    return made


def heal(layout: Layout, name: str | None = None, ward: str | None = None) -> tuple[FaultRecord, ...]:
    """Take back the faults that hold, the last one first; all of them, or those of a name or ward."""
    record = require_record(layout)
    if name is not None:
        fault_named(name)
    if ward is not None and ward not in {host.ward for host in record.hosts}:
        raise LabError(
            _("no ward {ward} in the lab {name}; it has {wards}").format(
                ward=ward, name=layout.name, wards=", ".join(sorted({host.ward for host in record.hosts if host.ward}))
            )
        )
    healed = []
    for one in reversed(record.faults):
        if name in (None, one.fault) and ward in (None, one.ward):
            FAULTS[one.fault].heal(layout, one.notes)
            record = record.with_faults(tuple(other for other in record.faults if other is not one))
            write_record(layout, record)
            healed.append(one)
    return tuple(healed)
