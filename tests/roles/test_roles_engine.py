"""A gateway on its bad days: whatever happens in the middle of a change, it comes back by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lab import Lab, hosts
from tests.roles.roles_support import Probe, inside, play, playing, wait_until
from wardnet.compile import compile_plan, to_plain
from wardnet.inventory import read_district

pytestmark = pytest.mark.lab

GATEWAY = "buoi-gw"
SSH = Probe("tcp", "10.30.1.1", 22)
ARMED = "/var/lib/wardnet/undo/armed.json"
LIMIT = ("--limit", GATEWAY)
SETTING = "net/ipv4/tcp_syncookies"
# A change that harms nobody, and one that no new connection gets through.
HARMLESS = ("-e", json.dumps({"zone_firewall_settings": {SETTING: "2"}}))


def compiled(lab: Lab) -> dict[str, Any]:
    district = read_district(lab.state / "inventory")
    today = datetime.now(ZoneInfo(district.timezone)).date()
    plain: dict[str, Any] = to_plain(compile_plan(district, today).gateway(GATEWAY))
    return plain


@pytest.fixture
def shut(converged: Lab, tmp_path: Path) -> tuple[str, ...]:
    """Arguments for a change of the filter after which the gateway takes no new connection from the controller; it
    waits for its confirmation longer than any test."""
    gateway = compiled(converged)
    gateway["flows"] = [flow for flow in gateway["flows"] if flow["id"] != "management-gateways"]
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"wardnet_gateway": gateway, "commit_confirm_within": 600}))
    return ("-e", f"@{wrong}")


def state(lab: Lab) -> dict[str, str]:
    commands = {
        "filter": ["nft", "-s", "list", "ruleset"],
        "files": ["sh", "-c", "sha256sum /etc/nftables.conf /etc/sysctl.d/* /etc/systemd/network/*.network"],
        "rules": ["sh", "-c", "(ip rule; ip -6 rule) | sed 's/ proto.*//' | sort"],
        "setting": ["cat", f"/proc/sys/{SETTING}"],
    }
    return {name: inside(lab, GATEWAY, *argv) for name, argv in commands.items()}


def wait_for(lab: Lab, script: str) -> str:
    """Output of the shell script on the gateway, once it succeeds."""
    deadline = time.monotonic() + 300
    while True:
        done = lab.shell(GATEWAY, ["sh", "-c", script])
        if done.returncode == 0:
            return done.stdout.decode()
        assert time.monotonic() < deadline, f"never: {script}"
        time.sleep(0.2)


def rollback(lab: Lab) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(inside(lab, GATEWAY, "cat", "/var/lib/wardnet/last-rollback.json"))
    return found


def assert_is_as_before(lab: Lab, before: dict[str, str]) -> None:
    """The former state runs and is on disk, the controller gets in, and a run has nothing to do."""
    assert wait_until(lab, "controller", SSH)
    deadline = time.monotonic() + 120
    while state(lab) != before and time.monotonic() < deadline:
        time.sleep(1)
    assert state(lab) == before
    again = play(lab, "channels.yml", *LIMIT)
    assert (again.status, again.changed) == (0, {}), again.tail


def test_a_power_cut_before_the_confirmation_comes_up_on_the_former_state(
    converged: Lab, shut: tuple[str, ...]
) -> None:
    before = state(converged)
    with playing(converged, "channels.yml", *LIMIT, *shut):
        # The second timer is the one that waits for the confirmation. Neither asks what time of day it is.
        wait_for(converged, "systemctl is-active --quiet wardnet-rollback-confirm.timer")
        shown = inside(
            converged, GATEWAY,
            "systemctl", "show", "--property=TimersMonotonic,TimersCalendar", "wardnet-rollback-confirm.timer",
        )  # fmt: skip
        assert "OnActiveUSec=9min 40s" in shown, "20 s of the ten minutes are for going back"
        assert "TimersCalendar={" not in shown
        assert state(converged)["filter"] != before["filter"]
        try:
            converged.power(GATEWAY, "off")
        finally:
            if hosts.leader(converged.layout, GATEWAY) is None:
                converged.power(GATEWAY, "on")
    said = rollback(converged)
    assert (said["boot"], said["failed"]) == (True, [])
    assert "started again before the change was confirmed" in said["why"]
    assert_is_as_before(converged, before)


def test_a_change_that_silences_the_other_channel_is_taken_back_at_once(converged: Lab, tmp_path: Path) -> None:
    """The controller gets in as before; only the gateway itself can see that the internet line leads nowhere."""
    before = state(converged)
    gateway = compiled(converged)
    for table in gateway["tables"]:
        for route in table["routes"]:
            if table["channel"] == "internet" and route["destination"] == "0.0.0.0/0" and route["kind"] == "via":
                route["via"] = "203.0.113.99"
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"wardnet_gateway": gateway}))
    run = play(converged, "channels.yml", *LIMIT, "-e", f"@{wrong}")
    assert run.failed == (GATEWAY,)
    assert "was rolled back at once: no longer answered:" in run.said
    assert "203.0.113.1 over internet at inet0" in run.said
    assert_is_as_before(converged, before)


def test_a_module_that_is_killed_in_the_middle_leaves_a_gateway_that_goes_back(
    converged: Lab, shut: tuple[str, ...]
) -> None:
    before = state(converged)
    short = ("-e", json.dumps({"commit_confirm_within": 30, "commit_settle": 20}))
    with playing(converged, "channels.yml", *LIMIT, *shut, *short):
        wait_for(converged, f"test -e {ARMED}")
        # Where it has ended by then, its change is without a confirmation all the same.
        kill = f'kill -9 $(python3 -c \'import json; print(json.load(open("{ARMED}"))["pid"])\')'
        converged.shell(GATEWAY, ["sh", "-c", kill])
        wait_for(converged, f"! ls {Path(ARMED).parent} | grep -q .")
    assert rollback(converged)["failed"] == []
    assert_is_as_before(converged, before)


def test_the_second_operator_is_told_who_is_at_work(converged: Lab) -> None:
    holder = json.dumps({"who": "lan@district", "run": "run-of-lan", "since": "2026-11-29T01:02:03Z"})
    hold = (
        "import fcntl, pathlib, time; f = open('/run/wardnet/lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
        f"f.write('''{holder}'''); f.flush(); pathlib.Path('/run/wardnet-test-held').touch(); time.sleep(3600)"
    )
    inside(converged, GATEWAY, "systemd-run", "--quiet", "--collect", "--unit=wardnet-test-hold", "python3", "-c", hold)
    try:
        wait_for(converged, "test -e /run/wardnet-test-held")
        run = play(converged, "channels.yml", *LIMIT, *HARMLESS)
        assert run.status != 0
        assert "lan@district is at work here since 2026-11-29T01:02:03Z (run run-of-lan)" in run.said
    finally:
        inside(converged, GATEWAY, "systemctl", "stop", "wardnet-test-hold")
        inside(converged, GATEWAY, "rm", "/run/wardnet-test-held")
    assert inside(converged, GATEWAY, "cat", f"/proc/sys/{SETTING}") == "1"


@contextmanager
def full_disk(lab: Lab) -> Iterator[None]:
    inside(lab, GATEWAY, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/var/lib/wardnet")
    try:
        yield
    finally:
        inside(lab, GATEWAY, "umount", "/var/lib/wardnet")


def test_a_full_disk_is_refused_before_anything_is_touched(converged: Lab) -> None:
    before = state(converged)
    with full_disk(converged):
        run = play(converged, "channels.yml", *LIMIT, *HARMLESS)
        assert run.status != 0
        assert "the file system of /var/lib/wardnet is full" in run.said
        assert state(converged) == before
    assert_is_as_before(converged, before)


def test_a_way_back_that_nft_would_not_take_is_refused_before_anything_is_touched(converged: Lab) -> None:
    """Another tool has named its table as nft prints it but does not read it."""
    before = state(converged)
    table = {"family": "inet", "name": "not ours"}
    for verb in ("add", "delete"):
        command = json.dumps({"nftables": [{verb: {"table": table}}]})
        if verb == "delete":
            run = play(converged, "channels.yml", *LIMIT, *HARMLESS)
        inside(converged, GATEWAY, "sh", "-c", f"echo '{command}' | nft -j -f -")
    assert run.status != 0
    assert "the way back is refused" in run.said
    assert "not of wardnet: inet not ours" in run.said
    assert_is_as_before(converged, before)
