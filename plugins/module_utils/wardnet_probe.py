"""The host's own look at its lines, before and after a change: what answered before must answer after. Opens raw
sockets bound to a port, so that nothing can answer over another line. Standard library only.
"""

from __future__ import annotations

import ipaddress
import os
import select
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

WAIT = 1.5  # seconds for the answers of one round
ROUNDS = 2  # a packet may get lost
ETH_ARP = 0x0806
SO_BINDTODEVICE = 25


@dataclass(frozen=True, order=True)
class Question:
    """An address asked out of a port: pinged, or as a neighbour on the link (ARP, neighbour discovery)."""

    line: str  # what a person calls it
    device: str
    address: str
    neighbour: bool

    @property
    def family(self) -> int:
        return ipaddress.ip_address(self.address).version


def questions(probes: Iterable[dict[str, Any]]) -> tuple[Question, ...]:
    """From the argument `probes`, as wardnet_candidate.py says."""
    found = []
    for probe in probes:
        line = f"{probe.get('channel') or 'line'} at {probe['port']}"
        device = probe.get("device") or probe["port"]
        targets = probe.get("targets") or ()
        found += [Question(line, device, str(a), False) for a in targets]
        found += [Question(line, device, str(a), True) for a in probe.get("peers") or targets]
    return tuple(found)


def demanded(answered: frozenset[Question]) -> tuple[Question, ...]:
    """Who must answer after the change: whoever did before. Neighbours only on a line that gave no other answer in
    their family: they say less."""
    pinged = {(q.line, q.family) for q in answered if not q.neighbour}
    return tuple(sorted(q for q in answered if not q.neighbour or (q.line, q.family) not in pinged))


def not_demanded(asked: Iterable[Question], answered: frozenset[Question]) -> list[str]:
    """Who was silent before the change, so that they are not asked after it: targets, and neighbours of a line and
    family without any."""
    asked = tuple(asked)
    targets = {(q.line, q.family) for q in asked if not q.neighbour}
    silent = {q for q in asked if q not in answered and (not q.neighbour or (q.line, q.family) not in targets)}
    return [_say(q) for q in sorted(silent)]


def _say(question: Question) -> str:
    return f"{question.address} over {question.line}"


def wait_for(demands: Iterable[Question], deadline: float) -> list[str]:
    """Those who do not answer until then, by the steady clock."""
    waiting = set(demands)
    while waiting:
        waiting -= ask(waiting)
        if not waiting or time.monotonic() > deadline:
            break
        time.sleep(0.3)
    return [_say(q) for q in sorted(waiting)]


def ask(asked: Iterable[Question]) -> frozenset[Question]:
    """Those that answer. All are asked at once."""
    waiting = set(asked)
    answered: set[Question] = set()
    for _ in range(ROUNDS):
        if not waiting:
            break
        got = _round(waiting)
        answered |= got
        waiting -= got
    return frozenset(answered)


def _round(waiting: set[Question]) -> set[Question]:
    with ExitStack() as stack:
        sockets: dict[socket.socket, Question] = {}
        for question in waiting:
            with suppress(OSError):  # no such port, no route, forbidden: no answer
                opened = stack.enter_context(_open(question))
                _send(opened, question)
                sockets[opened] = question
        answered: set[Question] = set()
        deadline = time.monotonic() + WAIT
        while sockets and (left := deadline - time.monotonic()) > 0:
            for ready in select.select(list(sockets), [], [], left)[0]:
                question = sockets[ready]
                with suppress(OSError):
                    data, sender = ready.recvfrom(2048)
                    if _is_answer(data, str(sender[0]), question):
                        answered.add(question)
                        del sockets[ready]
    return answered


def _open(question: Question) -> socket.socket:
    if question.family == 4 and question.neighbour:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_ARP))
        try:
            opened.bind((question.device, ETH_ARP))
        except OSError:
            opened.close()
            raise
        return opened
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP) if question.family == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    )
    opened = socket.socket(family, socket.SOCK_RAW, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, question.device.encode() + b"\0")
        if question.neighbour:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            opened.setsockopt(
                socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, struct.pack("i", socket.if_nametoindex(question.device))
            )
    except OSError:
        opened.close()
        raise
    return opened


def _send(opened: socket.socket, question: Question) -> None:
    address = ipaddress.ip_address(question.address)
    if question.neighbour and address.version == 4:
        mac = opened.getsockname()[4]
        source = _own_address(question.device, question.address)
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + source + b"\0" * 6 + address.packed
        opened.sendto(body, (question.device, ETH_ARP, 0, 0, b"\xff" * 6))
    elif question.neighbour:
        group = ipaddress.IPv6Address(b"\xff\x02" + b"\0" * 9 + b"\x01\xff" + address.packed[-3:])
        own = _hardware_address(question.device)
        body = struct.pack("!BBHI", 135, 0, 0, 0) + address.packed + b"\x01\x01" + own  # the kernel sums it
        opened.sendto(body, (str(group), 0, 0, socket.if_nametoindex(question.device)))
    elif address.version == 4:
        opened.sendto(_echo(8), (str(address), 0))
    else:
        opened.sendto(_echo(128), (str(address), 0))


def _echo(kind: int) -> bytes:
    head = struct.pack("!BBHHH", kind, 0, 0, os.getpid() & 0xFFFF, 1)
    if kind == 128:
        return head
    words = struct.unpack("!4H", head)
    total = sum(words)
    total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!BBHHH", kind, 0, ~total & 0xFFFF, os.getpid() & 0xFFFF, 1)


def _is_answer(data: bytes, sender: str, question: Question) -> bool:
    address = ipaddress.ip_address(question.address).packed
    if question.neighbour and len(address) == 4:
        return len(data) >= 28 and data[6:8] == b"\0\x02" and data[14:18] == address
    if question.neighbour:
        return len(data) >= 24 and data[0] == 136 and data[8:24] == address
    if len(address) == 4:
        body = data[(data[0] & 15) * 4 :]
        return data[12:16] == address and body[:1] == b"\0" and body[4:6] == struct.pack("!H", os.getpid() & 0xFFFF)
    theirs = ipaddress.ip_address(sender.partition("%")[0]).packed
    return theirs == address and data[0] == 129 and data[4:6] == struct.pack("!H", os.getpid() & 0xFFFF)


def _own_address(device: str, towards: str) -> bytes:
    """The address of the port that the neighbour will believe; none at all is allowed too (RFC 5227)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scratch, suppress(OSError):
        scratch.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode() + b"\0")
        scratch.connect((towards, 9))
        return socket.inet_aton(scratch.getsockname()[0])
    return b"\0\0\0\0"


def _hardware_address(device: str) -> bytes:
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as scratch:
        scratch.bind((device, 0))
        return bytes(scratch.getsockname()[4][:6])
