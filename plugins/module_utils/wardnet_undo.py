#!/usr/bin/python3
"""Takes back a change that nobody confirmed. The host runs this by itself: by a timer while it runs, and at boot where
a reboot came before the confirmation. The same file is /usr/local/lib/wardnet/undo.py and part of module
wardnet_commit. Standard library only, nothing of wardnet.

    undo.py timer|boot|now [WHY [FOLDER [TOKEN]]]
    undo.py forget

`timer` takes back the change that the token names, or whichever there is, and `boot` any; so does `now`, by which a
person who is on the host goes back, but for a change that is being confirmed just then. `forget` is a step of the way
back: connections that only the rules taken back had allowed end.

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
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

STATE = Path("/var/lib/wardnet")
LOCK = Path("/run/wardnet/lock")
FOLDER, REPORT = "undo", "last-rollback.json"
ARMED, CONFIRMING, UNDOING = "armed.json", "confirming.json", "undoing.json"
WHY = "why"  # beside the log, from when it begins to be gone
LEFT = "way-back-left.json"  # the log of a way back that could not bring all files back: the only copy of them
UNITS = "/etc/systemd/system/"
PATIENCE = 60  # seconds for one command
STARTED_BY = "WARDNET_CHANGE"  # in the environment of all that a change starts, with its token


def take_back(
    state: Path, mode: str, why: str, token: str = "", confirming: bool | None = None
) -> dict[str, Any] | None:
    """The report of what was taken back, also written to `state`; None where there was nothing to take back. With a
    token, only the change that it names. A change that is being confirmed is taken only with `confirming`, by
    default the timer alone leaves it: it is the manager's, until it is seen that it died, as the lock tells."""
    folder = state / FOLDER
    claimed = folder / UNDOING
    taken = mode != "timer" if confirming is None else confirming
    for name in (ARMED, CONFIRMING) if taken else (ARMED,):
        with suppress(FileNotFoundError, ValueError):
            if not token or json.loads((folder / name).read_text()).get("token") == token:
                (folder / name).replace(claimed)
    try:
        log = json.loads(claimed.read_text())
        entries = [*log["entries"]]
    except FileNotFoundError:
        return None
    except (LookupError, TypeError, ValueError) as error:  # also a whole file that is not JSON, or not of this shape
        return put_aside(state, claimed, mode, why, error)
    if token and log.get("token") != token:
        return None
    why = first_reason(folder, why)
    sync(folder)
    if mode != "boot":
        stop(log)
    left = go_through(entries, mode)
    report = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "why": why,
        **{name: log.get(name) for name in ("run", "who", "host", "parts", "armed")},
        "failed": [said for _, said in left],
        "boot": mode == "boot",
    }
    say(report)
    text = json.dumps(report, indent=1) + "\n"
    keep = any(entry["kind"] == "file" for entry, _ in left)
    try:
        write(state / REPORT, text)
    except OSError:  # there may be room once the log is gone
        put_away(claimed, keep)
        with suppress(OSError):
            write(state / REPORT, text)
    put_away(claimed, keep)
    return report


def first_reason(folder: Path, why: str) -> str:
    """Why the host goes back. Where it has begun to before and was cut off, as by the power, its first reason comes
    first."""
    with suppress(OSError, ValueError):
        return f"{(folder / WHY).read_text()}; going back was cut off, and begun again: {why}"
    with suppress(OSError):  # on a full disk it goes back all the same
        write(folder / WHY, why)
    return why


