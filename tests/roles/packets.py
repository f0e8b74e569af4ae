"""Sends single real packets from where it is run and says which were answered; or listens, and says who came.

Runs in the network namespace of a lab's host, under this machine's Python. What is answered at all was let through:
a refusal (RST, port unreachable) comes from the far host, silence or an ICMP error from the way.

    packets.py probe < JSON      [{"kind": "tcp", "host": ..., "port": ...}, ...] -> [true, false, ...]
    packets.py listen ADDRESS PORT   prints the address of the first that connects
    packets.py serve ADDRESS PORT    answers every line of everybody, and never ends a connection by itself
    packets.py hold ADDRESS PORT SECONDS   connects to such a server, waits for a line, and says whether the far end
                                     then still answers within the time: answered, silent, reset or ended
    packets.py told ADDRESS PORT SIZE SECONDS   sends datagrams of SIZE bytes that no router may break up, and says what
                                     the way or the far host says of one, as EHOSTUNREACH; silent, if nobody does
    packets.py watch ADDRESS PORT OWN SECONDS   asks a resolver from port OWN, waits for a line, and says what it is
                                     told within the time, as ECONNREFUSED, or silent
    packets.py connect ADDRESS PORT   prints the port that it has connected from, and waits
    packets.py complain HOST FROM TO PROTOCOL SPORT DPORT   tells the host that no port was reached by a packet of its
                                     own, as it would have been, from FROM to TO; protocol as a number
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import struct
import sys
import threading
import time
from ipaddress import ip_address
from typing import Any

# One packet may be lost while neighbours are resolved. TCP sends its first again after a second by itself.
ATTEMPTS = {"tcp": (2.5,), "udp": (1.2, 1.2), "ping": (1.2, 1.2)}
LABELS = b"".join(struct.pack("B", len(label)) + label for label in b"tayho.example".split(b"."))
QUESTION = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + LABELS + b"\0" + struct.pack(">2H", 6, 1)


async def tcp(item: dict[str, Any]) -> bool:
    source = (item["source"], 0) if item.get("source") else None
    try:
        _, writer = await asyncio.open_connection(item["host"], item["port"], local_addr=source)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    writer.close()
    return True


class Answered(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002 - asyncio's signature
        self._tell(True)

    def error_received(self, exc: Exception) -> None:
        # only a port that nobody listens on is an answer of the far host
        self._tell(isinstance(exc, ConnectionRefusedError))

    def _tell(self, answered: bool) -> None:
        if not self.done.done():
            self.done.set_result(answered)


async def udp(item: dict[str, Any]) -> bool:
    """A DNS question, which a resolver answers; a host without one refuses the port."""
    try:
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            Answered, remote_addr=(item["host"], item["port"])
        )
    except OSError:
        return False
    transport.sendto(QUESTION)
    try:
        return await protocol.done
    finally:
        transport.close()


async def ping(item: dict[str, Any]) -> bool:
    """One echo request; only the echo reply of the very host is an answer."""
    six = ":" in item["host"]
    family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.IPPROTO_ICMP)
    request, reply = (128, 129) if six else (8, 0)
    mark = os.urandom(8)
    header = struct.pack("!BBHHH", request, 0, 0, os.getpid() & 0xFFFF, 1) + mark
    packet = header if six else header[:2] + struct.pack("!H", checksum(header)) + header[4:]  # the kernel's for IPv6
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_RAW, protocol) as raw:
        raw.setblocking(False)
        try:
            await loop.sock_sendto(raw, packet, (item["host"], 0))
        except OSError:
            return False
        while True:
            data, sender = await loop.sock_recvfrom(raw, 2048)
            message = data if six else data[(data[0] & 15) * 4 :]
            if ip_address(sender[0]) == ip_address(item["host"]) and message[0] == reply and message.endswith(mark):
                return True


def checksum(data: bytes) -> int:
    """RFC 1071, over an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


KINDS = {"tcp": tcp, "udp": udp, "ping": ping}


async def attempt(item: dict[str, Any]) -> bool:
    for seconds in ATTEMPTS[item["kind"]]:
        try:
            if await asyncio.wait_for(KINDS[item["kind"]](item), seconds):
                return True
        except TimeoutError:
            continue
    return False


