"""A gateway breaks, and a machine with nothing on it takes its place: the stick, the phone, the playbook."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab import Lab
from tests.roles.roles_support import Probe, answered, eventually, inside, play, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.slow]

WARDNET = str(Path(sys.executable).with_name("wardnet"))
GATEWAY = "buoi-gw"
ADDRESS = "10.30.1.1"
SSH = Probe("tcp", ADDRESS, 22)
PORTAL = Probe("tcp", "10.20.200.10", 443)
WEB = Probe("tcp", "203.0.113.80", 443)
STICK = "/media/stick"


def wardnet(lab: Lab, where: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as a person types it on a machine of the server room."""
    done = lab.run(where, ["env", "WARDNET_LANG=en", WARDNET, *words, "-i", str(lab.state / "inventory")], timeout=180)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def at_the_console(lab: Lab, *words: str) -> subprocess.CompletedProcess[bytes]:
    return lab.shell(GATEWAY, ["sh", f"{STICK}/wardnet-bootstrap-{GATEWAY}.sh", *words], timeout=180)


def read_out(said: str) -> str:
    """The six groups that the technician sees, as a person types them."""
    rows = [line.split() for line in said.splitlines()]
    groups = [row[1] for row in rows if len(row) == 12 and row[0].rstrip(":").isdigit() and row[1].isdigit()]
    assert len(groups) == 6, said
    return " ".join(groups)


def trust(lab: Lab, digits: str) -> subprocess.CompletedProcess[str]:
    known = str(lab.layout.known_hosts)
    return wardnet(lab, "controller", "trust", GATEWAY, "--replaced", "--fingerprint", digits, "--known-hosts", known)


def test_a_gateway_is_replaced_by_a_machine_with_nothing_on_it(converged: Lab, tmp_path: Path) -> None:
    lab = converged
    before = inside(lab, GATEWAY, "cat", "/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub")
    key = str(lab.state / "ssh" / "controller.pub")
    made = wardnet(lab, "controller", "bootstrap", GATEWAY, "-o", str(tmp_path), "--key", key)
    assert made.returncode == 0, made.stderr

    lab.replace(GATEWAY)
    assert inside(lab, GATEWAY, "hostname") == "debian"
    assert not set(inside(lab, GATEWAY, "cat", "/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub").split()) & {
        word for word in before.split() if len(word) > 20
    }
    assert lab.shell(GATEWAY, ["id", "wardnet"]).returncode != 0
    assert not answered(lab, "controller", [SSH])[str(SSH)]
    # The machine's own names of its ports are not the inventory's.
    inside(lab, GATEWAY, "sh", "-c", "ip link set mgmt0 down; ip link set mgmt0 name enp2s0")

    inside(lab, GATEWAY, "mkdir", "-p", STICK)
    for path in tmp_path.iterdir():
        text = path.read_bytes()
        assert lab.shell(GATEWAY, ["sh", "-c", f"cat >{STICK}/{path.name}"], stdin=text).returncode == 0
    asked = at_the_console(lab)
    assert asked.returncode == 3, asked
    assert "No such port: mgmt0" in asked.stdout.decode()
    assert "enp2s0" in asked.stdout.decode()
    assert inside(lab, GATEWAY, "hostname") == "debian"

    done = at_the_console(lab, "--port", "mgmt0=enp2s0")
    assert done.returncode == 0, done
    digits = read_out(done.stdout.decode())
    once_more = at_the_console(lab)
    assert once_more.returncode == 0, once_more
    assert "Nothing had to be changed." in once_more.stdout.decode()
    assert read_out(once_more.stdout.decode()) == digits
    assert wait_until(lab, "controller", SSH)
    # Nobody else comes in, nothing stands on the internet's side, nothing is forwarded.
    assert not any(answered(lab, "portal", [SSH, Probe("ping", ADDRESS)]).values())
    assert not any(answered(lab, "buoi-pc-1", [PORTAL]).values())
    listed = json.loads(inside(lab, GATEWAY, "ip", "-json", "address"))
    held = {link["ifname"]: [each["local"] for each in link["addr_info"]] for link in listed}
    assert not any(held[name] for name in ("inet0", "citizen0", "wifi0", "clerks0")), held

    stranger = play(lab, "site.yml", "--limit", GATEWAY)
    assert stranger.failed == (GATEWAY,), stranger.tail
    wrong = trust(lab, "0" * 30)
    assert wrong.returncode == 1, wrong
    assert "what was read out is another key" in " ".join(wrong.stderr.split())
    former = lab.layout.known_hosts.read_text()
    taken = trust(lab, digits)
    assert taken.returncode == 0, taken.stderr
    archive = lab.layout.known_hosts.with_name("known_hosts.replaced").read_text()
    gone = next(line for line in former.splitlines() if line.startswith(f"{GATEWAY},"))
    assert gone in archive.splitlines()
    assert gone not in lab.layout.known_hosts.read_text().splitlines()

    run = play(lab, "site.yml", "--limit", GATEWAY)
    assert run.status == 0, run.tail
    assert run.changed.keys() == {GATEWAY}
    again = play(lab, "site.yml", "--limit", GATEWAY)
    assert (again.status, again.changed) == (0, {}), again.tail
    assert wait_until(lab, "buoi-pc-1", PORTAL)
    assert wait_until(lab, "buoi-citizen-1", WEB)
    assert not answered(lab, "buoi-citizen-1", [PORTAL])[str(PORTAL)]
    left = inside(lab, GATEWAY, "ls", "/etc/systemd/network").split()
    assert not [name for name in left if name.endswith((".network", ".netdev")) and "10-wardnet" not in name]
    # What is named only there stays: the port keeps the inventory's name at the next boot.
    assert "05-port-mgmt0.link" in left
    assert eventually(lambda: inside(lab, GATEWAY, "systemctl", "--failed", "--no-legend", "--plain") == "")

    snapshot = tmp_path / "snapshot"
    read = wardnet(
        lab, "auditor", "collect", "--device", GATEWAY, "-o", str(snapshot), "--key",
        str(lab.state / "ssh" / "auditor"), "--known-hosts", str(lab.layout.known_hosts),
    )  # fmt: skip
    assert read.returncode == 0, read.stderr
    verdict = subprocess.run([WARDNET, "audit", str(snapshot), "--json"], capture_output=True, check=False, timeout=300)
    found = {device["device"]: device["verdict"] for device in json.loads(verdict.stdout)["devices"]}
    assert found[GATEWAY] == "proved", verdict.stdout.decode()[:3000]
    # The machine is set up: the stick changes nothing on it any more.
    late = at_the_console(lab)
    assert late.returncode == 0, late
    assert "The controller has set this machine up already" in late.stdout.decode()
