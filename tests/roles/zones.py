"""A client of what a gateway serves on a LAN, and an ear beside those whom the gateway asks. One line of JSON each.

Runs in the network namespace of a lab's host, under this machine's Python, beside whatever the host itself does there.

    zones.py lease PORT MAC          a lease over DHCP, as a host with this hardware address and none of an address
    zones.py advertised PORT         a router advertisement, asked for
    zones.py lease6 PORT MAC         what DHCPv6 offers
    zones.py names ADDRESS NAME ...  the addresses of each name, by that resolver; null where there is no answer
    zones.py time ADDRESS            what an NTP server says; null where there is no answer
    zones.py advertise PORT COUNT    advertises itself as a router, as a stranger would
    zones.py overhear PORT NUMBER    prints a line for each question that comes in over UDP to that number: who, what
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import struct
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

SECONDS = 4.0  # to wait for one answer
IPV4, EVERY_PROTOCOL = 0x0800, 0x0003
EPOCH = 2_208_988_800


# --- DHCP


def lease(port: str, mac: str) -> dict[str, Any] | None:
    """DISCOVER, OFFER, REQUEST, ACK. Frames of its own: the host's address has no part in them."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(IPV4)) as wire:
        wire.bind((port, IPV4))
        offered = _exchange(wire, hardware, [(53, b"\1")], 2)
        if offered is None:
            return None
        chosen = [(53, b"\3"), (50, offered["yours"]), (54, offered[54])]
        given = _exchange(wire, hardware, chosen, 5)
    if given is None:
        return None
    return {
        "address": str(IPv4Address(given["yours"])),
        "mask": str(IPv4Address(given[1])),
        "router": _addresses(given.get(3, b"")),
        "names": _addresses(given.get(6, b"")),
        "time": _addresses(given.get(42, b"")),
        "domain": given.get(15, b"").decode(),
        "host": given.get(12, b"").decode(),
        "server": str(IPv4Address(given[54])),
        "seconds": int.from_bytes(given[51], "big"),
    }


def _addresses(content: bytes) -> list[str]:
    return [str(IPv4Address(content[n : n + 4])) for n in range(0, len(content), 4)]


def _exchange(wire: socket.socket, hardware: bytes, options: list[tuple[int, bytes]], kind: int) -> Any:
    number = secrets.token_bytes(4)
    body = struct.pack("!4B4sHH16x", 1, 1, 6, 0, number, 0, 0) + hardware.ljust(16, b"\0") + bytes(192)
    body += b"\x63\x82\x53\x63"
    for code, content in [*options, (55, bytes([1, 3, 6, 12, 15, 42, 51]))]:
        body += bytes([code, len(content)]) + content
    body += b"\xff"
    datagram = struct.pack("!4H", 68, 67, 8 + len(body), 0) + body
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
    frame = b"\xff" * 6 + hardware + struct.pack("!H", IPV4) + header + datagram
    deadline = time.monotonic() + SECONDS
    wire.settimeout(0.5)
    while time.monotonic() < deadline:
        wire.send(frame)
        for answer in _heard(wire, min(deadline, time.monotonic() + 1)):
            found = _answer(answer, number, hardware)
            if found is not None and found.get(53) == bytes([kind]):
                return found
    return None


def _heard(wire: socket.socket, until: float) -> Iterator[bytes]:
    while time.monotonic() < until:
        try:
            yield wire.recv(2048)
        except TimeoutError:
            continue


def _answer(frame: bytes, number: bytes, hardware: bytes) -> dict[Any, bytes] | None:
    packet = frame[14:]
    if len(packet) < 28 or packet[9] != 17:
        return None
    datagram = packet[(packet[0] & 15) * 4 :]
    body = datagram[8:]
    if datagram[:4] != struct.pack("!2H", 67, 68) or body[4:8] != number or body[28:34] != hardware:
        return None
    found: dict[Any, bytes] = {"yours": body[16:20]}
    at = 240
    while at < len(body) and body[at] != 255:
        if body[at] == 0:
            at += 1
            continue
        found[body[at]] = body[at + 2 : at + 2 + body[at + 1]]
        at += 2 + body[at + 1]
    return found


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    folded = (total >> 16) + (total & 0xFFFF)
    return ~(folded + (folded >> 16)) & 0xFFFF


