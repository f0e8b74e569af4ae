"""Real servers on loopback for the exporters' tests: HTTP(S) with a throw-away authority, and DNS over UDP and TCP."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exporters.config import AgentConfig, Channel, Family, Service, parse_config

LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}


def configuration(**changes: object) -> dict[str, Any]:
    """An agent's configuration whose two channels both are the loopback interface."""
    channel = {
        "interface": "lo",
        "ipv4": "127.0.0.1",
        "ipv6": "::1",
        "resolvers": ["127.0.0.1", "::1"],
        "contracted_down_bps": 20_000_000,
        "contracted_up_bps": 10_000_000,
    }
    document: dict[str, Any] = {
        "model_sha256": "ab" * 32,
        "ward": "buoi",
        "site": "buoi-office",
        "gateway": "buoi-gw",
        "domain": "tayho.example",
        "listen": ["127.0.0.1", "::1"],
        "link_port": 9807,
        "software_port": 9808,
        "interval_seconds": 1,
        "channels": [
            {"id": "wan", "circuit": "buoi-wan", "provider": "Provider One", **channel},
            {"id": "internet", "circuit": "buoi-internet", "provider": "Provider Two", **channel},
        ],
        "reflectors": [
            {"id": "hub", "channel": "wan", "ipv4": "127.0.0.1", "ipv6": "::1"},
            {"id": "isp", "channel": "internet", "ipv4": "127.0.0.2", "ipv6": "::1"},
        ],
        "services": [
            {"id": "portal", "channel": "wan", "url": "https://portal.tayho.example/"},
            {"id": "public-web", "channel": "internet", "url": "http://www.tayho.example/page"},
        ],
        "scanners": [
            {
                "id": "scanner-1",
                "channel": "wan",
                "kind": "escl",
                "interface": "lo",
                "source": "127.0.0.1",
                "ipv4": "127.0.0.1",
                "port": 80,
            },
        ],
    }
    document.update(changes)
    return document


def parsed(document: dict[str, Any]) -> AgentConfig:
    return parse_config(json.dumps(document), "agent.json")


def loopback_channel(channel_id: str = "wan") -> Channel:
    return next(c for c in parsed(configuration()).channels if c.id == channel_id)


def service(url: str) -> Service:
    """A service of the WAN channel at some URL."""
    document = configuration(services=[{"id": "portal", "channel": "wan", "url": url}])
    return parsed(document).services[0]


@dataclass
class Page:
    """What the web server does with a path. `body` may be written in pieces, with `pause` seconds between them."""

    status: int = 200
    body: tuple[bytes, ...] = (b"hello",)
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    pause: float = 0.0
    raw: bytes | None = None


@dataclass
class WebServer:
    port: int
    pages: dict[str, Page] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def web_server(
    family: Family = Family.IPV4, tls: ssl.SSLContext | None = None, host: str | None = None, port: int = 0
) -> Iterator[WebServer]:
    """Serves `pages`; unless told otherwise, on a free port of the family's loopback address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            web.seen.append((str(self.client_address[0]), self.path, dict(self.headers)))
            page = web.pages.get(self.path, Page(status=404))
            time.sleep(page.delay)
            if page.raw is not None:
                self.wfile.write(page.raw)
                self.close_connection = True
                return
            self.send_response(page.status)
            for name, value in (*page.headers, ("Content-Length", str(sum(map(len, page.body))))):
                self.send_header(name, value)
            self.end_headers()
            for piece in page.body:
                self.wfile.write(piece)
                time.sleep(page.pause)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        address_family = family.socket_family
        daemon_threads = True
        request_queue_size = 64

        def finish_request(self, request: Any, client_address: Any) -> None:
            if tls is not None:
                request = tls.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # clients of these tests hang up as they please

    with Server((host or LOOPBACK[family], port), Handler) as server, _serving(server):
        web = WebServer(server.server_address[1])
        yield web


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@dataclass
class DnsServer:
    """`addresses` by (lower-case name, 1 or 28). `alter` sees (query, answer, over TCP), gives messages to send."""

    port: int
    addresses: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    queries: list[tuple[str, str]] = field(default_factory=list)
    alter: Callable[[bytes, bytes, bool], list[bytes]] = field(default=lambda _query, answer, _tcp: [answer])

    def answer(self, query: bytes) -> bytes:
        labels: list[str] = []
        offset = 12
        while query[offset]:
            labels.append(query[offset + 1 : offset + 1 + query[offset]].decode())
            offset += 1 + query[offset]
        (kind,) = struct.unpack_from("!H", query, offset + 1)
        question = query[12 : offset + 5]
        name = ".".join(labels).lower()
        found = self.addresses.get((name, kind), [])
        known = any(entry == name for entry, _ in self.addresses)
        header = query[:2] + struct.pack("!5H", 0x8180 if known else 0x8183, 1, len(found), 0, 0)
        records = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data
            for data in (ip_address(address).packed for address in found)
        )
        return header + question + records


@contextmanager
def dns_server(port: int = 0, hosts: Mapping[Family, str] = LOOPBACK) -> Iterator[DnsServer]:
    """Answers on one address of each family, over UDP and TCP, all on one port."""

    class Datagrams(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, sock = self.request
            dns.queries.append((str(self.client_address[0]), "udp"))
            for message in dns.alter(query, dns.answer(query), False):
                sock.sendto(message, self.client_address)

    class Streams(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            (length,) = struct.unpack("!H", self.request.recv(2, socket.MSG_WAITALL))
            query = self.request.recv(length, socket.MSG_WAITALL)
            dns.queries.append((str(self.client_address[0]), "tcp"))
            for message in dns.alter(query, dns.answer(query), True):
                self.request.sendall(struct.pack("!H", len(message)) + message)

    kinds = [
        (socketserver.ThreadingTCPServer, Streams, Family.IPV4),
        (socketserver.ThreadingTCPServer, Streams, Family.IPV6),
        (socketserver.ThreadingUDPServer, Datagrams, Family.IPV4),
        (socketserver.ThreadingUDPServer, Datagrams, Family.IPV6),
    ]
    for attempts_left in reversed(range(50)):
        with ExitStack() as stack:
            dns = DnsServer(port)
            try:
                for base, handler, family in kinds:
                    settings = {
                        "address_family": family.socket_family,
                        "daemon_threads": True,
                        "allow_reuse_address": True,
                    }
                    kind = type(base.__name__, (base,), settings)
                    # The first takes a free port; the others may find that number taken by somebody else.
                    server = stack.enter_context(kind((hosts[family], dns.port), handler))
                    dns.port = server.server_address[1]
                    stack.enter_context(_serving(server))
            except OSError:
                if port or not attempts_left:
                    raise
                continue
            yield dns
            return


@dataclass(frozen=True)
class Authority:
    """A throw-away certificate authority; `file` is what clients trust."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def server_context(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        """A server's TLS context with a certificate for these host names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        alternatives = [_general_name(name) for name in names]
        certificate = _builder(subject, self.certificate.subject, key, days=-1 if expired else 30)
        certificate = certificate.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = certificate.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        file = self.folder / f"server-{'-'.join(names).replace(':', '_')}{'-expired' if expired else ''}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def make_authority(folder: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throw-away authority")])
    builder = _builder(name, name, key, days=30)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    authority = Authority(key, builder.sign(key, hashes.SHA256()), folder)
    authority.file.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    return authority


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
