#!/usr/bin/python3
"""Takes back a change that nobody confirmed. The host runs this by itself: by a timer while it runs, and at boot where
a reboot came before the confirmation. The same file is /usr/local/lib/wardnet/undo.py and part of module
wardnet_commit. Standard library only, nothing of wardnet.

    undo.py timer|boot|now [WHY] [FOLDER]

What is to be done is data: the log that the commit wrote before it touched anything. Whoever renames the log has it,
so that a confirmation and the timer can never both win. Every entry is tried, whether or not others fail.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

STATE = Path("/var/lib/wardnet")
LOCK = Path("/run/lock/wardnet.lock")
FOLDER, REPORT = "undo", "last-rollback.json"
ARMED, CONFIRMING, UNDOING = "armed.json", "confirming.json", "undoing.json"
UNITS = "/etc/systemd/system/"
PATIENCE = 60  # seconds for one command


def take_back(state: Path, mode: str, why: str) -> dict[str, Any] | None:
    """The report of what was taken back, also written to `state`; None where there was nothing to take back."""
    folder = state / FOLDER
    claimed = folder / UNDOING
    # A confirmation that has begun is the manager's, until it is seen that it died.
    for name in (ARMED,) if mode == "timer" else (ARMED, CONFIRMING):
        with suppress(FileNotFoundError):
            (folder / name).replace(claimed)
    try:
        log = json.loads(claimed.read_text())
    except FileNotFoundError:
        return None
    sync(folder)
    if mode == "timer":
        stop(log)
    failed = run_entries(log["entries"], mode)
    report = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "why": why,
        **{name: log.get(name) for name in ("run", "who", "host", "parts", "armed")},
        "failed": failed,
        "boot": mode == "boot",
    }
    write(state / REPORT, json.dumps(report, indent=1) + "\n")
    claimed.unlink(missing_ok=True)
    sync(folder)
    say(report)
    return report


def run_entries(entries: list[dict[str, Any]], mode: str) -> list[str]:
    """Brings back all files, then runs all commands; what failed, in words."""
    due = [entry for entry in entries if entry["when"] in ("always", "boot" if mode == "boot" else "running")]
    failed, units_changed = [], False
    for entry in due:
        if entry["kind"] != "file":
            continue
        try:
            units_changed = (restore(entry) and entry["path"].startswith(UNITS)) or units_changed
        except OSError as error:
            failed.append(f"{entry['part']}: {entry['path']}: {error}")
    commands = [entry for entry in due if entry["kind"] == "command"]
    if units_changed:
        reload = {"part": "units", "argv": ["/usr/bin/systemctl", "daemon-reload"], "stdin": None, "harmless": []}
        commands.insert(0, reload)
    for entry in commands:
        try:
            said = attempt(entry)
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
        if said and not any(word in said for word in entry["harmless"]):
            failed.append(f"{entry['part']}: {shlex.join(entry['argv'])}: {said}")
    return failed


def attempt(entry: dict[str, Any]) -> str:
    """What a command says that fails; empty where it is done."""
    given = base64.b64decode(entry["stdin"]) if entry["stdin"] is not None else b""
    done = subprocess.run(
        entry["argv"],
        input=given,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
    )
    words = (done.stderr or done.stdout).decode(errors="replace").strip()
    return "" if done.returncode == 0 else words or f"status {done.returncode}"


def restore(entry: dict[str, Any]) -> bool:
    """Whether the file had to be brought back."""
    path = Path(entry["path"])
    if entry["directory"]:
        os.chown(path, entry["uid"], entry["gid"])
        path.chmod(entry["mode"])
        return False
    content = base64.b64decode(entry["content"]) if entry["content"] is not None else None
    if content is None and entry["link"] is None:
        there = path.is_symlink() or path.exists()
        path.unlink(missing_ok=True)
        return there
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".wardnet-undo-{path.name}")
    temporary.unlink(missing_ok=True)
    if entry["link"] is not None:
        temporary.symlink_to(entry["link"])
    else:
        with temporary.open("xb") as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(content or b"")
            os.fchown(stream.fileno(), entry["uid"], entry["gid"])
            os.fchmod(stream.fileno(), entry["mode"])
            stream.flush()
            if entry.get("mtime_ns") is not None:
                os.utime(stream.fileno(), ns=(entry["mtime_ns"], entry["mtime_ns"]))
            os.fsync(stream.fileno())
    temporary.replace(path)
    sync(path.parent)
    return True


def stop(log: dict[str, Any]) -> None:
    """Ends the run of the module that made the change, if it has not ended: it must not go on changing."""
    pid, started = log.get("pid"), log.get("started")
    if pid in (None, os.getpid()) or began(pid) != started:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while began(pid) == started and time.monotonic() < deadline:
        time.sleep(0.05)


def began(pid: int) -> str:
    """When the process began, in the kernel's ticks; empty where there is none or it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """The whole text or nothing of it, also when the power goes."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def say(report: dict[str, Any]) -> None:
    failed = f"; of the way back failed: {'; '.join(report['failed'])}" if report["failed"] else ""
    text = f"{report['why']}: the former {', '.join(report['parts'] or [])} is back (run {report['run']}){failed}"
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            ["/usr/bin/logger", "--tag", "wardnet", "--priority", "err", "--", text[:4000]],
            check=False,
            timeout=PATIENCE,
        )


def hold(path: Path) -> int | None:
    """The lock of the commit, so that no new run begins meanwhile. Going back does not depend on it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None
    for _ in range(20):
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        time.sleep(0.1)
    return descriptor


def main(arguments: list[str]) -> int:
    mode = arguments[0] if arguments else "now"
    why = arguments[1] if len(arguments) > 1 else ""
    state = Path(arguments[2]) if len(arguments) > 2 else STATE
    if mode == "boot":
        why = why or "the host was started again before the change was confirmed"
    lock = hold(LOCK)
    report = take_back(state, mode, why or "nobody confirmed the change")
    if lock is not None:
        os.close(lock)
    return 1 if report and report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