# --- IPv6 on the link


def advertised(port: str) -> dict[str, Any] | None:
    """Asks all routers, and takes the first that answers."""
    with _icmpv6(port) as wire:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            wire.sendto(b"\x85\0\0\0\0\0\0\0", ("ff02::2", 0, 0, socket.if_nametoindex(port)))
            try:
                message, sender = wire.recvfrom(2048)
            except TimeoutError:
                continue
            if message[0] == 134:
                return {"router": sender[0].partition("%")[0], **_advertisement(message)}
    return None


def _icmpv6(port: str) -> socket.socket:
    wire = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, port.encode())
    wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
    # ICMP6_FILTER: nothing but advertisements
    blocked = bytearray(b"\xff" * 32)
    blocked[(134 >> 5) * 4 : (134 >> 5) * 4 + 4] = struct.pack("=I", 0xFFFFFFFF & ~(1 << (134 & 31)))
    wire.setsockopt(socket.IPPROTO_ICMPV6, 1, bytes(blocked))
    wire.settimeout(1.0)
    return wire


def _advertisement(message: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {
        "preference": {0: "medium", 1: "high", 3: "low"}[message[5] >> 3 & 3],
        "managed": bool(message[5] & 0x80),
        "seconds": struct.unpack_from("!H", message, 6)[0],
        "prefixes": [],
        "names": [],
    }
    at = 16
    while at + 2 <= len(message) and message[at + 1]:
        kind, length = message[at], message[at + 1] * 8
        content = message[at : at + length]
        if kind == 3:
            own = "autonomous" if content[3] & 0x40 else "managed"
            found["prefixes"].append([f"{IPv6Address(content[16:32])}/{content[2]}", own])
        if kind == 25:
            found["names"] += [str(IPv6Address(content[n : n + 16])) for n in range(8, length, 16)]
        at += length
    return found


def advertise(port: str, count: int) -> bool:
    """Says that it is a router, the preferred one, for a prefix that is nobody's."""
    prefix = struct.pack("!4BIII16s", 3, 4, 64, 0xC0, 3600, 3600, 0, IPv6Address("2001:db8:bad::").packed)
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0x08, 1800, 0, 0) + prefix
    with _icmpv6(port) as wire:
        for _ in range(count):
            wire.sendto(message, ("ff02::1", 0, 0, socket.if_nametoindex(port)))
    return True


def lease6(port: str, mac: str) -> dict[str, Any] | None:
    """SOLICIT, and what the first server advertises."""
    number = secrets.token_bytes(3)
    identity = struct.pack("!HH", 3, 1) + bytes.fromhex(mac.replace(":", ""))
    options = _option6(1, identity) + _option6(3, struct.pack("!3I", 1, 0, 0)) + _option6(8, bytes(2))
    options += _option6(6, struct.pack("!3H", 23, 24, 56))
    index = socket.if_nametoindex(port)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, port.encode())
        wire.bind((_link_local(port), 546, 0, index))
        wire.settimeout(1.0)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            wire.sendto(b"\1" + number + options, ("ff02::1:2", 547, 0, index))
            try:
                message = wire.recv(2048)
            except TimeoutError:
                continue
            if message[:4] == b"\2" + number:
                found = dict(_options6(message[4:]))
                address = dict(_options6(found[3][12:]))[5][:16]
                names = found.get(23, b"")
                return {
                    "address": str(IPv6Address(address)),
                    "names": [str(IPv6Address(names[n : n + 16])) for n in range(0, len(names), 16)],
                }
    return None


def _link_local(port: str) -> str:
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        address, _, _, scope, _, name = line.split()
        if name == port and scope == "20":
            return str(IPv6Address(int(address, 16)))
    raise SystemExit(f"{port} has no link-local address")


