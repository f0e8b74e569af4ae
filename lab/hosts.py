"""Boots a host: an overlay over the base image, run by systemd-nspawn in a network namespace that exists.

The overlay is mounted in the launcher's own mount namespace, so that it goes when the host's processes do.
"""

from __future__ import annotations

import logging
import os
import select
import shlex
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups
from lab.errors import LabError
from lab.image import ADMINISTRATOR_UID
from lab.layout import Layout
from wardnet.locale import _

log = logging.getLogger(__name__)

LAUNCH = "launch"  # the script in a host's folder that boots it, the first time and after a power cut
LIMITS = "limits"  # and what it may take, beside it
_USR_BIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class HostFile:
    """A file laid into a host before it boots; with `target`, a symbolic link to it."""

    path: str  # absolute, inside the host
    content: bytes = b""
    mode: int = 0o644
    owner: int = 0
    target: str | None = None


@dataclass(frozen=True, slots=True)
class AccessPort:
    """A network port of a host that is plugged into one of the lab's own switches; untagged on the host's side, but
    with `trunks` these VLANs, tagged."""

    name: str
    switch: str
    vlan: int | None
    trunks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a host may take of this machine."""

    memory_bytes: int = 1 << 30
    tasks: int = 1024


# A desktop with a browser and an office program. What it does not use is not taken from anybody.
DESKTOP = Limits(memory_bytes=3 << 30, tasks=4096)


@dataclass(frozen=True, slots=True)
class Machine:
    """What is booted: its ports, its files, and folders of this machine (outer, inner) that it may read or shares."""

    id: str
    ports: tuple[AccessPort, ...]
    files: tuple[HostFile, ...]
    binds: tuple[tuple[Path, str], ...] = ()
    shares: tuple[tuple[Path, str], ...] = ()
    limits: Limits = Limits()


def lay_files(upper: Path, base: Path, files: Iterable[HostFile]) -> None:
    """Write files into an overlay's upper folder. A folder made on the way takes the mode and owner that it
    has in the base image, since the upper folder's own are what the host will see."""
    for file in files:
        made = upper
        for part in Path(file.path).parent.parts[1:]:
            made = made / part
            if not made.is_dir():
                made.mkdir(mode=0o755)
                below = base / made.relative_to(upper)
                if below.is_dir():
                    found = below.stat()
                    made.chmod(found.st_mode & 0o7777)
                    os.chown(made, found.st_uid, found.st_gid)
        path = upper / file.path.lstrip("/")
        if file.target is not None:
            path.unlink(missing_ok=True)
            path.symlink_to(file.target)
        else:
            path.write_bytes(file.content)
            path.chmod(file.mode)
            os.chown(path, file.owner, file.owner)


def identity_files(host_id: str, host_key: bytes, host_key_public: bytes, authorized: bytes) -> tuple[HostFile, ...]:
    """What makes a host itself and lets the controller in."""
    names = f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 {host_id}\n"
    return (
        HostFile("/etc/hostname", f"{host_id}\n".encode()),
        HostFile("/etc/hosts", names.encode()),
        HostFile("/etc/machine-id", f"{uuid.uuid4().hex}\n".encode(), 0o444),
        HostFile("/etc/ssh/ssh_host_ed25519_key", host_key, 0o600),
        HostFile("/etc/ssh/ssh_host_ed25519_key.pub", host_key_public),
        HostFile("/home/wardnet/.ssh/authorized_keys", authorized, 0o600, ADMINISTRATOR_UID),
        # The machine's default may be bbr, which hides a full buffer: a lab must show it.
        HostFile("/etc/sysctl.d/05-bootstrap-tcp.conf", b"net.ipv4.tcp_congestion_control = cubic\n"),
    )


def _launch_script(layout: Layout, machine: Machine, base: Path) -> str:
    folder = layout.host(machine.id)
    words = [
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--boot",
        "--console=pipe",
        "--notify-ready=yes",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        f"--machine={layout.name}-{machine.id}"[:64].rstrip("-"),
        f"--hostname={machine.id}",
        f"--directory={folder / 'root'}",
        f"--network-namespace-path={layout.netns_path(machine.id)}",
        "--capability=CAP_NET_ADMIN,CAP_NET_RAW",
        # What asks for a password keeps it from being paged out, or ends.
        *(["--system-call-filter=@memlock"] if machine.limits == DESKTOP else []),
        *(f"--bind-ro={outer}:{inner}" for outer, inner in machine.binds),
        *(f"--bind={outer}:{inner}" for outer, inner in machine.shares),
    ]
    overlay = f"lowerdir={base},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    return "\n".join(
        [
            "set -e",
            f"mount -t overlay overlay -o {shlex.quote(overlay)} {shlex.quote(str(folder / 'root'))}",
            f"exec {shlex.join(words)}",
        ]
    )


