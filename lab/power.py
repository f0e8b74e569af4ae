"""`power`: the power of one booted host, cut and given again.

A cut kills everything of the host at one instant: nothing is asked to end and nothing is written any more. What its
kernel held is lost with its network namespace: addresses, routes, rules, filters, queues, connections, /run. Cables
stay plugged, without a carrier. What was written to its disk is there when it boots again; unlike a real cut this also
keeps what was written and not yet flushed, since the page cache is this machine's.
"""

from __future__ import annotations

from enum import StrEnum

from lab import cgroups, hosts, namespaces, processes
from lab.errors import LabError
from lab.layout import Layout
from wardnet.locale import _

BOOT_SECONDS = 180


class Power(StrEnum):
    OFF = "off"
    ON = "on"
    CYCLE = "cycle"


def switch(layout: Layout, host: str, what: Power) -> None:
    """Do it, and with `on` or `cycle` wait until the host has booted.

    LabError if the lab has no such host, if it is off or on already, or if it does not boot.
    """
    if not (layout.host(host) / hosts.LAUNCH).is_file():
        raise LabError(_("no host {host} was booted in the lab {name}").format(host=host, name=layout.name))
    if what in (Power.OFF, Power.CYCLE):
        cut(layout, host)
    if what in (Power.ON, Power.CYCLE):
        give(layout, host)


def cut(layout: Layout, host: str) -> None:
    """Off, at once. LabError if it was off."""
    if not processes.kill_host(layout, host):
        raise LabError(_("host {host} is off already").format(host=host))
    namespaces.renew(layout, host)


def give(layout: Layout, host: str) -> None:
    """On, with the disk as the cut left it. LabError if it was on, or does not boot within 180 s."""
    if cgroups.members(layout.host_cgroup(host)):
        raise LabError(_("host {host} is on already").format(host=host))
    # Groups of services that were killed are left behind, and systemd would take them for its own.
    cgroups.remove(layout.host_cgroup(host))
    boot = hosts.Boot(layout)
    boot.launch(host)
    boot.wait(BOOT_SECONDS, lambda _host: None)
