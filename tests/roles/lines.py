"""How a line treats packets, seen from where this is run: the network namespace of a lab's host.

lines.py flood ADDRESS PORT BITS SECONDS    UDP datagrams of 1400 bytes at so many bits a second, and no more
lines.py answer PORT BITS SECONDS           the same, back to whoever sends the first datagram to this port
lines.py draw ADDRESS PORT SECONDS          asks for that, and reads what comes
lines.py compare COUNT QUICK SLOW           COUNT connections to QUICK and questions to SLOW, by turns (each is
                                            ADDRESS:PORT; TCP the first, a name asked by UDP the other); prints the
                                            median seconds of each. What is lost counts as WAIT seconds
"""

from __future__ import annotations

import json
import socket
import statistics
import struct
import sys
import time

WAIT = 2.0
SIZE = 1400


def flood(address: str, port: int, bits: int, seconds: float) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        pour(sender, (address, port), bits, seconds)


def answer(port: int, bits: int, seconds: float) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("", port))
        sender.settimeout(seconds)
        _, asker = sender.recvfrom(512)
        pour(sender, asker, bits, seconds)


def draw(address: str, port: int, seconds: float) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((address, port))
        asking.settimeout(0.5)
        asked = 0.0
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            try:
                if now - asked >= 1:  # until somebody answers, and so that the filter knows whose the answers are
                    asked = now
                    asking.send(b"?")
                asking.recv(2048)
            except OSError:
                time.sleep(0.1)  # not there yet


def pour(sender: socket.socket, to: tuple[str, int], bits: int, seconds: float) -> None:
    """In slices of some 10 ms. What a busy machine held up is made up for, as far as a fifth of a second."""
    last = time.monotonic()
    end = last + seconds
    while last < end:
        time.sleep(0.01)
        now = time.monotonic()
        for _ in range(int(bits / 8 * min(now - last, 0.2) / SIZE)):
            sender.sendto(b"\0" * SIZE, to)
        last = now


def connect(address: str, port: int) -> float:
    begun = time.monotonic()
    try:
        socket.create_connection((address, port), timeout=WAIT).close()
    except OSError:
        return WAIT
    return time.monotonic() - begun


def ask(address: str, port: int) -> float:
    labels = b"".join(struct.pack("B", len(label)) + label for label in (b"dvctt", b"tayho", b"example"))
    question = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(WAIT)
        asking.connect((address, port))
        begun = time.monotonic()
        try:
            asking.send(question)
            asking.recv(512)
        except OSError:
            return WAIT
        return time.monotonic() - begun


def compare(count: int, quick: str, slow: str) -> tuple[float, float]:
    ends = [(end.rpartition(":")[0], int(end.rpartition(":")[2])) for end in (quick, slow)]
    found = [(connect(*ends[0]), ask(*ends[1])) for _ in range(count)]
    return statistics.median(one for one, _ in found), statistics.median(other for _, other in found)


if __name__ == "__main__":
    if sys.argv[1] == "flood":
        flood(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    elif sys.argv[1] == "answer":
        answer(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    elif sys.argv[1] == "draw":
        draw(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        print(json.dumps(compare(int(sys.argv[2]), sys.argv[3], sys.argv[4])))
