"""The client of Prometheus's API: what it reads, and what it says when it cannot."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.unit.monitoring_support import free_port
from wardnet.live import BadAnswerError, LiveError, NotReadyError, UnreachableError
from wardnet.live.prometheus import Prometheus, parse_alerts, parse_envelope, parse_vector


@contextmanager
def answering(status: int, body: bytes, declared: int | None = None) -> Iterator[str]:
    """A server that gives every request one answer; `declared` is the length it announces."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if declared is None else declared))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name that http.server wants

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_vector_gives_its_labels_and_values() -> None:
    data = {
        "resultType": "vector",
        "result": [{"metric": {"ward": "buoi"}, "value": [1.5, "0.25"]}, {"metric": {}, "value": [1.5, "NaN"]}],
    }
    first, second = parse_vector(data, "here")
    assert (first.labels, first.value, first.at) == ({"ward": "buoi"}, 0.25, 1.5)
    assert second.value != second.value


def test_a_scalar_is_one_sample_without_labels() -> None:
    (sample,) = parse_vector({"resultType": "scalar", "result": [7, "3"]}, "here")
    assert (sample.labels, sample.value) == ({}, 3.0)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"resultType": "vector"},
        {"resultType": "vector", "result": [{"metric": {}}]},
        {"resultType": "vector", "result": [{"metric": {}, "value": [0, "much"]}]},
        {"resultType": "matrix", "result": []},
    ],
)
def test_anything_but_a_vector_is_a_bad_answer(data: Any) -> None:
    with pytest.raises(BadAnswerError, match="here"):
        parse_vector(data, "here")


def test_alerts_are_read_with_nanoseconds_and_without() -> None:
    def alert(state: str, since: str) -> dict[str, Any]:
        return {"labels": {"alertname": "A"}, "annotations": {"summary": "s"}, "state": state, "activeAt": since}

    first, second = parse_alerts(
        {"alerts": [alert("firing", "2026-11-24T07:05:26.071692345Z"), alert("pending", "2026-11-24T07:05:26Z")]},
        "here",
    )
    assert first.firing
    assert first.name == "A"
    assert first.since == datetime(2026, 11, 24, 7, 5, 26, 71692, tzinfo=UTC)
    assert not second.firing


def test_alerts_that_cannot_be_read_are_a_bad_answer() -> None:
    with pytest.raises(BadAnswerError, match="here"):
        parse_alerts({"alerts": [{"labels": {}}]}, "here")


def test_an_error_in_the_envelope_is_passed_on() -> None:
    body = json.dumps({"status": "error", "errorType": "bad_data", "error": "parse error at char 3"}).encode()
    with pytest.raises(BadAnswerError, match="bad_data: parse error at char 3"):
        parse_envelope(body, "here")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": 1}', b"\xff"])
def test_what_is_not_an_envelope_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(BadAnswerError, match="here"):
        parse_envelope(body, "here")


def test_a_refused_connection_says_that_nothing_runs_there() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnreachableError, match=f"{url} refuses the connection"):
        Prometheus(url).check_ready()


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=r"does not answer within 0\.2 s"):
            Prometheus(url, timeout=0.2).check_ready()


def test_prometheus_that_is_starting_is_not_ready() -> None:
    with answering(503, b"Service Unavailable") as url, pytest.raises(NotReadyError, match="not ready yet"):
        Prometheus(url).check_ready()


def test_a_server_of_another_kind_is_a_bad_answer() -> None:
    with answering(404, b"<h1>nginx</h1>") as url, pytest.raises(BadAnswerError, match="answers 404 to /-/ready"):
        Prometheus(url).check_ready()
    with answering(200, b"<h1>nginx</h1>") as url, pytest.raises(BadAnswerError, match="not JSON"):
        Prometheus(url).query("up")


def test_an_answer_that_breaks_off_is_told() -> None:
    with answering(200, b'{"status":', declared=100) as url, pytest.raises(UnreachableError, match="broke off"):
        Prometheus(url).query("up")


def test_something_that_is_not_http_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _address = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(LiveError, match="does not speak HTTP"):
            Prometheus(f"http://127.0.0.1:{server.getsockname()[1]}").query("up")
        thread.join()


def test_a_connection_that_is_closed_without_an_answer_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _address = server.accept()
            with connection:
                connection.recv(4096)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):  # closed with a part of the request unread it would be a reset
                    pass

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(UnreachableError, match="closed the connection without an answer"):
            Prometheus(f"http://127.0.0.1:{server.getsockname()[1]}").query("up")
        thread.join()


@pytest.mark.parametrize("url", ["127.0.0.1:9090", "ftp://host", "http://", "http://a:b@host:9090", "http://host:x"])
def test_what_is_no_address_is_refused_before_anything_is_opened(url: str) -> None:
    with pytest.raises(LiveError, match="not an address"):
        Prometheus(url)
