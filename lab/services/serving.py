"""A small HTTP server for both address families, with TLS when it is given a certificate.

A request is read whole, the application turns it into a response, and the response leaves in one write, a large one in
several.
"""

from __future__ import annotations

import os
import socket
import socketserver
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

MAX_BODY = 8 << 20
IDLE_SECONDS = 30
AT_ONCE = 1 << 20  # bytes of one write, which must leave within IDLE_SECONDS


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is decoded no further than the URL has it; `query` holds the first value of each key."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # by lower-case name
    body: bytes

    def form(self) -> dict[str, str]:
        """Fields of an application/x-www-form-urlencoded body."""
        fields = parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return {key: values[0] for key, values in fields.items()}


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = field(default=())
    raw: bool = False  # the body alone goes out, then the connection ends: nothing that speaks HTTP


Application = Callable[[Request], Response]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "wardnet-lab"
    sys_version = ""
    timeout = IDLE_SECONDS
    application: Application

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding") or not length.isdigit():
            self._answer(Response(411, b"a request body needs a length\n", "text/plain"), close=True)
            return
        if int(length) > MAX_BODY:
            self._answer(Response(413, b"too large\n", "text/plain"), close=True)
            return
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(int(length))
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            parts.path,
            {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()},
            {key.lower(): value for key, value in self.headers.items()},
            body,
        )
        try:
            response = type(self).application(request)
        except Exception as error:  # a bug in the application must not take the server with it
            print(f"error: {request.method} {request.path}: {error!r}", file=sys.stderr)
            response = Response(500, b"internal error\n", "text/plain")
        self._answer(response, close=False)

    do_GET = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _answer(self, response: Response, *, close: bool) -> None:
        if response.raw:
            self.close_connection = True
            self.wfile.write(response.body)
            return
        head = [f"{self.protocol_version} {response.status} {self.responses.get(response.status, ('',))[0]}"]
        head += [f"Date: {self.date_time_string()}", f"Server: {self.server_version}"]
        if response.body or response.status not in (204, 304):
            head += [f"Content-Type: {response.content_type}", f"Content-Length: {len(response.body)}"]
        head += [f"{key}: {value}" for key, value in response.headers]
        if close:
            head.append("Connection: close")
            self.close_connection = True
        body = b"" if self.command == "HEAD" else response.body
        self.wfile.write("\r\n".join([*head, "", ""]).encode("latin-1", "replace") + body[:AT_ONCE])
        for begin in range(AT_ONCE, len(body), AT_ONCE):
            self.wfile.write(body[begin : begin + AT_ONCE])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        print(f"{self.client_address[0]} {format % args}", file=sys.stderr)


class _Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 128
    context: ssl.SSLContext | None = None

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's own: it looks the machine's name up, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(IDLE_SECONDS)
        if self.context is not None:
            # The handshake is done in the connection's own thread, so that a slow client holds up nobody.
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        if isinstance(request, ssl.SSLSocket):
            request.do_handshake()
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # a client that went away is no error
            print(f"error: {client_address[0]}: {error!r}", file=sys.stderr)


def tell_ready() -> None:
    """Tell systemd that the service listens. Does nothing outside a unit of Type=notify."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


def credentials() -> Path | None:
    """The folder where systemd put the service's secrets; None outside a service."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None


def make_server(application: Application, port: int, tls: Path | None = None) -> ThreadingHTTPServer:
    """A server on all addresses of both families. `tls` is a folder with certificate.pem and key.pem."""
    handler = type("Handler", (_Handler,), {"application": staticmethod(application)})
    server = _Server(("::", port), handler)
    if tls is not None:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(tls / "certificate.pem", tls / "key.pem")
        server.context.set_alpn_protocols(["http/1.1"])
    return server
