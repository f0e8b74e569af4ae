"""The exporters' HTTP server over real connections: order, bounds, and clients that go away."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from ipaddress import ip_address

import pytest

from exporters import server as server_module
from exporters.httpwire import RequestHead
from exporters.server import Response, Server

LOOPBACK4, LOOPBACK6 = ip_address("127.0.0.1"), ip_address("::1")
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(request: RequestHead) -> Response:
    return Response(HTTPStatus.OK, f"{request.method} {request.target}\n")


def serving(
    test: Callable[[Callable[[], Awaitable[Client]]], Awaitable[None]],
    handler: Callable[[RequestHead], Awaitable[Response]] = echo,
) -> None:
    """Runs a test with a server; whatever asyncio would only have logged fails the test."""

    async def main() -> None:
        unhandled: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
        server = Server(handler)
        await server.listen([(LOOPBACK4, 0)])
        port = server.ports[0]
        try:
            await test(lambda: asyncio.open_connection("127.0.0.1", port))
        finally:
            await server.close()
        await asyncio.sleep(0)
        gc.collect()
        assert unhandled == []

    asyncio.run(asyncio.wait_for(main(), 20))


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    return head, await reader.readexactly(int(length.partition(b":")[2]))


def test_keeps_a_connection_and_answers_in_order() -> None:
    async def test(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        writer.write(b"GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 4\r\n\r\nbodyGET /3 HTTP/1.1\r\n\r\n")
        assert [(await answer(reader))[1] for _ in range(3)] == [b"GET /1\n", b"POST /2\n", b"GET /3\n"]
        writer.write(b"GET /4 HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await answer(reader))[1] == b"GET /4\n"
        assert await reader.read() == b""
        writer.close()

    serving(test)


def test_client_that_does_not_read_is_not_answered_without_end() -> None:
    answered = 0

    async def large(_request: RequestHead) -> Response:
        nonlocal answered
        answered += 1
        return Response(HTTPStatus.OK, "x" * 100_000)

    async def test(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 300)
        before = -1
        while answered > before:
            before = answered
            await asyncio.sleep(0.2)
        assert 0 < answered < 200
        for _ in range(300):
            assert len((await answer(reader))[1]) == 100_000
        assert answered == 300
        writer.close()

    serving(test, large)


def test_request_in_pieces() -> None:
    async def test(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        for piece in (b"GE", b"T /slow HTT", b"P/1.1\r\nHost: x\r\n", b"\r", b"\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        assert (await answer(reader))[1] == b"GET /slow\n"
        writer.close()

    serving(test)


def test_head_has_no_body() -> None:
    async def test(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        writer.write(b"HEAD /x HTTP/1.0\r\n\r\n")
        data = await reader.read()
        assert b"Content-Length: 8\r\n" in data
        assert data.endswith(b"\r\n\r\n")
        writer.close()

    serving(test)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"hello\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 20_000, b"431"),
        (b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    ],
)
def test_bad_requests_are_refused_and_the_connection_closed(request_bytes: bytes, status: bytes) -> None:
    async def test(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        writer.write(request_bytes)
        data = await reader.read()
        assert data.startswith(b"HTTP/1.1 " + status)
        writer.close()

    serving(test)


@pytest.mark.parametrize("goodbye", ["close", "abort"])
def test_client_that_goes_away_cancels_its_answer(goodbye: str) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def slow(_request: RequestHead) -> Response:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError("nobody cancelled it")

    async def test(connect: Callable[[], Awaitable[Client]]) -> None:
        _, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await started.wait()
        if goodbye == "abort":  # with a reset, as of a process that was killed
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()
        await asyncio.wait_for(cancelled.wait(), 5)

    serving(test, slow)


def test_error_in_a_page_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_request: RequestHead) -> Response:
        raise RuntimeError("a bug")

    async def test(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 500 ")
        writer.close()

    with caplog.at_level(logging.ERROR):
        serving(test, broken)
    assert "cannot answer GET /" in caplog.text


def test_idle_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "IDLE_SECONDS", 0.1)

    async def test(connect: Callable[[], Awaitable[Client]]) -> None:
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\nnever: ends")
        assert await reader.read() == b""
        writer.close()

    serving(test)


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 2)

    async def test(connect: Callable[[], Awaitable[Client]]) -> None:
        held = [await connect() for _ in range(2)]
        for reader, writer in held:
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await answer(reader)
        reader, refused = await connect()
        assert await reader.read() == b""
        for _, writer in (*held, (reader, refused)):
            writer.close()

    serving(test)


def test_listens_on_what_it_is_told_and_on_nothing_else() -> None:
    async def main() -> None:
        server = Server(echo)
        await server.listen([(LOOPBACK4, 0), (LOOPBACK6, 0)])
        old4, old6 = server.ports
        await server.listen([(LOOPBACK6, 0)])
        assert server.ports == [old6]
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", old4)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", old6)
        _, writer = await asyncio.open_connection("::1", old6)
        writer.close()

        other = Server(echo)
        with pytest.raises(OSError, match=f"cannot listen on ::1 port {old6}: Address already in use"):
            await other.listen([(LOOPBACK4, 0), (LOOPBACK6, old6)])
        assert other.ports == []
        await server.close()

    asyncio.run(main())
