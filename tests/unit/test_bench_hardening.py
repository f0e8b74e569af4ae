"""Security updates wait for whoever changes the host, and what independent tools find is mended or waived."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest
import yaml

from bench import hardening
from bench.hardening import Finding, Report, Waiver
from tests.unit.plugins_support import ROOT

ROLE = ROOT / "roles" / "hardening"


def rendered(name: str) -> str:
    values = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(ROLE / "templates"), trim_blocks=True)  # noqa: S701
    return environment.get_template(name).render(**values)


@pytest.fixture
def upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """upgrade.py as it comes to a host, with its folders in another place and an `apt-get` that succeeds."""
    module = ModuleType("upgrade")
    exec(compile(rendered("usr/local/lib/wardnet/upgrade.py.j2"), "upgrade.py", "exec"), module.__dict__)  # noqa: S102
    monkeypatch.setattr(module, "LOCK", tmp_path / "run" / "lock")
    monkeypatch.setattr(module, "UNDO", tmp_path / "undo")
    monkeypatch.setattr(module, "APT", ["/bin/true"])
    monkeypatch.setattr(module, "DONE", tmp_path / "state" / "upgraded")
    monkeypatch.setattr(module.signal, "signal", lambda *_: None)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    (tmp_path / "undo").mkdir()
    return module


def opened(upgrade: ModuleType) -> int:
    upgrade.LOCK.parent.mkdir(parents=True, exist_ok=True)
    return os.open(upgrade.LOCK, os.O_RDWR | os.O_CREAT, 0o600)


def test_updates_hold_the_host_as_a_run_does(upgrade: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def at_work(_end: float) -> int:
        other = os.open(upgrade.LOCK, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        seen.append(json.loads(os.read(other, 4096)))
        os.close(other)
        return 0

    monkeypatch.setattr(upgrade, "upgraded", at_work)
    assert upgrade.main() == 0
    assert seen[0]["who"] == "security updates"
    assert set(seen[0]) == {"who", "run", "since"}


@pytest.mark.parametrize("name", ["armed.json", "confirming.json", "undoing.json"])
def test_updates_wait_for_a_change_that_is_not_confirmed(upgrade: ModuleType, name: str) -> None:
    (upgrade.UNDO / name).touch()
    descriptor, other = opened(upgrade), opened(upgrade)
    assert not upgrade.held(descriptor)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it does not keep the confirmation away
    fcntl.flock(other, fcntl.LOCK_UN)
    (upgrade.UNDO / name).unlink()
    assert upgrade.held(descriptor)


def test_updates_wait_for_a_run_and_give_up_with_their_window(
    upgrade: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fcntl.flock(opened(upgrade), fcntl.LOCK_EX)
    monkeypatch.setattr(upgrade, "WINDOW", -1)
    monkeypatch.setattr(upgrade, "upgraded", lambda _: pytest.fail("nothing may be installed"))
    assert upgrade.main() == 1
    assert "did not end within the window" in capsys.readouterr().err


def test_without_an_index_of_packages_nothing_is_installed(
    upgrade: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade, "APT", ["/bin/false"])
    monkeypatch.setattr(upgrade, "upgraded", lambda _: pytest.fail("nothing may be installed"))
    assert upgrade.main() == 1


@pytest.mark.parametrize(("status", "noted"), [("true", True), ("false", False)])
def test_updates_that_came_to_their_end_are_written_down(
    upgrade: ModuleType, monkeypatch: pytest.MonkeyPatch, status: str, noted: bool
) -> None:
    run = upgrade.subprocess.Popen
    monkeypatch.setattr(upgrade.subprocess, "Popen", lambda _argv, **given: run([status], **given))
    monkeypatch.setattr(upgrade.time, "time", lambda: 1_800_000_000.0)
    assert (upgrade.main() == 0) is noted
    assert (upgrade.DONE.exists() and upgrade.DONE.read_text() == "1800000000\n") is noted


def test_updates_that_were_ended_by_their_window_are_not_written_down(
    upgrade: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Process:
        ended = False

        def __init__(self, *_words: Any, **_given: Any) -> None:
            """Does nothing until it is ended."""

        def __enter__(self) -> Process:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing."""

        def wait(self, timeout: float | None = None) -> int:
            if not self.ended:
                raise subprocess.TimeoutExpired("x", timeout or 0)
            return 0

        def terminate(self) -> None:
            self.ended = True

    monkeypatch.setattr(upgrade.subprocess, "Popen", Process)
    assert upgrade.upgraded(0.0) == 0
    assert not upgrade.DONE.exists()


