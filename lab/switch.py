"""The lab's switches: bridges of an Open vSwitch of its own, whose userspace datapath carries real VLANs.

Database, switch daemon, pid files and sockets are the lab's, and both processes live in the lab's fabric
namespace, so that neither another lab nor the machine's own Open vSwitch ever meets them.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from lab import cgroups
from lab.cabling import Cable
from lab.commands import capture, ip_batch
from lab.errors import LabError
from lab.hosts import Machine
from lab.layout import FABRIC, Layout

_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")


def _folder(layout: Layout) -> Path:
    return layout.state / "ovs"


def _environment(layout: Layout) -> dict[str, str]:
    folder = str(_folder(layout))
    names = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **dict.fromkeys(names, folder)}


def _database(layout: Layout) -> str:
    return f"unix:{_folder(layout) / 'db.sock'}"


def vsctl(layout: Layout, words: Sequence[str], *, seconds: int = 30) -> str:
    return capture(["ovs-vsctl", f"--db={_database(layout)}", f"--timeout={seconds}", *words], env=_environment(layout))


def spawn(layout: Layout, argv: Sequence[str], log: Path, joins: Sequence[Path], env: dict[str, str]) -> int:
    """Start a process of the fabric in its control group and namespace, detached. Returns its pid."""
    inside = ["nsenter", f"--net={layout.netns_path(FABRIC)}", "--", *argv]
    with log.open("ab") as output:
        return subprocess.Popen(
            cgroups.join_argv(joins, inside),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env=env,
        ).pid


def start(layout: Layout, joins: Sequence[Path]) -> None:
    """Start the database and the daemon and wait until the daemon answers."""
    folder = _folder(layout)
    folder.mkdir(parents=True)
    database = folder / "conf.db"
    env = _environment(layout)
    capture(["ovsdb-tool", "create", database, _SCHEMA], env=env)
    log = folder / "ovs.log"
    spawn(
        layout,
        [
            "ovsdb-server",
            str(database),
            f"--remote=p{_database(layout)}",
            f"--unixctl={folder / 'db.ctl'}",
            "-vconsole:warn",
        ],
        log,
        joins,
        env,
    )
    _wait_for(folder / "db.sock", log)
    vsctl(layout, ["--no-wait", "init"])
    spawn(
        layout,
        ["ovs-vswitchd", _database(layout), f"--unixctl={folder / 'switch.ctl'}", "-vconsole:warn"],
        log,
        joins,
        env,
    )
    _wait_for(folder / "switch.ctl", log)


def _wait_for(path: Path, log: Path, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > deadline:
            tail = log.read_text(errors="replace").splitlines()[-8:]
            raise LabError("Open vSwitch did not start; it says:\n" + "\n".join(tail))
        time.sleep(0.02)


def plug(layout: Layout, machines: Iterable[Machine]) -> None:
    """Make every switch that the machines name and plug each of their ports in, with its VLAN."""
    machines = tuple(machines)
    fabric = layout.netns(FABRIC)
    links: list[str] = []
    words: list[str] = []
    ends: dict[str, list[str]] = {}
    switches = dict.fromkeys(port.switch for machine in machines for port in machine.ports)
    bridges = {switch: f"sw{index}" for index, switch in enumerate(switches)}
    for switch, bridge in bridges.items():
        words += [
            "--",
            "add-br",
            bridge,
            "--",
            "set",
            "bridge",
            bridge,
            "datapath_type=netdev",
            f"external_ids:switch={switch}",
        ]
    count = 0
    for machine in machines:
        namespace = layout.netns(machine.id)
        for port in machine.ports:
            end = f"p{count}"
            count += 1
            links.append(f"link add {end} type veth peer name {port.name} netns {namespace}")
            links.append(f"link set {end} up")
            ends.setdefault(namespace, []).append(port.name)
            words += ["--", "add-port", bridges[port.switch], end]
            if port.vlan is not None:
                words.append(f"tag={port.vlan}")
            if port.trunks:
                words += [f"trunks={','.join(map(str, port.trunks))}", "vlan_mode=trunk"]
            words += [
                "--",
                "set",
                "interface",
                end,
                f"external_ids:host={machine.id}",
                f"external_ids:port={port.name}",
            ]
    ip_batch(fabric, links)
    for namespace, names in ends.items():
        for name in names:
            _fill_in_checksums(namespace, name)
    if words:
        vsctl(layout, words[1:], seconds=60)


def lay_cables(layout: Layout, cables: Iterable[Cable]) -> None:
    """Plug ports of hosts into ports of booted switches."""
    cables = tuple(cables)
    ip_batch(
        None,
        [
            f"link add {cable.port} netns {layout.netns(cable.host)} type veth "
            f"peer name {cable.switch_port} netns {layout.netns(cable.switch)}"
            for cable in cables
        ],
    )
    for cable in cables:
        _fill_in_checksums(layout.netns(cable.host), cable.port)
        _fill_in_checksums(layout.netns(cable.switch), cable.switch_port)


def _fill_in_checksums(namespace: str, port: str) -> None:
    """The userspace datapath forwards frames as they are: checksums must be in them already."""
    capture(["ip", "netns", "exec", namespace, "ethtool", "-K", port, "tx", "off"])


def ports(layout: Layout) -> dict[str, str]:
    """Every port that the daemon has, by its end in the fabric: `HOST PORT`."""
    text = vsctl(
        layout,
        ["--format=csv", "--data=bare", "--no-headings", "--columns=name,external_ids", "list", "interface"],
    )
    found = {}
    for line in text.splitlines():
        name, _, identities = line.partition(",")
        pairs = dict(word.split("=", 1) for word in identities.strip('"').split() if "=" in word)
        if "host" in pairs:
            found[name] = f"{pairs['host']} {pairs['port']}"
    return found
