#!/usr/bin/python3
"""saned, for one connection that systemd has accepted. While somebody scans, most drivers hide their scanner from all
others, and saned's list is then as empty as that of a box whose scanner is unplugged. So whoever asks by wardnet's
greeting how the scanner is (the agents, wardnet-scan-check) hears that it is busy; all others, and they too while
nobody scans, get saned itself.

    saned-or-busy FIRST LAST    the ports that saned sends pages from
"""

from __future__ import annotations

import os
import re
import select
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

SANED = "/usr/sbin/saned"
CONNECTION = 3  # where systemd puts what it has accepted
PATIENCE = 5.0  # seconds
VERSION = 0x01000003
QUESTION = struct.pack(">3I", 0, VERSION, 8) + b"wardnet\0"  # as exporters/escl.py asks
GREETING = struct.pack(">2I", 0, VERSION)
BUSY = struct.pack(">2I", 3, 0)  # SANE_STATUS_DEVICE_BUSY, and no list
# Listening, established, and established where the other end only reads, as SANE's clients do at once.
UNDER_WAY = ("0A", "01", "08")
SCANNERS = re.compile(r"/dev/(bus/usb/\d+/\d+|usb/scanner\d+|sg\d+)$")


def sends_a_page(table: str, first: int, last: int) -> bool:
    """Whether /proc/net/tcp or tcp6 has a page under way, or one that is about to be fetched."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        port, state = int(fields[1].rpartition(":")[2], 16), fields[3]
        if first <= port <= last and state in UNDER_WAY:
            return True
    return False


def has_a_scanner_open(processes: Path = Path("/proc")) -> bool:
    """Whether another saned has; those of other users cannot be looked into, and none of them is one."""
    for process in processes.glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if process.name == str(os.getpid()) or (process / "comm").read_text().strip() != "saned":
                continue
            if any(SCANNERS.match(str(each.readlink())) for each in (process / "fd").iterdir()):
                return True
    return False


def asks(connection: socket.socket) -> bool:
    """Whether it begins with the question, which stays to be read. The connection's modes stay as they are."""
    deadline = time.monotonic() + PATIENCE
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([connection], [], [], left)[0]:
            return False
        said = connection.recv(len(QUESTION), socket.MSG_PEEK)
        if said == QUESTION:
            return True
        if not said or not QUESTION.startswith(said):
            return False
        time.sleep(0.02)
    return False


def answer(connection: socket.socket) -> None:
    """What saned says to the question, and that the scanner is busy where it would have a list."""
    connection.settimeout(PATIENCE)
    connection.recv(len(QUESTION), socket.MSG_WAITALL)
    connection.sendall(GREETING)
    if connection.recv(4, socket.MSG_WAITALL):
        connection.sendall(BUSY)
        connection.recv(4, socket.MSG_WAITALL)


def main() -> None:
    first, last = int(sys.argv[1]), int(sys.argv[2])
    connection = socket.socket(fileno=CONNECTION)
    if asks(connection):
        tables = [path.read_text() for path in map(Path, ("/proc/net/tcp", "/proc/net/tcp6")) if path.exists()]
        if has_a_scanner_open() or any(sends_a_page(table, first, last) for table in tables):
            with suppress(OSError):  # whoever asked has gone
                answer(connection)
            return
    os.execv(SANED, [SANED])  # noqa: S606 - it takes the place of this program, with its connection


if __name__ == "__main__":
    main()
