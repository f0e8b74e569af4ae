"""The steps that probes of services share: resolve, connect, secure. Each times itself as a phase of the run."""

from __future__ import annotations

import asyncio
import os
import socket

from exporters import metrics
from exporters.config import Family
from exporters.probing import ProbeFailure, Run
from exporters.resolver import resolve
from exporters.sockets import open_bound, read_egress, read_tcp_info
from exporters.stream import TlsStream


async def find_addresses(run: Run) -> tuple[str, ...]:
    host = run.service.url.host
    with run.phase("dns"):
        found = await resolve(run.channel, run.family, host, run.note, port=run.dns_port)
    if found.egress is not None and (":" in found.egress.source) == (run.family is Family.IPV6):
        run.egress = found.egress
    return found.addresses


async def connect(run: Run, addresses: tuple[str, ...], port: int) -> socket.socket:
    """A connection to the first address that takes one; the caller closes it."""
    reasons: list[str] = []
    with run.phase("connect"):
        for address in addresses:
            sock = open_bound(run.channel, run.family, socket.SOCK_STREAM)
            try:
                run.egress = read_egress(sock)
                # Small requests must not wait for the answer to an earlier segment.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await asyncio.get_running_loop().sock_connect(sock, (address, port))
            except OSError as error:
                sock.close()
                reasons.append(f"{address} port {port}: {os.strerror(error.errno) if error.errno else error}")
                run.note(reasons[-1])
                continue
            except BaseException:
                sock.close()
                raise
            run.note(f"connected to {address} port {port} from {run.egress.source} on {run.egress.interface}")
            return sock
        raise ProbeFailure("connect", "; ".join(reasons))


async def secure(run: Run, sock: socket.socket, host: str) -> TlsStream:
    """TLS over the connection, with the certificate verified for `host`."""
    with run.phase("tls"):
        stream = TlsStream(sock, run.trust, host)
        await stream.handshake()
    run.record(metrics.PROBE_TLS_INFO, 1.0, stream.version)
    run.record(metrics.PROBE_TLS_EXPIRY, stream.not_after)
    run.note(f"TLS is up: {stream.version}")
    return stream


def record_tcp(run: Run, sock: socket.socket) -> None:
    """Keeps what the kernel knows of the connection."""
    info = read_tcp_info(sock)
    run.record(metrics.PROBE_TCP_ROUND_TRIP, info.round_trip)
    run.record(metrics.PROBE_TCP_MIN_ROUND_TRIP, info.min_round_trip)
    run.record(metrics.PROBE_TCP_RETRANSMISSIONS, float(info.retransmissions))


def record_bytes(run: Run, sock: socket.socket) -> None:
    """Adds what the connection has carried to what those before it did."""
    carried = (run.value(metrics.PROBE_TCP_BYTES) or 0) + read_tcp_info(sock).carried
    run.record(metrics.PROBE_TCP_BYTES, float(carried))
