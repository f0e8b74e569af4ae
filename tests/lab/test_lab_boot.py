"""The lab boots what the inventory says, each host itself and in its own network, and is safe to bring up twice."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import Lab, LabError, switch
from tests.lab.lab_support import NAME, lab_command

pytestmark = pytest.mark.lab


def text(done: object) -> str:
    return done.stdout.decode().strip()  # type: ignore[attr-defined]


def test_every_host_has_booted_without_a_failed_service(lab: Lab) -> None:
    def state(host: str) -> tuple[str, str]:
        return host, text(lab.shell(host, ["systemctl", "--failed", "--no-legend", "--plain"]))

    with ThreadPoolExecutor(2) as pool:
        failed = {host: units for host, units in pool.map(state, [host.id for host in lab.record.hosts]) if units}
    assert failed == {}


def test_hosts_share_no_identity(lab: Lab) -> None:
    hosts = ["buoi-pc-1", "buoi-pc-2", "buoi-gw", "tay-ho-pc-1"]
    ids = {text(lab.shell(host, ["cat", "/etc/machine-id"])) for host in hosts}
    assert len(ids) == len(hosts)
    assert [text(lab.shell(host, ["hostname"])) for host in hosts] == hosts
    keys = {text(lab.shell(host, ["cat", "/etc/ssh/ssh_host_ed25519_key.pub"])).split()[1] for host in hosts}
    assert len(keys) == len(hosts)
    pinned = lab.layout.known_hosts.read_text()
    assert all(key in pinned for key in keys)


def test_nothing_of_this_machines_is_left_in_a_host(lab: Lab) -> None:
    assert text(lab.shell("buoi-pc-1", ["ls", "/sys/class/net"])).split() == ["eth0", "lo"]
    sources = text(lab.shell("buoi-pc-1", ["sh", "-c", "cat /etc/apt/sources.list.d/* 2>/dev/null || true"]))
    assert "debian.org" not in sources
    assert text(lab.shell("buoi-pc-1", ["cat", "/etc/resolv.conf"])).count("nameserver") == 2


@pytest.mark.parametrize("address", ["10.30.1.1", "fd20:30:1::1", "10.30.200.1", "10.20.200.53"])
def test_the_controller_logs_in_over_ssh_with_a_pinned_key(lab: Lab, address: str) -> None:
    done = lab.run(
        "controller",
        ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
         "-o", f"UserKnownHostsFile={lab.layout.known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null",
         "-i", str(lab.layout.ssh / "controller"), f"wardnet@{address}", "sudo -n id -u"],
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"0\n"), done.stderr


def test_vlans_keep_the_lans_of_a_site_apart_below_ip(lab: Lab) -> None:
    """A citizen's PC that takes a clerk's address still does not reach the clerks: the switch does not carry it."""
    take = ["ip", "addr", "add", "10.20.1.99/24", "dev", "eth0"]
    ping = ["ping", "-c1", "-W1", "-I", "10.20.1.99"]
    assert lab.shell("buoi-citizen-1", take).returncode == 0
    try:
        assert lab.shell("buoi-citizen-1", [*ping, "10.20.1.11"]).returncode != 0
    finally:
        lab.shell("buoi-citizen-1", ["ip", "addr", "del", "10.20.1.99/24", "dev", "eth0"])
    assert lab.shell("buoi-pc-2", ["ping", "-c1", "-W2", "10.20.1.11"]).returncode == 0  # the control


def test_a_building_that_nobody_manages_reaches_the_internet_in_both_families(lab: Lab) -> None:
    for family in ("-4", "-6"):
        done = lab.shell(
            "buoi-building-citizen-1",
            [
                "curl",
                family,
                "-sS",
                "-m",
                "10",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "https://www.congcong.example/",
            ],
        )
        assert (done.stdout, done.stderr) == (b"200", b"")


def test_nothing_comes_into_that_building_from_the_internet(lab: Lab) -> None:
    done = lab.shell("public-web", ["ping", "-c1", "-W1", "2001:db8:20:101::11"])
    assert done.returncode != 0
    control = lab.shell("buoi-building-citizen-1", ["ping", "-c1", "-W2", "2001:db8:cafe::80"])
    assert control.returncode == 0


def test_every_port_is_plugged_in(lab: Lab) -> None:
    plugged = set(switch.ports(lab.layout).values())
    assert {"tay-ho-pc-1 eth0", "tay-ho-gw clerks0", "tay-ho-gw citizen0", "isp eth0", "buoi-sw port9"} <= plugged
    assert not [port for port in plugged if port.startswith(("buoi-pc-", "buoi-gw "))], "the ward's own switch has them"


def test_a_managed_switch_carries_its_site_as_soon_as_it_has_booted(lab: Lab) -> None:
    ports = text(lab.shell("buoi-sw", ["ovs-vsctl", "list-ports", "access"])).split()
    assert {"port1", "gw-clerks", "port9", "mgmt0"} <= set(ports)
    assert "port8" not in text(lab.shell("buoi-sw", ["ip", "-br", "link", "show", "up"])).split()
    assert lab.shell("buoi-pc-2", ["ping", "-c1", "-W5", "fd20:20:1::11"]).returncode == 0


def test_up_again_changes_nothing_and_finds_it_whole(lab: Lab) -> None:
    before = lab.record
    done = lab_command("up", "--name", NAME, "--wards", "1")
    assert done.returncode == 0, done.stderr
    assert "was up already, whole" in done.stdout
    assert lab.record == before


def test_up_with_other_wards_is_refused_and_leaves_the_lab_alone(lab: Lab) -> None:
    before = lab.record
    done = lab_command("up", "--name", NAME, "--wards", "2")
    assert done.returncode == 1
    assert "is up with 1 wards" in done.stderr
    assert lab.record == before


def test_status_shows_hosts_circuits_and_no_faults(lab: Lab) -> None:
    done = lab_command("status", "--name", NAME)
    assert done.returncode == 0, done.stderr
    for word in ("buoi-gw", "buoi-wan", "No faults hold", "127.0.0.1:"):
        assert word in done.stdout


def test_run_is_in_the_hosts_network_with_its_names_and_this_machines_files(lab: Lab) -> None:
    shown = json.loads(text(lab.run("buoi-pc-1", ["ip", "-j", "addr", "show", "dev", "eth0"])))
    assert "10.20.1.11" in [one["local"] for one in shown[0]["addr_info"]]
    assert "nameserver 10.20.1.1\n" in text(lab.run("buoi-pc-1", ["cat", "/etc/resolv.conf"]))
    assert text(lab.run("buoi-pc-1", ["ls", "/sys/class/net"])).split() == ["eth0", "lo"]
    assert text(lab.run("buoi-pc-1", ["cat", __file__])).startswith('"""The lab boots')


