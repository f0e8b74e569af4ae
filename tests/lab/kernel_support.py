"""A router in a network namespace with three neighbours, real packets through it, and random configurations for it.

Neighbours are namespaces without addresses: a packet is written to a neighbour's wire as a frame, and every neighbour
hears what the router sends it. The router resolves no addresses, so that any destination on a port can be reached.
"""

from __future__ import annotations

import ctypes
import os
import select
import shlex
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from wardnet.model.snapshot import LINUX

PORTS = ("p0", "p1", "p2")
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}
_CLONE_NEWNET = 0x40000000
_QUIET = 0.05  # seconds without a packet after which none is on its way: veth delivers at once


@dataclass(frozen=True, slots=True)
class Sent:
    """One packet, by the port through which it enters the router. `tag` is its payload."""

    family: int
    incoming: str
    source: str
    destination: str
    protocol: int
    source_port: int
    destination_port: int
    flags: int
    icmp_type: int
    tag: bytes

    def turned(self, incoming: str, tag: bytes) -> Sent:
        """An answer to it, that enters by another port."""
        return Sent(self.family, incoming, self.destination, self.source, self.protocol, self.destination_port,
                    self.source_port, 0x12, self.icmp_type, tag)  # fmt: skip


class Router:
    """Made and taken down by `router`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._sockets: dict[str, socket.socket] = {}
        self._macs: dict[str, bytes] = {}

    def set_up(self) -> None:
        run(f"ip netns add {self.name}")
        self.shell("ip link set lo up; sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0")
        for port in PORTS:
            host = self.neighbour(port)
            run(f"ip netns add {host}")
            run(f"ip -n {self.name} link add {port} type veth peer name far netns {host}")
            run(f"ip netns exec {host} sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
            run(f"ip -n {host} link set far up")
            self.shell(f"ip link set {port} arp off up; ethtool -K {port} rx off tx off 2>/dev/null || true")
            self._macs[port] = bytes.fromhex(self.shell(f"cat /sys/class/net/{port}/address").strip().replace(":", ""))
            self._sockets[port] = _packet_socket(host, "far")

    def tear_down(self) -> None:
        for one in self._sockets.values():
            one.close()
        for name in (self.name, *(self.neighbour(port) for port in PORTS)):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def neighbour(self, port: str) -> str:
        return f"{self.name}-{port}"

    def lose_carrier(self, port: str) -> None:
        """And wait until the router knows."""
        run(f"ip -n {self.neighbour(port)} link set far down")
        deadline = time.monotonic() + 60
        while self.shell(f"cat /sys/class/net/{port}/carrier").strip() != "0":
            if time.monotonic() > deadline:
                raise RuntimeError(f"{port} still has a carrier")
            time.sleep(0.02)

    def shell(self, script: str, *, check: bool = True) -> str:
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, "sh", "-c", script], check=False, capture_output=True, text=True
        )
        if check and done.returncode:
            raise RuntimeError(f"{script}\n{done.stderr}")
        return done.stdout

    def artefacts(self) -> dict[str, bytes]:
        """Everything that the audit collects, read in one shell."""
        mark = "====" + os.urandom(8).hex()
        script = "\n".join(f"{shlex.join(a.command)}; printf '%s' {mark}" for a in LINUX)
        parts = self.shell(script).split(mark)
        return {artefact.name: part.encode() for artefact, part in zip(LINUX, parts, strict=False)}

    def send(self, packets: Sequence[Sent]) -> Mapping[bytes, str]:
        """Sends all, and returns by which port each came out, by tag; those that did not are not in it."""
        by_tag = {packet.tag: packet for packet in packets}
        found: dict[bytes, str] = {}
        for number, packet in enumerate(packets):
            frame = self._macs[packet.incoming] + b"\x02\0\0\0\0\x01" + struct.pack("!H", _ETHERTYPES[packet.family])
            self._sockets[packet.incoming].send(frame + ip_packet(packet))
            if number % 32 == 31:
                self._hear(by_tag, found, 0)
        self._hear(by_tag, found, _QUIET)
        return found

    def _hear(self, by_tag: Mapping[bytes, Sent], found: dict[bytes, str], quiet: float) -> None:
        ports = {one: port for port, one in self._sockets.items()}
        while ready := select.select(list(ports), [], [], quiet)[0]:
            for one in ready:
                frame, where = one.recvfrom(65536)
                sent = by_tag.get(frame[-8:])
                if where[2] != socket.PACKET_OUTGOING and sent is not None and _same(sent, frame):
                    found[sent.tag] = ports[one]


def _same(sent: Sent, frame: bytes) -> bool:
    """The packet itself, and not an error that quotes it."""
    if sent.family == 4:
        protocol, upper = frame[23], 14 + (frame[14] & 15) * 4
    else:
        protocol, upper = frame[20], 54
    return protocol == sent.protocol and (protocol not in (1, 58) or frame[upper] == sent.icmp_type)


def _packet_socket(namespace: str, interface: str) -> socket.socket:
    """A raw socket in another namespace; this process is back in its own when it returns."""
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        found.bind((interface, 0))
        return found
    finally:
        libc.setns(own, _CLONE_NEWNET)
        os.close(own)
        os.close(there)


def run(command: str) -> None:
    done = subprocess.run(shlex.split(command), check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr}")


@contextmanager
def router(name: str) -> Iterator[Router]:
    made = Router(name)
    try:
        made.set_up()
        yield made
    finally:
        made.tear_down()


# --- packets


def ip_packet(sent: Sent) -> bytes:
    source, destination = ip_address(sent.source).packed, ip_address(sent.destination).packed
    upper = _upper(sent, source, destination)
    if sent.family == 6:
        return struct.pack("!IHBB", 6 << 28, len(upper), sent.protocol, 64) + source + destination + upper
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(upper), 1, 0, 64, sent.protocol, 0) + source + destination
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + upper


def _upper(sent: Sent, source: bytes, destination: bytes) -> bytes:
    if sent.protocol == 6:
        head = struct.pack("!HHIIBBHHH", sent.source_port, sent.destination_port, 1, 1, 80, sent.flags, 8192, 0, 0)
        at = 16
    elif sent.protocol == 17:
        head = struct.pack("!HHHH", sent.source_port, sent.destination_port, 8 + len(sent.tag), 0)
        at = 6
    elif sent.protocol in (1, 58):
        head = struct.pack("!BBHHH", sent.icmp_type, 0, 0, sent.source_port, 1)
        at = 2
    else:
        return sent.tag
    body = head + sent.tag
    if sent.protocol == 1:
        pseudo = b""
    elif sent.family == 4:
        pseudo = source + destination + struct.pack("!BBH", 0, sent.protocol, len(body))
    else:
        pseudo = source + destination + struct.pack("!I3xB", len(body), sent.protocol)
    return body[:at] + struct.pack("!H", _checksum(pseudo + body) or 0xFFFF) + body[at + 2 :]


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
