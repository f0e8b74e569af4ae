"""What the tests with guests share: runs of the roles that a slow processor has time for, and packets through it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import Lab, access
from lab.qemu import Guest
from tests.lab.lab_support import CHECKOUT, LABS, command
from tests.roles.roles_support import Probe, Run, answered, eventually, family, play

NAME = f"{LABS}-qemu"
WITHIN, SETTLE = 110, 240  # seconds to be back in, and to take effect
UNCONFIRMED, GOES_BACK = 60, 40  # seconds for what nobody will confirm: to be back in, and to begin with it
PATIENCE = 1200.0
SLOWLY = json.dumps({"commit_confirm_within": WITHIN, "commit_settle": SETTLE})


@contextmanager
def running(guest: Guest) -> Iterator[Guest]:
    """The guest with its power on, for the time of the block or for longer where the lab is kept."""
    if not guest.powered:
        guest.start()
    try:
        yield guest
    finally:
        if not os.environ.get("WARDNET_LAB_KEEP"):
            guest.cut()


def converge(lab: Lab, *more: str, gateway: str) -> Run:
    return play(lab, "channels.yml", "--limit", gateway, "-e", SLOWLY, *more)


def must_converge(lab: Lab, *more: str, gateway: str) -> None:
    """The roles come to their end at a gateway that Ansible has never seen."""
    done = converge(lab, *more, gateway=gateway)
    assert done.status == 0, done.tail


def must_reach(lab: Lab, host: str, probes: list[Probe]) -> None:
    left = {str(probe): probe for probe in probes}

    def asked() -> bool:
        found = answered(lab, host, list(left.values()))
        for name, came in found.items():
            if came:
                del left[name]
        return not left

    assert eventually(asked, 180), f"{host} does not reach {', '.join(left)}"


def must_not_reach(lab: Lab, host: str, probes: list[Probe]) -> None:
    came = [name for name, reached in answered(lab, host, probes).items() if reached]
    assert not came, f"{host} reaches {', '.join(came)}"


def both(kind: str, four: str, six: str, port: int | None = None) -> list[Probe]:
    """A probe of each family."""
    return [Probe(kind, four, port), Probe(kind, six, port)]


PORTAL = both("tcp", "10.20.200.10", "fd20:20:200::10", 443)
PUBLIC_WEB = both("tcp", "203.0.113.80", "2001:db8:cafe::80", 443)


@contextmanager
def changing(lab: Lab, gateway: str, ruleset: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run of Ansible that puts this packet filter onto the gateway, and is killed with the block. Its output is in
    `folder`/said."""
    file = {"path": "/etc/nftables.conf", "content": ruleset, "mode": "0755"}
    step = {"part": "filter", "files": [file], "filter": {"path": "/etc/nftables.conf"}}
    tasks: list[Mapping[str, Any]] = [
        {"name": "Add the filter", "wardnet_candidate": step},
        {"name": "Commit", "wardnet_commit": {"host": gateway, "confirm_within": UNCONFIRMED, "settle": SETTLE}},
    ]
    playbook = folder / "play.yml"
    (folder / "group_vars").symlink_to(CHECKOUT / "playbooks" / "group_vars")
    playbook.write_text(json.dumps([{"name": "Change the filter", "hosts": gateway, "tasks": tasks}]))
    argv = [sys.executable, "-m", "lab", "run", "--name", lab.name, "controller", "--", *command(lab, str(playbook))]
    with (
        (folder / "said").open("wb") as output,
        subprocess.Popen(
            argv, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env=access.run_environment(lab.layout),
        ) as process,
    ):  # fmt: skip
        try:
            yield process
        finally:
            for pid in family(process.pid):
                subprocess.run(["kill", "-KILL", str(pid)], check=False, capture_output=True)


def said(folder: Path) -> str:
    return " ".join((folder / "said").read_text(errors="replace").split())


def ruleset(guest: Guest) -> str:
    """The packet filter that runs, without what packets leave in it: counters, and who is held to a rate."""
    return guest.shell("nft --stateless --terse list ruleset")


def set_right(guest: Guest) -> None:
    """The guest's clock as this machine's, in its memory of the time too; and chrony forgets what it was slewing to."""
    now = subprocess.run(["date", "+%s"], capture_output=True, text=True, check=True).stdout.strip()
    guest.shell(
        f"date --set=@{now}; if [ -x /usr/local/lib/wardnet/clock ]; then /usr/local/lib/wardnet/clock keep; fi; "
        "systemctl try-restart chrony.service"
    )
