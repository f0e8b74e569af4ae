"""The auditor's key reads each artefact and does nothing else, over the real SSH server of a gateway."""

from __future__ import annotations

import json
import subprocess

import pytest

from lab import Lab
from tests.roles.roles_support import inside
from wardnet.model.snapshot import LINUX

pytestmark = pytest.mark.lab


def ssh(
    lab: Lab, *words: str, person: str = "auditor", user: str = "wardnet-audit"
) -> subprocess.CompletedProcess[bytes]:
    return lab.run(
        "auditor",
        ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes",
         "-o", f"UserKnownHostsFile={lab.layout.known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null",
         "-o", "ExitOnForwardFailure=yes", "-i", str(lab.layout.ssh / person), f"{user}@10.30.1.1", *words],
        stdin=b"",
    )  # fmt: skip


@pytest.mark.parametrize("name", [artefact.name for artefact in LINUX])
def test_each_artefact_is_what_its_command_prints_as_root(converged: Lab, name: str) -> None:
    done = ssh(converged, name)
    assert done.returncode == 0, done.stderr
    command = next(artefact.command for artefact in LINUX if artefact.name == name)
    direct = converged.shell("buoi-gw", command)
    assert direct.returncode == 0
    if name.endswith(".json"):
        assert type(json.loads(done.stdout)) is type(json.loads(direct.stdout))
    assert bool(done.stdout.strip()) == bool(direct.stdout.strip())


@pytest.mark.parametrize("asked", ["", "id", "sh", "nft-ruleset.json; id", "nft-ruleset.json extra", "$(id)", "*"])
def test_anything_else_is_refused_and_logged(converged: Lab, asked: str) -> None:
    done = ssh(converged, *([asked] if asked else []))
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"refused" in done.stderr
    assert "refused:" in inside(converged, "buoi-gw", "journalctl", "--identifier", "wardnet-audit", "--lines", "1")


def test_the_account_is_no_relay(converged: Lab) -> None:
    """SSH accepts the request for a forwarding from nobody, so the connection ends without a shell."""
    done = ssh(converged, "-N", "-W", "10.20.1.20:80")
    assert done.returncode != 0
    assert b"administratively prohibited" in done.stderr or b"refused" in done.stderr or b"disabled" in done.stderr


def test_the_controllers_key_does_not_open_the_account_nor_the_auditors_the_host(converged: Lab) -> None:
    assert ssh(converged, "sysctl.txt", person="controller").returncode == 255
    assert ssh(converged, "id", user="wardnet").returncode == 255


def test_sudo_knows_the_commands_word_for_word(converged: Lab) -> None:
    for words in (
        "/usr/sbin/nft flush ruleset",
        "/usr/sbin/nft list ruleset",
        "/usr/bin/find /proc/self/net/ -maxdepth 1 -name ip -exec /usr/bin/id ; -name x_tables_names -exec cat {} ;",
        "/bin/sh",
    ):
        as_auditor = ["setpriv", "--reuid=wardnet-audit", "--clear-groups", "sudo", "-n", *words.split()]
        done = converged.shell("buoi-gw", as_auditor)
        assert done.returncode != 0, words
        assert b"password is required" in done.stderr or b"not allowed" in done.stderr
