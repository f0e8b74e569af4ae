"""The SSH server as it ran, though its files have been edited since it last read them. A step of the way back of part
access: the host runs this very file with Python and gives it on its input what the server is to read. Standard library
only, nothing of wardnet.

A server that reads its files again takes up what somebody edited and did not mean to have yet, or got wrong, and nobody
may get in any more. So those files are out of its sight while it reads, or are as it had read them as far as that is
known, and are as they were on disk afterwards.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

SYSTEMCTL = "/usr/bin/systemctl"
PID = Path("/run/sshd.pid")  # sshd writes it whenever it has read its files
CONFIG = Path("/etc/ssh/sshd_config")
MORE = Path("/etc/ssh/sshd_config.d")
PATIENCE = 25.0  # seconds, twice: less than one step of the way back has
HELD = ".wardnet-held"


def late(known: dict[str, str]) -> dict[str, str | None]:
    """Files that changed after the server last read them, each with what it had read of it: nothing for one that has
    come since. `known` holds the content of those that were confirmed; one that is neither is left out."""
    if not PID.exists():
        return {}
    taken_up = PID.stat().st_mtime_ns
    found: dict[str, str | None] = {}
    for path in (CONFIG, *sorted(MORE.glob("*.conf"))):
        if path.exists() and path.stat().st_ctime_ns > taken_up and (str(path) in known or path != CONFIG):
            found[str(path)] = known.get(str(path))
    for path in map(Path, known):
        if not path.exists() and path.parent.exists() and path.parent.stat().st_ctime_ns > taken_up:
            found[str(path)] = known[str(path)]
    return found


def reload(services: list[str], files: dict[str, str | None]) -> str:
    """Has the server read its files while `files` are as given; what went wrong, or nothing."""
    held = {Path(path): Path(path).with_name(f".{Path(path).name}{HELD}") for path in files}
    before = _read_at()
    try:
        for path, aside in held.items():
            if path.exists():
                path.replace(aside)
            content = files[str(path)]
            if content is not None:
                path.touch(mode=0o600)
                path.write_text(content)
        said = ""
        for service in services:
            argv = [SYSTEMCTL, "try-reload-or-restart", service]
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)
            said += done.stderr if done.returncode else ""
        deadline = time.monotonic() + PATIENCE
        while not said and before and _read_at() in (before, 0) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not said and before and _read_at() in (before, 0):
            said = f"{', '.join(services)} did not read its files again"
        return said
    finally:
        for path, aside in held.items():
            if aside.exists():
                aside.replace(path)
            else:
                with suppress(FileNotFoundError):
                    path.unlink()


def _read_at() -> int:
    return PID.stat().st_mtime_ns if PID.exists() else 0


def main() -> int:
    given = json.load(sys.stdin)
    said = reload(given["services"], given["files"])
    print(said, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
