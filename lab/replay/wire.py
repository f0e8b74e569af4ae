"""Sends frames and listens for them on one interface of the network namespace it is started in.

`python -m lab.replay.wire send IFACE COUNT FRAMEHEX [FRAMEHEX ...]` and `... listen IFACE SECONDS MARKHEX
[MARKHEX ...]`. The listener prints `ready` once it hears, and JSON {mark: times heard} at the end, which is when it has
heard the last mark (the control, sent after the others) or the time is up.
"""

from __future__ import annotations

import json
import socket
import sys
import time

ETH_P_ALL = 0x0003
GAP_SECONDS = 0.02


def send(interface: str, frames: list[bytes], count: int) -> None:
    """Each frame `count` times, one after the other."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        for frame in frames:
            for _ in range(count):
                wire.send(frame)
                time.sleep(GAP_SECONDS)


def listen(interface: str, seconds: float, marks: list[bytes]) -> dict[bytes, int]:
    """How often each mark arrived from outside within `seconds`; what this side sent itself does not count."""
    heard = dict.fromkeys(marks, 0)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as wire:
        wire.bind((interface, ETH_P_ALL))
        print("ready", flush=True)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not heard[marks[-1]]:
            wire.settimeout(left)
            try:
                data, address = wire.recvfrom(65535)
            except TimeoutError:
                break
            if address[2] == socket.PACKET_OUTGOING:
                continue
            for mark in marks:
                if mark in data:
                    heard[mark] += 1
    return heard


def main(arguments: list[str]) -> None:
    match arguments:
        case ["send", interface, count, *frames]:
            send(interface, [bytes.fromhex(frame) for frame in frames], int(count))
        case ["listen", interface, seconds, *marks]:
            heard = listen(interface, float(seconds), [bytes.fromhex(mark) for mark in marks])
            print(json.dumps({mark.hex(): times for mark, times in heard.items()}), flush=True)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
