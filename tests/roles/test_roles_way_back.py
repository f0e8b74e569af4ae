"""A gateway on whose disk stands something else than what runs: a file that somebody edited and did not reload. Its way
back brings what ran. Nobody confirms the right change here, and every test leaves the gateway healed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from tests.roles.roles_support import Probe, Run, eventually, inside, play, running, said, wait_until

pytestmark = pytest.mark.lab

GATEWAY = "buoi-gw"
LIMIT = ("--limit", GATEWAY)
SSH = Probe("tcp", "10.30.1.1", 22)
FOLDER = "/etc/systemd/network"
PORT = f"{FOLDER}/10-wardnet-wan-mgmt0.network"
REPORT = "/var/lib/wardnet/last-rollback.json"


def confirmed_by_nobody(lab: Lab, folder: Path) -> Run:
    """A run of the gateway's own roles. It reaches something before its change, and not after it: the listener answers
    once, and ends. So it leaves the gateway to go back."""
    inside(lab, GATEWAY, "rm", "-f", REPORT)
    wanted = folder / "reach.json"
    wanted.write_text(json.dumps({"commit_reach": ["127.0.0.1:7777"], "commit_confirm_within": 30}))
    with running(lab, "controller", "listen", "127.0.0.1", "7777") as listener:
        assert said(listener) == "listening"
        run = play(lab, "channels.yml", *LIMIT, "-e", f"@{wanted}")
    assert run.failed == (GATEWAY,), run.tail
    assert eventually(lambda: lab.shell(GATEWAY, ["test", "-e", REPORT]).returncode == 0, 300), run.tail
    return run


def report(lab: Lab) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(inside(lab, GATEWAY, "cat", REPORT))
    return found


def network(lab: Lab) -> str:
    """Addresses, routes and rules, without what the kernel says of the moment."""
    listed = "ip -o address; ip route show table all; ip -6 route show table all; ip rule; ip -6 rule"
    return inside(lab, GATEWAY, "sh", "-c", f"({listed}) | grep -v 'fe80\\|proto kernel' | sort")


@pytest.fixture
def edited(converged: Lab) -> Iterator[Lab]:
    """Healed at the end."""
    yield converged
    converged.shell(GATEWAY, ["rm", "-f", "/usr/lib/systemd/network/05-other.network", f"{FOLDER}/05-other.network"])
    converged.shell(GATEWAY, ["sh", "-c", "rm -f /etc/ssh/sshd_config.d/00-mine.conf; systemctl reload ssh"])
    assert wait_until(converged, "controller", SSH)
    healed = play(converged, "channels.yml", *LIMIT)
    assert healed.status == 0, healed.tail
    after = play(converged, "site.yml", *LIMIT, "--check", "--diff")
    assert (after.status, after.changed) == (0, {}), after.tail


def test_an_address_that_ran_is_back_though_the_disk_had_another_one(edited: Lab, tmp_path: Path) -> None:
    before = network(edited)
    edits = f"sed -i 's,10[.]30[.]1[.]1/24,10.30.1.77/24,' {PORT}; grep -c 10.30.1.77 {PORT}"
    assert inside(edited, GATEWAY, "sh", "-c", edits) == "1"
    confirmed_by_nobody(edited, tmp_path)
    assert report(edited)["failed"] == []
    assert network(edited) == before
    assert wait_until(edited, "controller", SSH)
    assert inside(edited, GATEWAY, "grep", "-c", "10.30.1.77", PORT) == "1", "on disk it is as before, too"


def test_who_came_in_comes_in_though_the_disk_says_that_nobody_does(edited: Lab, tmp_path: Path) -> None:
    """The SSH server has not read the file, and does not on the way back either."""
    mine = "/etc/ssh/sshd_config.d/00-mine.conf"
    inside(edited, GATEWAY, "sh", "-c", f"echo 'AllowUsers bob' > {mine}")
    confirmed_by_nobody(edited, tmp_path)
    assert report(edited)["failed"] == []
    assert inside(edited, GATEWAY, "cat", mine) == "AllowUsers bob", "on disk it is as before"
    checked = play(edited, "channels.yml", *LIMIT, "--check", "--diff")
    assert (checked.status, checked.changed) == (0, {GATEWAY: 1}), checked.tail


def test_a_file_that_networkd_would_take_first_is_drift_and_locks_nobody_out(edited: Lab, tmp_path: Path) -> None:
    before = network(edited)
    other = "/usr/lib/systemd/network/05-other.network"
    text = "[Match]\\nName=mgmt0\\n[Network]\\nAddress=10.30.1.78/24\\n"
    inside(edited, GATEWAY, "sh", "-c", f"printf '{text}' > {other}")
    checked = play(edited, "channels.yml", *LIMIT, "--check", "--diff")
    assert checked.changed == {GATEWAY: 1}, checked.tail
    assert f"file {other}, which systemd-networkd.service takes before wardnet's" in checked.said
    confirmed_by_nobody(edited, tmp_path)
    assert report(edited)["failed"] == []
    assert network(edited) == before
    assert edited.shell(GATEWAY, ["test", "-e", f"{FOLDER}/05-other.network"]).returncode != 0
    healed = play(edited, "channels.yml", *LIMIT)
    assert healed.changed == {GATEWAY: 1}, healed.tail
    assert network(edited) == before
    assert inside(edited, GATEWAY, "readlink", f"{FOLDER}/05-other.network") == "/dev/null"
    after = play(edited, "channels.yml", *LIMIT, "--check", "--diff")
    assert (after.status, after.changed) == (0, {}), after.tail
