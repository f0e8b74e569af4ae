"""wardnet audit --replay with a fake prober as its command: exit codes, what is recorded and told, and its bounds."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from exporters.verdicts import parse_audit
from tests.unit.test_audit_command import audit, snapshot
from tests.unit.test_audit_replay import places
from wardnet.audit.replay.wire import place_record
from wardnet.live import prober
from wardnet.live.errors import LiveError
from wardnet.live.prober import ask_prober

# Passes what has to pass; a forbidden packet too, where its id has what is given as argument.
FAKE = """
import json, sys
plan = json.load(sys.stdin)
answers = [{"id": p["id"], "sent": 3, "heard": {p["listener"]: 3}
            if p["kind"] != "forbidden" or any(word in p["id"] for word in sys.argv[1:]) else {}}
           for p in plan["packets"]]
json.dump({"format": 1, "answers": answers}, sys.stdout)
"""


@pytest.fixture(scope="module", name="where")
def snapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replay")
    snapshot(folder)
    (folder / "places.json").write_text(json.dumps({"places": [place_record(place) for place in places()]}))
    (folder / "fake.py").write_text(FAKE)
    return folder


@pytest.fixture(name="replayed")
def replaying(where: Path, tmp_path: Path) -> Callable[[str], tuple[Result, dict[str, Any]]]:
    def run(command: str) -> tuple[Result, dict[str, Any]]:
        wanted = ["--replay", "--places", where / "places.json", "--replay-with", command, "-o", tmp_path / "out.json"]
        result = audit(where / "snap", "--ward", "buoi", *wanted)
        return result, json.loads((tmp_path / "out.json").read_bytes())

    return run


def test_a_fake_prober_that_hears_what_it_should_leaves_the_verdict(
    replayed: Callable[[str], tuple[Result, dict[str, Any]]], where: Path
) -> None:
    result, record = replayed(f"{sys.executable} {where / 'fake.py'}")
    assert result.exit_code == 0, result.output
    assert (record["verdict"], record["replay"]["failed"]) == ("proved", "")
    assert len(record["replay"]["packets"]) == 60
    assert "passed, as it must" in result.output
    assert "stopped, as proved" in result.output
    assert "a replay has 60 packets at most" in result.output


def test_a_forbidden_packet_that_a_fake_prober_hears_ends_it_with_1(
    replayed: Callable[[str], tuple[Result, dict[str, Any]]], where: Path
) -> None:
    result, record = replayed(f"{sys.executable} {where / 'fake.py'} citizen0>clerks0")
    assert result.exit_code == 1, result.output
    assert record["verdict"] == "violated"
    assert {"ward": "buoi", "from": "internet", "to": "wan", "family": "ipv4", "verdict": "violated"} in record[
        "matrix"
    ]
    assert parse_audit(json.dumps(record).encode()).wards["buoi"].verdict == "violated", "Prometheus is told so"
    assert "CROSSED, and was not to" in result.output
    assert "the audit failed here" in result.output


def test_a_prober_that_fails_ends_it_with_2_and_the_result_is_written(
    replayed: Callable[[str], tuple[Result, dict[str, Any]]],
) -> None:
    for command, reason in (("/nowhere/prober", "No such file"), ("false", "ended with 1"), ("echo hello", "can't be")):
        result, record = replayed(command)
        assert result.exit_code == 2, result.output
        assert reason in record["replay"]["failed"]
        assert record["verdict"] == "proved"
        assert not record["replay"]["conclusive"]


def test_what_a_replay_needs_is_asked_for(where: Path) -> None:
    assert audit(where / "snap", "--replay").exit_code == 2
    refused = audit(where / "snap", "--replay", "--places", where / "places.json", "--replay-with", "'")
    assert refused.exit_code == 2


def test_a_command_is_ended_with_all_that_it_started_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(prober, "PATIENCE_SECONDS", 0.0)
    left = tmp_path / "left"
    script = f"(sleep 3; touch {left}) & sleep 60"
    with pytest.raises(LiveError, match="did not end within 1 s"):
        ask_prober(["sh", "-c", script], b"", 1.0)
    time.sleep(4)
    assert not left.exists()


def test_a_command_that_says_too_much_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "MOST_BYTES", 1000)
    with pytest.raises(LiveError, match="says more than"):
        ask_prober(["sh", "-c", "head -c 5000 /dev/zero; sleep 60"], b"", 30.0)


def test_the_plan_is_what_the_command_reads() -> None:
    assert ask_prober(["cat"], b"a plan", 30.0) == b"a plan"
