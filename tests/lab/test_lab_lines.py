"""Circuits carry what is paid for, after their delay and through their buffer; and change while they run."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab import Lab, LabError
from lab.circuit import control

pytestmark = pytest.mark.lab

# Sends for so many seconds; the receiver prints the bits a second that arrived, from the first octet to the last.
SENDER = """
import socket, sys, time
line = socket.create_connection((sys.argv[1], 5001)); end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end: line.sendall(bytes(65536))
line.close()
"""
RECEIVER = """
import socket, sys, time
listener = socket.create_server((sys.argv[1], 5001)); print("ready", flush=True)
line, _ = listener.accept(); count = len(line.recv(1)); begun = time.monotonic()
while data := line.recv(1 << 16): count += len(data)
print(count * 8 / (time.monotonic() - begun))
"""
TCP_SHARE = 1448 / 1500  # of what the IP layer carries, a TCP stream's own octets


@contextmanager
def stream(lab: Lab, sender: str, receiver: str, address: str, seconds: float) -> Iterator[list[float]]:
    """A TCP stream for so many seconds, begun on entering and ended on leaving; the list then holds its rate, in bits
    a second at the IP layer."""
    inside = [sys.executable, "-m", "lab", "run", "--name", lab.name]
    code = [sys.executable, "-c"]
    rates: list[float] = []
    listening = subprocess.Popen([*inside, receiver, "--", *code, RECEIVER, address], stdout=subprocess.PIPE)
    try:
        assert listening.stdout is not None
        assert listening.stdout.readline() == b"ready\n"
        with subprocess.Popen([*inside, sender, "--", *code, SENDER, address, str(seconds)]) as sending:
            yield rates
            assert sending.wait(timeout=30) == 0
        rates.append(float(listening.communicate(timeout=30)[0]) / TCP_SHARE)
    finally:
        listening.kill()
        listening.communicate()


def throughput(lab: Lab, sender: str, receiver: str, address: str, seconds: float = 4) -> float:
    with stream(lab, sender, receiver, address, seconds) as rates:
        pass
    return rates[0]


def round_trips(lab: Lab, host: str, address: str, count: int = 5) -> list[float]:
    """Milliseconds, without the first, which waits for its neighbour's address."""
    done = lab.shell(host, ["ping", "-c", str(count + 1), "-i", "0.2", "-W", "3", address])
    return [float(one) for one in re.findall(r"time=([\d.]+)", done.stdout.decode())][1:]


# The line of a building that no role ever comes to, so that no packet filter but the provider's stands in the way.
LINE = "buoi-building-internet"
GATEWAY, ROUTER = "buoi-building-gw", "isp"
NEAR, FAR = "198.51.100.70", "198.51.100.69"
RTT = 14.0  # milliseconds
DOWN, UP = 30e6, 15e6


@pytest.fixture(autouse=True)
def as_configured(lab: Lab) -> Iterator[None]:
    """Lets streams into the provider's box, and puts all lines back afterwards."""
    opened = ["nft", "insert", "rule", "inet", "provider", "input", "tcp", "dport", "5001", "accept"]
    assert lab.shell(GATEWAY, opened).returncode == 0
    yield
    assert lab.shell(GATEWAY, ["nft", "-f", "/etc/nftables.conf"]).returncode == 0
    for circuit in lab.record.circuits:
        control.reset(lab.layout, circuit.id)


def test_the_round_trip_is_twice_the_delay(lab: Lab) -> None:
    times = round_trips(lab, GATEWAY, FAR)
    assert len(times) == 5
    assert RTT <= min(times) < RTT + 2


@pytest.mark.parametrize(
    ("sender", "receiver", "address", "paid"), [(ROUTER, GATEWAY, NEAR, DOWN), (GATEWAY, ROUTER, FAR, UP)]
)
def test_a_stream_gets_the_contracted_rate_in_each_direction(
    lab: Lab, sender: str, receiver: str, address: str, paid: float
) -> None:
    rate = throughput(lab, sender, receiver, address)
    assert 0.85 * paid < rate < 1.02 * paid


def test_a_slower_line_is_slower_while_it_runs_and_as_it_was_after(lab: Lab) -> None:
    changed = control.change(lab.layout, LINE, {"down": {"rate_bps": 2_000_000, "delay": 0.057}})
    assert changed["down"]["rate_bps"] == 2_000_000
    assert changed["up"]["rate_bps"] == UP
    assert RTT + 50 <= min(round_trips(lab, GATEWAY, FAR)) < RTT + 54
    assert 1.6e6 < throughput(lab, ROUTER, GATEWAY, NEAR) < 2.1e6
    control.reset(lab.layout, LINE)
    assert min(round_trips(lab, GATEWAY, FAR)) < RTT + 2


def test_a_full_buffer_shows_as_delay_and_then_as_loss(lab: Lab) -> None:
    """Cubic fills the buffer of 100 ms: what everybody else on the line then waits."""

    def dropped() -> int:
        count: int = control.read_all(lab.layout)[LINE]["up"]["dropped_full"]
        return count

    before = dropped()
    with stream(lab, GATEWAY, ROUTER, FAR, seconds=6):
        deadline = time.monotonic() + 6
        while dropped() == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        loaded = round_trips(lab, GATEWAY, FAR, count=8)
    assert RTT + 50 < max(loaded) < RTT + 100 + 30


def test_a_line_that_loses_everything_is_a_line_that_is_cut(lab: Lab) -> None:
    control.change(lab.layout, LINE, {"down": {"loss": 1.0}})
    assert round_trips(lab, GATEWAY, FAR, count=2) == []
    control.reset(lab.layout, LINE)
    assert len(round_trips(lab, GATEWAY, FAR, count=2)) == 2


@pytest.mark.parametrize("settings", [{"down": {"rate_bps": 0}}, {"up": {"loss": 2}}, {"up": {"colour": 1}}])
def test_senseless_changes_are_refused_and_the_line_goes_on(lab: Lab, settings: dict[str, dict[str, float]]) -> None:
    with pytest.raises(LabError, match="refused the change"):
        control.change(lab.layout, LINE, settings)
    assert len(round_trips(lab, GATEWAY, FAR, count=2)) == 2


def test_a_circuit_that_is_not_there_is_named(lab: Lab) -> None:
    with pytest.raises(LabError, match="no circuit nope-wan"):
        control.change(lab.layout, "nope-wan", {"down": {"rate_bps": 1000}})
