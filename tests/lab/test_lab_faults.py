"""Every fault is real: a leak carries packets between the channels, slowness is felt; and healing leaves the gateway
exactly as it was."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from lab import Lab, LabError
from lab.faults import FAULTS
from tests.lab.lab_support import NAME, lab_command

pytestmark = pytest.mark.lab

CITIZEN, CLERK = "buoi-citizen-1", "buoi-pc-1"
CLERK_ADDRESSES = {4: "10.20.1.11", 6: "fd20:20:1::11"}
CITIZEN_ADDRESSES = {4: "172.20.1.11", 6: "2001:db8:20:1::11"}
PORTAL_ADDRESSES = {4: "10.20.200.10", 6: "fd20:20:200::10"}

# Hears for up to so many seconds whether a packet from an address arrives at a port.
EAR = """
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
wanted, end = socket.inet_pton(family, sys.argv[2]), time.monotonic() + float(sys.argv[3])
ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); ear.bind((sys.argv[1], 0))
print("ready", flush=True)
while (left := end - time.monotonic()) > 0:
    ear.settimeout(left)
    try: frame = ear.recv(2048)
    except TimeoutError: break
    at = 22 if family == socket.AF_INET6 else 26
    if frame[at:at + len(wanted)] == wanted: print("heard"); break
"""


def pings(lab: Lab, host: str, address: str) -> bool:
    return lab.shell(host, ["ping", "-c", "2", "-i", "0.2", "-W", "0.7", address]).returncode == 0


def heard_at_hub(lab: Lab, family: int) -> bool:
    """Whether the hub sees a citizen's packet that is meant for the portal of the WAN."""
    ear = [sys.executable, "-c", EAR, "buoi-wan", CITIZEN_ADDRESSES[family], "1.5"]
    argv = [sys.executable, "-m", "lab", "run", "--name", lab.name, "tay-ho-hub", "--", *ear]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as listening:
        assert listening.stdout is not None
        assert listening.stdout.readline() == b"ready\n"
        pings(lab, CITIZEN, PORTAL_ADDRESSES[family])
        return listening.stdout.read() == b"heard\n"


def crossings(lab: Lab) -> set[str]:
    """Which ways between the channels carry packets now, beside the control that says that silence means something."""
    assert pings(lab, CITIZEN, "203.0.113.80"), "the citizen's PC must reach the internet"
    assert pings(lab, CLERK, PORTAL_ADDRESSES[4]), "the clerk's PC must reach the portal"
    found = set()
    for family in (4, 6):
        if pings(lab, CITIZEN, CLERK_ADDRESSES[family]):
            found.add(f"ipv{family} citizen to clerk")
        if pings(lab, CLERK, CITIZEN_ADDRESSES[family]):
            found.add(f"ipv{family} clerk to citizen")
        if heard_at_hub(lab, family):
            found.add(f"ipv{family} citizen to hub")
    return found


def running_state(lab: Lab) -> list[str]:
    """All of a gateway's running state that a leak can be in, without counters and ages."""
    commands = ("nft -s list ruleset", "ip -4 rule", "ip -6 rule", "ip -4 route show table all",
                "ip -6 route show table all", "sysctl -a -r forwarding")  # fmt: skip
    shown = (lab.shell("buoi-gw", command.split()).stdout.decode() for command in commands)
    return [line for text in shown for line in text.splitlines()]


@pytest.fixture(autouse=True)
def healed(routed: Lab) -> Iterator[None]:
    yield
    routed.heal()


def test_without_a_fault_nothing_crosses(routed: Lab) -> None:
    assert crossings(routed) == set()


