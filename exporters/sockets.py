"""Sockets that leave by one channel only: bound to its interface and to its address.

Both bindings are needed. The address alone lets the routing table choose the line; the interface alone lets
the kernel choose a source address that the far end answers over the other line.
"""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass

from exporters.config import Channel, Family

_INTERFACE_NAME_BYTES = 16
_TCP_INFO_BYTES = 152
_TCP_INFO_NO_SAMPLE = 0xFFFFFFFF
# include/uapi/linux/tcp.h: the offsets of tcpi_rtt, tcpi_total_retrans, tcpi_bytes_acked, tcpi_bytes_received and
# tcpi_min_rtt.
_RTT, _TOTAL_RETRANS, _BYTES_ACKED, _BYTES_RECEIVED, _MIN_RTT = 68, 100, 120, 128, 148


@dataclass(frozen=True, slots=True)
class Egress:
    """Where a socket's packets really leave."""

    interface: str
    source: str


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """The kernel's own figures of a connection, in seconds. None: it has taken no sample yet. `carried`: bytes of both
    directions, without headers of packets."""

    round_trip: float | None
    min_round_trip: float | None
    retransmissions: int
    carried: int = 0


def open_bound(channel: Channel, family: Family, kind: int, protocol: int = 0) -> socket.socket:
    """A non-blocking socket on the channel. Raises OSError that says which binding failed."""
    sock = socket.socket(family.socket_family, kind | socket.SOCK_NONBLOCK, protocol)
    try:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, channel.interface.encode())
        except OSError as error:
            raise _explained(error, f"cannot bind to interface {channel.interface}") from error
        source = channel.source(family)
        try:
            sock.bind((source, 0))
        except OSError as error:
            raise _explained(error, f"cannot bind to {source} on {channel.interface}") from error
    except BaseException:
        sock.close()
        raise
    return sock


def _explained(error: OSError, what: str) -> OSError:
    code = error.errno if error.errno is not None else errno.EIO
    return OSError(code, f"{what}: {error.strerror}")


def read_egress(sock: socket.socket) -> Egress:
    """The interface and source address that the kernel holds for the socket."""
    name = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _INTERFACE_NAME_BYTES)
    return Egress(interface=name.rstrip(b"\0").decode(), source=str(sock.getsockname()[0]))


def read_tcp_info(sock: socket.socket) -> TcpInfo:
    return parse_tcp_info(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES))


def parse_tcp_info(data: bytes) -> TcpInfo:
    """The kernel's struct tcp_info; older kernels give a shorter one."""

    def microseconds(offset: int) -> float | None:
        value = _u32(data, offset)
        return None if value is None or value in (0, _TCP_INFO_NO_SAMPLE) else value / 1e6

    carried = _u64(data, _BYTES_ACKED) + _u64(data, _BYTES_RECEIVED)
    return TcpInfo(microseconds(_RTT), microseconds(_MIN_RTT), _u32(data, _TOTAL_RETRANS) or 0, carried)


def _u64(data: bytes, offset: int) -> int:
    return int(struct.unpack_from("=Q", data, offset)[0]) if len(data) >= offset + 8 else 0


def _u32(data: bytes, offset: int) -> int | None:
    return int(struct.unpack_from("=I", data, offset)[0]) if len(data) >= offset + 4 else None
