"""An access switch of Open vSwitch: what it is to hold, how that differs from what it runs (wardnet_switch_running.py),
and the one transaction from here to there. Pure. Standard library only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.wardnet_switch_running import FLAGS, FRAGMENTS, Running, many

MANAGEMENT = 1000  # number of the switch's own port; the others count from 1 in the order of the inventory
# Columns of a bridge that must hold this, and the ovs-vsctl words that make them do so.
BRIDGE: dict[str, tuple[Any, str]] = {
    "fail_mode": ("secure", "fail_mode=secure"),
    "controller": ((), "controller=[]"),
    "mirrors": ((), "mirrors=[]"),
    "netflow": ((), "netflow=[]"),
    "sflow": ((), "sflow=[]"),
    "ipfix": ((), "ipfix=[]"),
    "flood_vlans": ((), "flood_vlans=[]"),
    "stp_enable": (False, "stp_enable=false"),
    "rstp_enable": (False, "rstp_enable=false"),
    "mcast_snooping_enable": (False, "mcast_snooping_enable=false"),
    "flow_tables": ({}, "flow_tables={}"),
    "other_config": ({}, "other_config={}"),
}
# Likewise of a port and an interface, beside what is the port's own.
PORT: dict[str, Any] = {"cvlans": (), "protected": False, "other_config": {}, "bond_mode": (), "lacp": (), "qos": ()}
POLICING = ("rate", "burst", "kpkts_rate", "kpkts_burst")
INTERFACE: dict[str, Any] = {
    "options": {}, "other_config": {}, "mtu_request": (), **{f"ingress_policing_{name}": 0 for name in POLICING},
}  # fmt: skip
# Settings of Open vSwitch as a whole that say on which hardware it works, and nothing of what it carries.
HARDWARE = ("dpdk-", "pmd-", "n-", "hw-offload", "tc-policy")


@dataclass(frozen=True)
class Held:
    """A port of the bridge: its number there, its VLANs, and whether it is switched on."""

    name: str
    number: int | None
    mode: str  # access | trunk
    tag: int | None
    trunks: tuple[int, ...]
    internal: bool
    up: bool
    lasting: bool = False  # keeps its MAC address, since the way to the manager leads by it


@dataclass(frozen=True)
class Intent:
    bridge: str
    datapath: str  # '' takes what there is
    ports: tuple[Held, ...]
    management: str  # name of the switch's own port
    addresses: frozenset[str]
    ways: frozenset[str]  # next hops of the default routes


@dataclass(frozen=True)
class Gap:
    """One thing that differs: `missing` is intended, `foreign` runs. `database`: a transaction mends it."""

    missing: str = ""
    foreign: str = ""
    database: bool = True


def read_intent(arguments: dict[str, Any]) -> Intent:
    """From the plain record of a SwitchPlan (`plan`), the VLAN of ports that carry nothing, and the datapath."""
    plan, dead = arguments["plan"], int(arguments["dead_vlan"])
    own = plan["management"]
    ports = [Held(plan["bridge"], None, "access", dead, (), internal=True, up=False)]
    for number, port in enumerate(plan["ports"], 1):
        unused = port["mode"] == "unused"
        mode = "access" if unused else port["mode"]
        tag = dead if unused else port["vlan"]
        ports.append(Held(port["name"], number, mode, tag, tuple(port["trunks"]), internal=False, up=not unused))
    ports.append(Held(own["name"], MANAGEMENT, "access", own["vlan"], (), internal=True, up=True, lasting=True))
    return Intent(
        bridge=plan["bridge"],
        datapath=str(arguments.get("datapath") or ""),
        ports=tuple(ports),
        management=own["name"],
        addresses=frozenset((own["ipv4"], own["ipv6"])),
        ways=frozenset((own["gateway_ipv4"], own["gateway_ipv6"])),
    )


def compare(intent: Intent, running: Running) -> list[Gap]:
    """All that differs but the flows. Empty where the switch is as it is to be."""
    return [*_compare_database(intent, running), *_compare_described(running), *_compare_links(intent, running)]


def _compare_described(running: Running) -> list[Gap]:
    """What ovs-ofctl sets, and the database does not know."""
    gaps = [
        Gap(f"port {port}: {FLAGS[flag]}", f"port {port}: {flag}", database=False)
        for port, flag in sorted(running.flags)
    ]
    if running.fragments != FRAGMENTS:
        mode = running.fragments or "not known"
        gaps.append(Gap(f"fragments: {FRAGMENTS}", f"fragments: {mode}", database=False))
    return gaps


def foreign_settings(tables: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Names of settings of Open vSwitch as a whole that somebody made."""
    found = {name for row in tables["Open_vSwitch"] for name in row.get("other_config") or {}}
    return sorted(name for name in found if not name.startswith(HARDWARE))


