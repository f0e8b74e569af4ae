"""The process that carries frames between TAP devices: `python -m lab.circuit.emulator CONFIG.json`.

Each circuit has one TAP in the namespace of the site's gateway and one at the far end. select(2) is used
because epoll rounds its time-out to milliseconds. A control socket lets the lab change and read the lines
while they run: one JSON object a message, one answer (lab.circuit.control has both sides' words).
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lab import kernel
from lab.circuit.shaper import Line, LineSettings

_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_FRAMES_A_TURN = 64  # read from one device before the others get their turn


@dataclass(frozen=True, slots=True)
class End:
    namespace: str  # path of the network namespace's file
    port: str


@dataclass(frozen=True, slots=True)
class CircuitConfig:
    """`near` is the site's gateway. `down` carries frames to it, `up` from it."""

    id: str
    near: End
    far: End
    down: LineSettings
    up: LineSettings


def parse_config(text: str) -> tuple[CircuitConfig, ...]:
    return tuple(
        CircuitConfig(
            item["id"],
            End(**item["near"]),
            End(**item["far"]),
            LineSettings(**item["down"]),
            LineSettings(**item["up"]),
        )
        for item in json.loads(text)
    )


def dump_config(circuits: tuple[CircuitConfig, ...]) -> str:
    return json.dumps([asdict(circuit) for circuit in circuits], indent=1)


def open_tap(end: End) -> int:
    """A file descriptor of the TAP device `end`, made in its namespace. It outlives this process without a
    carrier, so that a host whose line's process died has a dead line, not a missing port."""
    kernel.enter_namespace(Path(end.namespace), kernel.CLONE_NEWNET)
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    request = struct.pack("16sH14x", end.port.encode(), _IFF_TAP | _IFF_NO_PI)
    fcntl.ioctl(descriptor, _TUNSETIFF, request)
    fcntl.ioctl(descriptor, _TUNSETPERSIST, 1)
    return descriptor


class Emulator:
    def __init__(self, circuits: tuple[CircuitConfig, ...]) -> None:
        self._configured = {circuit.id: circuit for circuit in circuits}
        self._lines: dict[str, tuple[Line, Line]] = {}
        # descriptor -> the line that its frames enter, the descriptor where they come out
        self._inputs: dict[int, tuple[Line, int]] = {}
        self._outputs: list[tuple[Line, int]] = []
        for circuit in circuits:
            near, far = open_tap(circuit.near), open_tap(circuit.far)
            down, up = Line(circuit.down), Line(circuit.up)
            self._lines[circuit.id] = (down, up)
            self._inputs[far] = (down, near)
            self._inputs[near] = (up, far)
            self._outputs += [(down, near), (up, far)]

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request. ValueError, KeyError or TypeError if it makes no sense."""
        now = time.monotonic()
        if "circuit" in request:
            circuit = self._configured[request["circuit"]]
            settings = {"down": circuit.down, "up": circuit.up}
            for direction, line in zip(("down", "up"), self._lines[circuit.id], strict=True):
                changes = request.get("set", {}).get(direction, {})
                base = settings[direction] if request.get("reset") else line.settings
                line.change(now, replace(base, **changes))
        return {
            name: {
                direction: asdict(line.settings) | asdict(line.counters)
                for direction, line in zip(("down", "up"), lines, strict=True)
            }
            for name, lines in self._lines.items()
            if request.get("circuit", name) == name
        }

    def _read(self, descriptor: int) -> None:
        line, _ = self._inputs[descriptor]
        for _ in range(_FRAMES_A_TURN):
            try:
                frame = os.read(descriptor, 2048)
            except BlockingIOError:
                return
            except OSError:  # the device is down, or its namespace is going
                return
            line.offer(time.monotonic(), frame)

    def _deliver(self) -> float | None:
        """Write out what has arrived; return the seconds until the next frame is due."""
        soonest: float | None = None
        for line, descriptor in self._outputs:
            while (frame := line.take_due(time.monotonic())) is not None:
                try:
                    os.write(descriptor, frame)
                except OSError:  # the device is down: the frame is lost, as on a cut line
                    continue
            due = line.next_due()
            if due is not None and (soonest is None or due < soonest):
                soonest = due
        return None if soonest is None else max(0.0, soonest - time.monotonic())

    def run(self, listener: socket.socket) -> None:
        devices = list(self._inputs)
        clients: dict[int, socket.socket] = {}
        while True:
            wait = self._deliver()
            readable, _, _ = select.select([*devices, listener.fileno(), *clients], [], [], wait)
            for descriptor in readable:
                if descriptor in self._inputs:
                    self._read(descriptor)
                elif descriptor in clients:
                    with clients.pop(descriptor) as client:
                        _serve(self, client)
                else:
                    client, _ = listener.accept()
                    client.setblocking(False)
                    clients[client.fileno()] = client


def _serve(emulator: Emulator, client: socket.socket) -> None:
    answer: dict[str, Any]
    try:
        message = client.recv(65536)
        if not message:
            return
        answer = {"ok": emulator.answer(json.loads(message))}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    except OSError:
        return
    try:
        client.send(json.dumps(answer).encode())
    except OSError as error:
        print(f"an answer was not taken: {error}", file=sys.stderr)


def main() -> None:
    config, address = Path(sys.argv[1]), Path(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    emulator = Emulator(parse_config(config.read_text()))
    kernel.enter_namespace(Path(f"/proc/self/fd/{own}"), kernel.CLONE_NEWNET)
    os.close(own)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)  # a line must not be late because a host is busy
    gc.freeze()
    gc.disable()  # nothing here makes cycles, and a collection would hold frames back
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        os.umask(0o077)
        listener.bind(str(address))
        listener.listen(8)
        emulator.run(listener)


if __name__ == "__main__":
    main()
