"""Frames as they are on the cable, sent from a port or heard at one; run in a network namespace of the lab.

    frames.py hear PORT SECONDS MARK   waits for a frame with the text MARK: its VLAN tag, "untagged", or "nothing"
    frames.py send PORT HEX ...        sends each frame as it is

The kernel takes the tag off before it shows a frame, and tells it apart (PACKET_AUXDATA).
"""

from __future__ import annotations

import socket
import struct
import sys
import time

ALL = 3  # ETH_P_ALL
SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 263, 8, 23
VLAN_VALID = 0x10


def opened(port: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    made.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    made.bind((port, ALL))
    return made


def hear(port: str, seconds: float, mark: bytes) -> str:
    deadline = time.monotonic() + seconds
    with opened(port) as ear:
        print("listening", flush=True)
        while (left := deadline - time.monotonic()) > 0:
            ear.settimeout(left)
            try:
                frame, extra, _flags, _sender = ear.recvmsg(2048, 256)
            except TimeoutError:
                break
            if mark not in frame:
                continue
            if frame[12:14] == b"\x81\x00":
                return str(struct.unpack("!H", frame[14:16])[0] & 0xFFF)
            for level, kind, data in extra:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _length, _snap, _mac, _net, tag, _kind = struct.unpack("=IIIHHHH", data[:20])
                    if status & VLAN_VALID:
                        return str(tag & 0xFFF)
            return "untagged"
    return "nothing"


def send(port: str, frames: list[bytes]) -> None:
    with opened(port) as mouth:
        for frame in frames:
            mouth.send(frame)


if __name__ == "__main__":
    if sys.argv[1] == "hear":
        print(hear(sys.argv[2], float(sys.argv[3]), sys.argv[4].encode()), flush=True)
    else:
        send(sys.argv[2], [bytes.fromhex(word) for word in sys.argv[3:]])