def test_only_updates_that_are_long_ago_wait_for_no_window(
    upgrade: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000
    monkeypatch.setattr(upgrade.time, "time", lambda: float(now))

    def late(text: str | None) -> bool:
        upgrade.DONE.unlink(missing_ok=True)
        if text is not None:
            upgrade.DONE.parent.mkdir(parents=True, exist_ok=True)
            upgrade.DONE.write_text(text)
        return int(upgrade.late()) == 0

    assert not late(None), "a host that is new has nothing to make up for"
    assert upgrade.DONE.read_text() == f"{now}\n", "and is counted from then on"
    assert not late(str(now - 7 * 86400))
    assert late(str(now - 7 * 86400 - 1))
    assert not late(str(now + 90000)), "a clock that had been ahead"
    assert upgrade.DONE.read_text() == f"{now}\n"
    assert not late("nonsense")
    monkeypatch.setattr(upgrade, "LATE", 0)
    assert not late("1"), "never, where the site says so"


# ---------------------------------------------------------------- what others measure

REPORT = """lynis_version=3.0.8
hardening_index=71
tests_executed=SSH-7408|KRNL-6000|BOOT-5122|
suggestion[]=SSH-7408|Consider hardening SSH configuration|Port (set 22 to )|-|
suggestion[]=KRNL-6000|One or more sysctl values differ from the scan profile and could be tweaked||Change it|
details[]=KRNL-6000|sysctl|desc:Restrict;field:kernel.sysrq;prefval:0;value:438;|
details[]=SSH-7408|sshd|desc:sshd option Port;field:Port;prefval:;value:22;|
warning[]=NETW-2705|Couldn't find 2 responsive nameservers|-|-|
"""


def test_a_report_of_lynis_is_its_findings() -> None:
    report = hardening.parse_lynis("h", REPORT)
    assert (report.score, report.tests) == (71, 3)
    assert [(finding.id, finding.detail) for finding in report.findings] == [
        ("KRNL-6000", "kernel.sysrq"), ("NETW-2705", ""), ("SSH-7408", "Port"),
    ]  # fmt: skip
    with pytest.raises(hardening.BenchError, match="no report"):
        hardening.parse_lynis("h", "")


SSH_AUDIT = """# key exchange algorithms
(kex) good                      -- [info] available since OpenSSH 7.4
(kex) bad (2048-bit)            -- [fail] broken
                                `- [warn] and small
                                `- [info] available since OpenSSH 4.4
(mac) poor                      -- [warn] short
"""


def test_a_weak_algorithm_is_a_finding() -> None:
    report = hardening.parse_ssh_audit("h", SSH_AUDIT)
    said = [str(finding) for finding in report.findings]
    assert said == ["ssh-audit/kex bad: broken; and small", "ssh-audit/mac poor: short"]
    assert report.tests == 3
    with pytest.raises(hardening.BenchError, match="no server"):
        hardening.parse_ssh_audit("h", "[exception] cannot connect to 127.0.0.1 port 22")


def test_what_is_neither_mended_nor_waived_is_left(tmp_path: Path) -> None:
    report = Report("lynis", "buoi-gw", 70, 9, (Finding("A-1", "x"), Finding("A-1", "y"), Finding("B-2", "")))
    waivers = (Waiver("A-1", "why", detail="x"), Waiver("B-2", "why", hosts="*-pc-*"), Waiver("C-3", "why"))
    left = hardening.open_findings([report], waivers)
    assert left == [("buoi-gw", Finding("A-1", "y")), ("buoi-gw", Finding("B-2", ""))]
    assert [waiver.id for waiver in hardening.unused([report], waivers)] == ["B-2", "C-3"]
    kept = tmp_path / "kept.json"
    hardening.save("after", [report], kept)
    assert json.loads(kept.read_text())["after"][0]["findings"][0] == {"id": "A-1", "detail": "x", "text": ""}


def test_each_waiver_says_why() -> None:
    waivers = hardening.read_waivers()
    assert waivers
    for waiver in waivers:
        assert len(waiver.why.split()) >= 4, waiver
    keys = [(waiver.id, waiver.detail, waiver.hosts) for waiver in waivers]
    assert len(keys) == len(set(keys))


def test_what_was_measured_last_is_mended_or_waived_and_no_waiver_is_left_over() -> None:
    measured = json.loads(hardening.RESULTS.read_text())
    reports = [
        Report(**{**one, "findings": tuple(Finding(**finding) for finding in one["findings"])})
        for one in measured["after"]
    ]
    waivers = hardening.read_waivers()
    assert [f"{host}: {finding}" for host, finding in hardening.open_findings(reports, waivers)] == []
    assert hardening.unused(reports, waivers) == []


def test_the_docs_give_the_scores_that_were_measured() -> None:
    measured = json.loads(hardening.RESULTS.read_text())
    text = (ROOT / "docs" / "hardening.md").read_text()
    (before,) = [one["score"] for one in measured["before"] if one["tool"] == "lynis"]
    for one in measured["after"]:
        if one["tool"] == "lynis":
            assert re.search(rf"\| `{one['host']}` .*\| {before} \| {one['score']} \|", text), one["host"]
