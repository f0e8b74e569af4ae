"""The raw artefacts that a gateway of each platform hands to the audit. Shared by what collects and what reads."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Artefact:
    """`name` is the file in the snapshot and the word that the device's read-only account accepts."""

    name: str
    command: tuple[str, ...]  # run on the device, without a shell
    privileged: bool  # needs CAP_NET_ADMIN to be readable at all
    later: bool = False  # older snapshots lack it: what hangs on it is unknown there


_LINKS = Artefact("ip-link.json", ("/usr/sbin/ip", "-j", "-d", "link", "show"), privileged=False)
_DISCIPLINES = Artefact("tc-qdisc.json", ("/usr/sbin/tc", "-j", "qdisc", "show"), privileged=False)

LINUX: tuple[Artefact, ...] = (
    # nft prints times without their zone, in that of the environment.
    Artefact("nft-ruleset.json", ("/usr/bin/env", "TZ=UTC", "/usr/sbin/nft", "-j", "list", "ruleset"), privileged=True),
    _LINKS,
    Artefact("ip-addr.json", ("/usr/sbin/ip", "-j", "addr", "show"), privileged=False),
    Artefact("ip-rule.json", ("/usr/sbin/ip", "-j", "-4", "rule", "show"), privileged=False),
    Artefact("ip6-rule.json", ("/usr/sbin/ip", "-j", "-6", "rule", "show"), privileged=False),
    Artefact("ip-route.json", ("/usr/sbin/ip", "-j", "-4", "-d", "route", "show", "table", "all"), privileged=False),
    Artefact(
        "ip6-route.json",
        ("/usr/sbin/ip", "-j", "-6", "-d", "route", "show", "table", "all"),
        privileged=False,
    ),
    Artefact("sysctl.txt", ("/usr/sbin/sysctl", "-a", "--ignore"), privileged=True),
    Artefact("listeners.txt", ("/usr/bin/ss", "-H", "-l", "-n", "-p", "-t", "-u", "-w"), privileged=True),
    # What can move a packet past all of the above; expected to be bare, and unknown to the audit where it is not.
    _DISCIPLINES,
    Artefact("xfrm-policy.txt", ("/usr/sbin/ip", "xfrm", "policy", "list"), privileged=True),
    Artefact(
        "legacy-tables.txt",
        # find exits 0 where the kernel has no such file, and prints a line for each legacy table where it has.
        (
            "/usr/bin/find",
            "/proc/self/net/",
            "-maxdepth",
            "1",
            "-name",
            "ip*_tables_names",
            "-exec",
            "/usr/bin/cat",
            "{}",
            ";",
        ),
        privileged=True,
    ),
    # Over which ports sessions are dialled. find exits 0 where the kernel has no such file.
    Artefact(
        "pppoe.txt",
        ("/usr/bin/find", "/proc/self/net/", "-maxdepth", "1", "-name", "pppoe", "-exec", "/usr/bin/cat", "{}", ";"),
        privileged=False,
        later=True,
    ),
    # What the SSH server lets a session forward: what holds for everybody, and the files, each line with its name. find
    # exits 0 where there is no server.
    Artefact(
        "sshd.txt",
        (
            "/usr/bin/find",
            "/usr/sbin",
            "/etc",
            "-maxdepth",
            "3",
            "-path",
            "/usr/sbin/sshd",
            "-exec",
            "/usr/sbin/sshd",
            "-T",
            ";",
            "-o",
            "-path",
            "/etc/ssh/sshd_config*",
            "-type",
            "f",
            "-exec",
            "/usr/bin/grep",
            "-H",
            ".",
            "{}",
            ";",
        ),
        privileged=True,
        later=True,
    ),
    # Which VLANs the ports of bridges are in. Bare where there is no bridge.
    Artefact("bridge-vlan.json", ("/usr/sbin/bridge", "-j", "vlan", "show"), privileged=False, later=True),
    # The connections that there are. find exits 0 where connection tracking is not loaded.
    Artefact(
        "connections.txt",
        (
            "/usr/bin/find",
            "/proc/self/net/",
            "-maxdepth",
            "1",
            "-name",
            "nf_conntrack",
            "-exec",
            "/usr/bin/cat",
            "{}",
            ";",
        ),
        privileged=True,
        later=True,
    ),
    Artefact("clock.txt", ("/usr/bin/date", "--utc", "+%s"), privileged=False, later=True),
    # Whom the programs ask that answer names and time: their configurations, each line with its file.
    Artefact(
        "services.txt",
        (
            "/usr/bin/find",
            "/etc",
            "-maxdepth",
            "3",
            "-path",
            "/etc/wardnet/zones/*.conf",
            "-exec",
            "/usr/bin/grep",
            "-H",
            ".",
            "{}",
            ";",
        ),
        privileged=True,
        later=True,
    ),
)

# What is read of the database of Open vSwitch, in one transaction: its tables, in this order.
OVS_TABLES: dict[str, tuple[str, ...]] = {
    "Bridge": ("_uuid", "name", "ports", "mirrors", "controller", "netflow", "sflow", "ipfix"),
    "Port": ("_uuid", "name", "interfaces", "tag", "trunks", "vlan_mode", "protected", "other_config"),
    "Interface": ("_uuid", "name", "type", "ofport", "options"),
}
_QUERY = [
    "Open_vSwitch",
    *({"op": "select", "table": table, "where": [], "columns": list(names)} for table, names in OVS_TABLES.items()),
]

OPENVSWITCH: tuple[Artefact, ...] = (
    _LINKS,
    _DISCIPLINES,
    Artefact(
        "ovs.json",
        ("/usr/bin/ovsdb-client", "--timeout=15", "transact", json.dumps(_QUERY, separators=(",", ":"))),
        privileged=True,
    ),
    # Each bridge by its name, and its flows: without counters, ports by their numbers.
    Artefact(
        "ovs-flows.txt",
        (
            "/usr/bin/find",
            "/run/openvswitch/",
            "-maxdepth",
            "1",
            "-name",
            "*.mgmt",
            "-printf",
            "bridge %f\\n",
            "-exec",
            "/usr/bin/ovs-ofctl",
            "--timeout=15",
            "--no-stats",
            "--no-names",
            "dump-flows",
            "unix:{}",
            ";",
        ),
        privileged=True,
    ),
)
