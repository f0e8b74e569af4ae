"""A small HTTP/1.1 server for the exporters' few pages, on the configured addresses only.

A client that goes away cancels the work on its answer. Heads, bodies, connections and idle time are bounded.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address

from exporters.httpwire import HttpError, RequestHead, parse_request_head

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
IDLE_SECONDS = 75.0
_MAX_HEAD_BYTES = 16 * 1024
_MAX_BODY_BYTES = 64 * 1024
# linux/in.h and in6.h; Python has no names for them.
_IP_FREEBIND = 15
_IPV6_FREEBIND = 78

Address = tuple[IPv4Address | IPv6Address, int]


@dataclass(frozen=True, slots=True)
class Response:
    status: HTTPStatus
    body: str
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = field(default=())

    def encode(self, keep_alive: bool, with_body: bool) -> bytes:
        body = self.body.encode("utf-8")
        lines = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(body)}",
            f"Connection: {'keep-alive' if keep_alive else 'close'}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body if with_body else b"")


Handler = Callable[[RequestHead], Awaitable[Response]]


class Server:
    """`listen` may be called again: addresses that stay keep their sockets."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._listeners: dict[Address, asyncio.Server] = {}
        self._connections: set[_Connection] = set()

    @property
    def ports(self) -> list[int]:
        """The ports really bound, in the order of the addresses (port 0 picks a free one)."""
        return [sock.getsockname()[1] for server in self._listeners.values() for sock in server.sockets]

    async def listen(self, addresses: Iterable[Address]) -> None:
        """Listens on exactly these addresses. Raises OSError and changes nothing if one cannot be had."""
        wanted = list(addresses)
        loop = asyncio.get_running_loop()
        opened: dict[Address, asyncio.Server] = {}
        try:
            for address in wanted:
                if address not in self._listeners:
                    sock = _open_listener(address)
                    opened[address] = await loop.create_server(self._accept, sock=sock)
        except OSError:
            for server in opened.values():
                server.close()
            raise
        for address in self._listeners.keys() - set(wanted):
            self._listeners.pop(address).close()
        self._listeners.update(opened)

    async def close(self) -> None:
        for server in self._listeners.values():
            server.close()
        self._listeners.clear()
        for connection in list(self._connections):
            connection.abort()

    def _accept(self) -> asyncio.Protocol:
        return _Connection(self._handler, self._connections)


def _open_listener(address: Address) -> socket.socket:
    host, port = address
    family = socket.AF_INET if host.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # At boot the management address may not be there yet (IPv6 tests for duplicates first).
        if host.version == 4:
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        sock.bind((str(host), port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {error.strerror}") from error
    return sock


class _Connection(asyncio.Protocol):
    """One client: its requests are answered one after the other."""

    def __init__(self, handler: Handler, connections: set[_Connection]) -> None:
        self._handler = handler
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._discard = 0  # bytes of a request's body still to come
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        self._connections.add(self)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._connections.discard(self)
        self._stop_timer()
        if self._task is not None:
            self._task.cancel()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._next()
        busy = self._task is not None or not self._writable
        if busy and self._transport is not None and len(self._buffer) > _MAX_HEAD_BYTES:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._task is None:
            self._next()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _wait(self) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(IDLE_SECONDS, self.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self) -> None:
        """Begins to answer the next request, if it has arrived whole and the client takes its answers."""
        if not self._writable:
            return
        if self._discard:
            count = min(self._discard, len(self._buffer))
            del self._buffer[:count]
            self._discard -= count
        if self._discard:
            return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 and len(self._buffer) <= _MAX_HEAD_BYTES:
            return
        if not 0 <= end <= _MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too long")
            return
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        try:
            request = parse_request_head(head)
            self._discard = _body_length(request)
        except HttpError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        if self._discard > _MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request's body is too long")
            return
        self._stop_timer()
        self._task = self._loop.create_task(self._answer(request))

    async def _answer(self, request: RequestHead) -> None:
        try:
            response = await self._handler(request)
        except Exception:
            log.exception("cannot answer %s %s", request.method, request.target)
            response = Response(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of the exporter; see its journal\n")
        self._task = None
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(response.encode(request.keep_alive, with_body=request.method != "HEAD"))
        if not request.keep_alive:
            transport.close()
            return
        transport.resume_reading()
        self._wait()
        self._next()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        if self._transport is not None:
            self._transport.write(Response(status, message + "\n").encode(keep_alive=False, with_body=True))
            self._transport.close()


def _body_length(request: RequestHead) -> int:
    if "transfer-encoding" in request.headers:
        raise HttpError("a request's body must come with its length")
    text = request.headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise HttpError(f"the content length {text!r} is not a number")
    return int(text)
