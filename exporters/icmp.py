"""Echo requests and replies, sans I/O: ICMP (RFC 792) and ICMPv6 (RFC 4443)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from exporters.config import Family

TOKEN_BYTES = 8
_PAYLOAD_BYTES = 56  # as ping sends it
_REQUEST = {Family.IPV4: 8, Family.IPV6: 128}
_REPLY = {Family.IPV4: 0, Family.IPV6: 129}
_HEADER = struct.Struct("!BBHHH")


@dataclass(frozen=True, slots=True)
class Echo:
    """What tells a reply apart from everybody else's: our identifier, the request's number and its token."""

    identifier: int
    sequence: int
    token: bytes


def encode_request(family: Family, echo: Echo) -> bytes:
    """An echo request. The kernel fills in ICMPv6's checksum, which covers the addresses."""
    payload = echo.token.ljust(_PAYLOAD_BYTES, b"\0")
    header = _HEADER.pack(_REQUEST[family], 0, 0, echo.identifier, echo.sequence)
    if family is Family.IPV4:
        header = _HEADER.pack(_REQUEST[family], 0, checksum(header + payload), echo.identifier, echo.sequence)
    return header + payload


def parse_reply(family: Family, packet: bytes) -> Echo | None:
    """The echo in a packet from a raw socket (IPv4's comes with its IP header); None if it is no sound reply."""
    if family is Family.IPV4:
        if not packet or packet[0] >> 4 != 4:
            return None
        packet = packet[(packet[0] & 0x0F) * 4 :]
        # Raw sockets get ICMP before the kernel has looked at its checksum.
        if checksum(packet) != 0:
            return None
    if len(packet) < _HEADER.size + TOKEN_BYTES:
        return None
    kind, code, _, identifier, sequence = _HEADER.unpack_from(packet)
    if (kind, code) != (_REPLY[family], 0):
        return None
    return Echo(identifier, sequence, packet[_HEADER.size : _HEADER.size + TOKEN_BYTES])


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071); 0 over a message that holds its own, right checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
