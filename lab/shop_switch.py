"""A managed access switch as a technician leaves it: Open vSwitch with each network in its VLAN and a management
address, so that the site works and the controller can come. Nothing guards it yet. Pure.

Open vSwitch keeps its settings in a database of its own, so they are written once, at the first boot.
"""

from __future__ import annotations

import shlex

from lab.hosts import HostFile
from wardnet.model.intent import PortMode
from wardnet.model.plan import SwitchPlan, SwitchPort

DATAPATH = "netdev"  # the userspace one: VLANs without a module of the kernel
_SCRIPT = "/usr/local/sbin/lab-first-switch"
_DONE = "/var/lib/lab-first-switch"
_UNIT = "/etc/systemd/system/lab-first-switch.service"
_OPENVSWITCH = "openvswitch-switch.service"


def words(switch: SwitchPlan) -> list[str]:
    """Of ovs-vsctl, one transaction."""
    found = ["--may-exist", "add-br", switch.bridge, "--", "set", "bridge", switch.bridge, f"datapath_type={DATAPATH}"]
    for port in switch.ports:
        if port.mode is not PortMode.UNUSED:
            found += ["--", "--may-exist", "add-port", switch.bridge, port.name, *_vlans(port)]
    management = switch.management
    if management is not None:
        found += ["--", "--may-exist", "add-port", switch.bridge, management.name, f"tag={management.vlan}"]
        found += ["--", "set", "interface", management.name, "type=internal"]
    return found


def _vlans(port: SwitchPort) -> list[str]:
    if port.mode is PortMode.ACCESS:
        return [f"tag={port.vlan}"]
    return [f"trunks={','.join(map(str, port.trunks))}", "vlan_mode=trunk"]


def files(switch: SwitchPlan) -> list[HostFile]:
    """Open vSwitch started, set up once, and its ports up; its own address is for network_unit."""
    script = f"#!/bin/sh\nset -eu\novs-vsctl --timeout=60 {shlex.join(words(switch))}\ntouch {_DONE}\n"
    unit = f"""[Unit]
Description=The switch as it was set up by hand
ConditionPathExists=!{_DONE}
Requires={_OPENVSWITCH}
After={_OPENVSWITCH}

[Service]
Type=oneshot
ExecStart={_SCRIPT}
"""
    wants = "/etc/systemd/system/multi-user.target.wants"
    found = [
        HostFile(_SCRIPT, script.encode(), 0o755),
        HostFile(_UNIT, unit.encode()),
        HostFile(f"{wants}/lab-first-switch.service", target=_UNIT),
        HostFile(f"{wants}/{_OPENVSWITCH}", target=f"/lib/systemd/system/{_OPENVSWITCH}"),
    ]
    for port in switch.ports:
        if port.mode is not PortMode.UNUSED:
            text = f"[Match]\nName={port.name}\n\n[Link]\nRequiredForOnline=no\n\n[Network]\nLinkLocalAddressing=no\n"
            found.append(HostFile(f"/etc/systemd/network/05-bootstrap-{port.name}.network", text.encode()))
    return found
