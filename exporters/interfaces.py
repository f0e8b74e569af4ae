"""Counters and state of the host's own interfaces.

Read from /proc/self/net and by ioctl, both of the process's own network namespace. /sys/class/net is not used:
it shows the namespace that sysfs was mounted in, which in a container can be the outer machine's.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from exporters.errors import ExporterError

_NET_DEV = Path("/proc/self/net/dev")
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 0x1
_IFF_RUNNING = 0x40  # the carrier is there
_COLUMNS = 16


class InterfaceError(ExporterError):
    """The kernel's interface table cannot be read as it should."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Since the interface was made, as the kernel counts: bytes at the link layer, headers included."""

    receive_bytes: int
    receive_packets: int
    receive_errors: int
    receive_drops: int
    transmit_bytes: int
    transmit_packets: int
    transmit_errors: int
    transmit_drops: int


def read_counters() -> dict[str, Counters]:
    """By interface name. Raises InterfaceError."""
    try:
        text = _NET_DEV.read_text(encoding="utf-8")
    except OSError as error:
        raise InterfaceError(f"{_NET_DEV}: cannot be read: {error.strerror}") from error
    return parse_counters(text)


def parse_counters(text: str) -> dict[str, Counters]:
    """The text of /proc/net/dev: two lines of headings, then a line each. Raises InterfaceError."""
    found: dict[str, Counters] = {}
    for line in text.splitlines()[2:]:
        name, _, figures = line.rpartition(":")
        columns = figures.split()
        try:
            numbers = [int(column) for column in columns]
        except ValueError:
            numbers = []
        if len(numbers) != _COLUMNS:
            raise InterfaceError(f"{_NET_DEV}: cannot read the line {line!r}")
        found[name.strip()] = Counters(*numbers[0:4], *numbers[8:12])
    return found


def read_up(interface: str) -> bool:
    """Whether the interface is there, is enabled, and has a carrier."""
    request = struct.pack("16sH22x", interface.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            reply = fcntl.ioctl(sock, _SIOCGIFFLAGS, request)
        except OSError:
            return False  # no such interface (any more)
    flags = int(struct.unpack_from("H", reply, 16)[0])
    return flags & (_IFF_UP | _IFF_RUNNING) == _IFF_UP | _IFF_RUNNING
