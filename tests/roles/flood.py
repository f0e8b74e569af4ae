"""Floods of datagrams between hosts of a lab, counted. Runs in the network of a host, under this machine's Python, and
prints a line of JSON each.

    flood.py hear ADDRESS PORT    for each line that it is given: how many bytes at the IP layer came since the last
                                  one, when none has for a while; "back N" sends as many datagrams to whoever was last
    flood.py send ADDRESS PORT N  sends N datagrams; then, for each line that it is given, how many bytes have come back
"""

from __future__ import annotations

import json
import socket
import sys
import time
from typing import Any

SIZE = 1000
ROOM = 33  # SO_RCVBUFFORCE
QUIET = 2.0  # seconds


def opened(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, ROOM, 64 << 20)
    made.bind((address, port))
    made.settimeout(QUIET)
    return made


def counted(ear: socket.socket) -> tuple[int, Any]:
    total, who = 0, None
    head = 48 if ear.family is socket.AF_INET6 else 28
    try:
        while True:
            content, who = ear.recvfrom(2000)
            total += len(content) + head
    except TimeoutError:
        return total, who


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def hear(address: str, port: str) -> None:
    ear, who = opened(address, int(port)), None
    say("listening")
    for line in sys.stdin:
        if line.startswith("back"):
            pour(ear, who, int(line.split()[1]))
            say("sent")
            continue
        total, last = counted(ear)
        who = last or who
        say(total)


def pour(mouth: socket.socket, to: Any, number: int) -> None:
    """Some 10 MB/s, which the lab's switches carry."""
    for index in range(number):
        mouth.sendto(bytes(SIZE), to)
        if index % 20 == 19:
            time.sleep(0.002)


def send(address: str, port: str, number: str) -> None:
    mouth = opened("::" if ":" in address else "", 0)
    pour(mouth, (address, int(port)), int(number))
    say("sent")
    for _ in sys.stdin:
        say(counted(mouth)[0])


if __name__ == "__main__":
    {"hear": hear, "send": send}[sys.argv[1]](*sys.argv[2:])
