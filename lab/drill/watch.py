"""What a drill sees of a device from outside: whether a change is armed, when it goes back, whether the manager gets
in, and what runs. Reads the device's disk and memory from this machine, so that looking needs no way to it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab import hosts, kernel, namespaces
from lab.handle import Lab
from lab.layout import Layout

STATE = "var/lib/wardnet"
GATEWAY_STATE = """
nft -s list ruleset
ip -o -4 address show; ip -o -6 address show scope global
ip -4 rule show; ip -6 rule show
ip -4 route show table all; ip -6 route show table all
tc qdisc show
cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding
ip -o link show | awk '{print $2, $3}'
find /etc/nftables.conf /etc/systemd/network /etc/sysctl.d /etc/systemd/system -type f -exec sha256sum {} +
systemctl is-active systemd-networkd nftables ssh
"""
SWITCH_STATE = """
ovs-vsctl --format=csv --columns=name,tag,trunks,vlan_mode list port
ovs-ofctl --no-stats --no-names dump-flows $(ovs-vsctl list-br | head -n 1)
ip -o -4 address show; ip -o -6 address show scope global
ip -4 route show; find /etc/openvswitch/*.flows /etc/systemd/network -type f -exec sha256sum {} +
systemctl is-active systemd-networkd openvswitch-switch ssh
"""
# Differs from look to look, or comes and goes by itself.
WHO = "proto static"  # networkd's word on a route; the same route that ip(8) has brought back has none
PASSING = ("fe80::", "ff00::/8", "valid_lft", "cache ")


class Device:
    """One booted host of the lab, by the address that the manager has of it."""

    def __init__(self, lab: Lab, host: str, address: str, commands: str) -> None:
        self.lab = lab
        self.host = host
        self.address = address
        self._commands = commands
        self._disk = lab.layout.host(host) / "upper" / STATE

    def armed(self) -> bool:
        """Whether a way back waits on its disk, or is being gone."""
        return any((self._disk / "undo" / name).exists() for name in ("armed.json", "confirming.json", "undoing.json"))

    def back_by(self) -> float | None:
        """When it is to be its former self, as it has set it for itself, by the steady clock of this machine, which is
        also the device's."""
        pid = hosts.leader(self.lab.layout, self.host)
        if pid is None:
            return None
        with suppress(OSError, ValueError, IndexError):
            return float(Path(f"/proc/{pid}/root/run/wardnet/goes-back").read_text().split()[1])
        return None

    def last_rollback(self) -> dict[str, Any]:
        """Its own report of what it took back last; empty where there is none."""
        with suppress(OSError, ValueError):
            report: dict[str, Any] = json.loads((self._disk / "last-rollback.json").read_text())
            return report
        return {}

    def state(self) -> list[str]:
        """What runs and what is on disk, in lines to be compared."""
        done = self.lab.shell(self.host, ["sh", "-c", self._commands], timeout=120)
        lines = [" ".join(line.split()) for line in done.stdout.decode(errors="replace").splitlines()]
        lines = [line.replace(f" {WHO}", "") for line in lines]
        return sorted(line for line in lines if line and not any(word in line for word in PASSING))

    def lets_in(self, seconds: float = 15) -> bool:
        """Whether the manager logs in over a new connection."""
        state = self.lab.state
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "5",
            "ControlPath": "none",
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(state / "known_hosts"),
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        argv = ["ssh", *words, "-i", str(state / "ssh" / "controller"), f"wardnet@{self.address}", "true"]
        try:
            return self.lab.run("controller", argv, stdin=b"", timeout=seconds).returncode == 0
        except subprocess.TimeoutExpired:
            return False


class Dialler:
    """Short TCP connections from the controller's network, for many threads at once."""

    def __init__(self, layout: Layout) -> None:
        path = layout.netns_path("controller")
        self._pool = ThreadPoolExecutor(16, initializer=lambda: kernel.enter_namespace(path, kernel.CLONE_NEWNET))

    def greets(self, address: str, port: int = 22, seconds: float = 2.0) -> bool:
        """Whether a server there says anything to a new connection within the time."""
        return self._pool.submit(_greets, address, port, seconds).result()

    def close(self) -> None:
        self._pool.shutdown()


def _greets(address: str, port: int, seconds: float) -> bool:
    with suppress(OSError), socket.create_connection((address, port), timeout=seconds) as opened:
        opened.settimeout(seconds)
        return bool(opened.recv(64))
    return False


def end_connections(folder: Path) -> None:
    """kill -9 of the SSH connections that a run shares in this folder."""
    needle = os.fsencode(str(folder))
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            if needle in (entry / "cmdline").read_bytes() and "ssh" in (entry / "comm").read_text():
                os.kill(int(entry.name), 9)


def in_controllers_network(lab: Lab, argv: list[str]) -> list[str]:
    return namespaces.enter_argv(lab.layout, "controller", argv)


def until(condition: Any, deadline: float, pause: float = 0.1) -> bool:
    """Whether the condition came true by then, on the steady clock."""
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
