"""HTTP/1.1 messages, sans I/O: requests and answers to and from bytes.

Both sides are bounded: what is longer than it may be is an error, never memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from exporters.errors import ExporterError

MAX_HEAD_BYTES = 64 * 1024
_MAX_CHUNK_LINE = 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?")
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (\S{1,8192}) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_BODILESS = frozenset({204, 304})


class HttpError(ExporterError):
    """The other side does not speak HTTP/1.1 as it should."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """`headers` has lower-case names; of a header sent twice the values are joined with a comma."""

    method: str
    target: str
    keep_alive: bool
    headers: Mapping[str, str]


def encode_get(authority: str, path: str, agent: str) -> bytes:
    """A GET for one answer on one connection, uncompressed, so that bytes on the line are bytes measured."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n"
        "Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
    ).encode("ascii")


def parse_request_head(head: bytes) -> RequestHead:
    """What stands before the empty line, without it. Raises HttpError."""
    first, _, rest = head.partition(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise HttpError("the first line is not an HTTP/1.1 request")
    headers = _parse_headers(rest)
    connection = {token.strip().lower() for token in headers.get("connection", "").split(",")}
    keep_alive = "close" not in connection if match[3] == b"1" else "keep-alive" in connection
    return RequestHead(match[1].decode(), match[2].decode("latin-1"), keep_alive, headers)


def _parse_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in block.split(b"\r\n") if block else ():
        match = _HEADER.fullmatch(line)
        if match is None:
            raise HttpError(f"a header line cannot be read: {line[:80]!r}")
        name, value = match[1].decode().lower(), match[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


class ResponseParser:
    """Feed it what arrives; it says when the answer is complete.

    `status` and `headers` are set once the head was read, `body_bytes` counts the decoded body (kept in `body` with
    `keep`), `complete` turns true at its end. After `max_body` bytes the rest is not waited for: `complete` and
    `cut` turn true together. Raises HttpError on anything that is not HTTP/1.1.
    """

    def __init__(self, max_body: int, *, keep: bool = False) -> None:
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.body_bytes = 0
        self.body = bytearray()
        self.complete = False
        self.cut = False
        self._max_body = max_body
        self._keep = keep
        self._buffer = bytearray()
        self._chunked = False
        self._left: int | None = None  # of the body or chunk; None: until the connection ends

    def feed(self, data: bytes) -> None:
        self._buffer += data
        if self.status is None and not self._read_head():
            return
        if self._chunked:
            self._read_chunks()
        elif not self.complete:
            self._take_body()
            if self._left == 0:
                self.complete = True
        if self.body_bytes >= self._max_body and not self.complete:
            self.complete = self.cut = True

    def end(self) -> None:
        """The other side closed the connection."""
        if self.complete:
            return
        if self.status is None:
            raise HttpError("the connection was closed before the answer's head was complete")
        if self._chunked or self._left is not None:
            raise HttpError(f"the connection was closed in the middle of the body, after {self.body_bytes} bytes")
        self.complete = True

    def _read_head(self) -> bool:
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end > MAX_HEAD_BYTES or (end < 0 and len(self._buffer) > MAX_HEAD_BYTES):
                raise HttpError(f"the answer's head is longer than {MAX_HEAD_BYTES} bytes")
            if end < 0:
                # Say so at once where the far end speaks another protocol, rather than wait for an empty line.
                if not bytes(self._buffer[:5]) == b"HTTP/"[: len(self._buffer)]:
                    raise HttpError(f"the answer does not begin like HTTP: {bytes(self._buffer[:16])!r}")
                return False
            first, _, rest = bytes(self._buffer[:end]).partition(b"\r\n")
            match = _STATUS_LINE.fullmatch(first)
            if match is None:
                raise HttpError(f"the answer does not begin like HTTP/1.1: {first[:80]!r}")
            del self._buffer[: end + 4]
            status = int(match[1])
            if status >= 200:
                self._begin_body(status, _parse_headers(rest))
                return True
            if status == 101:
                raise HttpError("the server switched protocols unasked")

    def _begin_body(self, status: int, headers: Mapping[str, str]) -> None:
        self.status, self.headers = status, headers
        encoding = headers.get("transfer-encoding")
        length = headers.get("content-length")
        if status in _BODILESS:
            self._left = 0
        elif encoding is not None:
            if encoding.lower() != "chunked":
                raise HttpError(f"the transfer encoding {encoding!r} is not known")
            self._chunked, self._left = True, 0
        elif length is not None:
            values = {value.strip() for value in length.split(",")}
            if len(values) != 1 or re.fullmatch(r"[0-9]{1,15}", next(iter(values))) is None:
                raise HttpError(f"the content length {length!r} is not a number")
            self._left = int(values.pop())

    def _take_body(self) -> None:
        count = len(self._buffer) if self._left is None else min(self._left, len(self._buffer))
        self._count(count)
        if self._left is not None:
            self._left -= count

    def _count(self, count: int) -> None:
        self.body_bytes += count
        if self._keep:
            self.body += self._buffer[:count]
        del self._buffer[:count]

    def _read_chunks(self) -> None:
        """`_left` counts what is missing of the chunk and of the line end after it."""
        while not self.complete and self.body_bytes < self._max_body:
            if self._left and self._left > 2:
                count = min(self._left - 2, len(self._buffer))
                self._left -= count
                self._count(count)
                if self._left > 2:
                    return
            if self._left:
                if len(self._buffer) < 2:
                    return
                if self._buffer[:2] != b"\r\n":
                    raise HttpError("a chunk is longer than it says")
                del self._buffer[:2]
                self._left = 0
            end = self._buffer.find(b"\r\n")
            if end > _MAX_CHUNK_LINE or (end < 0 and len(self._buffer) > _MAX_CHUNK_LINE):
                raise HttpError("a chunk's first line is too long")
            if end < 0:
                return
            size = bytes(self._buffer[:end]).partition(b";")[0].strip()
            if re.fullmatch(rb"[0-9A-Fa-f]{1,12}", size) is None:
                raise HttpError(f"a chunk's size cannot be read: {size[:20]!r}")
            if int(size, 16) == 0:
                self._end_chunks(end)
                return
            del self._buffer[: end + 2]
            self._left = int(size, 16) + 2

    def _end_chunks(self, line_end: int) -> None:
        """The last chunk may be followed by trailer lines, up to an empty one."""
        if self._buffer[line_end : line_end + 4] == b"\r\n\r\n":
            end = line_end
        else:
            end = self._buffer.find(b"\r\n\r\n", line_end)
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise HttpError("the trailer is too long")
            return
        del self._buffer[: end + 4]
        self.complete = True
