"""A small client of Prometheus's HTTP API. `parse_*` are pure; only `Prometheus` opens a connection."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from wardnet.live.errors import BadAnswerError, LiveError, NotReadyError, UnreachableError
from wardnet.locale import _

MAX_ANSWER_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at one time. `value` may be NaN or infinite; `at` is in seconds since 1970."""

    labels: Mapping[str, str]
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is pending or firing. `labels` include alertname and severity."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    firing: bool
    since: datetime

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")


def parse_envelope(body: bytes, where: str) -> Any:
    """The `data` of an API answer. Raises BadAnswerError where it is no such answer, or an error."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise BadAnswerError(_("{where}: the answer is not JSON; is this Prometheus?").format(where=where)) from error
    if not isinstance(document, dict) or "status" not in document:
        raise BadAnswerError(_("{where}: the answer is not Prometheus's").format(where=where))
    if document["status"] != "success":
        reason = f"{document.get('errorType', 'error')}: {document.get('error', '')}"
        raise BadAnswerError(_("{where}: Prometheus refuses: {reason}").format(where=where, reason=reason))
    return document.get("data")


def parse_vector(data: Any, where: str) -> tuple[Sample, ...]:
    """The samples of an instant query that gives a vector or a scalar. Raises BadAnswerError."""
    try:
        kind, result = data["resultType"], data["result"]
        if kind == "scalar":
            return (Sample({}, float(result[1]), float(result[0])),)
        if kind == "vector":
            return tuple(
                Sample(
                    {str(k): str(v) for k, v in item["metric"].items()},
                    float(item["value"][1]),
                    float(item["value"][0]),
                )
                for item in result
            )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise BadAnswerError(
            _("{where}: the result cannot be read: {error!r}").format(where=where, error=error)
        ) from error
    raise BadAnswerError(_("{where}: the result is a {kind}, not a vector").format(where=where, kind=kind))


def parse_alerts(data: Any, where: str) -> tuple[Alert, ...]:
    """Pending and firing alerts. Raises BadAnswerError."""
    try:
        return tuple(
            Alert(
                {str(k): str(v) for k, v in item["labels"].items()},
                {str(k): str(v) for k, v in item["annotations"].items()},
                item["state"] == "firing",
                datetime.fromisoformat(_shorten(item["activeAt"])),
            )
            for item in data["alerts"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadAnswerError(
            _("{where}: the alerts cannot be read: {error!r}").format(where=where, error=error)
        ) from error


def _shorten(timestamp: str) -> str:
    """Go prints nanoseconds; Python reads microseconds."""
    head, dot, tail = timestamp.partition(".")
    if not dot:
        return timestamp
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[: min(digits, 6)]}{tail[digits:]}"


class Prometheus:
    """Prometheus at a URL such as http://127.0.0.1:9090 or https://host/prometheus.

    Every method raises UnreachableError, NotReadyError or BadAnswerError; each wait is at most `timeout` seconds.
    """

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise LiveError(_("{url} is not an address: {error}").format(url=url, error=error)) from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise LiveError(_("{url} is not an address of Prometheus: write it as http://host:9090").format(url=url))
        self.url = url.rstrip("/")
        self._https = parts.scheme == "https"
        self._host, self._port, self._prefix = parts.hostname, port, parts.path.rstrip("/")
        self._timeout = timeout

    def query(self, expression: str) -> tuple[Sample, ...]:
        """An instant query, at the server's present time."""
        where = f"{self.url} ({expression})"
        return parse_vector(parse_envelope(self._post("/api/v1/query", {"query": expression}), where), where)

    def alerts(self) -> tuple[Alert, ...]:
        return parse_alerts(parse_envelope(self._request("GET", "/api/v1/alerts"), self.url), self.url)

    def check_ready(self) -> None:
        """Returns once Prometheus says that it serves queries; raises otherwise."""
        self._request("GET", "/-/ready")

    def _post(self, path: str, form: dict[str, str]) -> bytes:
        return self._request("POST", path, urlencode(form))

    def _request(self, method: str, path: str, body: str | None = None) -> bytes:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = self._connection()
        try:
            connection.request(method, self._prefix + path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read(MAX_ANSWER_BYTES + 1)
            status, missing = answer.status, answer.length
        except ssl.SSLError as error:
            raise UnreachableError(_("{url}: TLS fails: {error}").format(url=self.url, error=error.reason)) from error
        except TimeoutError as error:
            message = _("{url} does not answer within {seconds:g} s").format(url=self.url, seconds=self._timeout)
            raise UnreachableError(message) from error
        except ConnectionRefusedError as error:
            raise UnreachableError(
                _("{url} refuses the connection: Prometheus does not run there").format(url=self.url)
            ) from error
        except socket.gaierror as error:
            raise UnreachableError(_("{url}: no such host").format(url=self.url)) from error
        except http.client.RemoteDisconnected as error:
            raise UnreachableError(_("{url} closed the connection without an answer").format(url=self.url)) from error
        except http.client.HTTPException as error:
            raise BadAnswerError(_("{url} does not speak HTTP: {error!r}").format(url=self.url, error=error)) from error
        except OSError as error:
            reason = error.strerror or repr(error)
            raise UnreachableError(
                _("{url} cannot be reached: {reason}").format(url=self.url, reason=reason)
            ) from error
        finally:
            connection.close()
        if len(content) > MAX_ANSWER_BYTES:
            raise BadAnswerError(_("{url}: the answer is larger than any of ours").format(url=self.url))
        if missing:  # read(limit) returns what came and does not complain
            raise UnreachableError(_("{url} broke off its answer").format(url=self.url))
        if status == http.HTTPStatus.SERVICE_UNAVAILABLE and not content.startswith(b"{"):
            raise NotReadyError(_("{url} is starting and not ready yet: try again shortly").format(url=self.url))
        if status >= http.HTTPStatus.BAD_REQUEST and not content.startswith(b"{"):
            raise BadAnswerError(
                _("{url} answers {status} to {path}; is this Prometheus?").format(
                    url=self.url, status=status, path=path
                )
            )
        return content

    def _connection(self) -> http.client.HTTPConnection:
        if self._https:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
