"""Labs that were killed, failed half-way, or meet another: each ends in words, and nothing stays on the machine."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest

from lab import LabError, bootstrap, build, cgroups, hosts, open_lab, processes, teardown
from lab.hosts import HostFile
from lab.layout import CGROUP, NETNS_ROOT, Layout
from lab.record import read_record
from tests.lab.lab_support import CHECKOUT, LABS, lab_command

pytestmark = pytest.mark.lab

NAME = f"{LABS}-bad-day"
INVENTORY = CHECKOUT / "inventory" / "tay-ho"


@pytest.fixture
def layout() -> Iterator[Layout]:
    made = Layout(NAME)
    yield made
    teardown.take_down(made, lambda _line: None)


def traces() -> dict[str, object]:
    """All that a lab could leave on this machine, of whatever name it be."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "namespaces": sorted(path.name for path in NETNS_ROOT.glob(f"wardlab.{NAME}.*")) if NETNS_ROOT.is_dir() else [],
        "mounts": [line for line in mounts if NAME in line],
        "groups": [str(one.root) for one in cgroups.read_hierarchies() if (one.root / CGROUP / NAME).exists()],
        "folder": Layout(NAME).state.exists(),
        "processes": [
            entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_ours(int(entry.name))
        ],
        "links": [
            line
            for line in subprocess.run(
                ["ip", "-o", "link"], capture_output=True, text=True, check=True
            ).stdout.splitlines()
            if "ovs" in line or ": sw" in line
        ],
    }


def _is_ours(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return f"/{NAME}/".encode() in command or f"--machine={NAME}-".encode() in command


NOTHING = {"namespaces": [], "mounts": [], "groups": [], "folder": False, "processes": [], "links": []}


def up(*more: str) -> subprocess.CompletedProcess[str]:
    return lab_command("up", "--name", NAME, "--wards", "0", *more)


def kill_everything(layout: Layout) -> int:
    """As the machine's own out-of-memory killer would on a very bad day."""
    pids = processes.of_lab(layout)
    for pid in pids:
        with suppress(ProcessLookupError):  # gone with another one, or by itself
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/ns/net").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return len(pids)


def test_down_leaves_nothing_and_can_be_said_twice(layout: Layout) -> None:
    assert up().returncode == 0
    assert traces() != NOTHING
    done = lab_command("down", "--name", NAME)
    assert done.returncode == 0, done.stderr
    assert traces() == NOTHING
    done = lab_command("down", "--name", NAME)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"There is no lab {NAME}.")


def test_down_after_everything_was_killed_leaves_nothing(layout: Layout) -> None:
    assert up().returncode == 0
    assert kill_everything(layout) > 50
    assert lab_command("down", "--name", NAME).returncode == 0
    assert traces() == NOTHING


def test_what_a_killed_run_left_never_stops_the_next(layout: Layout) -> None:
    assert up().returncode == 0
    kill_everything(layout)
    broken = lab_command("status", "--name", NAME)
    assert broken.returncode == 1
    assert "is broken" in broken.stderr
    done = up()
    assert done.returncode == 0, done.stderr
    assert "it is made anew" in done.stdout
    assert lab_command("status", "--name", NAME).returncode == 0


def test_one_dead_host_is_noticed_and_mended_by_up(layout: Layout) -> None:
    assert up().returncode == 0
    for pid in cgroups.members(layout.host_cgroup("tay-ho-pc-1")):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while hosts.leader(layout, "tay-ho-pc-1") is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "host tay-ho-pc-1 does not run" in lab_command("status", "--name", NAME).stdout
    assert up().returncode == 0
    assert hosts.leader(layout, "tay-ho-pc-1") is not None


def test_down_works_when_the_folder_of_state_is_gone(layout: Layout) -> None:
    assert up().returncode == 0
    layout.record.unlink()
    assert lab_command("down", "--name", NAME).returncode == 0
    assert traces() == NOTHING


def test_an_up_that_is_terminated_in_the_middle_takes_back_what_it_made(layout: Layout) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", "up", "--name", NAME, "--wards", "0"],
        cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not cgroups.members(layout.host_cgroup("tay-ho-hub")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=60) != 0
    assert traces() == NOTHING


