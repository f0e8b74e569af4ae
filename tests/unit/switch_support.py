"""The access switch of the sample district, really set up in a throw-away network namespace, and what it then prints.

Run as root to capture the fixture again:  python -m tests.unit.switch_support tests/unit/fixtures/buoi-sw
Open vSwitch carries the frames itself there (datapath netdev), beside any that the machine runs.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.unit.gateway_support import FIXTURES, sample
from wardnet.model.intent import PortMode
from wardnet.model.plan import SwitchPlan
from wardnet.model.policy import SwitchPolicy
from wardnet.model.snapshot import OPENVSWITCH

SWITCH = "buoi-sw"
DEAD = 4094


def switch_policy() -> SwitchPolicy:
    return next(entry for entry in sample()[1].switches if entry.device == SWITCH)


def switch() -> dict[str, bytes]:
    """The artefacts of the captured switch."""
    return {artefact.name: (FIXTURES / SWITCH / artefact.name).read_bytes() for artefact in OPENVSWITCH}


def script(plan: SwitchPlan, folder: str, output: Path) -> str:
    """What makes the switch, as role access_switch has it, and reads its artefacts."""
    vsctl = f"ovs-vsctl --db=unix:{folder}/db.sock --timeout=30"
    lines = [
        "set -eu",
        f"export OVS_RUNDIR={folder} OVS_DBDIR={folder} OVS_LOGDIR={folder}",
        f"ovsdb-tool create {folder}/conf.db /usr/share/openvswitch/vswitch.ovsschema",
        (
            f"ovsdb-server {folder}/conf.db --remote=punix:{folder}/db.sock --pidfile={folder}/db.pid"
            " --detach --no-chdir -vconsole:off >/dev/null"
        ),
        f"trap 'kill $(cat {folder}/*.pid)' EXIT",
        f"{vsctl} --no-wait init",
        (
            f"ovs-vswitchd unix:{folder}/db.sock --pidfile={folder}/switch.pid --detach --no-chdir --enable-dummy"
            " --disable-system -vconsole:off >/dev/null 2>&1"
        ),
        (
            f"{vsctl} add-br {plan.bridge} -- set bridge {plan.bridge} datapath_type=netdev fail_mode=secure"
            f" -- set port {plan.bridge} vlan_mode=access tag={DEAD}"
        ),
    ]
    flows = ["priority=100,in_port=1000,actions=NORMAL", "priority=0,actions=drop"]
    for number, port in enumerate(plan.ports, 1):
        lines.append(f"ip link add {port.name} type veth peer name far{number}")
        tags = f"vlan_mode=access tag={DEAD if port.vlan is None else port.vlan}"
        if port.mode is PortMode.TRUNK:
            tags = f"vlan_mode=trunk trunks={','.join(map(str, port.trunks))}"
        lines.append(f"{vsctl} add-port {plan.bridge} {port.name} {tags} -- set interface {port.name}"
                     f" ofport_request={number}")  # fmt: skip
        if port.mode is not PortMode.UNUSED:
            lines.append(f"ip link set {port.name} up")
            flows += [f"priority=200,in_port={number},icmp6,icmp_type=134,actions=drop",
                      f"priority=100,in_port={number},actions=NORMAL"]  # fmt: skip
        # The far end is in nobody's way: it is another machine's.
        lines.append(f"ip link set far{number} netns $OUTSIDE")
    assert plan.management is not None
    own = plan.management
    tags = f"vlan_mode=access tag={own.vlan} -- set interface {own.name} type=internal ofport_request=1000"
    lines.append(f"{vsctl} add-port {plan.bridge} {own.name} {tags}")
    lines.append(f"ip link set {own.name} up")
    lines += [f"printf '%s\\n' {shlex.join(flows)} >{folder}/flows",
              f"ovs-ofctl replace-flows {plan.bridge} {folder}/flows"]  # fmt: skip
    for artefact in OPENVSWITCH:
        command = [folder + "/" if word == "/run/openvswitch/" else word for word in artefact.command]
        if artefact.name == "ovs.json":
            command.insert(-1, f"unix:{folder}/db.sock")
        lines.append(f"{shlex.join(command)} >{output}/{artefact.name}")
    return "\n".join(lines)


def capture(output: Path) -> None:
    plan = sample()[0].switch(SWITCH)
    output.mkdir(parents=True, exist_ok=True)
    outside = subprocess.Popen(["unshare", "-n", "sleep", "300"])
    try:
        with tempfile.TemporaryDirectory() as folder:
            made = f"OUTSIDE={outside.pid}\n" + script(plan, folder, output.absolute())
            subprocess.run(["unshare", "-n", "sh", "-c", made], check=True, timeout=240)
    finally:
        outside.terminate()
        outside.wait()


if __name__ == "__main__":
    capture(Path(sys.argv[1]))
