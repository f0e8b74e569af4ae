"""`replace`: another machine in a host's place, with Debian on it and nothing else, as it comes off the installer.

It has the cables of the one before and nothing of its disk: another machine id, another name, other SSH host keys, no
account that the controller knows, no configuration of the network. What was there is thrown away.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from lab import cgroups, hosts, pki, power
from lab.errors import LabError
from lab.hosts import HostFile
from lab.image import ADMINISTRATOR
from lab.layout import CACHE_ROOT, Layout
from lab.record import require_record
from wardnet.locale import _

NAME = "debian"
_ACCOUNTS = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")


def replace(layout: Layout, host: str) -> None:
    """Throw the host away and boot an empty one in its place; returns when it has booted.

    LabError if the lab has no such host, or the new one does not boot.
    """
    folder = layout.host(host)
    if not (folder / hosts.LAUNCH).is_file():
        raise LabError(_("no host {host} was booted in the lab {name}").format(host=host, name=layout.name))
    base = CACHE_ROOT / "images" / require_record(layout).image / "root"
    if cgroups.members(layout.host_cgroup(host)):
        power.cut(layout, host)
    for part in ("upper", "work"):
        shutil.rmtree(folder / part)
        (folder / part).mkdir()
    hosts.lay_files(folder / "upper", base, _files(base))
    # What the image brings for the lab's own convenience is not on a new machine.
    _take_away(folder / "upper", base, [f"/home/{ADMINISTRATOR}", f"/etc/sudoers.d/{ADMINISTRATOR}"])
    power.give(layout, host)


def _files(base: Path) -> Sequence[HostFile]:
    with tempfile.TemporaryDirectory() as scratch:
        key, public = pki.make_ssh_key(Path(scratch) / "key", f"root@{NAME}")
    found = [
        HostFile("/etc/hostname", f"{NAME}\n".encode()),
        HostFile("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {NAME}\n".encode()),
        HostFile("/etc/machine-id", f"{uuid.uuid4().hex}\n".encode(), 0o444),
        HostFile("/etc/ssh/ssh_host_ed25519_key", key, 0o600),
        HostFile("/etc/ssh/ssh_host_ed25519_key.pub", public),
        HostFile("/etc/sysctl.d/05-bootstrap-tcp.conf", b"net.ipv4.tcp_congestion_control = cubic\n"),
    ]
    for name in _ACCOUNTS:
        path = base / "etc" / name
        if path.is_file():
            lines = path.read_bytes().splitlines(keepends=True)
            kept = b"".join(line for line in lines if not line.startswith(f"{ADMINISTRATOR}:".encode()))
            found.append(HostFile(f"/etc/{name}", kept, stat.S_IMODE(path.stat().st_mode)))
    return found


def _take_away(upper: Path, base: Path, paths: Sequence[str]) -> None:
    """Hide what the image has: a device 0,0 in an overlay's upper folder stands for nothing there."""
    for path in paths:
        if (base / path.lstrip("/")).exists():
            place = upper / path.lstrip("/")
            if not place.parent.is_dir():
                place.parent.mkdir(mode=stat.S_IMODE((base / path.lstrip("/")).parent.stat().st_mode))
            os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))
