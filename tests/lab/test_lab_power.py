"""A power cut takes what a host's kernel held and leaves what is on its disk and on its cables."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lab import Lab, LabError, hosts
from tests.lab.lab_support import lab_command

pytestmark = pytest.mark.lab

HOST = "buoi-gw"
CLERK = "buoi-pc-1"


@pytest.fixture(autouse=True)
def left_on(lab: Lab) -> Iterator[None]:
    yield
    if hosts.leader(lab.layout, HOST) is None:
        lab.power(HOST, "on")


def text(lab: Lab, host: str, script: str) -> str:
    return lab.shell(host, ["sh", "-c", script]).stdout.decode()


def answers(lab: Lab, address: str, seconds: float = 60) -> bool:
    """Whether the management address answers the controller, waiting for it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if lab.shell("controller", ["ping", "-c1", "-W1", address]).returncode == 0:
            return True
    return False


def test_a_power_cut_takes_the_kernels_state_and_leaves_the_disk(lab: Lab) -> None:
    before = text(lab, HOST, "ip -br link | awk '$1 != \"lo\" {print $1, $3}' | sort")
    made = (
        "echo kept > /root/lab-power; echo gone > /run/lab-power; nft add table inet lab_power; "
        "ip rule add priority 77 from 192.0.2.1 table 77; ip address add 192.0.2.1/32 dev lo; "
        "sysctl -q net.ipv4.conf.all.log_martians=1"
    )
    assert lab.shell(HOST, ["sh", "-ec", made]).returncode == 0
    assert answers(lab, "10.30.1.1")

    lab.power(HOST, "off")
    assert hosts.leader(lab.layout, HOST) is None
    assert lab.shell("controller", ["ping", "-c1", "-W2", "10.30.1.1"]).returncode != 0
    with pytest.raises(LabError, match="off already"):
        lab.power(HOST, "off")
    shown = lab_command("status", "--name", lab.name)
    assert shown.returncode == 1
    assert f"host {HOST} does not run" in shown.stdout

    lab.power(HOST, "on")
    assert text(lab, HOST, "cat /root/lab-power; rm /root/lab-power").strip() == "kept"
    left = text(lab, HOST, "ls /run/lab-power; nft list tables; ip rule; ip -4 addr show lo; "
                           "cat /proc/sys/net/ipv4/conf/all/log_martians")  # fmt: skip
    assert "lab" not in left
    assert "192.0.2.1" not in left
    assert left.rstrip().endswith("0")
    assert text(lab, HOST, "ip -br link | awk '$1 != \"lo\" {print $1, $3}' | sort") == before
    assert answers(lab, "10.30.1.1")  # circuit and switch carry it again
    with pytest.raises(LabError, match="on already"):
        lab.power(HOST, "on")


def test_the_command_cuts_a_host_off_its_switch_and_gives_it_back(lab: Lab) -> None:
    address = "10.20.1.11"
    assert lab.shell("buoi-pc-2", ["ping", "-c1", "-W2", address]).returncode == 0
    done = lab_command("power", CLERK, "cycle", "--name", lab.name)
    assert (done.returncode, done.stdout.strip()) == (0, f"{CLERK} is on and has booted."), done.stderr
    deadline = time.monotonic() + 60
    while lab.shell("buoi-pc-2", ["ping", "-c1", "-W1", address]).returncode != 0:
        assert time.monotonic() < deadline
    assert "tx-checksumming: off" in lab.run(CLERK, ["ethtool", "-k", "eth0"]).stdout.decode()
    assert text(lab, CLERK, "systemctl --failed --no-legend --plain") == ""


def test_a_host_that_was_not_booted_has_no_power(lab: Lab) -> None:
    done = lab_command("power", "no-such-host", "off", "--name", lab.name)
    assert done.returncode == 1
    assert "no host no-such-host was booted" in done.stderr
