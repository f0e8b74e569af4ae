"""A connection as two calls, send and receive, over plain TCP or TLS.

TLS runs in memory beside a plain non-blocking socket, so that the socket stays ours: bound, and asked for TCP_INFO.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeVar

from exporters.errors import ExporterError

T = TypeVar("T")

_READ_BYTES = 65536


class TrustError(ExporterError):
    """A certificate authority's file cannot be used."""


class Stream(Protocol):
    async def send(self, data: bytes) -> None: ...

    async def receive(self) -> bytes:
        """What arrived, at least one byte; empty when the far end has closed."""
        ...


class PlainStream:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._sock, _READ_BYTES)


class TlsStream:
    """`handshake` first. Raises ssl.SSLError (SSLCertVerificationError for a bad certificate) and OSError."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    async def handshake(self) -> None:
        await self._drive(self._tls.do_handshake)

    async def send(self, data: bytes) -> None:
        await self._drive(lambda: self._tls.write(data))

    async def receive(self) -> bytes:
        try:
            return await self._drive(lambda: self._tls.read(_READ_BYTES))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""  # whether the answer was complete is for its parser to say

    @property
    def version(self) -> str:
        """TLSv1.3 and the like."""
        return self._tls.version() or "unknown"

    @property
    def not_after(self) -> float | None:
        """When the server's certificate expires, in seconds since 1970."""
        certificate = self._tls.getpeercert()
        not_after = certificate.get("notAfter") if certificate else None
        return _seconds(not_after) if isinstance(not_after, str) else None

    async def _drive(self, step: Callable[[], T]) -> T:
        """Runs a step of the TLS engine, moving bytes between it and the socket until it is done."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._loop.sock_recv(self._sock, _READ_BYTES)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLCertVerificationError:
                await self._flush()  # tells the server why, as a browser would
                raise
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            await self._loop.sock_sendall(self._sock, data)


@lru_cache(maxsize=64)
def _seconds(certificate_time: str) -> float:
    return float(ssl.cert_time_to_seconds(certificate_time))


def open_trust(folder: Path) -> ssl.SSLContext:
    """A client's context that trusts the system's store and each *.pem and *.crt in a folder, if it is there.

    Raises TrustError naming the file that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET  # every run measures a whole handshake
    context.set_alpn_protocols(["http/1.1"])
    context.set_default_verify_paths()
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix in (".pem", ".crt"))
    except FileNotFoundError:
        files = []
    except OSError as error:
        raise TrustError(f"{folder}: cannot be read: {error.strerror}") from error
    for file in files:
        try:
            context.load_verify_locations(cafile=file)
        except (OSError, ssl.SSLError) as error:
            raise TrustError(f"{file}: is not a certificate authority in PEM form: {error}") from error
    return context
