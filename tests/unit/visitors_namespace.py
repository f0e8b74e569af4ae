"""Visitors behind a gateway with the sample's own filter, in network namespaces. Run as a program: the name of a
function as argument; an AssertionError is the test's failure.

What is counted is held against the time that went by around it, so that a slow machine counts less and never wrongly.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.unit.namespaces import apart, inside
from tests.unit.plugins_namespace import run
from tests.unit.plugins_support import ROOT, gateway
from tests.unit.test_plugins_firewall import render

UP, DOWN = 250_000, 500_000  # bytes a second, as the sample's 2000 and 4000 kbit/s come to
BURST = 1540  # bytes that may come at once, beside those of a second
SIZE = 1000
PACKET = {4: SIZE + 28, 6: SIZE + 48}  # at the IP layer
WEB = {4: "203.0.113.80", 6: "2001:db8:cafe::80"}
CLERK = {4: "10.20.1.11", 6: "fd20:20:1::11"}
PORT = 4321
PACKETS = ROOT / "tests" / "roles" / "packets.py"
RCVBUFFORCE = 33  # of the kernel; Python has no name for it


class World(NamedTuple):
    """Processes, each in a namespace of its own: two visitors, a clerk, the web."""

    one: int
    two: int
    clerk: int
    web: int


def there(pid: int, *words: str) -> None:
    run("nsenter", f"--target={pid}", "--net", *words)


def end(pid: int, addresses: Sequence[str], ways: Sequence[str]) -> None:
    there(pid, "ip", "link", "set", "lo", "up")
    there(pid, "ip", "link", "set", "eth0", "up")
    for address in addresses:
        there(pid, "ip", "address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
    for way in ways:
        there(pid, "ip", "route", "add", *way.split())


@contextmanager
def world() -> Iterator[World]:
    """This namespace is the gateway. Between it and the visitors is an access point that isolates them: its bridge
    carries nothing from one to the other, so that the gateway alone could."""
    with ExitStack() as stack:
        air, one, two, clerk, web = (apart(stack) for _ in range(5))
        ports = {
            "wifi0": (air, "wire", ("172.21.1.1/24", "2001:db8:21:1::1/64")),
            "clerks0": (clerk, "eth0", ("10.20.1.1/24", "fd20:20:1::1/64")),
            "inet0": (web, "eth0", ("198.51.100.6/30", "2001:db8:ff:1::2/64")),
        }
        run("ip", "link", "set", "lo", "up")
        for port, (far, name, addresses) in ports.items():
            run("ip", "link", "add", port, "type", "veth", "peer", "name", name, "netns", str(far))
            run("ip", "link", "set", port, "up")
            for address in addresses:
                run("ip", "address", "add", address, "dev", port, *(["nodad"] if ":" in address else []))
        run("ip", "route", "add", "default", "via", "198.51.100.5")
        run("ip", "route", "add", "default", "via", "2001:db8:ff:1::1")
        there(air, "ip", "link", "add", "name", "bridge0", "type", "bridge")
        for name, far in (("one0", one), ("two0", two)):
            there(air, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(far))
        for name in ("wire", "one0", "two0"):
            there(air, "ip", "link", "set", name, "master", "bridge0", "up")
        for name in ("one0", "two0"):
            there(air, "bridge", "link", "set", "dev", name, "isolated", "on")
        there(air, "ip", "link", "set", "bridge0", "up")
        for pid, last in ((one, "101"), (two, "102")):
            end(pid, (f"172.21.1.{last}/24", f"2001:db8:21:1::{last}/64"),
                 ("default via 172.21.1.1", "default via 2001:db8:21:1::1"))  # fmt: skip
        end(clerk, (f"{CLERK[4]}/24", f"{CLERK[6]}/64"), ("default via 10.20.1.1", "default via fd20:20:1::1"))
        end(web, ("198.51.100.5/30", "2001:db8:ff:1::1/64", f"{WEB[4]}/32", f"{WEB[6]}/128"),
             ("2001:db8:21:1::/64 via 2001:db8:ff:1::2",))  # fmt: skip
        run("nft", "-f", "-", given=render(gateway("buoi-gw")))
        for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
            Path("/proc/sys", name).write_text("1")
        yield World(one, two, clerk, web)


def _socket(family: int, address: str = "", port: int = 0) -> socket.socket:
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    made = socket.socket(kind, socket.SOCK_DGRAM)
    with suppress(PermissionError):  # without root: what does not fit is counted as dropped
        made.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 64 << 20)
    made.bind((address, port))
    made.settimeout(0.5)
    return made


def reached(pid: int, family: int, address: str, server: int, *, source: str = "") -> bool:
    """Whether a datagram to the address arrives at its host; asked again, since neighbours have to be found first."""
    ear = inside(server, lambda: _socket(family, address, PORT))
    mouth = inside(pid, lambda: _socket(family, source))
    try:
        for _ in range(6):
            mouth.sendto(b"x", (address, PORT))
            try:
                ear.recv(100)
            except TimeoutError:
                continue
            return True
        return False
    finally:
        ear.close()
        mouth.close()


def pinged(pid: int, address: str) -> bool:
    done = subprocess.run(
        ["nsenter", f"--target={pid}", "--net", sys.executable, str(PACKETS), "probe"],
        input=json.dumps([{"kind": "ping", "host": address}]), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: list[bool] = json.loads(done.stdout)
    return found[0]


def _count(ear: socket.socket) -> int:
    """Datagrams that have arrived, until none does for a while."""
    found = 0
    try:
        while True:
            ear.recv(2000)
            found += 1
    except TimeoutError:
        return found


def _flood(mouths: Sequence[socket.socket], to: Callable[[int], Any], number: int) -> None:
    """So many datagrams from each, in turns."""
    for _ in range(number):
        for index, mouth in enumerate(mouths):
            mouth.sendto(bytes(SIZE), to(index))


def _held(family: int, number: int, rate: int, seconds: float) -> None:
    passed, most = number * PACKET[family], rate * (seconds + 1) + BURST
    assert passed <= most * 1.05 + 5 * PACKET[family], (passed, most)
    assert passed >= rate // 2, passed


def each_has_a_share_of_its_own() -> None:
    with world() as here:
        for family in (4, 6):
            assert reached(here.one, family, WEB[family], here.web)
            assert reached(here.two, family, WEB[family], here.web)
            time.sleep(1.5)  # both have all of it again
            ear = inside(here.web, partial(_socket, family, WEB[family], PORT))
            mine, other = (inside(pid, partial(_socket, family)) for pid in (here.one, here.two))
            began = time.monotonic()
            _flood([mine], lambda _: (WEB[family], PORT), 3000)  # noqa: B023 - done before the family changes
            _held(family, _count(ear), UP, time.monotonic() - began)
            # The one has used up its own; the other has all of another.
            _flood([mine], lambda _: (WEB[family], PORT), 1000)  # noqa: B023
            _count(ear)
            _flood([other], lambda _: (WEB[family], PORT), 60)  # noqa: B023
            assert _count(ear) == 60
            # The same way back, by connections that the visitor has begun.
            mine.sendto(b"x", (WEB[family], PORT))
            _, back = ear.recvfrom(100)
            began = time.monotonic()
            _flood([ear], lambda _: back, 3000)  # noqa: B023
            _held(family, _count(mine), DOWN, time.monotonic() - began)
            other.sendto(b"x", (WEB[family], PORT))
            _, back = ear.recvfrom(100)
            _flood([ear], lambda _: back, 60)  # noqa: B023
            assert _count(other) == 60
            for each in (ear, mine, other):
                each.close()


def many_addresses_are_one_visitor() -> None:
    """As a PC has with IPv6: as many as it likes."""
    with world() as here:
        addresses = [f"2001:db8:21:1:1::{number:x}" for number in range(1, 41)]
        for address in addresses:
            there(here.one, "ip", "address", "add", f"{address}/64", "dev", "eth0", "nodad")
        assert all(reached(here.one, 6, WEB[6], here.web, source=address) for address in addresses)
        ear = inside(here.web, lambda: _socket(6, WEB[6], PORT))
        mouths = [inside(here.one, partial(_socket, 6, address)) for address in addresses]
        began = time.monotonic()
        _flood(mouths, lambda _: (WEB[6], PORT), 120)
        _held(6, _count(ear), UP, time.monotonic() - began)
        backs = []
        for mouth in mouths:
            mouth.sendto(b"x", (WEB[6], PORT))
            backs.append(ear.recvfrom(100)[1])
            time.sleep(0.01)
        began = time.monotonic()
        for _ in range(120):
            for back in backs:
                ear.sendto(bytes(SIZE), back)
        _held(6, sum(_count(mouth) for mouth in mouths), DOWN, time.monotonic() - began)


def _dropped(comment: str) -> int:
    lines = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout.splitlines()
    return sum(int(line.split("packets ")[1].split()[0]) for line in lines if comment in line)


def visitors_are_apart() -> None:
    """By the gateway, which each is told is the way to the other; and from the WAN."""
    with world() as here:
        other = {4: "172.21.1.102", 6: "2001:db8:21:1::102"}
        for pid, last in ((here.one, "102"), (here.two, "101")):
            there(pid, "ip", "route", "add", f"172.21.1.{last}/32", "via", "172.21.1.1")
            there(pid, "ip", "route", "add", f"2001:db8:21:1::{last}/128", "via", "2001:db8:21:1::1")
        for family in (4, 6):
            assert reached(here.one, family, WEB[family], here.web)
            before = _dropped("from visitor to visitor")
            assert not reached(here.one, family, other[family], here.two)
            assert _dropped("from visitor to visitor") > before
            assert not reached(here.one, family, CLERK[family], here.clerk)
            # At another of the gateway's addresses: of the WAN, and of another network of the internet channel.
            for address in {4: ("10.20.1.1", "10.30.1.1"), 6: ("fd20:20:1::1", "fd20:30:1::1")}[family]:
                assert not pinged(here.one, address), address
            # One of its own network answers.
            assert pinged(here.one, {4: "172.21.1.1", 6: "2001:db8:21:1::1"}[family])


if __name__ == "__main__":
    globals()[sys.argv[1]]()