class Boot:
    """The boot of several hosts at once. Each tells by its own socket when systemd has started everything."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._waiting: dict[str, tuple[socket.socket, subprocess.Popen[bytes]]] = {}

    def start(self, machine: Machine, base: Path) -> None:
        """Lay the host's files over the image's root `base` and launch it. Its namespace and the ports in it must
        exist."""
        layout = self._layout
        folder = layout.host(machine.id)
        if folder.exists():
            shutil.rmtree(folder)
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(parents=True)
        lay_files(folder / "upper", base, machine.files)
        (folder / LAUNCH).write_text(_launch_script(layout, machine, base))
        (folder / LIMITS).write_text(f"{machine.limits.memory_bytes} {machine.limits.tasks}\n")
        self.launch(machine.id)

    def launch(self, host_id: str) -> None:
        """Launch a host whose files have been laid, now or before an earlier boot."""
        layout = self._layout
        folder = layout.host(host_id)
        memory_bytes, tasks = map(int, (folder / LIMITS).read_text().split())
        joins = cgroups.create(layout.host_cgroup(host_id), memory_bytes=memory_bytes, tasks=tasks)
        notify = layout.run / "notify"
        notify.mkdir(parents=True, exist_ok=True)
        address = notify / host_id
        address.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(str(address))
        listener.setblocking(False)
        launch = ["unshare", "--mount", "--propagation", "slave", "sh", str(folder / LAUNCH)]
        with (folder / "console.log").open("wb") as console:
            process = subprocess.Popen(
                cgroups.join_argv(joins, launch),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env={
                    "PATH": _USR_BIN_PATH,
                    "NOTIFY_SOCKET": str(address),
                    # Exactly this: with `yes` networkd's links stay pending for ever, unset nft is refused.
                    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
                },
            )
        self._waiting[host_id] = (listener, process)

    def wait(self, seconds: float, ready: Callable[[str], None]) -> None:
        """Until every started host is up. LabError with the console's last lines of the first that is not."""
        deadline = time.monotonic() + seconds
        try:
            while self._waiting:
                sockets = {listener.fileno(): host for host, (listener, _process) in self._waiting.items()}
                readable, _writable, _broken = select.select(list(sockets), [], [], 0.25)
                for descriptor in readable:
                    host = sockets[descriptor]
                    if b"READY=1" in self._waiting[host][0].recv(4096):
                        self._forget(host)
                        ready(host)
                for host, (_listener, process) in list(self._waiting.items()):
                    status = process.poll()
                    if status is not None:
                        raise LabError(
                            self._story(host, _("stopped while booting (status {status})").format(status=status))
                        )
                    if time.monotonic() > deadline:
                        raise LabError(
                            self._story(host, _("did not boot within {seconds:.0f} s").format(seconds=seconds))
                        )
        finally:
            for host in list(self._waiting):
                self._forget(host)

    def _forget(self, host: str) -> None:
        self._waiting.pop(host)[0].close()
        (self._layout.run / "notify" / host).unlink(missing_ok=True)

    def _story(self, host: str, what: str) -> str:
        console = self._layout.host(host) / "console.log"
        lines = console.read_text(errors="replace").splitlines()[-15:] if console.exists() else []
        shown = "\n".join(f"    {line.rstrip()}" for line in lines) or "    (nothing)"
        return _("host {host} {what}; the last lines of its console:\n{lines}").format(
            host=host, what=what, lines=shown
        )


def leader(layout: Layout, host_id: str) -> int | None:
    """The host's init as this machine numbers it; None when the host is not running."""
    for pid in sorted(cgroups.members(layout.host_cgroup(host_id))):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("NSpid:"):
                words = line.split()[1:]
                # Two numbers and no more: a browser boxes its own processes in, and each box has a first one too.
                if len(words) == 2 and words[-1] == "1":
                    return pid
    return None
