"""Whether a lab that was made still runs whole: asked of the system, part by part."""

from __future__ import annotations

from lab import cgroups, hosts, namespaces, switch, window
from lab.circuit import control
from lab.errors import LabError
from lab.layout import FABRIC, Layout
from lab.record import Record


def faults_of(layout: Layout, record: Record) -> list[str]:
    """What is broken, in words; empty when every part of the lab is there."""
    found = []
    there = namespaces.find(layout)
    wanted = (*(host.id for host in record.hosts), FABRIC)
    found += [f"namespace of {host} is gone" for host in wanted if there.get(host) is None]
    found += [f"host {host.id} does not run" for host in record.hosts if hosts.leader(layout, host.id) is None]
    lines = control.read_all(layout)
    found += [f"circuit {circuit.id} is dead" for circuit in record.circuits if circuit.id not in lines]
    try:
        if not switch.ports(layout):
            found.append("the switches have no ports")
    except LabError:
        found.append("the switches do not answer")
    if record.window is not None and not window.answers(record.window):
        found.append(f"the window on 127.0.0.1:{record.window} is closed")
    if not cgroups.exists(layout.cgroup):
        found.append("the control groups are gone")
    return found
