"""Where SSH of gateways and the hub is to be had: in the management network, whether its addresses are there already,
come later, or went and came again; at no address of the internet channel, whatever the filter would let in."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lab import Lab
from tests.roles.roles_support import Probe, answered, eventually, inside, play, wait_until
from tests.roles.test_roles_drift import TELL_SSHD
from tests.roles.test_roles_way_back import confirmed_by_nobody, report
from wardnet.compile import compile_plan
from wardnet.inventory import read_district
from wardnet.model.intent import Channel
from wardnet.model.plan import GatewayPlan

pytestmark = pytest.mark.lab

GATEWAY = "buoi-gw"
GATEWAYS = (GATEWAY, "tay-ho-gw", "tay-ho-hub")
LIMIT = ("--limit", GATEWAY)
MANAGED = ("10.30.1.1", "fd20:30:1::1")
SSH = [Probe("tcp", address, 22) for address in MANAGED]
REPORT = "/var/lib/wardnet/last-rollback.json"
# What is said at port 22 of each of the addresses, by somebody on the gateway itself, to whom the filter lets in.
ASK = """
import socket, sys
for address in sys.argv[1:]:
    try:
        with socket.create_connection((address, 22), timeout=60) as line:
            print(address, line.recv(4).decode())
    except OSError as error:
        print(address, type(error).__name__)
