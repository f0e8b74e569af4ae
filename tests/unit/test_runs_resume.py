"""What is left of a run: hosts that are done are left alone, the steps go on where they were, a canary is one again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.executor.playbook_executor import PlaybookExecutor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.runs_support import GATEWAYS, ID, ROLLED_BACK, canary_done, end, journal, play, result
from wardnet.runs.errors import ResumeError
from wardnet.runs.records import Run
from wardnet.runs.resume import NOBODY, VARIABLE, batches, newest_unfinished, resume

MODEL = "5f" * 32


def heeded(run: Run, **more: Any) -> dict[str, Any]:
    argv = resume(run, MODEL, **more).argv
    given_ = [json.loads(word) for word in argv if word.startswith("{") and VARIABLE in word]
    assert len(given_) == 1
    found: dict[str, Any] = given_[0][VARIABLE]
    return found


def test_a_canary_that_went_well_is_not_repeated() -> None:
    run = journal(*canary_done(), result(2, "g2", "changed", 4))
    assert heeded(run) == {
        "run": ID,
        "hosts": {"Skipped": NOBODY, "Hub": NOBODY, "Gateways": "g3,g4,g5,g6,g7,g8"},
        "serial": {"Gateways": [1, 5]},
    }


def test_a_canary_that_was_cut_off_is_the_canary_again() -> None:
    run = journal(play(1, ["hub"]), result(1, "hub"), play(2, ["g1"]))
    assert heeded(run)["serial"] == {"Gateways": [1, 2, 5]}
    assert heeded(run)["hosts"]["Gateways"] == ",".join(GATEWAYS)


def test_a_canary_that_was_rolled_back_is_the_canary_again() -> None:
    run = journal(play(1, ["hub"]), result(1, "hub"), play(2, ["g1"]), result(2, "g1", "failed", **ROLLED_BACK), end())
    way = resume(run, MODEL)
    assert way.hosts == GATEWAYS
    assert way.remaining[-1].serial == (1, 2, 5)


def test_a_hub_that_failed_comes_before_all_gateways() -> None:
    run = journal(play(1, ["hub"]), result(1, "hub", "failed", message="no"), end())
    assert heeded(run)["hosts"]["Hub"] == "hub"
    assert heeded(run)["hosts"]["Gateways"] == ",".join(GATEWAYS)


def test_a_host_that_was_not_reached_is_left_and_those_of_its_batch_that_were_done_are_not() -> None:
    lost = result(2, "g2", "unreachable", 4, message="timed out")
    run = journal(*canary_done(), result(2, "g3", "changed", 4), lost, end())
    assert heeded(run)["hosts"]["Gateways"] == "g2,g4,g5,g6,g7,g8"


def test_a_finished_run_has_nothing_left() -> None:
    run = journal(play(1, ["hub"]), play(2, ["g1"]), play(2, ["g2", "g3"]), play(2, GATEWAYS[3:]), end())
    with pytest.raises(ResumeError, match="nothing is left"):
        resume(run, MODEL)


def whole(**head: Any) -> Run:
    return journal(
        play(1, ["hub"]), play(2, ["g1"]), play(2, ["g2", "g3"]), play(2, GATEWAYS[3:]), end(), **head
    )  # fmt: skip


def test_what_is_gone_on_with_is_the_newest_run_in_earnest_that_left_something() -> None:
    cut = journal(*canary_done())
    drift = journal(play(2, GATEWAYS, check=True), end(), run="drift", playbook="playbooks/drift.yml")
    checked = journal(play(1, ["hub"]), run="checked", check=True)
    other = whole(run="other", playbook="playbooks/audit.yml")
    assert newest_unfinished([drift, checked, other, cut]) is cut
    assert newest_unfinished([drift, checked, other]) is None
    assert newest_unfinished([]) is None
    failed = journal(play(1, ["hub"]), result(1, "hub", "failed", message="no"), end(), run="failed")
    assert newest_unfinished([drift, failed, cut]) is failed


def test_a_run_that_was_gone_on_with_or_made_anew_is_not_gone_on_with_again() -> None:
    cut = journal(*canary_done())
    assert newest_unfinished([whole(run="anew"), cut]) is None
    left = ["g2", "g3", "g4", "g5", "g6", "g7", "g8"]
    plays = [{"name": "Gateways", "hosts": left, "serial": [2, 5], "stops": True}]
    step = {"event": "play", "at": "2026-11-29T09:00:00.000+00:00", "play": 0, "name": "Gateways", "hosts": left}
    first, second = {**step, "batch": left[:2]}, {**step, "batch": left[2:]}
    resumed = journal(first, second, end(), run="resumed", resumes=ID, plays=plays)
    assert newest_unfinished([resumed, cut]) is None
    again_cut = journal(first, run="resumed", resumes=ID, plays=plays)
    assert newest_unfinished([again_cut, cut]) is again_cut


def test_another_inventory_is_refused_unless_it_is_meant() -> None:
    run = journal(*canary_done())
    with pytest.raises(ResumeError, match="--changed-inventory"):
        resume(run, "00" * 32)
    assert resume(run, "00" * 32, changed_inventory=True).hosts


def test_the_runs_own_arguments_are_kept_and_its_limit_is_replaced() -> None:
    earlier = json.dumps({VARIABLE: {"run": "x", "hosts": {}, "serial": {}}})
    argv = [
        "-i",
        "inventory/x",
        "--limit",
        "gateways",
        "-e",
        "@site.yml",
        "-e",
        earlier,
        "playbooks/channels.yml",
        "-lhub",
    ]
    way = resume(journal(*canary_done(), argv=argv), MODEL)
    words = list(way.argv)
    assert words[:6] == ["ansible-playbook", "-i", "inventory/x", "-e", "@site.yml", "playbooks/channels.yml"]
    assert words[words.index("--limit") + 1] == "g2,g3,g4,g5,g6,g7,g8"
    assert sum(VARIABLE in word for word in words) == 1
    assert way.environment["WARDNET_RESUMES"] == ID


def test_a_secret_that_was_withheld_is_asked_for() -> None:
    run = journal(*canary_done(), argv=["playbooks/channels.yml", "-e", "wifi_password=(withheld)", "-e", "x=1"])
    with pytest.raises(ResumeError, match="give them again"):
        resume(run, MODEL)
    words = resume(run, MODEL, extra=["-e", "wifi_password=hunter22"]).argv
    assert "wifi_password=(withheld)" not in words
    assert words[-1] == "wifi_password=hunter22"
    assert "x=1" in words


def test_a_play_whose_hosts_were_not_known_is_played_as_it_stands() -> None:
    plays = [{"name": "Later", "hosts": None, "serial": [], "stops": False}]
    head = {"plays": [{"name": "Hub", "hosts": ["hub"], "serial": [], "stops": True}, *plays]}
    run = journal({**play(1, ["hub"]), "play": 0}, **head)
    assert heeded(run)["hosts"] == {"Hub": "hub"}


steps = st.lists(st.one_of(st.integers(1, 9), st.integers(1, 100).map(lambda n: f"{n}%")), min_size=1, max_size=4)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 30), steps)
def test_steps_are_made_as_ansible_makes_them(count: int, serial: list[str | int]) -> None:
    hosts = [f"h{number}" for number in range(count)]

    class Inventory:
        def get_hosts(self, *_arguments: object, **_options: object) -> list[str]:
            return list(hosts)

    class Play:
        order = None

    executor = PlaybookExecutor.__new__(PlaybookExecutor)
    executor._inventory = Inventory()
    Play.hosts, Play.serial = "all", serial  # type: ignore[attr-defined]
    assert batches(hosts, serial) == [tuple(batch) for batch in executor._get_serialized_batches(Play)]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(st.sampled_from(GATEWAYS)), st.integers(0, 3))
def test_whatever_is_done_the_rest_is_left_in_the_steps_that_it_was_in(done: set[str], begun: int) -> None:
    three = [["g1"], ["g2", "g3"], list(GATEWAYS[3:])][:begun]
    records = [play(1, ["hub"]), result(1, "hub")]
    for number, batch in enumerate(three):
        records.append(play(2, batch, 3 + number))
        # Ansible begins a batch only when the one before it is done.
        whole = number < begun - 1
        records += [result(2, host, "changed", 3 + number) for host in batch if whole or host in done]
    run = journal(*records)
    really = {host for number, batch in enumerate(three) for host in batch if number < begun - 1 or host in done}
    if really == set(GATEWAYS):
        with pytest.raises(ResumeError):
            resume(run, MODEL)
        return
    left = resume(run, MODEL).remaining[-1]
    assert left.hosts == tuple(host for host in GATEWAYS if host not in really)
    assert sum(left.serial) == len(left.hosts)
    whole_steps = (GATEWAYS[:1], GATEWAYS[1:3], GATEWAYS[3:])
    assert list(left.serial) == [n for step in whole_steps if (n := len(set(step) - really))]
