"""What people read of a run, in both languages: the table at its end, the report, the command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.unit.runs_support import ID, ROLLED_BACK, canary_done, end, header, journal, play, result, text
from wardnet.runs.records import HostState, Run, RunState
from wardnet.runs.report import report_html, report_text
from wardnet.runs.words import end_of_run, host_state, interrupted, part_name, run_state, three_ways

LANGUAGES = ("en", "vi")


def stopped() -> Run:
    lost = result(2, "g2", "unreachable", 4, message="g2 (ward ward-2): timed out <&>")
    drift = {"drift": {"filter": ["running: foreign: table ip helpful"], "files": ["disk: /etc/timezone (write)"]}}
    parts = {
        "parts": {"filter": {"missing": ["rule a"], "foreign": ["table ip helpful"], "paths": ["/etc/nftables.conf"]}}
    }
    return journal(*canary_done(), result(2, "g3", "changed", 4, **drift, **parts), lost, end())


def test_the_table_at_the_end_says_who_is_not_well_and_why_the_gravest_first() -> None:
    run = journal(play(1, ["hub"]), result(1, "hub"), play(2, ["g1"]), result(2, "g1", "failed", **ROLLED_BACK), end())
    lines = end_of_run(run)
    assert lines[1] == "not well, 8 of 9 hosts:"
    assert re.fullmatch(r" +ward-1 +g1 +↩ rolled back +no new connection came through in that time", lines[3])
    assert sum("not begun" in line and "the run stopped before it" in line for line in lines) == 7
    assert lines[-1].endswith(f"`wardnet runs resume {ID}`")


def test_a_run_that_went_well_ends_with_one_line() -> None:
    run = journal(
        play(1, ["hub"]), play(2, ["g1"]), play(2, ["g2", "g3"]), play(2, ["g4", "g5", "g6", "g7", "g8"]), end()
    )
    assert end_of_run(run) == ["", f"run {ID}: 9 nothing to do; `wardnet runs show {ID}`"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_run_that_was_stopped_says_what_becomes_of_a_change_that_waits(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDNET_LANG", language)
    known, unknown, at_none = (
        interrupted(ID, ["g2", "g1"], 110),
        interrupted(ID, ["g1"], None),
        interrupted(ID, [], None),
    )
    assert "g1, g2" in known[1]
    assert "110" in known[2]
    assert known[2] != unknown[2]
    assert known[-1].endswith(f"`wardnet runs resume {ID}`")
    assert known[-2:] == at_none[-2:] == at_none[1:]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_and_part_has_words_of_its_own(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDNET_LANG", language)
    assert len({host_state(state) for state in HostState}) == len(HostState)
    assert len({run_state(state) for state in RunState}) == len(RunState)
    parts = ("filter", "settings", "network", "routing", "shaping", "switch", "access", "files")
    assert len({part_name(part) for part in parts} - set(parts)) == len(parts)
    assert part_name("something new") == "something new"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_run_that_only_reads_has_changed_nothing_in_words_either(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDNET_LANG", language)
    found = (play(2, ["g1"], check=True), result(2, "g1", "changed", parts={"filter": {"foreign": ["table ip x"]}}))
    plays = [{"name": "Skipped", "hosts": []}, {"name": "Hub", "hosts": []}, {"name": "Gateways", "hosts": ["g1"]}]
    read, made = journal(*found, end(), check=True, plays=plays), journal(*found[1:], end(), plays=plays)
    would = host_state(HostState.CHANGED, check=True)
    assert would != host_state(HostState.CHANGED)
    assert end_of_run(read)[-1].startswith(f"{'run' if language == 'en' else 'lần chạy'} {ID}: 1 {would}; ")
    page = " ".join(Page(report_html(read)).texts)
    for told in (page, report_text(read)):
        assert f"● {would}" in told
        assert f"1 {would}" in told
        assert f"● {host_state(HostState.CHANGED)}" not in told
    assert would not in report_text(made)


def test_drift_is_told_three_ways() -> None:
    assert three_ways("running: missing: rule a") == ("rule a", "no", "yes", "yes")
    assert three_ways("running: foreign: table ip x") == ("table ip x", "yes", "no", "no")
    assert three_ways("running: start x.service") == ("start x.service", "differs", "yes", "yes")
    assert three_ways("disk: /etc/timezone (write)") == ("/etc/timezone (write)", "-", "differs", "yes")


class Page(HTMLParser):
    """Texts of a page, and every address that it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attributes if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_is_one_page_that_loads_nothing_and_tells_of_every_host(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDNET_LANG", language)
    run = stopped()
    source = report_html(run)
    page = Page(source)
    assert (page.loaded, page.open) == ([], [])
    assert "url(" not in source
    assert f'<html lang="{language}">' in source
    said = " ".join(page.texts)
    for word in ("hub", "g1", "g8", "table ip helpful", "/etc/nftables.conf", "timed out <&>", ID, "5f" * 32):
        assert word in said
    assert host_state(HostState.UNREACHABLE) in said
    plain = report_text(run)
    for word in ("g8", "table ip helpful", "timed out <&>", host_state(HostState.NOT_REACHED)):
        assert word in plain


def test_a_report_calls_wards_by_their_names_and_tells_the_districts_time_in_the_readers_language(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WARDNET_LANG", "vi")
    monkeypatch.setenv("TZ", "UTC")
    names = {"district_name": "Quận Thử", "ward_names": {"ward-1": "Phường Một"}, "timezone": "Asia/Ho_Chi_Minh"}
    lost = {"message": "g2 (ward ward-2): Failed to connect to the host via ssh: No route to host"}
    run = journal(
        *canary_done()[:4], result(2, "g1", "failed", **ROLLED_BACK), result(2, "g2", "unreachable", **lost), end(),
        **names,
    )  # fmt: skip
    for report in " ".join(Page(report_html(run)).texts), report_text(run):
        for word in ("Quận Thử", "Phường Một", "lan trên máy controller", "ansible-playbook playbooks/channels.yml"):
            assert word in report
        assert "2026-11-29 15:00:00 +07" in report
        assert "2026-11-29 15:03:00 +07" in report, "also what the host wrote down"
        assert "no new connection came through" not in report
        assert "g2 (ward ward-2):" not in report, "there are columns for these"
        assert "No route to host" in report


def wardnet(folder: Path, *words: str, language: str = "en") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WARDNET_RUNS": str(folder), "WARDNET_LANG": language, "COLUMNS": "120"}
    argv = [sys.executable, "-m", "wardnet.cli.main", "runs", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs: one that found drift, and a later one that was cut off."""
    first, second = "20261128T080000Z-0001", "20261129T080000Z-0002"
    found = result(2, "g1", "changed", drift={"filter": ["running: missing: rule a"]})
    records = [
        header(run=first, check=True, at="2026-11-28T08:00:00.000+00:00"),
        play(2, ["g1"], check=True),
        found,
        end(),
    ]
    (tmp_path / f"{first}.jsonl").write_text(text(records))
    (tmp_path / f"{second}.jsonl").write_text(text([header(run=second, inventory=[]), *canary_done()]) + '{"ev')
    return tmp_path


def test_runs_are_listed_the_newest_first(folder: Path) -> None:
    done = wardnet(folder)
    assert done.returncode == 0, done.stderr
    ids = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("2026")]
    assert ids == ["20261129T080000Z-0002", "20261128T080000Z-0001"]
    assert "interrupted" in done.stdout
    assert [run["run"] for run in json.loads(wardnet(folder, "list", "--json").stdout)] == ids


def test_one_run_is_shown_whole_or_for_a_host(folder: Path) -> None:
    shown = json.loads(wardnet(folder, "show", "20261128", "--json").stdout)
    assert {host["host"]: host["state"] for host in shown["hosts"]}["g1"] == "changed"
    done = wardnet(folder, "show", "20261128", "--host", "g1")
    assert "Commit the candidate" in done.stdout
    assert "● would be changed" in done.stdout
    assert "rule a" in done.stdout
    assert wardnet(folder, "show", "20261128", "--host", "nobody").returncode == 2
    assert wardnet(folder, "show", "2025").returncode == 2


def test_drift_ends_with_1_where_there_is_some(folder: Path) -> None:
    done = wardnet(folder, "drift")
    assert done.returncode == 0, "the run in earnest after it has committed the host"
    (folder / "20261129T080000Z-0002.jsonl").unlink()
    done = wardnet(folder, "drift", "--ward", "ward-1")
    assert done.returncode == 1
    assert "rule a" in done.stdout
    assert wardnet(folder, "drift", "--ward", "nowhere").returncode == 2


def test_what_is_left_is_said_before_it_is_done(folder: Path) -> None:
    done = wardnet(folder, "resume", "20261129", "--dry-run")
    assert done.returncode == 1, "there is no inventory to hold the run's against"
    done = wardnet(folder, "resume", "20261129", "--dry-run", "--changed-inventory")
    assert done.returncode == 0, done.stderr
    assert "Gateways: 7 left (g2, g3, g4, g5, g6, g7, g8), in steps of 2 + 5" in done.stdout
    assert "--limit g2,g3,g4,g5,g6,g7,g8" in done.stdout


def test_resume_says_which_run_it_takes_and_passes_over_those_that_only_read(folder: Path) -> None:
    read = [play(2, ["g1"], check=True), result(2, "g1", "ok"), end()]
    drift = header(run="20261129T100000Z-0d0d", at="2026-11-29T10:00:00.000+00:00", playbook="playbooks/drift.yml")
    (folder / "20261129T100000Z-0d0d.jsonl").write_text(text([drift, *read]))
    done = wardnet(folder, "resume", "--dry-run", "--changed-inventory")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("run 20261129T080000Z-0002: channels.yml, 2026-11-29 ")
    assert "--limit g2,g3,g4,g5,g6,g7,g8" in done.stdout
    (folder / "20261129T080000Z-0002.jsonl").unlink()
    done = wardnet(folder, "resume", "--dry-run")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing to go on with: no run that changes hosts is unfinished" in done.stderr


def test_a_report_is_written_in_the_language_that_is_asked_for(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert wardnet(folder, "report", "20261129", "-o", str(page), language="vi").returncode == 0
    assert 'lang="vi"' in page.read_text()
    assert wardnet(folder, "report", "-o", str(tmp_path / "report.pdf")).returncode == 2
    assert wardnet(folder, "report", "-o", str(tmp_path / "absent" / "report.txt")).returncode == 2