def test_an_up_that_is_killed_in_the_middle_does_not_stop_the_next(layout: Layout) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", "up", "--name", NAME, "--wards", "0"],
        cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not cgroups.members(layout.host_cgroup("tay-ho-hub")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert traces() != NOTHING
    done = up()
    assert done.returncode == 0, done.stderr
    assert "left behind" in done.stdout


def test_a_host_that_does_not_boot_is_named_with_its_console_and_nothing_is_left(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bootstrap.files

    def without_an_init(node, *arguments):  # type: ignore[no-untyped-def]
        broken = [HostFile("/usr/lib/systemd/systemd", b"#!/bin/sh\necho the disk is on fire\nexit 3\n", 0o755)]
        return whole(node, *arguments) + (broken if node.id == "tay-ho-pc-2" else [])

    monkeypatch.setattr(bootstrap, "files", without_an_init)
    with pytest.raises(LabError, match=r"host tay-ho-pc-2 stopped while booting(.|\n)*the disk is on fire"):
        build.up(layout, INVENTORY, 0, 29090, build.Progress())
    assert traces() == NOTHING


def test_only_one_command_at_a_time_changes_a_lab(layout: Layout) -> None:
    layout.lock.parent.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for words in (("up", "--wards", "0"), ("down",)):
            done = lab_command(words[0], "--name", NAME, *words[1:])
            assert done.returncode == 1
            assert "another command is changing the lab" in done.stderr
            assert "Traceback" not in done.stderr
    assert traces() == NOTHING


def test_two_labs_run_side_by_side_and_the_windows_port_moves_on(layout: Layout) -> None:
    other = Layout(f"{LABS}-other-day")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        try:
            first = up("--window-port", str(port))
            assert first.returncode == 0, first.stderr
            assert "is in use" in first.stdout
            second = lab_command("up", "--name", other.name, "--wards", "0")
            assert second.returncode == 0, second.stderr
            records = [read_record(layout), read_record(other)]
            assert records[0] is not None
            assert records[1] is not None
            assert records[0].window != records[1].window
            assert records[0].window != port
            # The same address in each, and each its own host behind it.
            names = [open_lab(one).shell("controller", ["cat", "/etc/machine-id"]).stdout for one in (NAME, other.name)]
            assert names[0] != names[1]
            assert lab_command("down", "--name", NAME).returncode == 0
            assert traces() == NOTHING
            assert lab_command("status", "--name", other.name).returncode == 0
        finally:
            teardown.take_down(other, lambda _line: None)


def test_a_district_that_cannot_be_read_changes_nothing(layout: Layout, tmp_path: Path) -> None:
    done = lab_command("up", "--name", NAME, "--inventory", str(tmp_path))
    assert done.returncode == 1
    assert "district.yml" in done.stderr
    assert "Traceback" not in done.stderr
    assert traces() == NOTHING


def test_a_blueprint_is_the_same_each_time() -> None:
    day = date(2026, 11, 24)
    assert build.read_blueprint(INVENTORY, 2, day).topology == build.read_blueprint(INVENTORY, 2, day).topology


# The command line after something was done to the process: `words` are its arguments.
PREPARED = "import os, sys; from lab.cli import run_cli; {prepare}; sys.argv[0] = 'lab'; sys.exit(run_cli())"


def prepared(prepare: str, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", PREPARED.format(prepare=prepare), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=CHECKOUT, timeout=60)


@pytest.mark.parametrize("words", [("up", "--wards", "0", "--name", NAME), ("down", "--name", NAME), ("preflight",)])
def test_who_is_not_root_is_told_so_and_nothing_changes(words: tuple[str, ...]) -> None:
    done = prepared("os.setgroups([]); os.setgid(65534); os.setuid(65534)", *words)
    assert done.returncode == 1
    assert "not root: run the same command with sudo" in done.stderr
    assert "Traceback" not in done.stderr
    assert traces() == NOTHING


def test_programs_that_are_missing_are_named_all_at_once_by_their_packages() -> None:
    done = prepared("os.environ['PATH'] = '/nonexistent'", "preflight")
    assert done.returncode == 1
    for package in ("systemd-container", "openvswitch-switch", "mmdebstrap", "nftables"):
        assert package in done.stderr
