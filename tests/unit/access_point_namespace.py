"""Frames through an access point's filter, in network namespaces: two radios and a wire in a bridge, the gateway and a
client of another access point beyond the wire. Run as a program: the name of a function as argument."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.unit.access_point_support import POINT_IPV4, POINT_IPV6, ruleset
from tests.unit.namespaces import PATIENCE, apart, inside
from tests.unit.plugins_namespace import run
from tests.unit.visitors_namespace import end, pinged, reached, there

GATEWAY = {4: "172.21.1.1", 6: "2001:db8:21:1::1"}
ONE, TWO, ELSEWHERE = ({4: f"172.21.1.{last}", 6: f"2001:db8:21:1::{last}"} for last in (101, 102, 103))
WEB = {4: "203.0.113.80", 6: "2001:db8:cafe::80"}  # an address of the gateway's here


class Air(NamedTuple):
    one: int
    two: int
    gateway: int
    elsewhere: int


@contextmanager
def air() -> Iterator[Air]:
    """This namespace is the access point."""
    with ExitStack() as stack:
        one, two, gateway, elsewhere, switch = (apart(stack) for _ in range(5))
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "name", "br-wifi", "type", "bridge")
        for port, far, name in (("wlan0", one, "eth0"), ("wlan0-owe", two, "eth0"), ("eth0", switch, "point")):
            run("ip", "link", "add", port, "type", "veth", "peer", "name", name, "netns", str(far))
            run("ip", "link", "set", port, "master", "br-wifi", "up")
        run("ip", "address", "add", POINT_IPV4, "dev", "br-wifi")
        run("ip", "address", "add", POINT_IPV6, "dev", "br-wifi", "nodad")
        run("ip", "link", "set", "br-wifi", "up")
        there(switch, "ip", "link", "add", "name", "bridge0", "type", "bridge")
        for name, far in (("gateway0", gateway), ("elsewhere0", elsewhere)):
            there(switch, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(far))
        for name in ("point", "gateway0", "elsewhere0"):
            there(switch, "ip", "link", "set", name, "master", "bridge0", "up")
        there(switch, "ip", "link", "set", "bridge0", "up")
        for pid, own in ((one, ONE), (two, TWO), (elsewhere, ELSEWHERE)):
            end(pid, (f"{own[4]}/24", f"{own[6]}/64"), (f"default via {GATEWAY[4]}", f"default via {GATEWAY[6]}"))
        end(gateway, (f"{GATEWAY[4]}/24", f"{GATEWAY[6]}/64", f"{WEB[4]}/32", f"{WEB[6]}/128"), ())
        run("nft", "-f", "-", given=ruleset())
        for path in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):  # as the role holds them
            path.write_text("0")
        yield Air(one, two, gateway, elsewhere)


def clients_reach_the_gateway_and_no_other_client() -> None:
    """Neither of this access point nor of another one, in both directions and families."""
    with air() as here:
        for family in (4, 6):
            assert reached(here.one, family, GATEWAY[family], here.gateway)
            assert reached(here.two, family, WEB[family], here.gateway)
            assert reached(here.gateway, family, ONE[family], here.one)
            assert reached(here.elsewhere, family, WEB[family], here.gateway)
            assert not reached(here.one, family, TWO[family], here.two)
            assert not reached(here.one, family, ELSEWHERE[family], here.elsewhere)
            assert not reached(here.elsewhere, family, ONE[family], here.one)


def nobody_but_the_gateway_finds_the_access_point() -> None:
    with air() as here:
        for address in (POINT_IPV4.split("/")[0], POINT_IPV6.split("/")[0]):
            for pid, answers in ((here.gateway, True), (here.one, False), (here.elsewhere, False)):
                assert pinged(pid, address) is answers, (address, answers)


def _broadcast(pid: int, source: int, to: tuple[str, int]) -> None:
    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            mouth.bind(("", source))
            for _ in range(3):
                mouth.sendto(b"x", to)

    inside(pid, send)


def _hears(pid: int, port: int) -> socket.socket:
    def listen() -> socket.socket:
        ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        ear.bind(("", port))
        ear.settimeout(2)
        return ear

    made: socket.socket = inside(pid, listen)
    return made


def clients_ask_for_leases_and_give_none() -> None:
    with air() as here:
        for sender, source, port, listener, heard in (
            (here.one, 68, 67, here.gateway, True),  # who asks
            (here.gateway, 67, 68, here.one, True),  # who may answer
            (here.one, 67, 68, here.gateway, False),  # who may not
            (here.one, 5353, 5353, here.gateway, False),  # and nothing else goes to all
        ):
            ear = _hears(listener, port)
            _broadcast(sender, source, ("255.255.255.255", port))
            try:
                ear.recv(10)
                found = True
            except TimeoutError:
                found = False
            ear.close()
            assert found is heard, (source, port)


def _arp(sender: str, target: str) -> tuple[int, bytes]:
    addresses = [socket.inet_aton(each) for each in (sender, target)]
    return 0x0806, struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, bytes(6), addresses[0], bytes(6), addresses[1])


def _ipv4(sender: str) -> tuple[int, bytes]:
    """As who asks for a lease, which passes."""
    addresses = socket.inet_aton(sender) + socket.inet_aton("255.255.255.255")
    head = struct.pack("!BBHHHBB", 0x45, 0, 28, 0, 0, 64, 17)
    total = sum(struct.unpack("!9H", head + addresses))
    check = 0xFFFF - (total % 0xFFFF)  # a bridge looks at it
    return 0x0800, head + struct.pack("!H", check) + addresses + struct.pack("!HHHH", 68, 67, 8, 0)


def _neighbour(sender: str, kind: int, target: str) -> tuple[int, bytes]:
    """A solicitation (135) or an advertisement (136)."""
    own, everybody, whose = (socket.inet_pton(socket.AF_INET6, each) for each in (sender, "ff02::1", target))
    head = struct.pack("!IHBB", 6 << 28, 24, 58, 255) + own + everybody
    return 0x86DD, head + struct.pack("!BBHI", kind, 0, 0, 0) + whose


def no_client_claims_to_be_the_gateway() -> None:
    """To those of another access point, whose filter lets pass what seems to be from the gateway."""
    frames = [  # each known by its sender's hardware address
        (_arp(GATEWAY[4], GATEWAY[4]), False),
        (_ipv4(GATEWAY[4]), False),
        (_neighbour(GATEWAY[6], 135, ELSEWHERE[6]), False),
        (_neighbour(ONE[6], 136, GATEWAY[6]), False),
        (_arp(ONE[4], GATEWAY[4]), True),
        (_ipv4("0.0.0.0"), True),  # has no address yet
        (_neighbour(ONE[6], 135, GATEWAY[6]), True),
        (_neighbour(ONE[6], 136, ONE[6]), True),
    ]

    def opened() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        made.bind(("eth0", 0))
        made.settimeout(0.2)
        return made

    with air() as here:
        mouth, ear = inside(here.one, opened), inside(here.elsewhere, opened)
        heard: set[int] = set()
        passing = {place for place, (_, passes) in enumerate(frames) if passes}
        deadline = time.monotonic() + PATIENCE
        while not passing <= heard and time.monotonic() < deadline:
            for place, ((kind, rest), _) in enumerate(frames):
                mouth.send(b"\xff" * 6 + bytes([2, 0, 0, 0, 0, place]) + struct.pack("!H", kind) + rest)
            try:
                while True:
                    frame = ear.recv(2000)
                    if frame[6:11] == bytes([2, 0, 0, 0, 0]):
                        heard.add(frame[11])
            except TimeoutError:
                continue
        mouth.close()
        ear.close()
        assert heard == passing, heard


if __name__ == "__main__":
    globals()[sys.argv[1]]()