def _compare_database(intent: Intent, running: Running) -> list[Gap]:
    tables = running.tables
    gaps = [
        Gap(foreign=f"a manager of the database ({row['_uuid']})")
        for row in tables["Open_vSwitch"]
        if row.get("manager_options")
    ]
    gaps += [Gap(foreign=f"setting {name} of Open vSwitch") for name in foreign_settings(tables)]
    gaps += [Gap(foreign=f"bridge {row['name']}") for row in tables["Bridge"] if row["name"] != intent.bridge]
    bridge = next((row for row in tables["Bridge"] if row["name"] == intent.bridge), None)
    if bridge is None:
        return [*gaps, Gap(missing=f"bridge {intent.bridge}"), *(Gap(missing=describe(port)) for port in intent.ports)]
    for column, (wanted, _) in BRIDGE.items():
        gaps += _column(f"bridge {intent.bridge}", column, wanted, bridge.get(column, wanted))
    if intent.datapath:
        gaps += _column(f"bridge {intent.bridge}", "datapath_type", intent.datapath, bridge["datapath_type"])
    ports = {row["name"]: row for row in tables["Port"] if row["_uuid"] in many(bridge["ports"])}
    interfaces = {row["_uuid"]: row for row in tables["Interface"]}
    for port in intent.ports:
        row = ports.pop(port.name, None)
        if row is None:
            gaps.append(Gap(missing=describe(port)))
        else:
            gaps += _compare_port(port, row, [interfaces[one] for one in many(row["interfaces"]) if one in interfaces])
    return [*gaps, *(Gap(foreign=f"port {name}") for name in sorted(ports))]


def _compare_port(port: Held, row: dict[str, Any], interfaces: list[dict[str, Any]]) -> list[Gap]:
    name = f"port {port.name}"
    wanted = {"tag": () if port.tag is None else port.tag, "trunks": _one(port.trunks), "vlan_mode": port.mode, **PORT}
    gaps = [gap for column, value in wanted.items() for gap in _column(name, column, value, row.get(column, value))]
    names = [interface["name"] for interface in interfaces]
    if names != [port.name]:
        return [*gaps, Gap(f"{name}: interfaces {port.name}", f"{name}: interfaces {', '.join(names) or 'none'}")]
    interface = interfaces[0]
    gaps += _column(name, "type", "internal" if port.internal else "", _system(interface["type"]))
    for column, value in INTERFACE.items():
        gaps += _column(name, column, value, interface.get(column, value))
    if port.number is not None and (interface["ofport"], interface["ofport_request"]) != (port.number,) * 2:
        asked = "" if interface["ofport_request"] == port.number else ", by chance"
        gaps.append(Gap(f"{name}: number {port.number}", f"{name}: number {_shown(interface['ofport'])}{asked}"))
    if port.lasting and not interface["mac"]:
        gaps.append(Gap(f"{name}: a MAC address that outlives a restart", f"{name}: one by chance"))
    if interface.get("error"):
        gaps.append(Gap(f"{name}: works", f"{name}: {interface['error']}"))
    return gaps


def _one(values: tuple[int, ...]) -> Any:
    """As _value gives a set."""
    return values[0] if len(values) == 1 else tuple(sorted(values, key=str))


def _system(kind: str) -> str:
    return "" if kind == "system" else kind


def _column(name: str, column: str, wanted: Any, present: Any) -> list[Gap]:
    if wanted == present:
        return []
    return [Gap(f"{name}: {column} {_shown(wanted)}", f"{name}: {column} {_shown(present)}")]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={one}" for key, one in sorted(value.items())) or "none"
    if isinstance(value, tuple):
        return ",".join(map(str, sorted(value))) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value) or "none"


