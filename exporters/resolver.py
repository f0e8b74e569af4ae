"""Addresses of a service, asked of the channel's own resolvers over the channel itself.

The system's resolver is never used: it would answer from whatever line the host prefers, and hide the time.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address

from exporters.config import Channel, Family, IPAddress
from exporters.dns import TYPE_A, TYPE_AAAA, Answer, DnsError, DnsMismatchError, encode_query, parse_answer
from exporters.sockets import open_bound

PORT = 53
ATTEMPT_SECONDS = 2.0
_RECORD_TYPES = {Family.IPV4: TYPE_A, Family.IPV6: TYPE_AAAA}
_NXDOMAIN = 3


async def resolve(
    channel: Channel, family: Family, name: str, note: Callable[[str], None], *, port: int = PORT
) -> tuple[str, ...]:
    """The addresses of a name in one family, never empty; a literal address is its own answer.

    Resolvers of the same family are asked first, so that one family's measurement shows that family's trouble;
    `note` is told of each step. Raises DnsError.
    """
    literal = _literal(name)
    if literal is not None:
        if literal.version != family.version:
            raise DnsError(f"{name} is not an {family.value} address")
        return (name,)
    ordered = sorted(channel.resolvers, key=lambda resolver: resolver.version != family.version)
    reasons: list[str] = []
    for resolver in ordered:
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                answer = await _ask(channel, resolver, name, _RECORD_TYPES[family], note, port)
        except TimeoutError:
            reasons.append(f"{resolver} gave no answer in {ATTEMPT_SECONDS:g} s")
        except (OSError, DnsError) as error:
            reasons.append(f"{resolver}: {error}")
        else:
            if answer.rcode == 0 and answer.addresses:
                note(f"{resolver} says {name} is {', '.join(answer.addresses)}")
                return answer.addresses
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
) -> Answer:
    message_id = secrets.randbelow(65536)
    query = encode_query(message_id, name, record_type)
    family = Family.IPV4 if resolver.version == Family.IPV4.version else Family.IPV6
    answer = await _ask_udp(channel, family, (str(resolver), port), query, message_id, name, record_type)
    if answer.truncated:
        note(f"{resolver} truncated its answer, asking over TCP")
        answer = await _ask_tcp(channel, family, (str(resolver), port), query, message_id, name, record_type)
    return answer


async def _ask_udp(
    channel: Channel, family: Family, server: tuple[str, int], query: bytes, message_id: int, name: str, kind: int
) -> Answer:
    loop = asyncio.get_running_loop()
    with open_bound(channel, family, socket.SOCK_DGRAM) as sock:
        sock.connect(server)  # the kernel then drops datagrams of anybody else
        await loop.sock_sendall(sock, query)
        while True:
            message = await loop.sock_recv(sock, 65535)
            try:
                return parse_answer(message, message_id, name, kind)
            except DnsMismatchError:
                continue  # forged or late: the real answer may still come


async def _ask_tcp(
    channel: Channel, family: Family, server: tuple[str, int], query: bytes, message_id: int, name: str, kind: int
) -> Answer:
    loop = asyncio.get_running_loop()
    with open_bound(channel, family, socket.SOCK_STREAM) as sock:
        await loop.sock_connect(sock, server)
        await loop.sock_sendall(sock, struct.pack("!H", len(query)) + query)
        (length,) = struct.unpack("!H", await _receive_exactly(sock, 2))
        answer = parse_answer(await _receive_exactly(sock, length), message_id, name, kind)
    if answer.truncated:
        raise DnsError("the answer is truncated over TCP too")
    return answer


async def _receive_exactly(sock: socket.socket, length: int) -> bytes:
    loop = asyncio.get_running_loop()
    received = bytearray()
    while len(received) < length:
        data = await loop.sock_recv(sock, length - len(received))
        if not data:
            raise DnsError("the resolver closed the connection in the middle of its answer")
        received += data
    return bytes(received)
