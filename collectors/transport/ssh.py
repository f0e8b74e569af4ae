"""SSH with pinned host keys: a key that is not in the known_hosts file is refused, never learnt.

The device's account runs a wrapper that takes an artefact's name and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import paramiko

from collectors.errors import CollectError, UnreachableError
from collectors.transport.base import MAX_BYTES
from wardnet.model.snapshot import Artefact

PORT = 22
_BLOCK = 65536

# paramiko logs what it raises as well, with tracebacks of its own thread: the reason is told once.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in to any device."""

    user: str
    key: Path
    known_hosts: Path
    port: int = PORT
    timeout: float = 15.0  # seconds, for connecting and for each artefact's next bytes


def fingerprint(key: bytes) -> str:
    """As ssh-keygen prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def read_known_hosts(path: Path) -> paramiko.HostKeys:
    """Raises CollectError where the file can't be read."""
    try:
        return paramiko.HostKeys(str(path))
    except OSError as error:
        raise CollectError(f"{path}: {error.strerror}: record the devices' host keys with `wardnet trust`") from error
    except Exception as error:  # paramiko raises several kinds for a line that is no key
        raise CollectError(f"{path}: not a known_hosts file ({error})") from error


def read_key(path: Path) -> paramiko.PKey:
    """A private key without a passphrase. Raises CollectError."""
    try:
        return paramiko.PKey.from_path(path)
    except OSError as error:
        raise CollectError(f"{path}: {error.strerror}: name the auditor's key with --key") from error
    except Exception as error:
        raise CollectError(f"{path}: not a private key that can be used here ({error})") from error


def host_name(name: str, port: int) -> str:
    """A host as known_hosts writes it."""
    return name if port == PORT else f"[{name}]:{port}"


class SshTransport:
    """A connection to one device, known in known_hosts by its id or its address."""

    def __init__(self, device: str, address: str, login: Login) -> None:
        self._device = device
        self._address = address
        self._login = login
        self._client = paramiko.SSHClient()

    def __enter__(self) -> Self:
        login = self._login
        known = read_known_hosts(login.known_hosts)
        found = known.lookup(host_name(self._device, login.port)) or known.lookup(host_name(self._address, login.port))
        if not found:
            raise UnreachableError(
                f"host key of {self._device} ({self._address}) is not known: `wardnet trust {self._device}`"
            )
        for kind, key in found.items():
            self._client.get_host_keys().add(host_name(self._address, login.port), kind, key)
        self._client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            self._client.connect(
                self._address,
                port=login.port,
                username=login.user,
                pkey=read_key(login.key),
                timeout=login.timeout,
                banner_timeout=login.timeout,
                auth_timeout=login.timeout,
                allow_agent=False,
                look_for_keys=False,
            )
        except Exception as error:
            self._client.close()
            raise UnreachableError(_reason(error, self._address, login)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def read(self, artefact: Artefact) -> bytes:
        transport = self._client.get_transport()
        if transport is None or not transport.is_active():
            raise UnreachableError(f"{artefact.name}: the connection was lost")
        try:
            with transport.open_session(timeout=self._login.timeout) as channel:
                channel.settimeout(self._login.timeout)
                channel.exec_command(artefact.name)
                return _whole(channel, artefact, self._login.timeout)
        except TimeoutError as error:
            raise UnreachableError(f"{artefact.name}: timeout after {self._login.timeout:g} s") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            why = f": {error}" if str(error) else ""
            raise UnreachableError(f"{artefact.name}: the connection was lost{why}") from error


def _whole(channel: paramiko.Channel, artefact: Artefact, timeout: float) -> bytes:
    """All that the command prints, up to its exit: without an exit status it is truncated."""
    blocks = []
    size = 0
    while block := channel.recv(_BLOCK):
        blocks.append(block)
        size += len(block)
        if size > MAX_BYTES:
            raise UnreachableError(f"{artefact.name}: more than {MAX_BYTES} bytes")
    if not channel.status_event.wait(timeout):
        raise UnreachableError(f"{artefact.name}: truncated after {size} bytes: no exit status")
    status = channel.recv_exit_status()
    if status == -1:
        raise UnreachableError(f"{artefact.name}: truncated after {size} bytes: the connection was lost")
    if status:
        said = b"".join(iter(lambda: channel.recv_stderr(_BLOCK), b"")).decode(errors="replace").strip()
        raise UnreachableError(f"{artefact.name}: exit {status}: {said.splitlines()[-1] if said else 'no message'}")
    return b"".join(blocks)


def _reason(error: Exception, address: str, login: Login) -> str:
    where = f"{address}:{login.port}"
    if isinstance(error, paramiko.BadHostKeyException):
        expected, got = fingerprint(error.expected_key.asbytes()), fingerprint(error.key.asbytes())
        return f"host key mismatch: {where} shows {got}, {login.known_hosts} has {expected}"
    if isinstance(error, paramiko.AuthenticationException):
        return f"refused: {where} does not let {login.user} in with {login.key}"
    if isinstance(error, TimeoutError):
        return f"timeout: {where} did not answer within {login.timeout:g} s"
    if isinstance(error, ConnectionRefusedError) or "Unable to connect" in str(error):
        return f"refused: nothing takes connections at {where}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {where}"
    return f"{where}: {error}"


def fetch_host_key(address: str, port: int = PORT, timeout: float = 15.0) -> paramiko.PKey:
    """The host key that a server shows; nobody logs in. Raises UnreachableError."""
    try:
        with socket.create_connection((address, port), timeout) as connection:
            transport = paramiko.Transport(connection)
            try:
                transport.start_client(timeout=timeout)
                return transport.get_remote_server_key()
            finally:
                transport.close()
    except TimeoutError as error:
        raise UnreachableError(f"timeout: {address}:{port} did not answer within {timeout:g} s") from error
    except ConnectionRefusedError as error:
        raise UnreachableError(f"refused: nothing takes connections at {address}:{port}") from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise UnreachableError(f"{address}:{port}: {error}") from error


def record_host_key(path: Path, names: tuple[str, ...], key: paramiko.PKey, by: str) -> None:
    """Append the key, under a comment of who took it in and when. The file is its owner's alone."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = f"# {names[0]} taken in by {by} at {stamp}\n{','.join(names)} {key.get_name()} {key.get_base64()}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line)
    path.chmod(0o600)