def test_run_and_shell_hand_on_status_input_and_arguments(lab: Lab) -> None:
    assert lab.run("buoi-pc-1", ["sh", "-c", "exit 7"]).returncode == 7
    assert lab.shell("buoi-pc-1", ["sh", "-c", "exit 9"]).returncode == 9
    assert lab.run("buoi-pc-1", ["cat"], stdin=b"in").stdout == b"in"
    assert lab.shell("buoi-pc-1", ["cat"], stdin=b"in").stdout == b"in"
    assert lab.shell("buoi-pc-1", ["printf", "%s|", "a b", "--", "c"]).stdout == b"a b|--|c|"
    done = lab_command("run", "--name", NAME, "buoi-pc-1", "--", "sh", "-c", "exit 5")
    assert done.returncode == 5


def test_a_host_that_is_not_there_is_named(lab: Lab) -> None:
    with pytest.raises(LabError, match=f"no host nobody in the lab {NAME}"):
        lab.run("nobody", ["true"])
    with pytest.raises(LabError, match="host nobody does not run"):
        lab.shell("nobody", ["true"])
    done = lab_command("run", "--name", NAME, "nobody", "--", "true")
    assert (done.returncode, "no host nobody" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_run_finds_the_programs_beside_this_python_and_keeps_ansibles_connections_to_this_lab(lab: Lab) -> None:
    done = lab_command("run", "--name", NAME, "controller", "--", "ansible-playbook", "--version")
    assert (done.returncode, "core" in done.stdout) == (0, True)
    folder = text(lab.run("controller", ["printenv", "ANSIBLE_SSH_CONTROL_PATH_DIR"]))
    assert folder.startswith(f"{lab.state}/")
