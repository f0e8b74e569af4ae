"""Bad days of a change as its operators see them: what is refused, what is named, who is told what, and a gateway that
is left alone in mid-change. Every test leaves the gateway as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from tests.roles.roles_support import (
    Probe,
    eventually,
    inside,
    interrupted,
    play,
    playing,
    running,
    said,
    said_by,
    wait_until,
)
from tests.roles.test_roles_bad_days import compiled

pytestmark = pytest.mark.lab

GATEWAY = "buoi-gw"
LIMIT = ("--limit", GATEWAY)
SETTING = "/proc/sys/net/ipv4/conf/all/proxy_arp"
STATE = "/var/lib/wardnet"


@pytest.fixture
def drifted(converged: Lab) -> Iterator[Lab]:
    """The gateway with something to be healed, so that a run has a change to make; healed at the end."""
    inside(converged, GATEWAY, "sh", "-c", f"echo 1 > {SETTING}")
    yield converged
    healed = play(converged, "site.yml", *LIMIT)
    assert healed.status == 0, healed.tail
    after = play(converged, "site.yml", *LIMIT, "--check", "--diff")
    assert (after.status, after.changed) == (0, {}), after.tail


def is_untouched(lab: Lab) -> bool:
    """Whether the drift is still there and nothing waits to be confirmed."""
    left = inside(lab, GATEWAY, "sh", "-c", f"cat {SETTING}; ls {STATE}/undo 2>/dev/null || true").split()
    return left == ["1"]


def has(lab: Lab, *paths: str) -> bool:
    """Whether one of the files is there on the gateway."""
    return lab.shell(GATEWAY, ["sh", "-c", " || ".join(f"test -e {path}" for path in paths)]).returncode == 0


def extra(path: Path, **variables: Any) -> tuple[str, str]:
    path.write_text(json.dumps(variables))
    return ("-e", f"@{path}")


def test_a_later_step_that_is_refused_leaves_the_earlier_ones_undone(drifted: Lab, tmp_path: Path) -> None:
    """The agent's configuration comes after the packet filter, and nothing of either is done."""
    before = inside(drifted, GATEWAY, "cat", "/etc/wardnet/agent.json")
    run = play(drifted, "site.yml", *LIMIT, *extra(tmp_path / "wrong.json", probe_agent_config={"wrong": True}))
    assert run.failed == (GATEWAY,)
    assert "wardnet-link-exporter refuses it, nothing was touched" in run.said
    assert is_untouched(drifted)
    assert inside(drifted, GATEWAY, "cat", "/etc/wardnet/agent.json") == before


def test_tables_of_another_tool_are_named_and_taken_away(drifted: Lab) -> None:
    for words in (
        "add table ip docker",
        "add chain ip docker FORWARD { type filter hook forward priority -1; }",
        "add rule ip docker FORWARD accept",
    ):
        inside(drifted, GATEWAY, "nft", words)
    for mode, told in (["--check"], "would be taken away"), ([], "taken away"):
        run = play(drifted, "channels.yml", *LIMIT, *mode)
        assert run.changed == {GATEWAY: 1}, run.tail
        assert f"buoi-gw (ward buoi): tables of another tool {told}: ip docker" in run.said
    assert inside(drifted, GATEWAY, "nft", "list", "tables") == "table inet wardnet"


def test_a_second_operator_is_told_of_a_change_that_waits_and_what_is_lost_is_not_confirmed(
    drifted: Lab, tmp_path: Path
) -> None:
    """The first reaches something through the gateway before its change and not after it, so that it waits for the
    gateway to go back. The listener answers once, and ends."""
    inside(drifted, GATEWAY, "rm", "-f", f"{STATE}/last-rollback.json")
    wanted = extra(tmp_path / "reach.json", commit_reach=["127.0.0.1:7777"], commit_confirm_within=600)
    with running(drifted, "controller", "listen", "127.0.0.1", "7777") as listener:
        assert said(listener) == "listening"
        with playing(drifted, "channels.yml", *LIMIT, *wanted) as first:
            assert eventually(lambda: has(drifted, f"{STATE}/undo/armed.json"), 300)
            timer = "wardnet-rollback-confirm.timer"
            assert eventually(lambda: drifted.shell(GATEWAY, ["systemctl", "is-active", timer]).returncode == 0, 300)
            second = play(drifted, "channels.yml", *LIMIT)
            assert second.failed == (GATEWAY,)
            assert "has made a change that is not confirmed yet and goes back by itself in" in second.said
            reader = play(drifted, "channels.yml", *LIMIT, "--check")
            assert reader.status == 0, reader.tail
            assert "is at work here, or has made a change that waits" in reader.said
            # As if the time were over. The timer's own service is what runs then.
            inside(drifted, GATEWAY, "systemctl", "start", timer.replace(".timer", ".service"))
            assert eventually(lambda: has(drifted, f"{STATE}/last-rollback.json"), 300)
            inside(drifted, GATEWAY, "systemctl", "stop", timer)
            told = said_by(first)
    assert first.returncode != 0
    assert "buoi-gw (ward buoi) was rolled back by itself after 580 s: 127.0.0.1 no longer answered through it" in told
    assert is_untouched(drifted)


def test_whoever_stops_a_run_is_told_what_becomes_of_its_change(converged: Lab, tmp_path: Path) -> None:
    gateway = compiled(converged)
    gateway["flows"] = [flow for flow in gateway["flows"] if flow["id"] != "management-gateways"]
    report = f"{STATE}/last-rollback.json"
    inside(converged, GATEWAY, "rm", "-f", report)
    wrong = extra(tmp_path / "wrong.json", wardnet_gateway=gateway, commit_confirm_within=30, commit_settle=20)
    with playing(converged, "channels.yml", *LIMIT, *wrong) as run:
        assert eventually(lambda: has(converged, f"{STATE}/undo/armed.json"), 300)
        told = interrupted(run, "ansible-playbook")
    assert run.returncode != 0
    assert "stopped while it was at work at buoi-gw a change there that was not confirmed is taken back" in told
    assert "by the host itself, within 50 s" in told
    assert re.search(r"run (\S+): interrupted; `wardnet runs show \1` go on .*`wardnet runs resume \1`", told)
    assert eventually(lambda: has(converged, report), 300)
    assert wait_until(converged, "controller", Probe("tcp", "10.30.1.1", 22))
    after = play(converged, "site.yml", *LIMIT)
    assert (after.status, after.changed) == (0, {}), after.tail


def test_a_gateway_comes_back_by_itself_when_the_control_machine_dies(converged: Lab, tmp_path: Path) -> None:
    """Its change has locked everybody out; the run that made it is killed, and nobody is left to mend it."""
    gateway = compiled(converged)
    gateway["flows"] = [flow for flow in gateway["flows"] if flow["id"] != "management-gateways"]
    report = f"{STATE}/last-rollback.json"
    inside(converged, GATEWAY, "rm", "-f", report)
    wrong = extra(tmp_path / "wrong.json", wardnet_gateway=gateway, commit_confirm_within=30)
    with playing(converged, "channels.yml", *LIMIT, *wrong) as run:
        assert eventually(lambda: has(converged, f"{STATE}/undo/armed.json", report), 300)
    assert run.returncode != 0
    assert eventually(lambda: has(converged, report), 300)
    assert wait_until(converged, "controller", Probe("tcp", "10.30.1.1", 22))
    after = play(converged, "site.yml", *LIMIT)
    assert (after.status, after.changed) == (0, {}), after.tail
    assert "buoi-gw had gone back by itself at" in after.said
