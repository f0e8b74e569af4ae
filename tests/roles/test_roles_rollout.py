"""One rollout's bad day, told once: the canary is rolled back, then a gateway without power and one that is rolled back
stand in one step, and each time the run is gone on with. A lab of its own, with four gateways."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporters.runs import Journals, RunsCollector
from lab import Lab, open_lab
from lab.errors import LabError
from tests.lab.lab_support import LABS, lab_command
from tests.roles.journals import batches, newest, states, wardnet
from tests.roles.roles_support import Probe, inside, play, wait_until
from wardnet.compile import compile_plan, to_plain
from wardnet.inventory import read_district
from wardnet.runs.records import HostOutcome, Run, RunState
from wardnet.runs.report import report_html

# Four gateways are booted and two of them go back by themselves: minutes.
pytestmark = [pytest.mark.lab, pytest.mark.slow]

NAME = f"{LABS}-rollout"
STEPS = [1, 2, "100%"]
BACK_WITHIN = 30
SETTING = "/proc/sys/net/ipv4/conf/all/proxy_arp"
WHY = "no new connection came through in that time"


@dataclass(frozen=True)
class Told:
    """A run's journal, what it printed, and what the exporter said after it."""

    run: Run
    output: str
    metrics: str
    untouched: frozenset[str]  # gateways that still had what somebody had changed by hand

    def of(self, host: str) -> HostOutcome:
        outcome = self.run.outcome(host)
        assert outcome is not None
        return outcome


@dataclass(frozen=True)
class Story:
    lab: Lab
    gateways: tuple[str, ...]  # the canary, the two of the second step, and the rest
    canary_back: Told
    mixed: Told
    whole: Told


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.fail("tests of the roles need root: run them with sudo, or leave them out with -m 'not lab'")
    lab_command("down", "--name", NAME)
    done = lab_command("up", "--name", NAME, "--wards", "3", timeout=1200)
    if done.returncode != 0:
        pytest.fail(f"the lab did not come up:\n{done.stdout}\n{done.stderr}")
    yield open_lab(NAME)
    if not os.environ.get("WARDNET_LAB_KEEP"):
        lab_command("down", "--name", NAME)


@pytest.fixture(scope="module")
def story(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Story:
    first = play(lab, "channels.yml")
    assert first.status == 0, first.tail
    gateways = next(one.hosts for one in newest(lab).plays if one.name == "Gateways")
    assert gateways is not None
    canary, dark, second, _last = gateways
    for gateway in gateways:
        inside(lab, gateway, "sh", "-c", f"echo 1 > {SETTING}")
    file = tmp_path_factory.mktemp("site") / "site.json"
    site(lab, file, wrong=[canary])
    run = play(
        lab, "channels.yml", "--limit", "gateways", "-e", f"@{file}", "-e", json.dumps({"wardnet_serial": STEPS})
    )
    canary_back = told(lab, gateways, run.output)
    assert wait_until(lab, "controller", ssh(lab, canary), 600)

    site(lab, file, wrong=[second])
    lab.power(dark, "off")
    mixed = told(lab, gateways, resumed(lab))
    lab.power(dark, "on")
    for gateway in (dark, second):
        assert wait_until(lab, "controller", ssh(lab, gateway), 600)

    site(lab, file, wrong=[])
    return Story(lab, gateways, canary_back, mixed, told(lab, gateways, resumed(lab)))


def site(lab: Lab, file: Path, wrong: list[str]) -> None:
    """What a site decides, where somebody forgot how the controller gets into some of the gateways."""
    district = read_district(lab.state / "inventory")
    plan = compile_plan(district, datetime.now(ZoneInfo(district.timezone)).date())
    compiled: dict[str, Any] = {}
    for gateway in plan.gateways:
        plain = to_plain(gateway)
        if gateway.id in wrong:
            plain["flows"] = [flow for flow in plain["flows"] if flow["id"] != "management-gateways"]
        compiled[gateway.id] = plain
    file.write_text(
        json.dumps(
            {
                "site_gateways": compiled,
                "wardnet_gateway": "{{ site_gateways[inventory_hostname] }}",
                "commit_confirm_within": BACK_WITHIN,
            }
        )
    )


def told(lab: Lab, gateways: tuple[str, ...], output: str) -> Told:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunsCollector(Journals([lab.layout.runs])))
    untouched = frozenset(gateway for gateway in gateways if is_still_changed(lab, gateway))
    return Told(newest(lab), output, generate_latest(registry).decode(), untouched)


