"""A window from this machine's loopback to a port of a host in the lab: `python -m lab.window PORT NETNS ADDRESS PORT`.

It listens in the machine's own namespace and connects in the host's, carries bytes both ways, and closes when
either side does. Where nothing listens in the lab yet, a visitor's connection is closed at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path

from lab import kernel
from lab.errors import LabError
from wardnet.locale import _

_OWN = Path("/proc/self/ns/net")


def pick_port(wanted: int, tries: int = 50) -> int:
    """`wanted` if it is free on the loopback, else the next that is."""
    for port in range(wanted, min(wanted + tries, 65536)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LabError(
        _("no free port on 127.0.0.1 from {first} to {last}: name one with --window-port").format(
            first=wanted, last=wanted + tries - 1
        )
    )


def answers(port: int) -> bool:
    """True if something listens on the loopback's `port`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False


class Window:
    def __init__(self, namespace: Path, address: str, port: int) -> None:
        self._namespace = namespace
        self._target = (address, port)
        self._home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)

    def _socket_inside(self) -> socket.socket:
        # A socket stays in the namespace that it was made in, so the thread can go home again at once.
        kernel.enter_namespace(self._namespace, kernel.CLONE_NEWNET)
        try:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        finally:
            kernel.enter_namespace(Path(f"/proc/self/fd/{self._home}"), kernel.CLONE_NEWNET)
        made.setblocking(False)
        return made

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside = self._socket_inside()
        try:
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().sock_connect(inside, self._target)
                far_reader, far_writer = await asyncio.open_connection(sock=inside)
        except OSError:
            inside.close()
            writer.close()
            return
        await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _main(listen: int, namespace: Path, address: str, port: int) -> None:
    window = Window(namespace, address, port)
    server = await asyncio.start_server(window.serve, "127.0.0.1", listen)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