def _option6(code: int, content: bytes) -> bytes:
    return struct.pack("!HH", code, len(content)) + content


def _options6(content: bytes) -> Iterator[tuple[int, bytes]]:
    while len(content) >= 4:
        code, length = struct.unpack_from("!HH", content)
        yield code, content[4 : 4 + length]
        content = content[4 + length :]


# --- names and time


def names(address: str, *wanted: str) -> dict[str, list[str] | None]:
    return {name: _resolved(address, name) for name in wanted}


def _resolved(address: str, name: str) -> list[str] | None:
    """Its IPv4 addresses; none where there is no such name, None where nobody answers or nobody can say."""
    number = secrets.token_bytes(2)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = number + struct.pack("!5H", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)
    answer = _asked(address, 53, question, lambda message: message[:2] == number)
    if answer is None or answer[3] & 15 not in (0, 3):
        return None
    found, at = [], len(question)
    for _ in range(struct.unpack_from("!H", answer, 6)[0]):
        at = answer.index(b"\0", at) if not answer[at] & 0xC0 else at + 1
        kind, _, _, length = struct.unpack_from("!HHIH", answer, at + 1)
        content = answer[at + 11 : at + 11 + length]
        at += 11 + length
        if kind == 1:
            found.append(str(IPv4Address(content)))
    return found


def tell_time(address: str) -> dict[str, Any] | None:
    sent = secrets.token_bytes(8)
    question = struct.pack("!B39x", 4 << 3 | 3) + sent
    answer = _asked(address, 123, question, lambda message: len(message) >= 48 and message[24:32] == sent)
    if answer is None:
        return None
    seconds, fraction = struct.unpack_from("!2I", answer, 40)
    return {
        "known": answer[0] >> 6 != 3 and answer[1] != 0,
        "off": seconds - EPOCH + fraction / (1 << 32) - time.time(),
        "stratum": answer[1],
    }


def _asked(address: str, number: int, question: bytes, mine: Any) -> bytes | None:
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as wire:
        wire.settimeout(SECONDS / 2)
        try:
            wire.connect((address, number))
            for _ in range(2):
                wire.send(question)
                try:
                    answer = wire.recv(4096)
                except TimeoutError:
                    continue
                if mine(answer):
                    return answer
        except OSError:
            return None
    return None


def overhear(port: str, number: int) -> None:
    """Until it is ended. The line `listening` comes first."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EVERY_PROTOCOL)) as wire:
        wire.bind((port, EVERY_PROTOCOL))
        print(json.dumps("listening"), flush=True)
        while True:
            packet, (_, protocol, kind, *_rest) = wire.recvfrom(4096)
            if kind == 4:  # what this host sends itself
                continue
            six = protocol == 0x86DD
            if len(packet) < 48 or protocol not in (IPV4, 0x86DD) or packet[6 if six else 9] != 17:
                continue
            source = ip_address(packet[8:24]) if six else ip_address(packet[12:16])
            datagram = packet[40:] if six else packet[(packet[0] & 15) * 4 :]
            if struct.unpack_from("!H", datagram, 2)[0] != number:
                continue
            asked = _question(datagram[20:]) if number == 53 else ""
            print(json.dumps([str(source), asked]), flush=True)


def _question(content: bytes) -> str:
    labels, at = [], 0
    while at < len(content) and content[at]:
        labels.append(content[at + 1 : at + 1 + content[at]].decode("latin-1"))
        at += 1 + content[at]
    return ".".join(labels).lower()  # a resolver may mix upper and lower case into it


COMMANDS: dict[str, Any] = {
    "lease": lease,
    "advertised": advertised,
    "lease6": lease6,
    "names": names,
    "time": tell_time,
    "advertise": lambda port, count: advertise(port, int(count)),
}

if __name__ == "__main__":
    if sys.argv[1] == "overhear":
        overhear(sys.argv[2], int(sys.argv[3]))
    else:
        print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])), flush=True)
        os._exit(0)
