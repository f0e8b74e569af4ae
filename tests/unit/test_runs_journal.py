"""Journals are read whatever state their writer left them in, and say of each host how it came out."""

from __future__ import annotations

import fcntl
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.runs_support import GATEWAYS, ID, ROLLED_BACK, canary_done, end, header, journal, play, result, text
from wardnet.runs.drift import histories
from wardnet.runs.errors import JournalError
from wardnet.runs.journal import find_run, moment, parse_run, read_run, read_runs
from wardnet.runs.places import SHARED, read_folders, write_folder
from wardnet.runs.records import HostState, Run, RunState
from wardnet.runs.results import keep
from wardnet.runs.withheld import Withholder
from wardnet.runs.writer import Journal


def states(run: Run) -> dict[str, str]:
    return {host.host: host.state.value for host in run.hosts}


def test_a_run_that_went_well_is_finished() -> None:
    run = journal(
        play(1, ["hub"]), result(1, "hub"), play(2, GATEWAYS), *(result(2, g, "changed") for g in GATEWAYS), end()
    )
    assert run.state is RunState.FINISHED
    assert states(run) == {"hub": "ok", **dict.fromkeys(GATEWAYS, "changed")}


def test_a_rolled_back_canary_is_told_from_what_was_never_begun() -> None:
    run = journal(play(1, ["hub"]), result(1, "hub"), play(2, ["g1"]), result(2, "g1", "failed", **ROLLED_BACK), end())
    assert run.state is RunState.FAILED
    assert states(run) == {"hub": "ok", "g1": "rolled_back", **dict.fromkeys(GATEWAYS[1:], "not_reached")}
    outcome = run.outcome("g1")
    assert outcome is not None
    assert outcome.rolled_back is not None
    assert outcome.rolled_back.parts == ("filter",)


def test_unreachable_is_not_failed_and_stops_the_others_of_its_batch_where_they_are() -> None:
    begun = result(2, "g3", minute=4, action="wardnet_files")
    lost = result(2, "g2", "unreachable", 4, message="timed out")
    run = journal(*canary_done(), begun, lost, end())
    assert states(run)["g2"] == "unreachable"
    assert states(run)["g3"] == "unfinished"
    assert states(run)["g4"] == "not_reached"
    assert run.count(HostState.FAILED) == 0


def test_a_host_whose_candidate_was_committed_is_done_although_another_of_its_batch_failed() -> None:
    run = journal(*canary_done(), result(2, "g3", "changed", 4), result(2, "g2", "failed", 4, message="no"), end())
    assert states(run)["g3"] == "changed"
    assert states(run)["g2"] == "failed"


def test_a_killed_run_is_interrupted_and_half_a_last_line_is_no_error() -> None:
    whole = text([header(), *canary_done(), result(2, "g2", "changed", 4)])
    for cut in (0, 1, 20):
        run = parse_run(whole + json.dumps(result(2, "g3"))[:cut], Path("/runs/x.jsonl"))
        assert run.state is RunState.INTERRUPTED
        assert run.unread_lines == 0
        assert (states(run)["g1"], states(run)["g2"], states(run)["g3"]) == ("changed", "changed", "unfinished")


def test_every_beginning_of_a_journal_that_holds_its_header_can_be_read() -> None:
    whole = text([header(), *canary_done(), result(2, "g2", "failed", 4, message="ế"), end()])
    first = whole.index("\n") + 1
    for length in range(first, len(whole) + 1):
        run = parse_run(whole[:length], Path("/runs/x.jsonl"))
        assert run.id == ID
    with pytest.raises(JournalError, match="not a journal of a run"):
        parse_run(whole[: first - 2], Path("/runs/x.jsonl"))


def test_a_damaged_line_in_the_middle_is_counted() -> None:
    lines = text([header(), *canary_done(), end()]).splitlines(keepends=True)
    run = parse_run("".join([*lines[:3], '{"event": "resu\n', *lines[3:]]), Path("/runs/x.jsonl"))
    assert run.unread_lines == 1
    assert states(run)["hub"] == "changed"


@pytest.mark.parametrize("bad", ["", "nonsense\n", '{"event": "play"}\n', '{"event": "run", "format": 1}\n', "[]\n"])
def test_what_is_no_journal_is_said_with_its_name(bad: str, tmp_path: Path) -> None:
    path = tmp_path / "20261129T080000Z-ffff.jsonl"
    path.write_text(bad)
    with pytest.raises(JournalError, match=r"20261129T080000Z-ffff\.jsonl"):
        read_run(path)
    runs, errors = read_runs([tmp_path])
    assert (runs, len(errors)) == ([], 1)