"""


def plan(lab: Lab, gateway: str) -> GatewayPlan:
    district = read_district(lab.state / "inventory")
    return compile_plan(district, datetime.now(ZoneInfo(district.timezone)).date()).gateway(gateway)


def listening(lab: Lab, host: str) -> set[str]:
    """Addresses at whose port 22 somebody listens, as ss says inside the host."""
    rows = [line.split()[3].rpartition(":") for line in inside(lab, host, "ss", "-Hltn").splitlines()]
    return {address.strip("[]") for address, _, port in rows if port == "22"}


def wanted(lab: Lab, host: str) -> set[str]:
    return {str(address) for address in plan(lab, host).ssh_addresses}


@pytest.mark.parametrize("host", GATEWAYS)
def test_nobody_listens_for_management_but_in_its_network(converged: Lab, host: str) -> None:
    assert listening(converged, host) == wanted(converged, host)
    foreign = {
        str(own.ip) for port in plan(converged, host).ports if port.channel is Channel.INTERNET for own in port.own
    }
    assert not foreign & listening(converged, host)


@pytest.mark.parametrize("host", GATEWAYS)
def test_at_the_gateways_other_addresses_nobody_is_there_and_no_filter_is_needed_for_it(
    converged: Lab, host: str
) -> None:
    """All that the ports have, leases too; the filter lets in whatever comes by the loopback."""
    shown = json.loads(inside(converged, host, "ip", "-json", "address", "show", "scope", "global"))
    own = {info["local"] for link in shown for info in link["addr_info"] if "local" in info}
    assert own >= {str(each.ip) for port in plan(converged, host).ports for each in port.own}
    done = converged.run(host, [sys.executable, "-c", ASK, *sorted(own)], timeout=900)
    said = dict(line.split() for line in done.stdout.decode().splitlines())
    management = own & wanted(converged, host)
    assert said == {address: "SSH-" if address in management else "ConnectionRefusedError" for address in own}
    assert management, "by which the controller comes"


def reached(lab: Lab) -> bool:
    return all(wait_until(lab, "controller", probe) for probe in SSH)


AWAY = """for own in $(ip -o address show dev mgmt0 scope global | awk '{print $4}')
do ip address del $own dev mgmt0
done"""
NETWORKD = ("systemd-networkd.socket", "systemd-networkd.service")


@pytest.mark.parametrize("lost", [False, True], ids=["as ever", "its setting lost"])
def test_a_server_that_starts_before_the_addresses_listens_at_them(converged: Lab, lost: bool) -> None:
    """As at a boot that brings the server up before the network; or where nobody has read sysctl.d."""
    off = "for each in /proc/sys/net/ipv[46]/ip_nonlocal_bind; do echo 0 > $each; done"
    start = f"{off if lost else 'true'}; systemctl start ssh.service; ss -Hltn; ip -o address show dev mgmt0"
    inside(converged, GATEWAY, "systemctl", "stop", "ssh.service", *NETWORKD)
    inside(converged, GATEWAY, "sh", "-ec", AWAY)
    try:
        said = inside(converged, GATEWAY, "sh", "-c", start)
        assert "inet 10.30.1.1/" not in said
        assert listening(converged, GATEWAY) == wanted(converged, GATEWAY)
        assert not any(answered(converged, "controller", SSH).values())
    finally:
        inside(converged, GATEWAY, "systemctl", "start", *NETWORKD)
        inside(converged, GATEWAY, "networkctl", "reconfigure", "mgmt0")
        assert reached(converged)
    assert listening(converged, GATEWAY) == wanted(converged, GATEWAY)


def test_a_server_that_reads_its_files_while_the_addresses_are_away_listens_at_them(converged: Lab) -> None:
    inside(converged, GATEWAY, "sh", "-ec", AWAY)
    inside(converged, GATEWAY, "systemctl", "reload", "ssh.service")
    inside(converged, GATEWAY, "networkctl", "reconfigure", "mgmt0")
    assert reached(converged)
    assert listening(converged, GATEWAY) == wanted(converged, GATEWAY)


def test_nothing_of_it_is_a_change_to_the_next_run(converged: Lab) -> None:
    run = play(converged, "channels.yml", *LIMIT, "--check", "--diff")
    assert (run.status, run.changed) == (0, {}), run.tail


@pytest.fixture
def moved(converged: Lab, tmp_path: Path) -> Iterator[tuple[Lab, tuple[str, str]]]:
    """The lab, and an argument by which SSH would be at an address that nobody comes to."""
    inside(converged, GATEWAY, "rm", "-f", REPORT)
    given = tmp_path / "moved.json"
    elsewhere = ["127.0.0.1", "10.30.1.77"]
    given.write_text(json.dumps({"wardnet_ssh_listen": elsewhere, "commit_confirm_within": 22}))
    yield converged, ("-e", f"@{given}")
    after = play(converged, "channels.yml", *LIMIT, "--check", "--diff")
    assert (after.status, after.changed) == (0, {}), after.tail


def test_a_server_that_would_listen_where_nobody_comes_goes_back(moved: tuple[Lab, tuple[str, str]]) -> None:
    lab, argument = moved
    run = play(lab, "channels.yml", *LIMIT, *argument)
    assert run.failed == (GATEWAY,), run.tail
    assert "buoi-gw (ward buoi) was rolled back by itself after 15 s" in run.said, run.tail
    assert eventually(lambda: lab.shell(GATEWAY, ["test", "-e", REPORT]).returncode == 0, 300)
    told = json.loads(inside(lab, GATEWAY, "cat", REPORT))
    assert (told["parts"], told["failed"]) == (["access"], [])
    assert listening(lab, GATEWAY) == wanted(lab, GATEWAY)
    assert reached(lab)


@pytest.mark.slow
def test_a_server_that_somebody_has_listen_everywhere_does_so_again_after_the_way_back(
    converged: Lab, tmp_path: Path
) -> None:
    """Told so on its start, which no reading of its files brings back."""
    inside(converged, GATEWAY, "sh", "-c", TELL_SSHD)
    before = listening(converged, GATEWAY)
    assert before >= {"0.0.0.0", "::"}
    try:
        confirmed_by_nobody(converged, tmp_path)
        assert report(converged)["failed"] == []
        assert "access" in report(converged)["parts"]
        assert listening(converged, GATEWAY) == before
        assert reached(converged)
    finally:
        healed = play(converged, "channels.yml", *LIMIT)
    assert healed.changed == {GATEWAY: 1}, healed.tail
    assert listening(converged, GATEWAY) == wanted(converged, GATEWAY)
    after = play(converged, "channels.yml", *LIMIT, "--check", "--diff")
    assert (after.status, after.changed) == (0, {}), after.tail


def test_the_audits_account_alone_takes_nothing_of_it_away(converged: Lab) -> None:
    """Nor anything else that other roles have beside it."""
    run = play(converged, "audit.yml", *LIMIT)
    assert (run.status, run.changed) == (0, {}), run.tail
    after = play(converged, "site.yml", *LIMIT, "--check", "--diff")
    assert (after.status, after.changed) == (0, {}), after.tail


BY_SYSTEMD = """systemctl stop ssh.service
systemctl disable ssh.service
systemctl enable --now ssh.socket"""
STATES = ("is-enabled", "ssh.socket", "ssh.service"), ("is-active", "ssh.socket", "ssh.service")


def states(lab: Lab, host: str) -> list[str]:
    return [word for asked in STATES for word in lab.shell(host, ["systemctl", *asked]).stdout.decode().split()]


def test_a_socket_of_systemds_is_taken_away_and_comes_back(moved: tuple[Lab, tuple[str, str]]) -> None:
    lab, argument = moved
    inside(lab, GATEWAY, "sh", "-ec", BY_SYSTEMD)
    assert reached(lab)
    run = play(lab, "channels.yml", *LIMIT, *argument)
    assert run.failed == (GATEWAY,), run.tail
    assert eventually(lambda: lab.shell(GATEWAY, ["test", "-e", REPORT]).returncode == 0, 300), run.tail
    assert json.loads(inside(lab, GATEWAY, "cat", REPORT))["failed"] == []
    assert states(lab, GATEWAY) == ["enabled", "disabled", "active", "active"]
    assert reached(lab)
    healed = play(lab, "channels.yml", *LIMIT)
    assert healed.status == 0, healed.tail
    assert states(lab, GATEWAY) == ["disabled", "enabled", "inactive", "active"]
    assert listening(lab, GATEWAY) == wanted(lab, GATEWAY)