def describe(port: Held) -> str:
    vlans = f"trunks {','.join(map(str, port.trunks))}" if port.mode == "trunk" else f"tag {port.tag}"
    return f"port {port.name}: {vlans}{'' if port.up else ', off'}"


def _compare_links(intent: Intent, running: Running) -> list[Gap]:
    gaps = []
    for port in intent.ports:
        if running.up.get(port.name, port.up) is not port.up:
            words = ("on", "off") if port.up else ("off", "on")
            gaps.append(Gap(f"port {port.name}: {words[0]}", f"port {port.name}: {words[1]}", database=False))
    wanted = {(intent.management, address) for address in intent.addresses}
    ways = {(intent.management, way) for way in intent.ways}
    usable = running.addresses - running.waiting
    for what, intended, present, there in (
        ("address", wanted, usable, running.addresses),
        ("default route via", ways, running.ways, running.ways),
    ):
        for link, value in sorted(intended - present):
            gaps.append(Gap(missing=f"{what} {value} on {link}", database=False))
        for link, value in sorted(there - intended):
            gaps.append(Gap(foreign=f"{what} {value} on {link}", database=False))
    return gaps


def transaction(intent: Intent, tables: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Words of ovs-vsctl, all of them one transaction: from whatever the tables hold to what is intended."""
    steps: list[list[str]] = [["set", "Open_vSwitch", ".", "manager_options=[]"]]
    steps += [["remove", "Open_vSwitch", ".", "other_config", name] for name in foreign_settings(tables)]
    bridges = {row["name"]: row for row in tables["Bridge"]}
    steps += [["--if-exists", "del-br", name] for name in bridges if name != intent.bridge]
    bridge = bridges.get(intent.bridge)
    if bridge is None:
        steps.append(["add-br", intent.bridge])
    columns = [words for _, words in BRIDGE.values()]
    columns += [f"datapath_type={intent.datapath}"] if intent.datapath else []
    steps.append(["set", "bridge", intent.bridge, *columns])
    whole = _whole_ports(tables)
    wanted = {port.name for port in intent.ports}
    if bridge is not None:
        there = [row["name"] for row in tables["Port"] if row["_uuid"] in many(bridge["ports"])]
        away = [name for name in there if name not in wanted or (name not in whole and name != intent.bridge)]
        steps += [["--if-exists", "del-port", intent.bridge, name] for name in away]
    for port in intent.ports:
        if port.name != intent.bridge:
            steps.append(["--may-exist", "add-port", intent.bridge, port.name])
        tag = "[]" if port.tag is None else port.tag
        trunks = f"[{','.join(map(str, port.trunks))}]"
        steps.append(
            ["set", "port", port.name, f"tag={tag}", f"trunks={trunks}", f"vlan_mode={port.mode}", "cvlans=[]",
             "protected=false", "other_config={}", "bond_mode=[]", "lacp=[]", "qos=[]"]
        )  # fmt: skip
        request = [f"ofport_request={port.number}"] if port.number is not None else []
        kind = "internal" if port.internal else '""'
        mac = [f'mac="{_mac(port.name, tables)}"'] if port.lasting else []
        plain = [
            "options={}",
            "other_config={}",
            "mtu_request=[]",
            *(f"ingress_policing_{name}=0" for name in POLICING),
        ]
        steps.append(["set", "interface", port.name, f"type={kind}", *plain, *request, *mac])
    return [word for step in steps for word in ("--", *step)]


def _mac(name: str, tables: dict[str, list[dict[str, Any]]]) -> str:
    """The address that the port has, so that neighbours still know it; a made-up one for a new port."""
    row = next((row for row in tables["Interface"] if row["name"] == name), {})
    return str(row.get("mac") or row.get("mac_in_use") or "02:" + ":".join(f"{byte:02x}" for byte in os.urandom(5)))


def _whole_ports(tables: dict[str, list[dict[str, Any]]]) -> set[str]:
    """Names of ports whose one interface has the port's own name; others are made anew."""
    names = {row["_uuid"]: row["name"] for row in tables["Interface"]}
    return {
        row["name"] for row in tables["Port"] if [names.get(one) for one in many(row["interfaces"])] == [row["name"]]
    }
