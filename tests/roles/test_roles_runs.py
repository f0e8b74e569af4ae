"""Runs leave a journal that tells who was not reached, what was changed by hand, and from where to go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lab import Lab
from tests.roles.journals import PATIENCE, batches, newest, states, wardnet
from tests.roles.roles_support import Probe, eventually, family, inside, play, playing, wait_until
from wardnet.runs.journal import find_journals, read_run
from wardnet.runs.records import RunState

# Eight runs of Ansible, one of them killed: minutes on a busy machine.
pytestmark = [pytest.mark.lab, pytest.mark.slow]

ONE_BY_ONE = ("-e", json.dumps({"wardnet_serial": [1]}))
BOTH = "buoi-gw,tay-ho-gw"
SSH = Probe("tcp", "10.30.1.1", 22)


def test_a_gateway_that_is_not_reached_stops_the_rest_and_is_gone_on_with(converged: Lab) -> None:
    inside(converged, "buoi-gw", "systemctl", "stop", "ssh")
    converged.shell("buoi-gw", ["systemctl", "kill", "--kill-whom=all", "--signal=KILL", "ssh"])
    try:
        done = play(converged, "channels.yml", "--limit", BOTH, *ONE_BY_ONE)
    finally:
        inside(converged, "buoi-gw", "systemctl", "start", "ssh")
    assert done.status != 0
    stopped = newest(converged)
    assert stopped.state is RunState.FAILED
    assert states(stopped) == {"buoi-gw": "unreachable", "tay-ho-gw": "not_reached"}
    assert "not well, 2 of 2 hosts:" in done.output
    assert wait_until(converged, "controller", SSH, PATIENCE)
    resumed = wardnet(converged, "resume")
    assert resumed.returncode == 0, resumed.stdout.decode() + resumed.stderr.decode()
    run = newest(converged)
    assert run.resumes == stopped.id
    assert batches(run) == [("buoi-gw",), ("tay-ho-gw",)], "the canary that was not reached is one again"
    assert run.state is RunState.FINISHED


def test_a_run_whose_controller_was_killed_is_gone_on_with_where_it_stopped(converged: Lab) -> None:
    before = find_journals([converged.layout.runs])[0]
    with playing(converged, "channels.yml", "--limit", BOTH, *ONE_BY_ONE) as process:
        journal = eventually_second_step(converged, process, before)
        started = family(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # Its workers are in sessions of their own and live on, and the journal is not theirs.
        assert eventually(lambda: read_run(journal).state is RunState.INTERRUPTED, PATIENCE)
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: is_left_alone(converged, "tay-ho-gw"), PATIENCE)
    killed = read_run(journal)
    assert states(killed)["buoi-gw"] in ("ok", "changed")
    if states(killed)["tay-ho-gw"] == "unfinished":
        resumed = wardnet(converged, "resume")
        assert resumed.returncode == 0, resumed.stdout.decode() + resumed.stderr.decode()
        run = newest(converged)
        assert batches(run) == [("tay-ho-gw",)], "what was done is not done again"
        assert states(run)["tay-ho-gw"] in ("ok", "changed")


def eventually_second_step(lab: Lab, process: subprocess.Popen[bytes], before: Path) -> Path:
    """The journal of the run, as soon as it says that the second step has begun."""
    deadline = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < deadline, "the run did not come to its second gateway"
        assert process.poll() is None, "the run ended before it was killed"
        journal = find_journals([lab.layout.runs])[0]
        if journal != before and journal.stat().st_size and len(batches(read_run(journal))) == 2:
            return journal
        time.sleep(0.05)


def is_left_alone(lab: Lab, host: str) -> bool:
    """Whether no module of Ansible's is at work there any more; one that is holds the host."""
    return lab.shell(host, ["sh", "-c", "! pgrep --full '^/usr/bin/python3$'"]).returncode == 0


