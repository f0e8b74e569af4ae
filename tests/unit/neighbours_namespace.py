"""A PC behind its own filter, and a neighbour on its link, in network namespaces. Run as a program: the name of a
function and of a host of the sample as arguments."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.unit.compile_support import sample_plan
from tests.unit.namespaces import PATIENCE, apart, inside
from tests.unit.plugins_namespace import run
from tests.unit.test_compile_workplaces import render
from tests.unit.visitors_namespace import end, there

NEAR = "fe80::1"
HOST = sys.argv[2] if len(sys.argv) > 2 else ""
SERVED = {"udp": 53, "tcp": 4321}


@contextmanager
def link() -> Iterator[int]:
    """The PC; this namespace is its gateway and every neighbour."""
    (port,) = sample_plan().host(HOST).ports
    with ExitStack() as stack:
        pc = apart(stack)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "near0", "type", "veth", "peer", "name", "eth0", "netns", str(pc))
        run("ip", "link", "set", "near0", "addrgenmode", "none")
        run("ip", "link", "set", "near0", "up")
        for address in (f"{port.gateway_ipv4}/24", f"{port.gateway_ipv6}/64", f"{NEAR}/64"):
            run("ip", "address", "add", address, "dev", "near0", *(["nodad"] if ":" in address else []))
        end(pc, (str(port.ipv4), str(port.ipv6)), ())
        yield pc


def opens(pc: int) -> bool:
    """Whether the PC connects to a neighbour by the address that the neighbour has on this link alone."""

    def connect() -> bool:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as mouth:
            mouth.settimeout(3)
            try:
                mouth.connect((NEAR, SERVED["tcp"], 0, socket.if_nametoindex("eth0")))
            except OSError:
                return False
            return True

    found: bool = inside(pc, connect)
    return found


def no_neighbour_is_connected_to_and_the_gateway_is_found() -> None:
    (port,) = sample_plan().host(HOST).ports
    with link() as pc, ExitStack() as stack:
        ear = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
        ear.bind(("::", SERVED["tcp"]))
        ear.listen()
        deadline = time.monotonic() + PATIENCE
        while not opens(pc):  # its own address on the link counts after a while
            assert time.monotonic() < deadline
        run("nsenter", f"--target={pc}", "--net", "nft", "-f", "-", given=render(HOST))
        assert not opens(pc)
        names = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        names.bind((str(port.gateway_ipv6), SERVED["udp"]))
        names.settimeout(2)
        run("ip", "neighbour", "flush", "dev", "near0")
        there(pc, "ip", "neighbour", "flush", "dev", "eth0")
        asker = inside(pc, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        stack.callback(asker.close)
        asker.settimeout(2)
        assert _exchange(asker, names, (str(port.gateway_ipv6), SERVED["udp"])), "neighbours are found both ways"


def _exchange(asker: socket.socket, server: socket.socket, to: tuple[str, int]) -> bool:
    """Whether a question arrives and its answer does, asked again while neighbours are looked for."""
    for _ in range(10):
        asker.sendto(b"?", to)
        try:
            _, sender = server.recvfrom(10)
            run("ip", "neighbour", "flush", "dev", "near0")
            server.sendto(b"!", sender)
            return asker.recv(10) == b"!"
        except TimeoutError:
            continue
    return False


if __name__ == "__main__":
    globals()[sys.argv[1]]()
