"""Waits until every host has the addresses that it was given before it booted. systemd reports a host ready while
IPv6 addresses are still being checked for duplicates, and whoever connects then does so from a wrong one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from lab.commands import capture
from lab.errors import LabError
from lab.hosts import Machine
from lab.layout import Layout
from wardnet.locale import _


def expected(machine: Machine) -> set[str]:
    """The addresses in the machine's own network units, without their lengths."""
    lines = [
        line
        for file in machine.files
        if file.path.startswith("/etc/systemd/network/")
        for line in file.content.decode().splitlines()
    ]
    return {line.removeprefix("Address=").partition("/")[0] for line in lines if line.startswith("Address=")}


def unsettled(wanted: Iterable[str], links: Sequence[dict[str, Any]]) -> set[str]:
    """Which of the wanted addresses `ip -j addr` does not show as usable; on a dead line any state will do."""
    usable = {
        address["local"]
        for link in links
        for address in link.get("addr_info", ())
        if "local" in address and (not address.get("tentative") or "NO-CARRIER" in link.get("flags", ()))
    }
    return set(wanted) - usable


def wait(layout: Layout, machines: Sequence[Machine], seconds: float = 120) -> None:
    """LabError naming the host and its missing addresses if they are not there in time."""
    deadline = time.monotonic() + seconds
    for machine in machines:
        wanted = expected(machine)
        while True:
            links = json.loads(capture(["ip", "-n", layout.netns(machine.id), "-j", "addr", "show"]))
            missing = unsettled(wanted, links)
            if not missing:
                break
            if time.monotonic() > deadline:
                raise LabError(
                    _("host {host} did not take its addresses: {addresses}").format(
                        host=machine.id, addresses=", ".join(sorted(missing))
                    )
                )
            time.sleep(0.05)
