"""The callback under the real ansible-playbook, on hosts that are this machine: what it writes, withholds, survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from wardnet.runs.journal import find_journals, read_run
from wardnet.runs.records import Event, Run, RunState

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
HOSTS = "".join(f"{name} ansible_connection=local wardnet_ward=ward-{name}\n" for name in "abcd")
PLAYBOOK = """
- name: What is said
  hosts: all
  gather_facts: false
  tasks:
    - {wardnet_skipped: , run_once: true, when: false}

- name: Gateways
  hosts: "{{ wardnet_resume.hosts['Gateways'] | default('all') }}"
  gather_facts: false
  serial: "{{ wardnet_resume.serial['Gateways'] | default([1, 2, 1]) }}"
  strategy: wardnet_rollout
  any_errors_fatal: true
  tasks:
    - name: Change something
      ansible.builtin.command: "true"
    - name: Wait
      ansible.builtin.command: sleep 600
      when: inventory_hostname == hang | default('')
    - name: Break with {{ wifi_password | default('-') }}
      ansible.builtin.fail:
        msg: "broken: {{ wifi_password | default('') }} {{ from_vault | default('') }} {{ quiet | default('') }}"
      when: inventory_hostname == bad | default('')
    - name: Break in secret
      ansible.builtin.fail: {msg: "the key is MIIEvQIBADANBgkq"}
      no_log: true
      when: inventory_hostname == hidden | default('')

- name: Later
  hosts: all
  gather_facts: false
  tasks:
    - name: Change more
      ansible.builtin.command: "true"
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "hosts").write_text(HOSTS)
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    yield tmp_path
    end_all(tmp_path)


def end_all(place: Path) -> None:
    """What runs of a test have left: Ansible's workers lead sessions of their own, and live on where it is killed."""
    mark = f"ANSIBLE_HOME={place / 'ansible'}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGKILL)


