"""Time over NTP (RFC 5905), from the machine's clock: the time source of one channel. `python -m lab.services.clock`.

Prints who asks, so that it can be seen over which line a gateway asked.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from lab.services.serving import tell_ready

PORT = 123
_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
_HEADER = struct.Struct("!BBbb11I")
_CLIENT, _SERVER = 3, 4
_STRATUM, _PRECISION = 1, -20


def _timestamp(seconds: float) -> tuple[int, int]:
    whole = int(seconds)
    return (whole + _EPOCH) & 0xFFFFFFFF, int((seconds - whole) * (1 << 32))


def answer(question: bytes, received: float, now: Callable[[], float] = time.time) -> bytes | None:
    """What is sent back to a client's packet, which came in at `received` (Unix seconds); None to anything else."""
    if len(question) < _HEADER.size or question[0] & 7 != _CLIENT:
        return None
    version = question[0] >> 3 & 7
    poll = _HEADER.unpack_from(question)[2]
    sent = struct.unpack_from("!2I", question, 40)
    reference = int.from_bytes(b"LOCL", "big")
    return _HEADER.pack(
        version << 3 | _SERVER, _STRATUM, poll, _PRECISION, 0, 0, reference,
        *_timestamp(received), *sent, *_timestamp(received), *_timestamp(now()),
    )  # fmt: skip


def main() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as served:
        served.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        served.bind(("::", PORT))
        tell_ready()
        while True:
            question, client = served.recvfrom(512)
            told = answer(question, time.time())
            if told is not None:
                print(f"{client[0].removeprefix('::ffff:')} asked", flush=True)
                served.sendto(told, client)


if __name__ == "__main__":
    main()
