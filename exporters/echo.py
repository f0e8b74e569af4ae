"""Echo requests over one raw socket a channel and family, timed by the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from exporters.config import Channel, Family
from exporters.icmp import TOKEN_BYTES, Echo, encode_request, parse_reply
from exporters.sockets import Egress, open_bound, read_egress

log = logging.getLogger(__name__)

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the same number names the control message
_TIMESPEC = struct.Struct("@ll")
_SOL_RAW, _ICMP_FILTER = 255, 1
_ICMP6_FILTER = 1
_PROTOCOLS = {Family.IPV4: socket.IPPROTO_ICMP, Family.IPV6: socket.IPPROTO_ICMPV6}
_READS_AT_ONCE = 256
# Kernel stamps are of the wall clock: where it was stepped between the two ends of a round trip, they are useless.
_CLOCK_STEP_NS = 100_000

Done = Callable[[float | None], None]


@dataclass(slots=True)
class _Pending:
    token: bytes
    destination: str
    sent_wall: int
    sent_monotonic: int
    done: Done
    timer: asyncio.TimerHandle


class EchoSocket:
    """Opened when first needed, and again after an error: an interface may come late, go, and come back."""

    def __init__(self, channel: Channel, family: Family) -> None:
        self.channel = channel
        self.family = family
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = None
        self._identifier = secrets.randbelow(65536)
        self._sequence = 0
        self._pending: dict[int, _Pending] = {}

    @property
    def egress(self) -> Egress | None:
        """Where requests leave now; None while the socket is not open."""
        try:
            return read_egress(self._sock) if self._sock is not None else None
        except OSError:
            return None

    def send(self, destination: str, timeout: float, done: Done) -> None:
        """Sends one request. `done` is called once: with the round trip in seconds, or None after `timeout`.

        Raises OSError, without calling `done`, where the kernel does not let it out.
        """
        sock = self._open()
        self._sequence = self._next_sequence()
        echo = Echo(self._identifier, self._sequence, secrets.token_bytes(TOKEN_BYTES))
        packet = encode_request(self.family, echo)
        sent_wall, sent_monotonic = time.time_ns(), time.monotonic_ns()
        try:
            sock.sendto(packet, (destination, 0))
        except BlockingIOError:
            raise
        except OSError:
            self._shut()
            raise
        timer = self._loop.call_later(timeout, self._expire, self._sequence)
        self._pending[self._sequence] = _Pending(echo.token, destination, sent_wall, sent_monotonic, done, timer)

    async def measure(self, destination: str) -> float:
        """One round trip in seconds; waits for as long as the caller lets it. Raises OSError."""
        answer: asyncio.Future[float] = self._loop.create_future()

        def finish(seconds: float | None) -> None:
            if seconds is not None and not answer.done():
                answer.set_result(seconds)

        self.send(destination, 3600.0, finish)
        return await answer

    def close(self) -> None:
        """Forgets what is under way, without calling anybody."""
        self._shut()
        for pending in self._pending.values():
            pending.timer.cancel()
        self._pending.clear()

    def _open(self) -> socket.socket:
        if self._sock is None:
            sock = open_bound(self.channel, self.family, socket.SOCK_RAW, _PROTOCOLS[self.family])
            try:
                sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
                _filter_replies(sock, self.family)
            except OSError:
                sock.close()
                raise
            self._loop.add_reader(sock, self._read)
            self._sock = sock
        return self._sock

    def _shut(self) -> None:
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._sock.close()
            self._sock = None

    def _next_sequence(self) -> int:
        sequence = (self._sequence + 1) & 0xFFFF
        while sequence in self._pending:
            sequence = (sequence + 1) & 0xFFFF
        return sequence

    def _read(self) -> None:
        for _ in range(_READS_AT_ONCE):
            if self._sock is None:
                return
            try:
                packet, control, _, address = self._sock.recvmsg(2048, 256)
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("channel %s, %s: %s", self.channel.id, self.family.value, error)
                self._shut()
                return
            self._accept(packet, control, str(address[0]))

    def _accept(self, packet: bytes, control: list[tuple[int, int, bytes]], source: str) -> None:
        """Takes an answer to a request of ours that is still open; late, doubled and foreign ones are nothing."""
        received_monotonic, now_wall = time.monotonic_ns(), time.time_ns()
        echo = parse_reply(self.family, packet)
        if echo is None or echo.identifier != self._identifier:
            return
        pending = self._pending.get(echo.sequence)
        if pending is None or pending.token != echo.token:
            return
        if ip_address(source.partition("%")[0]) != ip_address(pending.destination):
            return
        del self._pending[echo.sequence]
        pending.timer.cancel()
        stamp = _kernel_stamp(control)
        pending.done(round_trip(pending.sent_wall, pending.sent_monotonic, stamp, now_wall, received_monotonic))

    def _expire(self, sequence: int) -> None:
        pending = self._pending.pop(sequence, None)
        if pending is not None:
            pending.done(None)


def round_trip(sent_wall: int, sent_monotonic: int, stamp: int | None, now_wall: int, now_monotonic: int) -> float:
    """Seconds from sending to the kernel's stamp of the answer; all arguments in nanoseconds.

    Without a stamp, or where the wall clock was stepped meanwhile, up to now by the monotonic clock.
    """
    elapsed = now_monotonic - sent_monotonic
    stepped = abs((now_wall - sent_wall) - elapsed) > _CLOCK_STEP_NS
    if stamp is None or stepped or not 0 <= stamp - sent_wall <= elapsed + _CLOCK_STEP_NS:
        return elapsed / 1e9
    return (stamp - sent_wall) / 1e9


def _kernel_stamp(control: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return None


def _filter_replies(sock: socket.socket, family: Family) -> None:
    """Lets the kernel drop all but echo replies; what slips through is sorted out on reading."""
    with contextlib.suppress(OSError):  # only saves work
        if family is Family.IPV4:
            sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << 0) & 0xFFFFFFFF))
        else:
            words = [0xFFFFFFFF] * 8
            words[129 >> 5] &= ~(1 << (129 & 31))
            sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *words))
