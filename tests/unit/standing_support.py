"""An exporter over a folder, run as its unit runs it, and questions to it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from tests.unit.monitoring_support import free_port

_ROOT = Path(__file__).parents[2]


@contextmanager
def exporting(module: str, folder: Path, *options: str) -> Iterator[int]:
    """`python -m module --folder folder options`; yields its port when it answers, and ends it afterwards."""
    port = free_port()
    argv = [sys.executable, "-m", module, "--listen", f"127.0.0.1:{port}", "--folder", str(folder), *options]
    with subprocess.Popen(argv, cwd=_ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 300
            while True:
                try:
                    ask(port, "/-/healthy")
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    assert process.poll() is None
                    time.sleep(0.1)
            yield port
        finally:
            process.terminate()


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """The status and the page."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
