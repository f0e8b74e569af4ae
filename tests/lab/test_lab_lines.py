"""Circuits carry what is paid for, after their delay and through their buffer; and change while they run."""

from __future__ import annotations

import re
import subprocess
import sys
import time

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


def throughput(lab: Lab, sender: str, receiver: str, address: str, seconds: float = 4) -> float:
    """Bits a second at the IP layer, of one TCP stream."""
    listening = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "lab",
            "run",
            "--name",
            lab.name,
            receiver,
            "--",
            sys.executable,
            "-c",
            RECEIVER,
            address,
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert listening.stdout is not None
        assert listening.stdout.readline() == b"ready\n"
        done = lab.run(sender, [sys.executable, "-c", SENDER, address, str(seconds)])
        assert done.returncode == 0, done.stderr
        return float(listening.communicate(timeout=30)[0]) / TCP_SHARE
    finally:
        listening.kill()
        listening.wait()


def round_trips(lab: Lab, host: str, address: str, count: int = 5) -> list[float]:
    """Milliseconds, without the first, which waits for its neighbour's address."""
    done = lab.shell(host, ["ping", "-c", str(count + 1), "-i", "0.2", "-W", "3", address])
    return [float(one) for one in re.findall(r"time=([\d.]+)", done.stdout.decode())][1:]


@pytest.fixture(autouse=True)
def as_configured(lab: Lab) -> object:
    yield
    for circuit in lab.record.circuits:
        control.reset(lab.layout, circuit.id)


def test_the_round_trip_is_twice_the_delay(lab: Lab) -> None:
    times = round_trips(lab, "buoi-gw", "10.31.1.1")
    assert len(times) == 5
    assert 8.0 <= min(times) < 10.0


@pytest.mark.parametrize(
    ("sender", "receiver", "address", "paid"),
    [
        ("tay-ho-hub", "buoi-gw", "10.31.1.2", 20e6),
        ("buoi-gw", "tay-ho-hub", "10.31.1.1", 20e6),
        ("isp", "buoi-building-gw", "198.51.100.70", 30e6),
        ("buoi-building-gw", "isp", "198.51.100.69", 15e6),
    ],
)
def test_a_stream_gets_the_contracted_rate_in_each_direction(
    lab: Lab, sender: str, receiver: str, address: str, paid: float
) -> None:
    if receiver == "buoi-building-gw":
        opened = ["nft", "insert", "rule", "inet", "provider", "input", "tcp", "dport", "5001", "accept"]
        assert lab.shell(receiver, opened).returncode == 0
    rate = throughput(lab, sender, receiver, address)
    assert 0.85 * paid < rate < 1.02 * paid


def test_a_slower_line_is_slower_while_it_runs_and_as_it_was_after(lab: Lab) -> None:
    changed = control.change(lab.layout, "buoi-wan", {"down": {"rate_bps": 2_000_000, "delay": 0.054}})
    assert changed["down"]["rate_bps"] == 2_000_000
    assert changed["up"]["rate_bps"] == 20_000_000
    assert 58.0 <= min(round_trips(lab, "buoi-gw", "10.31.1.1")) < 62.0
    assert 1.6e6 < throughput(lab, "tay-ho-hub", "buoi-gw", "10.31.1.2") < 2.1e6
    control.reset(lab.layout, "buoi-wan")
    assert min(round_trips(lab, "buoi-gw", "10.31.1.1")) < 10.0


def test_a_full_buffer_shows_as_delay_and_then_as_loss(lab: Lab) -> None:
    """Cubic fills the buffer of 100 ms: what everybody else on the line then waits."""
    before = control.read_all(lab.layout)["buoi-wan"]["up"]["dropped_full"]
    with subprocess.Popen(
        [sys.executable, "-m", "lab", "run", "--name", lab.name, "tay-ho-hub", "--", sys.executable, "-c", RECEIVER,
         "10.31.1.1"],
        stdout=subprocess.PIPE,
    ) as listening:  # fmt: skip
        assert listening.stdout is not None
        assert listening.stdout.readline() == b"ready\n"
        sending = subprocess.Popen(
            [sys.executable, "-m", "lab", "run", "--name", lab.name, "buoi-gw", "--", sys.executable, "-c", SENDER,
             "10.31.1.1", "6"]
        )  # fmt: skip
        deadline = time.monotonic() + 6
        while control.read_all(lab.layout)["buoi-wan"]["up"]["dropped_full"] == before:
            assert time.monotonic() < deadline
        loaded = round_trips(lab, "buoi-gw", "10.31.1.1", count=8)
        sending.wait(timeout=20)
        listening.communicate(timeout=20)
    assert max(loaded) > 60.0
    assert max(loaded) < 8.0 + 100.0 + 40.0


def test_a_line_that_loses_everything_is_a_line_that_is_cut(lab: Lab) -> None:
    control.change(lab.layout, "buoi-wan", {"down": {"loss": 1.0}})
    assert round_trips(lab, "buoi-gw", "10.31.1.1", count=2) == []
    control.reset(lab.layout, "buoi-wan")
    assert len(round_trips(lab, "buoi-gw", "10.31.1.1", count=2)) == 2


@pytest.mark.parametrize("settings", [{"down": {"rate_bps": 0}}, {"up": {"loss": 2}}, {"up": {"colour": 1}}])
def test_senseless_changes_are_refused_and_the_line_goes_on(lab: Lab, settings: dict[str, dict[str, float]]) -> None:
    with pytest.raises(LabError, match="refused the change"):
        control.change(lab.layout, "buoi-wan", settings)
    assert len(round_trips(lab, "buoi-gw", "10.31.1.1", count=2)) == 2


def test_a_circuit_that_is_not_there_is_named(lab: Lab) -> None:
    with pytest.raises(LabError, match="no circuit nope-wan"):
        control.change(lab.layout, "nope-wan", {"down": {"rate_bps": 1000}})
