"""Network namespaces of tests: a program that runs in some of its own, and processes in others beside it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 60
LIBC = ctypes.CDLL(None, use_errno=True)
NEWNET = 0x40000000


def assert_passes(program: str, name: str, *more: str, mounts: bool = False, seconds: float = 600) -> None:
    """Run the function of a program tests.unit.PROGRAM in namespaces of its own: network, and `mounts`."""
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    kinds = ["--net", "--mount"] if mounts else ["--net"]
    done = subprocess.run(
        ["unshare", *root, *kinds, sys.executable, "-m", f"tests.unit.{program}", name, *more],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def apart(stack: ExitStack) -> int:
    """The id of a process in a network namespace of its own, which the stack ends."""
    process = subprocess.Popen(["unshare", "--net", "sleep", "900"])
    stack.callback(process.wait)
    stack.callback(process.kill)
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{process.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process.pid


def inside(pid: int, work: Callable[[], Any]) -> Any:
    """Does it in the namespace of a process; sockets stay there."""
    found: list[Any] = []

    def there() -> None:
        with Path(f"/proc/{pid}/ns/net").open() as namespace:
            assert LIBC.setns(namespace.fileno(), NEWNET) == 0
        found.append(work())

    thread = threading.Thread(target=there)
    thread.start()
    thread.join()
    assert found
    return found[0]
