"""DNS: what we ask, what we take for an answer, and what no answer can make us do."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters import resolver
from exporters.config import Family
from exporters.dns import TYPE_A, TYPE_AAAA, DnsError, DnsMismatchError, encode_query, parse_answer
from exporters.resolver import Resolution, resolve
from exporters.sockets import Egress
from tests.unit.exporters_support import DnsServer, dns_server, loopback_channel

NAME = "portal.tayho.example"
WIRE = b"\x06portal\x05tayho\x07example\x00"
QUESTION = WIRE + b"\x00\x01\x00\x01"


def answer(records: bytes, count: int, flags: int = 0x8180, message_id: int = 7, question: bytes = QUESTION) -> bytes:
    return struct.pack("!6H", message_id, flags, 1, count, 0, 0) + question + records


def record(owner: bytes, kind: int, data: bytes, record_class: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", kind, record_class, 60, len(data)) + data


POINTER = b"\xc0\x0c"  # to the question's name
ADDRESS = bytes([10, 20, 200, 10])


def test_query_bytes() -> None:
    assert encode_query(0x1234, NAME, TYPE_A) == b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + QUESTION
    assert encode_query(1, NAME + ".", TYPE_AAAA).endswith(WIRE + b"\x00\x1c\x00\x01")


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64, ".".join(["abcdefg"] * 32), "d\u1ecbch.example"])
def test_impossible_names_are_not_asked_for(name: str) -> None:
    with pytest.raises(DnsError):
        encode_query(1, name, TYPE_A)


def test_addresses_in_the_servers_order() -> None:
    message = answer(record(POINTER, 1, ADDRESS) + record(WIRE, 1, bytes([10, 20, 200, 9])), 2)
    assert parse_answer(message, 7, "PORTAL.tayho.example", TYPE_A).addresses == ("10.20.200.10", "10.20.200.9")


def test_follows_aliases_to_the_address() -> None:
    alias = b"\x03web" + b"\xc0\x13"  # web. + tayho.example inside the question
    records = record(POINTER, 5, alias) + record(b"\x03web\x05tayho\x07example\x00", 1, ADDRESS)
    assert parse_answer(answer(records, 2), 7, NAME, TYPE_A).addresses == ("10.20.200.10",)


def test_addresses_of_other_names_classes_and_types_do_not_count() -> None:
    records = (
        record(b"\x04evil\x00", 1, bytes(4))
        + record(POINTER, 1, bytes(4), record_class=3)
        + record(POINTER, 28, bytes(16))
    )
    assert parse_answer(answer(records, 3), 7, NAME, TYPE_A).addresses == ()


def test_errors_and_truncation_are_told() -> None:
    assert parse_answer(answer(b"", 0, flags=0x8183), 7, NAME, TYPE_A).rcode_name == "NXDOMAIN"
    assert parse_answer(struct.pack("!6H", 7, 0x8181, 0, 0, 0, 0), 7, NAME, TYPE_A).rcode_name == "FORMERR"
    cut = parse_answer(answer(record(POINTER, 1, ADDRESS), 1, flags=0x8380), 7, NAME, TYPE_A)
    assert (cut.truncated, cut.addresses) == (True, ())


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00\x07",
        answer(b"", 0, message_id=8),
        answer(b"", 0, flags=0x0100),
        answer(b"", 0, flags=0x8980),
        answer(b"", 0, question=b"\x05other\x00\x00\x01\x00\x01"),
        answer(b"", 0, question=WIRE + b"\x00\x1c\x00\x01"),
        struct.pack("!6H", 7, 0x8180, 0, 0, 0, 0),
        struct.pack("!6H", 7, 0x8180, 2, 0, 0, 0) + QUESTION * 2,
    ],
    ids=[
        "empty",
        "short",
        "wrong id",
        "a query",
        "wrong opcode",
        "other name",
        "other type",
        "no question",
        "two questions",
    ],
)
def test_what_answers_something_else_is_told_apart(message: bytes) -> None:
    with pytest.raises(DnsMismatchError):
        parse_answer(message, 7, NAME, TYPE_A)


def _loop_at(offset: int) -> bytes:
    return struct.pack("!H", 0xC000 | offset)


@pytest.mark.parametrize(
    "message",
    [
        answer(record(_loop_at(12 + len(QUESTION)), 1, ADDRESS), 1),
        answer(record(b"\x01a" + _loop_at(12 + len(QUESTION)), 1, ADDRESS), 1),
        answer(record(_loop_at(12 + len(QUESTION) + 2) + _loop_at(12 + len(QUESTION)), 1, ADDRESS), 1),
        answer(record(b"\xc0\xff", 1, ADDRESS), 1),
        answer(record(b"\x40aa\x00", 1, ADDRESS), 1),
        answer(record(b"\x80\x00", 1, ADDRESS), 1),
        answer(b"\x3f" + b"a" * 20, 1),
        answer((b"\x3f" + b"a" * 63) * 4 + b"\x00" + bytes(10), 1),
        answer(record(POINTER, 1, ADDRESS)[:-1], 1),
        answer(record(POINTER, 1, ADDRESS + b"\x00"), 1),
        answer(b"", 1),
        answer(b"", 65535),
        answer(record(POINTER, 5, b"\x03web\x00" + b"junk"), 1),
        answer(record(POINTER, 5, POINTER), 1),
        answer(record(POINTER, 5, b"\x01b\x00") + record(b"\x01b\x00", 5, WIRE), 2),
        answer(b"", 0)[:20],
    ],
    ids=[
        "pointer to itself", "pointer to its own label", "two pointers in a ring", "pointer past the end",
        "label type 01", "label type 10", "label past the end", "name over 255 bytes",
        "record cut short", "address of 5 bytes",
        "record missing", "65535 records missing", "alias with junk", "alias of itself", "aliases in a ring",
        "question cut",
    ],
)  # fmt: skip
def test_hostile_answers_are_refused(message: bytes) -> None:
    with pytest.raises(DnsError):
        parse_answer(message, 7, NAME, TYPE_A)


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_are_an_answer_or_an_error(noise: bytes, after_question: bool) -> None:
    message = answer(noise, 3) if after_question else noise
    try:
        found = parse_answer(message, 7, NAME, TYPE_A)
    except DnsError:
        return
    assert all(ip_address(address).version == 4 for address in found.addresses)


def ask(dns: DnsServer, name: str = NAME, family: Family = Family.IPV4) -> tuple[Resolution, list[str]]:
    notes: list[str] = []
    return asyncio.run(resolve(loopback_channel(), family, name, notes.append, port=dns.port)), notes


def truncated(query: bytes) -> bytes:
    """The answer that says no more than that it did not fit."""
    return query[:2] + b"\x83\x80" + query[4:6] + bytes(6) + query[12:]


@pytest.mark.parametrize("family", list(Family))
def test_asks_the_resolver_of_the_same_family_over_the_channel(family: Family) -> None:
    kind, address = (TYPE_A, "10.20.200.10") if family is Family.IPV4 else (TYPE_AAAA, "fd20:20:200::10")
    with dns_server() as dns:
        dns.addresses[NAME, kind] = [address]
        found, _ = ask(dns, family=family)
    source = loopback_channel().source(family)
    assert found == Resolution((address,), Egress("lo", source))
    assert dns.queries == [(source, "udp")]


def test_truncated_answer_is_asked_for_again_over_tcp() -> None:
    with dns_server() as dns:
        dns.addresses[NAME, TYPE_A] = ["10.20.200.10"]
        dns.alter = lambda query, full, tcp: ([full if tcp else truncated(query)])
        found, notes = ask(dns)
    assert found.addresses == ("10.20.200.10",)
    assert [transport for _, transport in dns.queries] == ["udp", "tcp"]
    assert "127.0.0.1 truncated its answer, asking over TCP" in notes


def test_forged_answers_before_the_real_one_are_ignored() -> None:
    def forge(query: bytes, full: bytes, _tcp: bool) -> list[bytes]:
        wrong_id = bytes([query[0] ^ 1]) + full[1:-4] + bytes(4)
        return [wrong_id, b"\x00", query, full]

    with dns_server() as dns:
        dns.addresses[NAME, TYPE_A] = ["10.20.200.10"]
        dns.alter = forge
        assert ask(dns)[0].addresses == ("10.20.200.10",)


def test_next_resolver_is_asked_after_a_failure() -> None:
    def servfail_once(query: bytes, full: bytes, _tcp: bool) -> list[bytes]:
        return [full[:3] + b"\x82" + full[4:]] if len(dns.queries) == 1 else [full]

    with dns_server() as dns:
        dns.addresses[NAME, TYPE_A] = ["10.20.200.10"]
        dns.alter = servfail_once
        found, notes = ask(dns)
    assert found.addresses == ("10.20.200.10",)
    assert [client for client, _ in dns.queries] == ["127.0.0.1", "::1"]
    assert "127.0.0.1 says SERVFAIL" in notes


def test_silent_resolver_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "ATTEMPT_SECONDS", 0.05)
    with dns_server() as dns:
        dns.alter = lambda _query, _full, _tcp: []
        with pytest.raises(DnsError, match=r"127.0.0.1 gave no answer in 0.05 s; ::1 gave no answer"):
            ask(dns)


def test_definite_refusals_are_not_asked_again() -> None:
    with dns_server() as dns:
        with pytest.raises(DnsError, match=r"nowhere.example: 127.0.0.1 says NXDOMAIN$"):
            ask(dns, "nowhere.example")
        dns.addresses[NAME, TYPE_A] = ["10.20.200.10"]
        with pytest.raises(DnsError, match=r"::1 says no ipv6 address$"):
            ask(dns, family=Family.IPV6)
    assert len(dns.queries) == 2


def test_tcp_connection_cut_in_the_middle_is_an_error() -> None:
    with dns_server() as dns:
        dns.addresses[NAME, TYPE_A] = ["10.20.200.10"]
        dns.alter = lambda query, _full, tcp: [] if tcp else [truncated(query)]
        with pytest.raises(DnsError, match="closed the connection in the middle"):
            ask(dns)


def test_literal_address_is_its_own_answer() -> None:
    channel = replace(loopback_channel(), resolvers=())
    found = asyncio.run(resolve(channel, Family.IPV6, "2001:db8::1", print, port=1))
    assert found == Resolution(("2001:db8::1",), None)
    with pytest.raises(DnsError, match="2001:db8::1 is not an ipv4 address"):
        asyncio.run(resolve(channel, Family.IPV4, "2001:db8::1", print, port=1))