def is_still_changed(lab: Lab, gateway: str) -> bool:
    """Whether it runs and has what somebody had changed by hand."""
    try:
        return lab.shell(gateway, ["cat", SETTING]).stdout.split() == [b"1"]
    except LabError:  # it is without power
        return False


def resumed(lab: Lab) -> str:
    done = wardnet(lab, "resume")
    return done.stdout.decode() + done.stderr.decode()


def ssh(lab: Lab, gateway: str) -> Probe:
    district = read_district(lab.state / "inventory")
    plan = compile_plan(district, datetime.now(ZoneInfo(district.timezone)).date())
    return Probe("tcp", str(plan.gateway(gateway).management_ipv4), 22)


def test_a_canary_that_is_rolled_back_is_the_only_one_that_was_touched(story: Story) -> None:
    canary, *others = story.gateways
    told = story.canary_back
    assert told.run.state is RunState.FAILED
    assert states(told.run) == {canary: "rolled_back", **dict.fromkeys(others, "not_reached")}
    assert batches(told.run) == [(canary,)]
    assert told.untouched == set(story.gateways), "also the canary is as it was before"


def test_the_run_names_ward_and_reason(story: Story) -> None:
    canary, *others = story.gateways
    outcome = story.canary_back.of(canary)
    assert outcome.rolled_back is not None
    assert outcome.rolled_back.why == WHY
    assert outcome.rolled_back.run == story.canary_back.run.id
    lines = [" ".join(line.split()) for line in story.canary_back.output.splitlines()]
    assert f"{outcome.ward} {canary} ↩ rolled back {WHY}" in lines
    assert sum("– not begun the run stopped before it" in line for line in lines) == len(others)


def test_a_gateway_without_power_is_kept_apart_from_one_that_was_rolled_back(story: Story) -> None:
    canary, dark, second, last = story.gateways
    told = story.mixed
    assert told.run.resumes == story.canary_back.run.id
    assert batches(told.run) == [(canary,), (dark, second)], "what had failed is the canary again"
    assert states(told.run) == {
        canary: "changed", dark: "unreachable", second: "rolled_back", last: "not_reached",
    }  # fmt: skip
    assert told.untouched == {second, last}
    lines = [" ".join(line.split()) for line in told.output.splitlines()]
    table = [line for line in lines if " ↩ rolled back " in line or " ○ unreachable " in line or " ✖ " in line]
    assert [line.split()[1] for line in table] == [second, dark], "the gravest first, and none of them failed"


def test_each_surface_tells_them_apart(story: Story) -> None:
    canary, dark, second, _last = story.gateways
    run = story.mixed.run
    shown = json.loads(wardnet(story.lab, "show", run.id, "--json").stdout)
    assert {one["host"]: one["state"] for one in shown["hosts"]} == states(run)
    page = wardnet(story.lab, "show", run.id).stdout.decode()
    assert "○ unreachable" in page
    assert "↩ rolled back" in page
    assert "✖" not in page
    wards = {host.host: host.ward for host in run.hosts}
    figures = story.mixed.metrics.splitlines()
    for host in (canary, dark, second):
        labels = f'host="{host}",status="{states(run)[host]}",ward="{wards[host]}"'
        assert f"wardnet_run_last_status{{{labels}}} 1.0" in figures
    assert f'wardnet_run_hosts_unreachable{{ward="{wards[dark]}"}} 1.0' in figures
    assert f'wardnet_run_hosts_unreachable{{ward="{wards[second]}"}} 0.0' in figures
    report = report_html(run)
    assert report.index(f">{second}</td>") < report.index(f">{dark}</td>") < report.index(f">{canary}</td>")


def test_when_both_are_mended_the_rest_follows(story: Story) -> None:
    _canary, dark, second, last = story.gateways
    told = story.whole
    assert told.run.resumes == story.mixed.run.id
    assert batches(told.run) == [(dark, second), (last,)], "the canary is done"
    assert told.run.state is RunState.FINISHED, told.output[-6000:]
    assert told.untouched == frozenset()
    assert 'status="unreachable"' not in told.metrics
    assert 'status="rolled_back"' not in told.metrics
