"""A gateway whose channels are VRFs: it is reached, keeps them apart, and the audit does not prove what it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab import Lab
from lab.qemu import Guest
from tests.lab.lab_support import ansible
from tests.qemu.district import ROUTED_APART
from tests.qemu.guests import PORTAL, PUBLIC_WEB, both, converge, must_not_reach, must_reach

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CLERK, CITIZEN, VISITOR, CONTROLLER = "nhat-tan-pc-1", "nhat-tan-citizen-1", "nhat-tan-wifi-1", "controller"
CLERKS_PC = both("tcp", "10.20.2.11", "fd20:20:2::11", 22)
SSH = both("tcp", "10.30.2.1", "fd20:30:2::1", 22)
OWN = [*both("ping", "172.20.2.1", "2001:db8:20:2::1")]
OWN_SSH = both("tcp", "172.20.2.1", "2001:db8:20:2::1", 22)
LINE_SSH = both("tcp", "198.51.100.10", "2001:db8:ff:2::2", 22)
WARDNET = str(Path(sys.executable).with_name("wardnet"))


def test_each_channels_ports_are_in_its_vrf(routed_apart: Guest) -> None:
    shown = json.loads(routed_apart.shell("ip -j link show"))
    masters = {link["ifname"]: link["master"] for link in shown if "master" in link}
    assert masters == {
        "wan0": "vrf-wan",
        "clerks0": "vrf-wan",
        "mgmt0": "vrf-wan",
        "inet0": "vrf-internet",
        "citizen0": "vrf-internet",
        "wifi0": "vrf-internet",
    }


def test_the_channels_are_reached_and_kept_apart(lab: Lab, routed_apart: Guest) -> None:
    must_reach(lab, CONTROLLER, [*SSH, *CLERKS_PC])
    must_reach(lab, CLERK, PORTAL)
    must_reach(lab, CITIZEN, [*PUBLIC_WEB, *OWN])
    must_reach(lab, VISITOR, PUBLIC_WEB)
    must_not_reach(lab, CLERK, [*PUBLIC_WEB, *SSH])
    must_not_reach(lab, CITIZEN, [*PORTAL, *CLERKS_PC, *SSH, *OWN_SSH])
    must_not_reach(lab, VISITOR, [*PORTAL, *CLERKS_PC, *SSH])
    must_not_reach(lab, "public-web", LINE_SSH)


def test_the_gateway_itself_speaks_over_both(routed_apart: Guest) -> None:
    """As its agents do: from the port of each line, and by the WAN where nothing is chosen."""
    for words in (
        "ping -c1 -W5 10.20.200.10",
        "ping -c1 -W5 fd20:20:200::10",
        "ping -c1 -W5 -I wan0 10.20.200.10",
        "ping -c1 -W5 -I inet0 203.0.113.80",
        "ping -c1 -W5 -I inet0 2001:db8:cafe::80",
    ):
        routed_apart.wait_for(
            lambda words=words: routed_apart.shell(f"{words} >/dev/null 2>&1 && echo yes || true").strip() == "yes",  # type: ignore[misc]
            words,
            180,
        )


def test_the_second_run_changes_nothing(lab: Lab, routed_apart: Guest) -> None:
    again = converge(lab, gateway=ROUTED_APART)
    assert (again.status, again.changed) == (0, {}), again.tail
    assert routed_apart.shell("systemctl --failed --no-legend --plain").strip() == ""


def test_a_port_that_left_its_vrf_is_found_and_put_back(lab: Lab, routed_apart: Guest) -> None:
    routed_apart.shell("ip link set dev citizen0 nomaster")
    found = converge(lab, "--check", "--diff", gateway=ROUTED_APART)
    assert found.changed, found.tail
    assert "port citizen0 in vrf-internet" in found.said
    healed = converge(lab, gateway=ROUTED_APART)
    assert healed.status == 0, healed.tail
    must_reach(lab, CITIZEN, PUBLIC_WEB)
    must_not_reach(lab, CITIZEN, PORTAL)


def test_a_boot_brings_it_all_back(lab: Lab, routed_apart: Guest) -> None:
    routed_apart.cut()
    routed_apart.start()
    must_reach(lab, CONTROLLER, SSH)
    must_reach(lab, CLERK, PORTAL)
    must_reach(lab, CITIZEN, PUBLIC_WEB)
    must_not_reach(lab, CITIZEN, PORTAL)


def test_the_audit_says_unknown_and_not_proved(lab: Lab, routed_apart: Guest, tmp_path: Path) -> None:
    done = ansible(lab, "audit.yml", "--limit", ROUTED_APART, timeout=1500)
    assert done.returncode == 0, done.stdout.decode()[-4000:]
    folder = tmp_path / "snapshot"
    lab.run(
        "auditor",
        [WARDNET, "collect", "-i", str(lab.state / "inventory"), "-o", str(folder), "--key",
         str(lab.state / "ssh" / "auditor"), "--known-hosts", str(lab.state / "known_hosts")],
        timeout=600,
    )  # fmt: skip
    audited = subprocess.run([WARDNET, "audit", str(folder), "--json"], capture_output=True, check=False)
    report = json.loads(audited.stdout)
    device = next(each for each in report["devices"] if each["device"] == ROUTED_APART)
    assert device["collected"], report
    assert report["verdict"] != "proved"
    assert any("VRF" in problem["reason"] for problem in device["problems"]), device["problems"]