def put_aside(state: Path, log: Path, mode: str, why: str, error: Exception) -> dict[str, Any]:
    """A log that is damaged keeps no later run from its work, nor the host from starting."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    kept = log.with_name(f"unreadable-{stamp}")
    log.replace(kept)
    (log.parent / WHY).unlink(missing_ok=True)
    sync(log.parent)
    said = (
        f"the way back cannot be read ({error}): what is left of it is {kept}. Run the playbook again: it compares "
        "with what runs"
    )
    report = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "why": f"{why}; but the way back cannot be read: nothing is back",
        **dict.fromkeys(("run", "who", "host", "armed")),
        "parts": [],
        "failed": [said],
        "boot": mode == "boot",
    }
    say(report)
    with suppress(OSError):
        write(state / REPORT, json.dumps(report, indent=1) + "\n")
    return report


def put_away(log: Path, keep: bool) -> None:
    """The way back has been gone. Where a file of it is not back, the log stays, where no boot takes it for undone."""
    (log.parent / WHY).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        if keep:
            log.replace(log.parent.parent / LEFT)
        else:
            log.unlink()
    sync(log.parent)


Failures = list[tuple[dict[str, Any], str]]


def go_through(entries: list[dict[str, Any]], mode: str) -> Failures:
    """Brings back all files, then runs all commands. The entries that failed twice, each with what it said."""
    due = [entry for entry in entries if entry["when"] in ("always", "boot" if mode == "boot" else "running")]
    left = _go(due)
    if not left:
        return []
    again = [entry for entry, _ in left]
    if any(entry["kind"] == "file" for entry in again):  # commands take up what the files say
        again = [entry for entry in due if entry["kind"] == "command" or entry in again]
    return _go(again)


def _go(due: list[dict[str, Any]]) -> Failures:
    failed, units_changed = [], False
    files = [entry for entry in due if entry["kind"] == "file"]
    # What was not there goes last, and what is in a directory before the directory.
    for entry in sorted(files, key=lambda one: one["path"].count("/") * -1 if is_absent(one) else -sys.maxsize):
        try:
            units_changed = (restore(entry) and entry["path"].startswith(UNITS)) or units_changed
        except OSError as error:
            failed.append((entry, f"{entry['part']}: {entry['path']}: {error}"))
    if units_changed:
        reload = {"part": "units", "argv": ["/usr/bin/systemctl", "daemon-reload"], "stdin": None, "harmless": []}
        due = [{**reload, "kind": "command"}, *due]
    for entry in due:
        if entry["kind"] != "command":
            continue
        try:
            said = attempt(entry)
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
        if said and not any(word in said for word in entry["harmless"]):
            failed.append((entry, f"{entry['part']}: {shlex.join(entry['argv'])}: {said}"))
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


def is_absent(entry: dict[str, Any]) -> bool:
    return not entry["directory"] and entry["content"] is None and entry["link"] is None


def restore(entry: dict[str, Any]) -> bool:
    """Whether the file had to be brought back."""
    path = Path(entry["path"])
    if entry["directory"]:
        os.chown(path, entry["uid"], entry["gid"])
        path.chmod(entry["mode"])
        return False
    content = base64.b64decode(entry["content"]) if entry["content"] is not None else None
    if is_absent(entry):
        there = path.is_symlink() or path.exists()
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):  # somebody has put something into it
                path.rmdir()
        else:
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
    """Ends the run of the module that made the change, if it has not ended, and all that it had started: none of it
    must go on changing."""
    pid, started = log.get("pid"), log.get("started")
    if pid == os.getpid():
        return
    deadline = time.monotonic() + 5
    if pid is not None and began(pid) == started:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        while began(pid) == started and time.monotonic() < deadline:
            time.sleep(0.05)
    looks = 0  # one that was being started at the first is seen at the next
    while log.get("token") and looks < 2 and time.monotonic() < deadline:
        found = started_by(str(log["token"]))
        looks = 0 if found else looks + 1
        for child in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.05)


def started_by(token: str) -> list[int]:
    """Processes that the change has started, also through others, whoever is their parent now."""
    mark, found = f"{STARTED_BY}={token}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return [pid for pid in found if pid != os.getpid()]


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
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # half of it helps nobody, and it takes room
        raise
    sync(path.parent)


def sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def say(report: dict[str, Any]) -> None:
    failed = f"; of the way back failed: {'; '.join(report['failed'])}" if report["failed"] else ""
    back = f"the former {', '.join(report['parts'])} is back (run {report['run']})" if report["parts"] else "going back"
    text = f"{report['why']}: {back}{failed}"
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            ["/usr/bin/logger", "--tag", "wardnet", "--priority", "err", "--", text[:4000]],
            check=False,
            timeout=PATIENCE,
        )


def forget_connections() -> int:
    """Makes every connection prove itself to the rules that are loaded now: one that only the former ones allowed would
    go on. The kernel takes up the others again with their next packet, ours too. The kernel's error, or 0."""
    body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)  # struct nfgenmsg: no attributes, so all of them
    delete = (1 << 8) | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
    request = struct.pack("=IHHII", 16 + len(body), delete, 0x5, 1, 0) + body  # NLM_F_REQUEST | NLM_F_ACK
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:  # NETLINK_NETFILTER
        netlink.settimeout(5)
        try:
            netlink.send(request)
            return -int(struct.unpack("=i", netlink.recv(4096)[16:20])[0])
        except OSError as failure:
            return failure.errno or -1


def hold(path: Path) -> int | None:
    """The lock of the commit, so that no new run begins meanwhile; None where another has it. The host's own going
    back does not depend on it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None
    for _ in range(20):
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        time.sleep(0.1)
    os.close(descriptor)
    return None


def main(arguments: list[str]) -> int:
    mode, why, folder, token = [*arguments, "", "", "", ""][:4]
    mode = mode or "now"
    state = Path(folder) if folder else STATE
    if mode == "forget":
        error = forget_connections()
        if error:
            print(f"connections go on until they end by themselves (error {error})", file=sys.stderr)
        return 1 if error else 0
    if mode == "boot":
        why = why or "the host was started again before the change was confirmed"
    lock = hold(LOCK)
    logs = state / FOLDER
    while mode == "timer" and lock is None and (logs / CONFIRMING).exists() and not (logs / ARMED).exists():
        time.sleep(1)  # it may yet die
        lock = hold(LOCK)
    # Whoever has the lock may be confirming.
    confirming = mode == "boot" or lock is not None
    report = take_back(state, mode, why or "nobody confirmed the change", token, confirming)
    if report is None and mode == "now":
        busy = ": a run is at work here, which may be confirming it" if lock is None else ""
        print(f"there is no change to take back{busy}", file=sys.stderr)
    if lock is not None:
        os.close(lock)
    return 1 if report and report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