def test_a_journal_of_a_later_format_is_refused() -> None:
    with pytest.raises(JournalError, match="format 2"):
        parse_run(text([header(format=2)]), Path("/runs/x.jsonl"))


def test_a_run_is_running_for_as_long_as_its_writer_lives(tmp_path: Path) -> None:
    writer = Journal(tmp_path, datetime(2026, 11, 29, 8, tzinfo=UTC))
    writer.begin({key: value for key, value in header().items() if key not in ("event", "format", "run", "at")})
    writer.add("play", play(1, ["hub"]), lasting=True)
    assert read_run(writer.path).state is RunState.RUNNING
    writer.close()
    assert read_run(writer.path).state is RunState.INTERRUPTED
    with writer.path.open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        assert read_run(writer.path).state is RunState.INTERRUPTED


def test_runs_are_found_by_how_they_begin_the_newest_first(tmp_path: Path) -> None:
    for number in ("20261128T080000Z-0001", "20261129T080000Z-0002", "20261129T090000Z-0003"):
        (tmp_path / f"{number}.jsonl").write_text(text([header(run=number)]))
    folders = [tmp_path, tmp_path / "absent"]
    assert find_run("", folders).id == "20261129T090000Z-0003"
    assert find_run("20261128", folders).id == "20261128T080000Z-0001"
    with pytest.raises(JournalError, match="may be any of"):
        find_run("20261129", folders)
    with pytest.raises(JournalError, match="no run 2025"):
        find_run("2025", folders)
    with pytest.raises(JournalError, match="no journal"):
        find_run("", [tmp_path / "absent"])


def test_journals_go_where_they_may(tmp_path: Path) -> None:
    assert write_folder({"WARDNET_RUNS": "/x/y"}) == Path("/x/y")
    assert read_folders({"HOME": "/home/lan"}) == [SHARED, Path("/home/lan/.local/state/wardnet/runs")]
    assert write_folder({"HOME": str(tmp_path)}) in (SHARED, tmp_path / ".local/state/wardnet/runs")


def drifted(check: bool) -> dict[str, object]:
    more = {
        "drift": {"filter": ["running: foreign: table ip helpful"]},
        "parts": {"filter": {"foreign": ["table ip helpful"]}},
    }
    return result(2, "g1", "changed", 3, **more, check=check)


def test_drift_is_what_the_last_reading_found_and_gone_when_it_is_healed() -> None:
    read = journal(play(2, ["g1"], check=True), drifted(True), end(), check=True)
    healed = journal(play(2, ["g1"]), drifted(False), end(), at="2026-11-29T10:00:00.000+00:00")
    unread = journal(play(2, ["g1"]), result(2, "g1", "unreachable"), end(), at="2026-11-29T11:00:00.000+00:00")
    known = {one.host: one for one in histories([read])}
    assert known["g1"].drift == {"filter": ("running: foreign: table ip helpful",)}
    assert known["g1"].last_success is None, "a check that found something is no success"
    found_well = journal(play(2, ["g1"], check=True), result(2, "g1", "ok", 3), end(), check=True)
    assert histories([found_well])[0].last_success is not None
    assert "g2" not in known, "no run came to it"
    known = {one.host: one for one in histories([healed, read])}
    assert known["g1"].drift == {}
    assert known["g1"].healed
    assert known["g1"].last_success is not None
    known = {one.host: one for one in histories([unread, healed, read])}
    assert known["g1"].last_state is HostState.UNREACHABLE
    assert known["g1"].last_success is not None
    known = {one.host: one for one in histories([read, unread])}
    assert known["g1"].drift, "a host that was not reached keeps what is known of it"


def test_a_run_of_a_part_of_a_host_neither_forgets_drift_nor_counts_as_reading() -> None:
    """audit.yml sends the audit's account alone: what it does not look at stays as it was last known."""
    known = journal(play(2, ["g1"], check=True), drifted(True), end(), check=True)
    at = "2026-11-29T10:00:00.000+00:00"
    clean = journal(play(2, ["g1"]), result(2, "g1", "ok", 3, partial=True), end(), check=True, run="b", at=at)
    [one] = [host for host in histories([known, clean]) if host.host == "g1"]
    assert (one.drift, one.read_run) == ({"filter": ("running: foreign: table ip helpful",)}, known.id)
    assert one.last_success is None
    found = {"drift": {"access": ["disk: /etc/sudoers.d/x (write)"]}, "partial": True}
    more = journal(play(2, ["g1"]), result(2, "g1", "changed", 3, **found), end(), check=True, run="c", at=at)
    [one] = [host for host in histories([known, more]) if host.host == "g1"]
    assert set(one.drift) == {"filter", "access"}
    later = "2026-11-29T11:00:00.000+00:00"
    healed = journal(play(2, ["g1"]), result(2, "g1", "changed", 3, **found), end(), run="d", at=later)
    [one] = [host for host in histories([known, more, healed]) if host.host == "g1"]
    assert set(one.drift) == {"filter"}


