"""A device's SSH server on the loopback, with the read-only account's wrapper: only the transport's far end is ours."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

Answer = Callable[[paramiko.Channel, str], None]


@dataclass
class FakeDevice:
    """`answer` writes what the wrapper prints and ends the channel; `asked` are the words that came."""

    host_key: paramiko.PKey
    allowed: paramiko.PKey
    answer: Answer
    asked: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0


class _Account(paramiko.ServerInterface):
    def __init__(self, device: FakeDevice) -> None:
        self._device = device

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = username == "wardnet-audit" and key.asbytes() == self._device.allowed.asbytes()
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 - paramiko's signature
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        word = command.decode()
        self._device.asked.append(word)
        threading.Thread(target=self._device.answer, args=(channel, word), daemon=True).start()
        return True


@contextmanager
def serving(device: FakeDevice) -> Iterator[FakeDevice]:
    listener = socket.create_server(("127.0.0.1", 0))
    device.port = listener.getsockname()[1]
    transports: list[paramiko.Transport] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            device.connections += 1
            transport = paramiko.Transport(connection)
            transport.add_server_key(device.host_key)
            transports.append(transport)
            try:
                transport.start_server(server=_Account(device))
            except (paramiko.SSHException, OSError, EOFError):
                continue

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield device
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for transport in transports:
            transport.close()
        thread.join(5)


def printing(contents: dict[str, bytes]) -> Answer:
    """The wrapper: prints the artefact that was named, and refuses anything else."""

    def answer(channel: paramiko.Channel, word: str) -> None:
        if word in contents:
            channel.sendall(contents[word])
            channel.send_exit_status(0)
        else:
            channel.sendall_stderr(b"refused: name one artefact of the audit\n")
            channel.send_exit_status(2)
        channel.shutdown_write()  # the client closes: it may not have heard yet that its request was granted

    return answer


def key_pair(folder: Path, name: str) -> tuple[paramiko.PKey, Path]:
    key = paramiko.ECDSAKey.generate()
    path = folder / name
    key.write_private_key_file(str(path))
    return key, path
