"""Plan -> what is installed on which machine. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from wardnet.locale import N_, _
from wardnet.media.errors import MediaError
from wardnet.model.intent import Attachment, District, OperatingSystem
from wardnet.model.plan import HostPlan, Plan

UNMANAGED = N_("nothing here configures it")


@dataclass(frozen=True, slots=True)
class Installation:
    """A host, and the hardware addresses (in lower case with ':') of the ports that have one in the inventory, by the
    port's name. Any of them is enough to know the machine by."""

    host: HostPlan
    domain: str
    macs: tuple[tuple[str, str], ...]


def installations(district: District, plan: Plan, names: tuple[str, ...]) -> tuple[Installation, ...]:
    """What the named hosts are installed as, in their order. MediaError with every host that cannot be, a line each."""
    found, refused = [], []
    for name in dict.fromkeys(names):
        try:
            found.append(_installation(district, plan, name))
        except MediaError as error:
            refused.append(str(error))
    if refused:
        raise MediaError("\n".join(refused))
    return tuple(found)


def _installation(district: District, plan: Plan, name: str) -> Installation:
    host = next((each for each in plan.hosts if each.id == name), None)
    if host is None:
        raise MediaError(_unknown(plan, name))
    if host.os is OperatingSystem.WINDOWS:
        raise MediaError(
            _("{source}: {host} has Windows, which is set up by hand: docs/how-to/windows.md").format(
                source=host.source, host=name
            )
        )
    if not host.managed:
        raise MediaError(
            _("{source}: {host} is not installed from here: {reason}").format(
                source=host.source, host=name, reason=_(host.unmanaged_reason or UNMANAGED)
            )
        )
    macs = tuple((port.name, port.mac) for port in _attachments(district, name) if port.mac is not None)
    if not macs:
        raise MediaError(
            _(
                "{source}: {host} has no 'mac', by which the medium knows the machine: "
                "wardnet inventory replace-pc {host} writes it"
            ).format(source=host.source, host=name)
        )
    return Installation(host, plan.domain, macs)


def _attachments(district: District, name: str) -> tuple[Attachment, ...]:
    hosts = (host for ward in district.wards for site in ward.sites for host in site.hosts)
    return next((host.interfaces for host in hosts if host.id == name), ())


def _unknown(plan: Plan, name: str) -> str:
    gateway = next((each for each in plan.gateways if each.id == name), None)
    if gateway is not None:
        return _(
            "{source}: {host} is a gateway, of which the inventory knows no hardware address: install Debian by hand, "
            "then wardnet bootstrap {host}"
        ).format(source=gateway.source, host=name)
    switch = next((each for each in plan.switches if each.id == name), None)
    if switch is not None:
        return _("{source}: {host} is a switch, no PC").format(source=switch.source, host=name)
    near = get_close_matches(name, [host.id for host in plan.hosts], 1)
    hint = _("did you mean '{word}'?").format(word=near[0]) if near else _("see wardnet check")
    return _("no host '{host}' in the inventory ({hint})").format(host=name, hint=hint)
