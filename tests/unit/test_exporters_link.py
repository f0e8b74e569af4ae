"""Pure parts of the link exporter: echo packets, round trips by two clocks, interface counters, histograms."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters import metrics
from exporters.config import Family
from exporters.echo import round_trip
from exporters.exposition import Histogram, number_text
from exporters.icmp import Echo, checksum, encode_request, parse_reply
from exporters.interfaces import Counters, InterfaceError, parse_counters, read_counters, read_up
from exporters.sockets import TcpInfo, parse_tcp_info

ECHO = Echo(0xBEEF, 7, b"8 tokens")
IP_HEADER = b"\x45" + bytes(19)


def reply(family: Family, echo: Echo = ECHO) -> bytes:
    """What a far end makes of our request."""
    request = bytearray(encode_request(family, echo))
    request[0] = 0 if family is Family.IPV4 else 129
    if family is Family.IPV6:
        return bytes(request)
    request[2:4] = bytes(2)
    request[2:4] = struct.pack("!H", checksum(bytes(request)))
    return IP_HEADER + bytes(request)


@pytest.mark.parametrize("family", list(Family))
def test_reply_gives_back_what_the_request_held(family: Family) -> None:
    assert parse_reply(family, reply(family)) == ECHO


def test_request_of_ipv4_holds_its_checksum() -> None:
    request = encode_request(Family.IPV4, ECHO)
    assert checksum(request) == 0
    assert request[:2] == b"\x08\x00"
    assert len(request) == 64


def test_ip_options_are_stepped_over() -> None:
    packet = reply(Family.IPV4)
    assert parse_reply(Family.IPV4, b"\x46" + bytes(23) + packet[20:]) == ECHO


@pytest.mark.parametrize("family", list(Family))
def test_what_is_no_reply_is_nothing(family: Family) -> None:
    good = reply(family)
    start = 20 if family is Family.IPV4 else 0
    request = (IP_HEADER if start else b"") + encode_request(family, ECHO)
    for packet in (b"", good[: start + 8], good[: start + 15], request, b"\x65" + bytes(40)):
        assert parse_reply(family, packet) is None


def test_damaged_reply_is_nothing() -> None:
    packet = bytearray(reply(Family.IPV4))
    packet[-1] ^= 1
    assert parse_reply(Family.IPV4, bytes(packet)) is None


@given(st.sampled_from(list(Family)), st.binary(max_size=100))
def test_any_bytes_are_a_reply_or_nothing(family: Family, packet: bytes) -> None:
    found = parse_reply(family, packet)
    assert found is None or len(found.token) == 8


SENT_WALL, SENT_MONOTONIC = 1_700_000_000_000_000_000, 5_000_000_000
MS = 1_000_000


@pytest.mark.parametrize(
    ("stamp", "now_wall", "now_monotonic", "expected"),
    [
        (12 * MS, 20 * MS, 20 * MS, 0.012),  # the kernel's stamp, not when we got to reading it
        (None, 20 * MS, 20 * MS, 0.020),  # no stamp
        (12 * MS + 3600_000 * MS, 20 * MS + 3600_000 * MS, 20 * MS, 0.020),  # clock set forward
        (12 * MS - 3600_000 * MS, 20 * MS - 3600_000 * MS, 20 * MS, 0.020),  # clock set back
        (-1 * MS, 20 * MS, 20 * MS, 0.020),  # an answer before its question
    ],
)
def test_round_trip(stamp: int | None, now_wall: int, now_monotonic: int, expected: float) -> None:
    taken = round_trip(
        SENT_WALL,
        SENT_MONOTONIC,
        None if stamp is None else SENT_WALL + stamp,
        SENT_WALL + now_wall,
        SENT_MONOTONIC + now_monotonic,
    )
    assert taken == pytest.approx(expected)


NET_DEV = """\
Inter-|   Receive                                      |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo:  100       1    0    0    0     0          0         0   200       2    0    0    0     0       0          0
  wan0:18446744073709551615 11 12 13 14 15 16 17 21 22 23 24 25 26 27 28
"""


def test_counters_by_interface() -> None:
    counters = parse_counters(NET_DEV)
    assert counters["lo"].transmit_bytes == 200
    assert counters["wan0"] == Counters(2**64 - 1, 11, 12, 13, 21, 22, 23, 24)


@pytest.mark.parametrize("line", ["wan0: 1 2 3", "wan0: a b c d e f g h i j k l m n o p", "garbage"])
def test_unreadable_counters_are_an_error(line: str) -> None:
    with pytest.raises(InterfaceError, match="cannot read the line"):
        parse_counters(NET_DEV + line + "\n")


def test_own_interfaces_are_read() -> None:
    assert read_counters()["lo"].receive_bytes >= 0
    assert read_up("lo")
    assert not read_up("gone0")


def test_histogram_counts_up_to_and_with_the_bound() -> None:
    histogram = Histogram((0.001, 0.5))
    for seconds in (0.001, 0.0011, 0.5, 7.0):
        histogram.observe(seconds)
    assert histogram.cumulative() == [("0.001", 1), ("0.5", 3), ("+Inf", 4)]
    assert histogram.sum == pytest.approx(7.5021)


def test_buckets_reach_from_under_a_millisecond_to_five_seconds() -> None:
    for buckets in (metrics.LINK_BUCKETS, metrics.SERVICE_BUCKETS):
        assert list(buckets) == sorted(set(buckets))
    assert metrics.LINK_BUCKETS[0] < 0.001
    assert metrics.LINK_BUCKETS[-1] == 5.0


def test_numbers_as_prometheus_reads_them() -> None:
    assert [number_text(n) for n in (1, 0.25, 1e22, float("inf"), float("nan"))] == [
        "1.0",
        "0.25",
        "1e+22",
        "+Inf",
        "NaN",
    ]


def test_tcp_info_of_kernels_old_and_new() -> None:
    info = bytearray(232)
    struct.pack_into("=I", info, 68, 21_500)
    struct.pack_into("=I", info, 100, 3)
    struct.pack_into("=I", info, 148, 20_000)
    assert parse_tcp_info(bytes(info)) == TcpInfo(0.0215, 0.02, 3)
    assert parse_tcp_info(bytes(info[:104])) == TcpInfo(0.0215, None, 3)
    struct.pack_into("=I", info, 148, 0xFFFFFFFF)
    assert parse_tcp_info(bytes(info)).min_round_trip is None
    assert parse_tcp_info(bytes(232)) == TcpInfo(None, None, 0)