@pytest.mark.parametrize(
    ("fault", "carried"),
    [
        ("forwarding-leak", {"ipv4 citizen to clerk"}),
        ("leaked-route", {"ipv4 citizen to hub", "ipv6 citizen to hub"}),
        ("ipv6-open", {"ipv6 citizen to clerk", "ipv6 clerk to citizen"}),
    ],
)
def test_a_leak_carries_packets_and_healing_takes_back_exactly_what_was_done(
    routed: Lab, fault: str, carried: set[str]
) -> None:
    before = running_state(routed)
    made = routed.break_(fault, "buoi")
    assert made.verdict == FAULTS[fault].verdict
    assert crossings(routed) == carried
    assert [one.fault for one in routed.heal()] == [fault]
    assert running_state(routed) == before
    assert crossings(routed) == set()


def test_leaks_together_are_healed_together(routed: Lab) -> None:
    before = running_state(routed)
    for fault in ("forwarding-leak", "leaked-route", "ipv6-open"):
        routed.break_(fault, "buoi")
    assert len(routed.heal()) == 3
    assert running_state(routed) == before


def test_a_leak_that_somebody_else_took_back_is_healed_without_complaint(routed: Lab) -> None:
    routed.break_("forwarding-leak", "buoi")
    assert routed.shell("buoi-gw", ["systemctl", "reload-or-restart", "nftables"]).returncode == 0
    assert routed.shell("buoi-gw", ["ip", "rule", "del", "pref", "950"]).returncode == 0
    assert len(routed.heal()) == 1
    assert crossings(routed) == set()


SLOW_CONNECT = 0.160  # seconds: the line's 8 ms and the fault's 160, there and back
QUICK_CONNECT = 0.120

PHASES = "%{time_namelookup} %{time_connect} %{time_appconnect} %{time_starttransfer}"


def phases(lab: Lab) -> tuple[float, float]:
    """Seconds from a clerk's PC: to connect, and for the server to answer once the line is up."""
    argv = ["curl", "-sS", "-m", "30", "-o", "/dev/null", "-w", PHASES, "https://dvctt.tayho.example/"]
    names, connect, tls, first = map(float, lab.shell(CLERK, argv).stdout.split())
    return connect - names, first - tls


def test_a_slow_line_is_slow_on_its_channel_alone(routed: Lab) -> None:
    assert phases(routed)[0] < QUICK_CONNECT
    routed.break_("slow-line", "buoi", "wan")
    assert phases(routed)[0] >= SLOW_CONNECT
    ping = routed.shell(CITIZEN, ["ping", "-c1", "-W3", "203.0.113.1"]).stdout
    assert float(ping.partition(b"time=")[2].split()[0]) < 60
    routed.heal()
    assert phases(routed)[0] < QUICK_CONNECT


def test_a_slow_server_answers_late_over_a_quick_line(routed: Lab) -> None:
    routed.break_("slow-server", "buoi")
    connect, server = phases(routed)
    assert connect < QUICK_CONNECT
    assert server > 1.5
    routed.heal()
    assert phases(routed)[1] < 0.5


def test_a_fault_is_not_injected_twice_nor_into_a_ward_that_is_not_here(routed: Lab) -> None:
    routed.break_("slow-line", "buoi", "internet")
    for words, message in (
        (("slow-line", "buoi", "internet"), "holds already in buoi"),
        (("slow-line", "xuan-la", None), "no ward xuan-la in the lab"),
        (("slow-line", "buoi", "lan"), "takes --channel wan or internet"),
        (("forwarding-leak", "buoi", "wan"), "takes --channel internet"),
        (("no-such", "buoi", None), "no fault no-such; there are slow-line"),
    ):
        with pytest.raises(LabError, match=message):
            routed.break_(*words)  # type: ignore[arg-type]
    assert [one.fault for one in routed.record.faults] == ["slow-line"]


def test_the_command_line_breaks_shows_and_heals(routed: Lab) -> None:
    done = lab_command("break", "slow-line", "--ward", "buoi", "--name", NAME)
    assert done.returncode == 0, done.stderr
    assert "must be found as: diagnose: line" in done.stdout
    assert "slow-line" in lab_command("status", "--name", NAME).stdout
    done = lab_command("heal", "--name", NAME)
    assert "healed: slow-line in buoi on wan" in done.stdout
    assert "No such fault holds" in lab_command("heal", "--name", NAME).stdout
