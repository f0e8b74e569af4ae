"""Small files over HTTPS from one server that is believed by its certificate: no redirects, no more bytes than allowed,
not for longer than allowed, each over a connection of its own. Standard library only.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

CONNECT = 15.0  # seconds for one step: to connect, for the next bytes
WHOLE = 600.0  # seconds for a whole file, however slowly it drips
CHUNK = 64 << 10


class NotReachedError(Exception):
    """The server was not reached, or broke off: nothing is known, and it is tried again later."""


class NotThereError(Exception):
    """The server has no such file."""


class AnswerRefusedError(Exception):
    """The server answered as it must not: who it is cannot be believed, or what it says."""


class Server:
    """`url` is a folder on it, https alone. `authority` is a file of certificates; the system's own without one."""

    def __init__(self, url: str, authority: Path | None = None, agent: str = "wardnet-pull") -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise ValueError(f"the url must be a folder as https://HOST/PATH/, not {url}")
        self.url = url
        self._host, self._port = parts.hostname, parts.port or 443
        self._folder = parts.path.rstrip("/")
        self._context = ssl.create_default_context(cafile=str(authority) if authority else None)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._agent = agent

    def fetch(self, name: str, largest: int, within: float = WHOLE) -> bytes:
        """The whole file. NotReachedError, NotThereError or AnswerRefusedError, each with a sentence."""
        deadline = time.monotonic() + within
        patience = min(CONNECT, within)
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=patience, context=self._context)
        try:
            headers = {"User-Agent": self._agent, "Accept-Encoding": "identity", "Connection": "close"}
            connection.request("GET", f"{self._folder}/{quote(name)}", headers=headers)
            answer = connection.getresponse()
            self._check(answer, name, largest)
            return _read(answer, name, largest, deadline)
        except ssl.SSLCertVerificationError as error:
            raise AnswerRefusedError(
                f"{self._host} is not believed: its certificate does not hold ({error.verify_message})"
            ) from None
        except (socket.gaierror, http.client.HTTPException, OSError) as error:
            raise NotReachedError(f"{self._host} is not reached: {_words(error)}") from None
        finally:
            connection.close()

    def _check(self, answer: http.client.HTTPResponse, name: str, largest: int) -> None:
        if answer.status in (404, 410):
            raise NotThereError(f"{self._host} has no {name}")
        if 300 <= answer.status < 400:
            raise AnswerRefusedError(
                f"{self._host} redirects {name} to {answer.headers.get('Location', 'nowhere')}: that is not followed"
            )
        if answer.status >= 500 or answer.status == 429:
            raise NotReachedError(f"{self._host} answers {answer.status} {answer.reason}")
        if answer.status != 200:
            raise AnswerRefusedError(f"{self._host} answers {answer.status} {answer.reason} for {name}")
        if answer.length is not None and answer.length > largest:
            raise AnswerRefusedError(f"{name} has {answer.length} bytes, and {largest} are allowed")


def _read(answer: http.client.HTTPResponse, name: str, largest: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while piece := answer.read1(CHUNK):
        parts.append(piece)
        size += len(piece)
        if size > largest:
            raise AnswerRefusedError(f"{name} has more than the {largest} bytes that are allowed")
        if time.monotonic() > deadline:
            raise NotReachedError(f"{name} did not come within the time: {size} bytes of it")
    if answer.length:  # read1 does not say so itself
        raise NotReachedError(f"{name} broke off: {answer.length} bytes of it are missing")
    return b"".join(parts)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT:.0f} s"
    return str(error) or type(error).__name__
