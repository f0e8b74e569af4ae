"""The way into a guest that no network and no packet filter is part of: its second serial line.

Run in the guest (`agent.py /dev/ttyS1`) it takes one JSON line after the other, {"id", "argv", "stdin"}, runs that and
answers {"id", "status", "out", "err"}. `ask` is the other end. Standard library only.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import tty
from pathlib import Path
from typing import Any

_PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


def serve(device: str) -> None:
    line = os.open(device, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    with os.fdopen(os.dup(line), "rb") as asked:
        for text in asked:
            request = _read(text)
            if "argv" not in request:
                continue
            answer = f"\n{json.dumps(_run(request))}\n".encode()
            while answer:
                answer = answer[os.write(line, answer) :]


def _read(text: bytes) -> dict[str, Any]:
    """The record in a line; empty for anything else, as what is left of a request whose sender has gone."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _run(request: dict[str, Any]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            request["argv"], input=request.get("stdin", ""), capture_output=True, text=True, check=False, env=_PATH
        )
    except OSError as error:
        return {"id": request.get("id"), "status": 127, "out": "", "err": str(error)}
    return {"id": request.get("id"), "status": done.returncode, "out": done.stdout, "err": done.stderr}


def ask(path: Path, argv: list[str], stdin: str, seconds: float) -> dict[str, Any] | None:
    """The answer of the agent behind the socket; None where none has come within the time."""
    mark = os.urandom(8).hex()
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(seconds)
        try:
            line.connect(str(path))
            line.sendall(f"\n{json.dumps({'id': mark, 'argv': argv, 'stdin': stdin})}\n".encode())
            received = b""
            while time.monotonic() < deadline:
                line.settimeout(max(0.1, deadline - time.monotonic()))
                data = line.recv(65536)
                if not data:
                    return None
                *whole, received = (received + data).split(b"\n")
                for text in whole:
                    answer = _read(text)
                    # Until the agent has the line it echoes what is sent.
                    if answer.get("id") == mark and "status" in answer:
                        return answer
        except OSError:
            return None
    return None


if __name__ == "__main__":
    serve(sys.argv[1])
