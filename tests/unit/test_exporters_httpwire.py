"""HTTP/1.1 messages: any way they are cut into pieces they are read alike, and bad ones are refused."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.httpwire import MAX_HEAD_BYTES, HttpError, ResponseParser, encode_get, parse_request_head

LIMIT = 1000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"


def read(*pieces: bytes, end: bool = False) -> ResponseParser:
    parser = ResponseParser(LIMIT)
    for piece in pieces:
        parser.feed(piece)
    if end:
        parser.end()
    return parser


ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, 5),
    (b"HTTP/1.0 404 Not Found\r\ncontent-length:0\r\n\r\n", 404, 0),
    (b"HTTP/1.1 200\r\nContent-Length: 3, 3\r\n\r\nabc", 200, 3),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", 204, 0),
    (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        200,
        1,
    ),
    (CHUNKED + b"5\r\nhello\r\nA;name=value\r\n0123456789\r\n0\r\n\r\n", 200, 15),
    (CHUNKED + b"1\r\nx\r\n00\r\nTrailer: yes\r\nOther: no\r\n\r\n", 200, 1),
    (CHUNKED + b"0\r\n\r\n", 200, 0),
]


@pytest.mark.parametrize(("data", "status", "length"), ANSWERS)
def test_answer_is_complete_by_itself(data: bytes, status: int, length: int) -> None:
    parser = read(data)
    assert (parser.status, parser.body_bytes, parser.complete, parser.cut) == (status, length, True, False)


@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 150), max_size=12))
def test_pieces_make_no_difference(case: tuple[bytes, int, int], cuts: list[int]) -> None:
    data, status, length = case
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parser = read(*(data[a:b] for a, b in itertools.pairwise(bounds)))
    assert (parser.status, parser.body_bytes, parser.complete) == (status, length, True)


@pytest.mark.parametrize(("data", "status", "length"), ANSWERS)
def test_byte_by_byte_it_is_complete_with_the_last(data: bytes, status: int, length: int) -> None:
    parser = ResponseParser(LIMIT)
    for position in range(len(data)):
        assert not parser.complete
        parser.feed(data[position : position + 1])
    assert (parser.status, parser.body_bytes, parser.complete) == (status, length, True)


def test_body_without_a_length_ends_with_the_connection() -> None:
    parser = read(b"HTTP/1.1 200 OK\r\n\r\nsome", b"thing")
    assert not parser.complete
    parser.end()
    assert (parser.body_bytes, parser.complete) == (9, True)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 100000\r\n\r\n", b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n186a0\r\n"]
)
def test_reading_stops_at_the_bound(framing: bytes) -> None:
    parser = read(b"HTTP/1.1 200 OK\r\n" + framing + b"x" * LIMIT)
    assert (parser.complete, parser.cut) == (True, True)


def test_headers_are_joined_under_lower_case_names() -> None:
    parser = read(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nVary: a\r\nVARY:b \r\nContent-Length: 0\r\n\r\n")
    assert parser.headers == {"location": "/x", "vary": "a, b", "content-length": "0"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"SSH-2.0-OpenSSH", "does not begin like HTTP"),
        (b"HTTP/2 200\r\n\r\n", "does not begin like HTTP/1.1"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "does not begin like HTTP/1.1"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "switched protocols"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "header line cannot be read"),
        (b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n", "header line cannot be read"),
        (b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", "header line cannot be read"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "content length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n", "content length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n", "content length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer encoding"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * MAX_HEAD_BYTES, "head is longer"),
        (CHUNKED + b"zz\r\n", "size cannot be read"),
        (CHUNKED + b"-1\r\n", "size cannot be read"),
        (CHUNKED + b"3\r\nabcX\r\n", "longer than it says"),
        (CHUNKED + b"1" * 2000, "first line is too long"),
        (CHUNKED + b"0\r\n" + b"T: x\r\n" * 20_000, "trailer is too long"),
    ],
)
def test_bad_answers_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(HttpError, match=message):
        read(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "before the answer's head"),
        (b"HTTP/1.1 200 OK\r\n", "before the answer's head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "middle of the body, after 3 bytes"),
        (CHUNKED + b"5\r\nhel", "middle of the body, after 3 bytes"),
        (CHUNKED + b"3\r\nhel\r\n", "middle of the body, after 3 bytes"),
    ],
)
def test_connection_that_ends_too_early_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(HttpError, match=message):
        read(data, end=True)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_an_answer_or_an_error(noise: bytes, chunked: bool) -> None:
    with contextlib.suppress(HttpError):
        read((CHUNKED if chunked else b"HTTP/1.1 200 OK\r\n") + noise, end=True)


def test_request_bytes_are_read_back() -> None:
    head = parse_request_head(encode_get("host.example:8080", "/a?b=c", "wardnet/1").removesuffix(b"\r\n\r\n"))
    assert (head.method, head.target, head.keep_alive) == ("GET", "/a?b=c", False)
    assert head.headers["host"] == "host.example:8080"
    assert head.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.1", True),
        (b"GET / HTTP/1.0", False),
        (b"GET / HTTP/1.1\r\nConnection: Upgrade, Close", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive", True),
    ],
)
def test_keep_alive(head: bytes, keep_alive: bool) -> None:
    assert parse_request_head(head).keep_alive is keep_alive


@pytest.mark.parametrize(
    "head", [b"", b"GET /", b"get / HTTP/1.1", b"GET  / HTTP/1.1", b"GET / HTTP/2", b"GET / HTTP/1.1\r\nx"]
)
def test_bad_requests_are_refused(head: bytes) -> None:
    with pytest.raises(HttpError):
        parse_request_head(head)
