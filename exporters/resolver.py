"""Addresses of a service, asked of the channel's own resolvers over the channel itself.

The system's resolver is never used: it would answer from whatever line the host prefers, and hide the time.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from exporters.config import Channel, Family, IPAddress
from exporters.dns import TYPE_A, TYPE_AAAA, Answer, DnsError, DnsMismatchError, encode_query, parse_answer
from exporters.sockets import Egress, open_bound, read_egress

PORT = 53
ATTEMPT_SECONDS = 2.0
_RECORD_TYPES = {Family.IPV4: TYPE_A, Family.IPV6: TYPE_AAAA}
_NXDOMAIN = 3


@dataclass(frozen=True, slots=True)
class Resolution:
    """`addresses` is never empty; `egress` is where the question left, None where none was asked."""

    addresses: tuple[str, ...]
    egress: Egress | None


@dataclass(frozen=True, slots=True)
class _Question:
    channel: Channel
    family: Family  # of the resolver
    server: tuple[str, int]
    name: str
    record_type: int
    message_id: int

    @property
    def message(self) -> bytes:
        return encode_query(self.message_id, self.name, self.record_type)

    def parse(self, answer: bytes) -> Answer:
        return parse_answer(answer, self.message_id, self.name, self.record_type)


async def resolve(
    channel: Channel, family: Family, name: str, note: Callable[[str], None], *, port: int = PORT
) -> Resolution:
    """The addresses of a name in one family; a literal address is its own answer.

    Resolvers of the same family are asked first, so that one family's measurement shows that family's trouble;
    `note` is told of each step. Raises DnsError.
    """
    literal = _literal(name)
    if literal is not None:
        if literal.version != family.version:
            raise DnsError(f"{name} is not an {family.value} address")
        return Resolution((name,), None)
    ordered = sorted(channel.resolvers, key=lambda resolver: resolver.version != family.version)
    reasons: list[str] = []
    for resolver in ordered:
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                answer, egress = await _ask(channel, resolver, name, _RECORD_TYPES[family], note, port)
        except TimeoutError:
            reasons.append(f"{resolver} gave no answer in {ATTEMPT_SECONDS:g} s")
        except (OSError, DnsError) as error:
            reasons.append(f"{resolver}: {error}")
        else:
            if answer.rcode == 0 and answer.addresses:
                note(f"{resolver} says {name} is {', '.join(answer.addresses)}")
                return Resolution(answer.addresses, egress)
            said = answer.rcode_name if answer.rcode else f"no {family.value} address"
            reasons.append(f"{resolver} says {said}")
            if answer.rcode in (0, _NXDOMAIN):
                break  # a definite answer: another resolver would only say it again
        note(reasons[-1])
    raise DnsError(f"{name}: " + "; ".join(reasons))


def _literal(name: str) -> IPAddress | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


async def _ask(
    channel: Channel, resolver: IPAddress, name: str, record_type: int, note: Callable[[str], None], port: int
) -> tuple[Answer, Egress]:
    family = Family.IPV4 if resolver.version == Family.IPV4.version else Family.IPV6
    question = _Question(channel, family, (str(resolver), port), name, record_type, secrets.randbelow(65536))
    answer, egress = await _ask_udp(question)
    if answer.truncated:
        note(f"{resolver} truncated its answer, asking over TCP")
        answer, egress = await _ask_tcp(question)
    return answer, egress


async def _ask_udp(question: _Question) -> tuple[Answer, Egress]:
    loop = asyncio.get_running_loop()
    with open_bound(question.channel, question.family, socket.SOCK_DGRAM) as sock:
        egress = read_egress(sock)
        sock.connect(question.server)  # the kernel then drops datagrams of anybody else
        await loop.sock_sendall(sock, question.message)
        while True:
            message = await loop.sock_recv(sock, 65535)
            try:
                return question.parse(message), egress
            except DnsMismatchError:
                continue  # forged or late: the real answer may still come


async def _ask_tcp(question: _Question) -> tuple[Answer, Egress]:
    loop = asyncio.get_running_loop()
    with open_bound(question.channel, question.family, socket.SOCK_STREAM) as sock:
        egress = read_egress(sock)
        await loop.sock_connect(sock, question.server)
        await loop.sock_sendall(sock, struct.pack("!H", len(question.message)) + question.message)
        (length,) = struct.unpack("!H", await _receive_exactly(sock, 2))
        answer = question.parse(await _receive_exactly(sock, length))
    if answer.truncated:
        raise DnsError("the answer is truncated over TCP too")
    return answer, egress


async def _receive_exactly(sock: socket.socket, length: int) -> bytes:
    loop = asyncio.get_running_loop()
    received = bytearray()
    while len(received) < length:
        data = await loop.sock_recv(sock, length - len(received))
        if not data:
            raise DnsError("the resolver closed the connection in the middle of its answer")
        received += data
    return bytes(received)