def environment(place: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE", "WARDNET"))}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_INVENTORY_ENABLED": "ini",
        "ANSIBLE_HOME": str(place / "ansible"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "WARDNET_RUNS": str(place / "runs"),
        "WARDNET_LANG": "en",
    }


def command(place: Path, *more: str) -> list[str]:
    return [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(place / "hosts"), "play.yml", *more]


def played(place: Path, *more: str, **env: str) -> tuple[subprocess.CompletedProcess[str], Run]:
    done = subprocess.run(
        command(place, *more), cwd=place, env={**environment(place), **env}, capture_output=True, text=True, check=False
    )
    (newest, *_older) = find_journals([place / "runs"])
    return done, read_run(newest)


def states(run: Run) -> dict[str, str]:
    return {host.host: host.state.value for host in run.hosts}


def records(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.path.read_text().splitlines()]


def test_a_run_is_written_down_from_its_arguments_to_its_end(place: Path) -> None:
    done, run = played(place, "--limit", "a,b,c", "-e", "x=1", WARDNET_AS_OF="2026-11-29")
    assert done.returncode == 0, done.stdout + done.stderr
    assert run.state is RunState.FINISHED
    assert states(run) == dict.fromkeys("abc", "changed")
    assert {host.ward for host in run.hosts} == {"ward-a", "ward-b", "ward-c"}
    assert run.argv == ("-i", str(place / "hosts"), "play.yml", "--limit", "a,b,c", "-e", "x=1")
    assert (run.limit, run.as_of, run.cwd) == ("a,b,c", "2026-11-29", str(place))
    assert [play.batches for play in run.plays] == [((),), (("a",), ("b", "c")), (("a", "b", "c"),)]
    assert f"run {run.id}: 3 changed" in done.stdout
    assert run.path.stat().st_mode & 0o777 == 0o644
    assert run.path.parent.stat().st_mode & 0o777 == 0o700


def test_one_bad_host_stops_the_rest_and_the_table_says_so(place: Path) -> None:
    done, run = played(place, "-e", "bad=b")
    assert done.returncode != 0
    assert run.state is RunState.FAILED
    assert states(run) == {"a": "unfinished", "b": "failed", "c": "unfinished", "d": "not_reached"}
    assert "not well, 4 of 4 hosts:" in done.stdout


def test_a_host_that_is_not_reached_stops_the_rest_and_has_not_failed(place: Path) -> None:
    (place / "hosts").write_text(HOSTS.replace("b ansible_connection=local", "b ansible_host=127.0.0.1 ansible_port=1"))
    done, run = played(place)
    assert done.returncode != 0
    assert states(run) == {"a": "unfinished", "b": "unreachable", "c": "unfinished", "d": "not_reached"}


def test_a_canary_that_is_not_reached_is_the_end(place: Path) -> None:
    (place / "hosts").write_text(HOSTS.replace("a ansible_connection=local", "a ansible_host=127.0.0.1 ansible_port=1"))
    done, run = played(place)
    assert done.returncode != 0
    assert states(run) == {"a": "unreachable", "b": "not_reached", "c": "not_reached", "d": "not_reached"}


def test_secrets_are_nowhere_in_a_journal(place: Path) -> None:
    (place / "word").write_text("of the vault")
    encrypt = [
        "ansible-vault",
        "encrypt_string",
        "--vault-password-file",
        "word",
        "--name",
        "from_vault",
        "kept-in-vault",
    ]
    encrypt[0] = str(Path(sys.executable).with_name(encrypt[0]))
    vaulted = subprocess.run(encrypt, cwd=place, env=environment(place), capture_output=True, text=True, check=True)
    (place / "vars.yml").write_text(vaulted.stdout)
    (place / "whole.yml").write_text("quiet: kept-in-a-file\n")
    whole = [
        str(Path(sys.executable).with_name("ansible-vault")),
        "encrypt",
        "--vault-password-file",
        "word",
        "whole.yml",
    ]
    subprocess.run(whole, cwd=place, env=environment(place), capture_output=True, check=True)
    more = ["--vault-password-file", "word", "-e", "@vars.yml", "-e", "@whole.yml", "-e", "wifi_password=hunter22"]
    # In all the ways in which argparse takes them, and in YAML of no name that a pattern finds.
    more += ["--extra", '{"wardnet_secrets": {"x": "in-an-abbreviation"}}', "-ve", '{"api_token": "in-a-cluster"}']
    more += ["-e", "{pass: in-flow-yaml}"]
    done, run = played(place, *more, "-e", "bad=a")
    assert "broken: hunter22 kept-in-vault kept-in-a-file" in done.stdout, "Ansible itself shows them on the terminal"
    text = run.path.read_text()
    for secret in ("hunter22", "kept-in-vault", "kept-in-a-file", "in-an-abb", "in-a-cluster", "in-flow-yaml"):
        assert secret not in text
    outcome = run.outcome("a")
    assert outcome is not None
    assert outcome.message == "broken: (withheld) (withheld) (withheld)"
    assert run.withheld == 3
    _done, run = played(place, "-e", "hidden=a")
    assert "MIIEvQ" not in run.path.read_text()


@pytest.fixture
def killed(place: Path) -> Run:
    """A run that was killed while b, of the second step, was at work."""
    process = subprocess.Popen(
        command(place, "-e", "hang=b"), cwd=place, env=environment(place), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 600
        while True:
            assert time.monotonic() < deadline, "the run did not come to b"
            found = find_journals([place / "runs"])
            run = read_run(found[0]) if found and found[0].stat().st_size else None
            if run is not None and any(event.host == "b" for event in run.events):
                break
            time.sleep(0.2)
        assert run.state is RunState.RUNNING
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + 300
    while read_run(found[0]).state is RunState.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return read_run(found[0])


LATER = """
- name: Later still
  hosts: b
  gather_facts: false
  tasks:
    - ansible.builtin.command: "true"
    - ansible.builtin.command: sleep 600
"""


@pytest.mark.parametrize(("words", "journals"), [(("-e", "hang=b"), 1), (("later.yml",), 2)])
def test_a_run_that_is_stopped_by_hand_says_how_it_is_gone_on_with(
    place: Path, words: tuple[str, ...], journals: int
) -> None:
    """Also in the second of two playbooks, each of which has a journal of its own."""
    (place / "later.yml").write_text(LATER)
    with subprocess.Popen(
        command(place, *words), cwd=place, env=environment(place), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + 600
            while not any(event.host == "b" for event in newest_events(place, journals)):
                assert time.monotonic() < deadline, "the run did not come to b"
                time.sleep(0.2)
            said = stopped_by_hand(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    run = read_run(find_journals([place / "runs"])[0])
    assert run.state is RunState.INTERRUPTED
    told = f"run {run.id}: interrupted; `wardnet runs show {run.id}`", f"`wardnet runs resume {run.id}`"
    assert all(word in said for word in told), said
    assert said.count(told[0]) == 1
    assert process.returncode in (99, -signal.SIGINT)


def stopped_by_hand(process: subprocess.Popen[str]) -> str:
    """All that it says that was stopped by Ctrl-C, once more where it does not end: Ansible waits for ever on a worker
    that was ended while it told its result."""
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=30)[0]
    return process.communicate()[0]


def newest_events(place: Path, journals: int) -> tuple[Event, ...]:
    """What is in the newest journal so far, once there are so many."""
    found = find_journals([place / "runs"])
    return read_run(found[0]).events if len(found) == journals and found[0].stat().st_size else ()


def test_a_killed_run_is_gone_on_with_where_it_stopped(killed: Run, place: Path) -> None:
    assert killed.state is RunState.INTERRUPTED
    assert states(killed) == {"a": "unfinished", "b": "unfinished", "c": "unfinished", "d": "not_reached"}
    argv = [sys.executable, "-m", "wardnet.cli.main", "runs", "resume", "--", "-e", "hang=nobody"]
    done = subprocess.run(argv, cwd=ROOT, env=environment(place), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    run = read_run(find_journals([place / "runs"])[0])
    assert run.resumes == killed.id
    assert run.state is RunState.FINISHED
    assert [play.batches for play in run.plays[1:]] == [(("b", "c"), ("d",)), (("a", "b", "c", "d"),)]


@pytest.mark.parametrize(("heal", "check"), [("false", True), ("true", False)])
def test_a_play_that_decides_itself_whether_it_changes_anything_is_believed(
    place: Path, heal: str, check: bool
) -> None:
    (place / "play.yml").write_text(
        "- hosts: a\n  gather_facts: false\n  check_mode: '{{ not heal | bool }}'\n"
        "  tasks: [{ansible.builtin.command: 'true'}]\n"
    )
    done, run = played(place, "-e", f"heal={heal}")
    assert done.returncode == 0, done.stdout
    assert run.check is check


def test_a_journal_that_cannot_be_written_stops_no_run(place: Path) -> None:
    (place / "runs").write_text("a file")
    done = subprocess.run(
        command(place), cwd=place, env=environment(place), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "the journal of this run ends here" in done.stdout + done.stderr
