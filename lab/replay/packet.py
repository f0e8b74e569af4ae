"""Bytes of one packet, built from a counterexample; by default one that opens a connection. Pure.

Source: RFC 791, 8200 (IP), 768, 9293 (UDP, TCP), 792, 4443 (ICMP), 1071 (checksum).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

ETHERTYPE = {4: 0x0800, 6: 0x86DD}
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}
SYN = 0x02
ECHO_REQUEST = {4: 8, 6: 128}


@dataclass(frozen=True, slots=True)
class Probe:
    """A packet; by default a new connection's first. `mark` travels as its payload, so that the far side knows it
    again. ICMP of other types than echo is as long, and its identifier means nothing."""

    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    protocol: str  # tcp | udp | icmp (of either family), or an IP protocol's number
    source_port: int
    destination_port: int
    mark: bytes
    tcp_flags: int = SYN
    icmp_type: int | None = None  # an echo request, where not given
    icmp_code: int = 0
    dscp: int = 0

    @property
    def family(self) -> int:
        return self.destination.version


def probe(
    source: str, destination: str, protocol: str | int, source_port: int, destination_port: int, mark: bytes
) -> Probe:
    """Raises ValueError where the addresses are none, or of two families."""
    ends = ip_address(source), ip_address(destination)
    if ends[0].version != ends[1].version:
        raise ValueError(f"{source} and {destination} are of two families")
    return Probe(ends[0], ends[1], str(protocol), source_port, destination_port, mark)


def frame(packet: Probe, source_mac: str, destination_mac: str) -> bytes:
    """The packet in an Ethernet frame."""
    head = bytes.fromhex(destination_mac.replace(":", "")) + bytes.fromhex(source_mac.replace(":", ""))
    return head + struct.pack("!H", ETHERTYPE[packet.family]) + ip_packet(packet)


def ip_packet(packet: Probe) -> bytes:
    number = protocol_number(packet.protocol, packet.family)
    payload = _upper(packet, number)
    if packet.family == 6:
        head = struct.pack("!IHBB", 6 << 28 | packet.dscp << 22, len(payload), number, 64)
        return head + packet.source.packed + packet.destination.packed + payload
    head = struct.pack("!BBHHHBBH", 0x45, packet.dscp << 2, 20 + len(payload), 0, 0, 64, number, 0)
    head += packet.source.packed + packet.destination.packed
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def protocol_number(protocol: str, family: int) -> int:
    """'icmp' means the family's own; anything else is a name or a number below 256. Raises ValueError."""
    if protocol in ("icmp", "icmpv6", "ipv6-icmp"):
        return PROTOCOLS["icmp" if family == 4 else "icmpv6"]
    if protocol in PROTOCOLS:
        return PROTOCOLS[protocol]
    if protocol.isdigit() and int(protocol) < 256:
        return int(protocol)
    raise ValueError(f"'{protocol}' is no protocol")


def _upper(packet: Probe, number: int) -> bytes:
    if number == PROTOCOLS["tcp"]:
        head = struct.pack(
            "!HHIIBBHHH", packet.source_port, packet.destination_port, 1, 0, 5 << 4, packet.tcp_flags, 65535, 0, 0
        )
        return _summed(packet, number, head + packet.mark, at=16)
    if number == PROTOCOLS["udp"]:
        head = struct.pack("!HHHH", packet.source_port, packet.destination_port, 8 + len(packet.mark), 0)
        return _summed(packet, number, head + packet.mark, at=6)
    if number in (PROTOCOLS["icmp"], PROTOCOLS["icmpv6"]):
        kind = ECHO_REQUEST[packet.family] if packet.icmp_type is None else packet.icmp_type
        message = struct.pack("!BBHHH", kind, packet.icmp_code, 0, packet.source_port, 1) + packet.mark
        if number == PROTOCOLS["icmpv6"]:
            return _summed(packet, number, message, at=2)
        return message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    return packet.mark


def _summed(packet: Probe, number: int, segment: bytes, at: int) -> bytes:
    """The segment with its checksum, over the pseudo header, written at `at`."""
    length, ends = len(segment), packet.source.packed + packet.destination.packed
    if packet.family == 4:
        pseudo = ends + struct.pack("!BBH", 0, number, length)
    else:
        pseudo = ends + struct.pack("!I3xB", length, number)
    total = checksum(pseudo + segment) or 0xFFFF  # UDP's zero means "none"
    return segment[:at] + struct.pack("!H", total) + segment[at + 2 :]


def checksum(data: bytes) -> int:
    """The Internet checksum, RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)
