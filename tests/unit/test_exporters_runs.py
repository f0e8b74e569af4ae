"""The runs exporter over real journals and a real connection, and what the board makes of it."""

from __future__ import annotations

import re
import time
from html import unescape
from pathlib import Path

import pytest

from exporters import runs as exporter
from exporters.runs import Journals, host_families
from exporters.standing import parse_address
from tests.unit.monitoring_support import Gateway, Line, free_port, prometheus, served
from tests.unit.runs_support import ROLLED_BACK, canary_done, end, header, play, result, text
from tests.unit.standing_support import ask, exporting
from wardnet.runs.drift import histories

FIRST, SECOND = "20261128T080000Z-0001", "20261129T080000Z-0002"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A check that found drift on g2, and a later run whose canary took its change back."""
    drift = {"drift": {"filter": ["running: foreign: a", "running: foreign: b"], "files": ["disk: c"]}}
    checked = [play(2, ["g2"], check=True), result(2, "g2", "changed", **drift), end()]
    (tmp_path / f"{FIRST}.jsonl").write_text(text([header(run=FIRST, at="2026-11-28T08:00:00+00:00"), *checked]))
    bad = [
        play(1, ["hub"]),
        result(1, "hub", updates_at=1_795_000_000),
        play(2, ["g1"]),
        result(2, "g1", "failed", **ROLLED_BACK),
        end(),
    ]
    (tmp_path / f"{SECOND}.jsonl").write_text(text([header(run=SECOND), *bad]))
    return tmp_path


def test_figures_of_runs_are_answered_and_follow_new_journals(folder: Path) -> None:
    with exporting("exporters.runs", folder) as port:
        status, page = ask(port, "/metrics")
        assert status == 200
        figures = dict(re.findall(r"^(wardnet_run_\S+) (\S+)$", page, re.MULTILINE))
        host = 'host="g1"'
        assert figures[f'wardnet_run_last_status{{{host},status="rolled_back",ward="ward-1"}}'] == "1.0"
        assert figures[f'wardnet_run_rolled_back_total{{{host},ward="ward-1"}}'] == "1.0"
        assert figures['wardnet_run_drift_items{host="g2",part="all",ward="ward-2"}'] == "3.0"
        assert figures['wardnet_run_drift_items{host="g2",part="filter",ward="ward-2"}'] == "2.0"
        assert figures['wardnet_run_last_success_timestamp_seconds{host="g1",ward="ward-1"}'] == "0.0"
        assert float(figures['wardnet_run_last_success_timestamp_seconds{host="hub",ward="district"}']) > 1e9
        assert figures['wardnet_run_updates_timestamp_seconds{host="hub",ward="district"}'] == "1.795e+09"
        assert not any("updates" in name and 'host="g1"' in name for name in figures), "it said nothing of them"
        assert figures['wardnet_run_state{mode="earnest",playbook="channels",state="failed"}'] == "1.0"
        assert figures["wardnet_run_journals_unreadable"] == "0.0"
        (folder / "20261130T080000Z-0003.jsonl").write_text(text([header(run="x", at="2026-11-30T08:00:00+00:00")]))
        (folder / "20261130T090000Z-0004.jsonl").write_text("nonsense\n")
        page = ask(port, "/metrics")[1]
        assert 'wardnet_run_state{mode="earnest",playbook="channels",state="interrupted"} 1.0' in page
        assert "wardnet_run_journals_unreadable 1.0" in page
        assert ask(port, "/")[0] == 404
        assert ask(port, "/metrics", "POST")[0] == 405


def test_a_journal_is_read_again_only_when_it_has_grown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(path: Path) -> object:
        read.append(path)
        return original(path)

    original = exporter.read_run
    monkeypatch.setattr(exporter, "read_run", counted)
    journals = Journals([folder])
    journals.read()
    journals.read()
    assert len(read) == 2
    running = folder / "20261130T080000Z-0003.jsonl"
    running.write_text(text([header(run="x"), *canary_done()]))
    journals.read()
    journals.read()
    assert read[2:] == [running, running], "one without its end may have become an interrupted one"


def test_a_healed_host_has_a_zero_so_that_its_alert_ends(folder: Path) -> None:
    healed = [header(run="x", at="2026-11-30T08:00:00+00:00"), play(2, ["g2"]), result(2, "g2", "changed"), end()]
    (folder / "20261130T080000Z-0003.jsonl").write_text(text(healed))
    families = {family.name: family for family in host_families(histories(Journals([folder]).read()[0]))}
    drift = {tuple(sample.labels.values()): sample.value for sample in families["wardnet_run_drift_items"].samples}
    assert drift[("ward-2", "g2", "all")] == 0.0
    assert ("ward-2", "g2", "filter") not in drift


def test_drift_stays_told_after_a_run_of_a_part_of_the_host(folder: Path) -> None:
    def figure() -> float:
        families = {family.name: family for family in host_families(histories(Journals([folder]).read()[0]))}
        drift = {tuple(sample.labels.values()): sample.value for sample in families["wardnet_run_drift_items"].samples}
        return drift[("ward-2", "g2", "all")]

    found = result(2, "g2", "changed", drift={"filter": ["running: foreign: table ip helpful"]})
    drift = [header(run="x", at="2026-11-30T08:00:00+00:00", check=True), play(2, ["g2"]), found, end()]
    (folder / "20261130T080000Z-0003.jsonl").write_text(text(drift))
    assert figure() == 1.0
    part = [header(run="y", at="2026-11-30T09:00:00+00:00"), play(2, ["g2"]), result(2, "g2", partial=True), end()]
    (folder / "20261130T090000Z-0004.jsonl").write_text(text(part))
    assert figure() == 1.0


@pytest.mark.parametrize("bad", ["127.0.0.1", "host:1", "127.0.0.1:99999", "[::1]", "127.0.0.1:-1", ""])
def test_a_bad_address_is_refused(bad: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kinds of it differ
        parse_address(bad)
    assert exporter.main(["--listen", bad]) == 1


def test_addresses_of_both_families() -> None:
    assert str(parse_address("[fd20::1]:9809")[0]) == "fd20::1"
    assert parse_address("10.0.0.1:9809")[1] == 9809


@pytest.mark.long
def test_the_board_shows_what_the_runs_did(folder: Path) -> None:
    gateways = [Gateway("district", "Văn phòng quận", {"wan": Line(), "internet": Line()})]
    with (
        exporting("exporters.runs", folder) as runs_port,
        served(gateways) as port,
        prometheus(gateways, port, free_port(), controller={"wardnet-runs": runs_port}) as url,
    ):
        deadline = time.monotonic() + 300
        while True:
            page = unescape(ask(int(url.rsplit(":", 1)[1]), "/consoles/index.html")[1])
            of_runs = page.rpartition("<h2>Cấu hình")[2]
            if "g2: 3" in of_runs and "g1: ↩" in of_runs and "Văn phòng quận" in of_runs:
                break
            assert time.monotonic() < deadline, page[-3000:]
            time.sleep(0.5)
        assert "{{" not in page
        row = of_runs[of_runs.index("ward-1") : of_runs.index("ward-2")]
        assert "chưa có" in row
