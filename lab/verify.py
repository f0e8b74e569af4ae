"""Whether a lab that was made still runs whole: asked of the system, part by part."""

from __future__ import annotations

from lab import cgroups, hosts, namespaces, switch, window
from lab.circuit import control
from lab.errors import LabError
from lab.layout import FABRIC, Layout
from lab.record import Record
from wardnet.locale import _


def faults_of(layout: Layout, record: Record) -> list[str]:
    """What is broken, in words; empty when every part of the lab is there."""
    found = []
    there = namespaces.find(layout)
    wanted = (*(host.id for host in record.hosts), FABRIC)
    found += [_("the namespace of {host} is gone").format(host=host) for host in wanted if there.get(host) is None]
    found += [
        _("host {host} does not run").format(host=host.id)
        for host in record.hosts
        if hosts.leader(layout, host.id) is None
    ]
    lines = control.read_all(layout)
    found += [
        _("circuit {circuit} is dead").format(circuit=circuit.id)
        for circuit in record.circuits
        if circuit.id not in lines
    ]
    try:
        if not switch.ports(layout):
            found.append(_("the switches have no ports"))
    except LabError:
        found.append(_("the switches do not answer"))
    if record.window is not None and not window.answers(record.window):
        found.append(_("the window on 127.0.0.1:{port} is closed").format(port=record.window))
    if not cgroups.exists(layout.cgroup):
        found.append(_("the control groups are gone"))
    return found