def test_drift_is_shown_three_ways_and_healed_on_request(converged: Lab) -> None:
    inside(converged, "buoi-gw", "nft", "add", "table", "ip", "helpful")
    inside(converged, "buoi-gw", "sh", "-c", "echo '# mine' >> /etc/systemd/journald.conf.d/50-wardnet.conf")
    found = play(converged, "drift.yml", "--limit", "buoi-gw")
    assert "any_errors_fatal" not in found.said, found.tail  # Ansible would warn of it
    assert found.status == 0, found.tail
    run = newest(converged)
    assert run.check
    outcome = run.outcome("buoi-gw")
    assert outcome is not None
    assert any("helpful" in line and line.startswith("running: ") for line in outcome.drift["filter"])
    assert any("50-wardnet.conf" in line and line.startswith("disk: ") for line in outcome.drift["files"])
    assert "helpful" in inside(converged, "buoi-gw", "nft", "list", "tables"), "nothing is changed by looking"
    told = wardnet(converged, "drift", "--ward", "buoi")
    assert told.returncode == 1
    assert b"helpful" in told.stdout
    healed = play(converged, "drift.yml", "--limit", "buoi-gw", "-e", "wardnet_heal=true")
    assert healed.status == 0, healed.tail
    assert "helpful" not in inside(converged, "buoi-gw", "nft", "list", "tables")
    assert wardnet(converged, "drift", "--ward", "buoi").returncode == 0
    outcome = newest(converged).outcome("buoi-gw")
    assert outcome is not None
    assert outcome.drift["filter"], "the run that healed it says what it was"


def test_prometheus_reads_the_runs_at_the_controllers_management_address(converged: Lab) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        page = inside(converged, "monitoring", "curl", "--silent", "--show-error", "http://10.30.200.10:9809/metrics")
        if 'wardnet_run_last_status{host="buoi-gw"' in page:
            break
        assert time.monotonic() < deadline, page
        time.sleep(0.5)
    assert "wardnet_run_journals_unreadable 0.0" in page
    listening = inside(converged, "controller", "ss", "--no-header", "-ltn", "sport", "=", ":9809")
    assert [line.split()[3] for line in listening.splitlines()] == ["10.30.200.10:9809"]


# What stands in for the checkout on the booted controller: it says how it was called, and that a host was not reached.
STAND_IN = """#!/bin/sh
echo "$PWD $*" > /srv/wardnet/called
exit 4
"""
UNITS = [f"/etc/systemd/system/wardnet-drift.{kind}" for kind in ("service", "timer")]


@pytest.fixture
def checkout(converged: Lab) -> Iterator[str]:
    program = "/srv/wardnet/.venv/bin/ansible-playbook"
    inside(converged, "controller", "mkdir", "--parents", "/srv/wardnet/.venv/bin")
    converged.shell("controller", ["sh", "-c", f"cat > {program} && chmod 755 {program}"], stdin=STAND_IN.encode())
    yield "/srv/wardnet"
    converged.shell("controller", ["systemctl", "disable", "--now", "wardnet-drift.timer"])
    inside(converged, "controller", "rm", "--recursive", "--force", "/srv/wardnet", *UNITS)
    inside(converged, "controller", "systemctl", "daemon-reload")


def test_the_controller_reads_drift_every_day_where_it_has_a_checkout(converged: Lab, checkout: str) -> None:
    wanted = {"wardnet_checkout": checkout, "drift_timer_variables": ["/etc/wardnet/site.yml"]}
    run = play(converged, "site.yml", "--limit", "controller", "-e", json.dumps(wanted))
    assert run.status == 0, run.tail
    following = ["systemctl", "show", "--property=NextElapseUSecRealtime", "--value", "wardnet-drift.timer"]
    assert " 06:0" in inside(converged, "controller", *following), "at 6 o'clock, and at most ten minutes later"
    assert inside(converged, "controller", "systemctl", "is-enabled", "wardnet-drift.timer") == "enabled"
    inside(converged, "controller", "systemctl", "start", "wardnet-drift.service")
    called = inside(converged, "controller", "cat", "/srv/wardnet/called")
    assert called == "/srv/wardnet playbooks/drift.yml -e @/etc/wardnet/site.yml"
    again = play(converged, "site.yml", "--limit", "controller", "-e", json.dumps(wanted), "--check")
    assert (again.status, again.changed) == (0, {}), again.tail


def test_a_checkout_that_is_not_there_is_refused_before_anything_is_touched(converged: Lab) -> None:
    wanted = json.dumps({"wardnet_checkout": "/srv/nowhere"})
    run = play(converged, "site.yml", "--limit", "controller", "-e", wanted)
    assert run.failed == ("controller",)
    assert "/srv/nowhere/.venv/bin/ansible-playbook" in run.said
    assert converged.shell("controller", ["test", "-e", UNITS[0]]).returncode != 0