def test_a_run_of_a_part_leaves_open_when_the_host_was_last_as_intended() -> None:
    """Else audit.yml alone would keep a host from being called stale."""
    october, november = "2026-10-01T08:00:00.000+00:00", "2026-11-30T08:00:00.000+00:00"

    def run(at: str, name: str, **more: Any) -> Run:
        came = {**result(2, "g1", "changed", **more), "at": at}
        return journal({**play(2, ["g1"]), "at": at}, came, end(), at=at, run=name)

    def last(*runs: Run) -> datetime | None:
        return next(host for host in histories(runs) if host.host == "g1").last_success

    whole, part = run(october, "a"), run(november, "b", partial=True)
    assert last(whole, part) == moment(october)
    assert last(part) is None
    assert last(run(november, "b", action="debug")) is None, "a playbook that commits nothing"
    assert last(whole, run(november, "c")) == moment(november)
    published = run(november, "d", action="wardnet_publish")
    assert last(published) == moment(november)
    assert next(host for host in histories([published]) if host.host == "g1").read_at is None


def test_a_way_back_is_counted_once_although_the_host_tells_of_it_again() -> None:
    first = journal(play(2, ["g1"]), result(2, "g1", "failed", **ROLLED_BACK), end())
    told = {"earlier_rollback": ROLLED_BACK["rolled_back"]}
    second = journal(play(2, ["g1"]), result(2, "g1", "changed", **told), end(), at="2026-11-29T10:00:00.000+00:00")
    assert [one.rollbacks for one in histories([first, second]) if one.host == "g1"] == [1]
    killed = journal(play(2, ["g1"]))
    assert [one.rollbacks for one in histories([killed, second]) if one.host == "g1"] == [1]
    checks = [
        journal(
            play(2, ["g1"], check=True), result(2, "g1", "ok", **told), end(), at=f"2026-11-{day}T10:00:00.000+00:00"
        )
        for day in (29, 30)
    ]
    assert [one.rollbacks for one in histories([first, *checks]) if one.host == "g1"] == [1], "told in each check"
    assert [one.rollbacks for one in histories([killed, *checks]) if one.host == "g1"] == [1]
    another = {"earlier_rollback": {**ROLLED_BACK["rolled_back"], "when": "2026-11-30T09:00:00+00:00"}}
    later = journal(play(2, ["g1"]), result(2, "g1", "changed", **another), end(), at="2026-11-30T11:00:00.000+00:00")
    assert [one.rollbacks for one in histories([first, *checks, later]) if one.host == "g1"] == [2]


def test_a_playbook_that_only_reads_counts_as_a_check() -> None:
    assert journal(play(0, []), play(2, ["g1"], check=True), end()).check
    assert not journal(play(1, ["hub"], check=True), play(2, ["g1"], check=False), end()).check


def test_what_is_read_while_somebodys_change_waits_is_nobodys_drift() -> None:
    """The engine says who holds the host; what runs there meanwhile may go back by itself."""
    held = {"who": "minh@vm", "run": "20261128T080000Z-0009", "since": "2026-11-28T08:00:00Z", "seconds_left": 90}
    read = {
        "changed": True,
        "held": held,
        "drift": [{"part": "kernel", "where": "running", "what": "foreign: net.ipv4.tcp_syncookies = 2"}],
        "parts": {"kernel": {"missing": ["net.ipv4.tcp_syncookies = 1"]}},
    }
    kept = keep(read, False, Withholder())
    assert {"parts", "drift"}.isdisjoint(kept)
    run = journal(play(2, ["g1"], check=True), result(2, "g1", "changed", **kept), end())
    (known,) = (one for one in histories([run]) if one.host == "g1")
    assert (known.read_at, known.drift, known.last_success) == (None, {}, None)
    (outcome,) = (one for one in run.hosts if one.host == "g1")
    assert "minh@vm is at work here, or has made a change that waits" in outcome.changes[0]
    assert "drift" in keep({**read, "held": None}, False, Withholder()), "else it is"
