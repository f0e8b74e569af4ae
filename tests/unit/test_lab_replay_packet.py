"""Packets for replays are what the kernel takes for real: it checks their sums and hands them to sockets."""

from __future__ import annotations

import socket

import pytest

from lab.replay.packet import checksum, frame, ip_packet, probe, protocol_number


def test_the_checksum_of_rfc_1071s_example() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


@pytest.mark.parametrize(("source", "destination"), [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")])
@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp", "132"])
def test_every_sum_in_a_packet_comes_out_even(source: str, destination: str, protocol: str) -> None:
    packet = probe(source, destination, protocol, 40000, 443, b"odd mark")
    data = ip_packet(packet)
    number = protocol_number(protocol, packet.family)
    if packet.family == 4:
        assert checksum(data[:20]) == 0
        assert int.from_bytes(data[2:4]) == len(data)
        upper, pseudo = data[20:], data[12:20] + bytes([0, number]) + (len(data) - 20).to_bytes(2)
    else:
        assert int.from_bytes(data[4:6]) == len(data) - 40
        upper, pseudo = data[40:], data[8:40] + (len(data) - 40).to_bytes(4) + bytes([0, 0, 0, number])
    if protocol == "icmp" and packet.family == 4:
        assert checksum(upper) == 0
    elif protocol != "132":
        assert checksum(pseudo + upper) == 0
    assert upper.endswith(b"odd mark")


def test_a_frame_carries_the_family_and_both_hardware_addresses() -> None:
    data = frame(probe("192.0.2.1", "192.0.2.2", "udp", 1, 2, b"x"), "02:00:00:00:00:01", "02:00:00:00:00:02")
    assert data[:14].hex() == "020000000002" + "020000000001" + "0800"
    assert data[14:] == ip_packet(probe("192.0.2.1", "192.0.2.2", "udp", 1, 2, b"x"))


def test_two_families_or_no_protocol_are_refused() -> None:
    with pytest.raises(ValueError, match="two families"):
        probe("192.0.2.1", "2001:db8::1", "tcp", 1, 2, b"")
    with pytest.raises(ValueError, match="no protocol"):
        protocol_number("tcpp", 4)
    assert protocol_number("icmp", 6) == socket.IPPROTO_ICMPV6