async def probe(items: list[dict[str, Any]]) -> list[bool]:
    return list(await asyncio.gather(*(attempt(item) for item in items)))


def listen(address: str, port: int) -> str:
    with server(address, port) as listening:
        listening.settimeout(120)
        print("listening", flush=True)
        return str(listening.accept()[1][0])


def serve(address: str, port: int) -> None:
    with server(address, port) as listening:
        print("listening", flush=True)
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


def server(address: str, port: int) -> socket.socket:
    return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)


def answer(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while connection.recv(256):
            connection.sendall(b"yes\n")


def hold(address: str, port: int, seconds: float) -> str:
    """Of a server that answers each line: only its own answer is one, the end of the connection is not."""
    with socket.create_connection((address, port), timeout=60) as connection:
        connection.sendall(b"hello\n")
        connection.recv(256)
        print("connected", flush=True)
        sys.stdin.readline()
        connection.settimeout(seconds)
        try:
            connection.sendall(b"still there?\n")
            return "answered" if connection.recv(256) else "ended"
        except TimeoutError:
            return "silent"
        except OSError:
            return "reset"


def told(address: str, port: int, size: int, seconds: float) -> str:
    six = ":" in address
    level, find_mtu, errors = (socket.IPPROTO_IPV6, 23, 25) if six else (socket.IPPROTO_IP, 10, 11)
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(level, find_mtu, 2)  # IP_PMTUDISC_DO: the sender is told, and nothing is broken up
        asking.setsockopt(level, errors, 1)
        asking.connect((address, port))
        asking.settimeout(1)
        while time.monotonic() < deadline:
            try:
                asking.send(b"\0" * size)
                asking.recv(2048)
            except TimeoutError:
                continue
            except OSError as error:
                return errno.errorcode.get(error.errno or 0, str(error))
    return "silent"


def watch(address: str, port: int, own: int, seconds: float) -> str:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.bind(("", own))
        asking.connect((address, port))
        asking.settimeout(seconds)
        asking.send(QUESTION)
        with contextlib.suppress(TimeoutError):
            asking.recv(2048)
        print("asked", flush=True)
        sys.stdin.readline()
        try:
            asking.recv(2048)
        except TimeoutError:
            return "silent"
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))
        return "answered"


def connect(address: str, port: int) -> None:
    with socket.create_connection((address, port), timeout=60) as connection:
        print(connection.getsockname()[1], flush=True)
        sys.stdin.readline()


def complain(host: str, source: str, target: str, protocol: int, sport: int, dport: int) -> None:
    inner = struct.pack("!HHHH", sport, dport, 8, 0)
    one, other = ip_address(source), ip_address(target)
    if one.version == 6:
        quoted = struct.pack("!IHBB", 0x60000000, len(inner), protocol, 60) + one.packed + other.packed + inner
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
            raw.sendto(struct.pack("!BBHI", 1, 4, 0, 0) + quoted, (host, 0))
        return
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(inner), 1, 0, 60, protocol, 0) + one.packed + other.packed
    quoted = head[:10] + struct.pack("!H", checksum(head)) + head[12:] + inner
    message = struct.pack("!BBHI", 3, 3, 0, 0) + quoted
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.sendto(message[:2] + struct.pack("!H", checksum(message)) + message[4:], (host, 0))


if __name__ == "__main__":
    if sys.argv[1] == "probe":
        print(json.dumps(asyncio.run(probe(json.load(sys.stdin)))))
    elif sys.argv[1] == "hold":
        print(hold(sys.argv[2], int(sys.argv[3]), float(sys.argv[4])), flush=True)
    elif sys.argv[1] == "watch":
        print(watch(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])), flush=True)
    elif sys.argv[1] == "connect":
        connect(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1] == "complain":
        complain(*sys.argv[2:5], *map(int, sys.argv[5:]))  # type: ignore[arg-type]
    elif sys.argv[1] == "told":
        print(told(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])), flush=True)
    else:
        print({"listen": listen, "serve": serve}[sys.argv[1]](sys.argv[2], int(sys.argv[3])), flush=True)
