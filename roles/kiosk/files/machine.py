"""What a sitting asks of its machine: the screen, the line, the files that it has begun with. Standard library only."""

from __future__ import annotations

import ctypes
import hashlib
import http.client
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

SCREEN_SECONDS = 60
ACCURACY_SECONDS = 0.2


def ran(*argv: str, seconds: float = 20) -> bool:
    """Whether it came to a good end."""
    try:
        return subprocess.run(argv, timeout=seconds, check=False, capture_output=True).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def wait_for(what: str, there: Callable[[], bool], seconds: float = SCREEN_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} is not there after {seconds:.0f} s")
        time.sleep(0.2)


def outputs() -> list[str]:
    """Names of the plugs that a picture comes out of."""
    try:
        argv = ["xrandr", "--listactivemonitors"]
        done = subprocess.run(argv, timeout=20, check=False, capture_output=True, text=True)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [name for line in done.stdout.splitlines()[1:] for name in line.split()[3:]]


def idle_seconds() -> float | None:
    """Since the screen's last input; None where it does not say."""
    try:
        done = subprocess.run(["xprintidle"], timeout=10, check=False, capture_output=True, text=True)
        return int(done.stdout) / 1000
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


class Sleep:
    """Whether the machine has been asleep since this was made: one of the kernel's clocks stands still meanwhile."""

    def __init__(self) -> None:
        self._before = self._seconds()

    def been(self) -> bool:
        return self._seconds() - self._before > 2 * ACCURACY_SECONDS

    def _seconds(self) -> float:
        while True:
            before = time.monotonic()
            whole = time.clock_gettime(time.CLOCK_BOOTTIME)
            after = time.monotonic()
            if after - before < ACCURACY_SECONDS:  # nothing else had the processor in between
                return whole - after


def unlock_keys() -> None:
    """Shift and Caps Lock that somebody has left locked are not for whoever comes next."""
    try:
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        display = ctypes.c_void_p(x11.XOpenDisplay(None))
        if display:
            core, every = 0x100, 0xFF
            x11.XkbLockModifiers(display, core, every, 0)
            x11.XkbLatchModifiers(display, core, every, 0)
            x11.XCloseDisplay(display)
    except (OSError, AttributeError):
        return


def reached(url: str) -> bool:
    """Whether whoever the page belongs to answers, whatever it answers."""
    parts = urlsplit(url)
    secure = {"context": ssl.create_default_context()} if parts.scheme == "https" else {}
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    try:
        connection = kind(parts.netloc, timeout=8, **secure)
        try:
            connection.request("HEAD", parts.path or "/", headers={"User-Agent": "wardnet-kiosk/1"})
            connection.getresponse()
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return True


def tell_systemd(text: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
            teller.connect("\0" + address[1:] if address.startswith("@") else address)
            teller.sendall(text.encode())


def digest(paths: Iterable[str]) -> str:
    """Of what the files hold; those that are not there count as such."""
    found = hashlib.sha256()
    for path in paths:
        try:
            content = Path(path).read_bytes()
        except OSError:
            content = b"-"
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()
