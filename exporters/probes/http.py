"""http: fetches the service's page, as a browser would, in timed phases.

Redirects are followed on the configured host only. A server that could send this probe elsewhere would make the
gateway a relay between its two channels.
"""

from __future__ import annotations

import socket
from urllib.parse import urljoin

from exporters import VERSION, metrics
from exporters.config import DEFAULT_PORTS, Url, parse_url
from exporters.dial import connect, find_addresses, record_bytes, record_tcp, secure
from exporters.httpwire import ResponseParser, encode_get
from exporters.probing import ProbeFailure, Run
from exporters.stream import PlainStream, Stream

MAX_BODY_BYTES = 1024 * 1024
MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def probe(run: Run) -> None:
    url = run.service.url
    addresses = await find_addresses(run)
    for followed in range(MAX_REDIRECTS + 1):
        run.record(metrics.PROBE_HTTP_REDIRECTS, float(followed))
        with await connect(run, addresses, url.port) as sock:
            try:
                answer = await _fetch(run, sock, url)
            finally:
                record_bytes(run, sock)
        status = answer.status
        if status not in _REDIRECTS:
            break
        url = _next_url(url, answer.headers.get("location"))
        run.note(f"redirected to {url}")
    else:
        raise ProbeFailure("status", f"more than {MAX_REDIRECTS} redirects")
    if status is None or not 200 <= status <= 299:
        raise ProbeFailure("status", f"the answer's status is {status}")


async def _fetch(run: Run, sock: socket.socket, url: Url) -> ResponseParser:
    """One request and its whole answer over a fresh connection."""
    parser = ResponseParser(MAX_BODY_BYTES)
    try:
        stream: Stream = await secure(run, sock, url.host) if url.scheme == "https" else PlainStream(sock)
        with run.phase("first_byte"):
            await stream.send(encode_get(url.authority, url.path, f"wardnet/{VERSION}"))
            data = await stream.receive()
            if not data:
                raise ProbeFailure("first_byte", "the server closed the connection without an answer")
    finally:
        # Here the kernel's figures match the phase that waits for the line and the server.
        record_tcp(run, sock)
    try:
        with run.phase("transfer"):
            parser.feed(data)
            while not parser.complete:
                data = await stream.receive()
                if data:
                    parser.feed(data)
                else:
                    parser.end()
    finally:
        if parser.status is not None:
            run.record(metrics.PROBE_HTTP_STATUS, float(parser.status))
            run.record(metrics.PROBE_RECEIVED_BYTES, float(parser.body_bytes))
    run.note(f"status {parser.status}, {parser.body_bytes} bytes" + (", the rest left unread" if parser.cut else ""))
    return parser


def _next_url(current: Url, location: str | None) -> Url:
    """Where a redirect leads, if it may be followed: the same host, and the same port or its https one."""
    if location is None:
        raise ProbeFailure("status", "a redirect without a location")
    try:
        url = parse_url(urljoin(str(current), location))
    except ValueError as error:
        raise ProbeFailure("status", f"a redirect that cannot be followed: the location {error}") from error
    same = (url.scheme, url.port) == (current.scheme, current.port)
    upgraded = url.scheme == "https" and url.port == DEFAULT_PORTS["https"]
    if url.host != current.host or not (same or upgraded):
        raise ProbeFailure("status", f"redirected off the service, to {url.scheme}://{url.authority}; not followed")
    return url
