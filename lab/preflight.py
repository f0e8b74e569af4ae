"""Looks, before anything is changed, whether this machine can run a lab, and says all that is missing at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups
from lab.errors import LabError
from lab.layout import CACHE_ROOT, STATE_ROOT
from lab.sources import read_debian_sources
from wardnet.locale import _

PACKAGES_FILE = Path(__file__).with_name("packages.txt")

# program -> the Debian package that brings it
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-server": "openvswitch-switch",
    "ovs-vsctl": "openvswitch-switch",
    "mmdebstrap": "mmdebstrap",
    "apt-ftparchive": "apt-utils",
    "ethtool": "ethtool",
    "ip": "iproute2",
    "nft": "nftables",
    "gpg": "gpg",
    "openssl": "openssl",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
}
DISK_BYTES_IMAGE = 1_500_000_000
DISK_BYTES_HOST = 20_000_000
MEMORY_BYTES_BASE = 600_000_000
MEMORY_BYTES_HOST = 30_000_000
HOSTS_A_WARD = 12
HOSTS_ALWAYS = 19


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing this machine lacks, and what to do about it."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"


def parse_packages(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def missing_programs(which: Callable[[str], str | None] = shutil.which) -> list[Missing]:
    lacking: dict[str, list[str]] = {}
    for program, package in PROGRAMS.items():
        if which(program) is None:
            lacking.setdefault(package, []).append(program)
    if not lacking:
        return []
    programs = ", ".join(sorted(program for group in lacking.values() for program in group))
    return [
        Missing(
            _("not installed: {programs}").format(programs=programs),
            f"apt-get install {' '.join(sorted(lacking))}",
        )
    ]


def missing_space(free_disk: int, free_memory: int, wards: int, *, image_cached: bool) -> list[Missing]:
    """What `wards` wards need beyond `free_disk` and `free_memory` bytes."""
    hosts = HOSTS_ALWAYS + HOSTS_A_WARD * wards
    disk = DISK_BYTES_HOST * hosts + (0 if image_cached else DISK_BYTES_IMAGE)
    memory = MEMORY_BYTES_BASE + MEMORY_BYTES_HOST * hosts
    found = []
    if free_disk < disk:
        found.append(
            Missing(
                _("{free} free in {folder}, {needed} needed for {wards} wards").format(
                    free=_mega(free_disk), folder=STATE_ROOT.parent, needed=_mega(disk), wards=wards
                ),
                _("free some space, or boot fewer wards"),
            )
        )
    if free_memory < memory:
        found.append(
            Missing(
                _("{free} of memory available, {needed} needed for {wards} wards").format(
                    free=_mega(free_memory), needed=_mega(memory), wards=wards
                ),
                _("end other programs, or boot fewer wards"),
            )
        )
    return found


def _mega(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


def parse_available_memory(meminfo: str) -> int:
    """Bytes from the text of /proc/meminfo."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _free_disk(path: Path) -> int:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def _try(argv: list[str]) -> str | None:
    """None if the command succeeds, else the last line of what it said."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]


def _missing_features() -> list[Missing]:
    """Kernel features, each tried in a namespace of its own that is gone when the try ends."""
    found = []
    why = _try(["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "true"])
    if why is not None:
        found.append(
            Missing(
                _("namespaces cannot be made ({why})").format(why=why),
                _("run on a machine or container that allows them"),
            )
        )
        return found
    if shutil.which("ip") is None:
        return found  # named among the programs already
    why = _try(["unshare", "--net", "ip", "link", "add", "wl0", "type", "veth", "peer", "name", "wl1"])
    if why is not None:
        found.append(Missing(_("no veth devices ({why})").format(why=why), _("use a kernel with CONFIG_VETH")))
    why = _try(["unshare", "--net", "nft", "add", "table", "inet", "wardnet"]) if shutil.which("nft") else None
    if why is not None:
        found.append(
            Missing(
                _("no nftables ({why})").format(why=why),
                _("use a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET"),
            )
        )
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        found.append(Missing(_("no /dev/net/tun"), _("mknod /dev/net/tun c 10 200, or load the module tun")))
    else:
        why = _try(["unshare", "--net", "ip", "tuntap", "add", "dev", "wl0", "mode", "tap"])
        if why is not None:
            found.append(Missing(_("no TAP devices ({why})").format(why=why), _("use a kernel with CONFIG_TUN")))
    STATE_ROOT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE_ROOT, prefix=".preflight-") as folder:
        for name in ("lower", "upper", "work", "root"):
            Path(folder, name).mkdir()
        options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
        why = _try(["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, f"{folder}/root"])
        if why is not None:
            found.append(
                Missing(
                    _("no overlay mounts in {folder} ({why})").format(folder=STATE_ROOT, why=why),
                    _("mount ext4 or xfs there, with CONFIG_OVERLAY_FS"),
                )
            )
    return found


def _missing_cgroups() -> list[Missing]:
    hierarchies = cgroups.read_hierarchies()
    if not any(one.unified or "name=systemd" in one.controllers for one in hierarchies):
        return [Missing(_("no cgroup hierarchy that systemd can use"), "mount -t cgroup2 cgroup2 /sys/fs/cgroup")]
    probe = f"wardnet-preflight-{os.getpid()}"
    try:
        cgroups.create(probe, memory_bytes=1 << 30, tasks=64)
    except OSError as error:
        return [
            Missing(
                _("control groups cannot be made ({error})").format(error=error), _("mount /sys/fs/cgroup writable")
            )
        ]
    finally:
        cgroups.remove(probe)
    return []


def not_root() -> bool:
    return os.geteuid() != 0


def require_root() -> None:
    """Raises LabError, for a command that would otherwise fail in the midst of something, or see only half of it."""
    if not_root():
        raise LabError(_("not root: run the same command with sudo, or in a root shell"))


def look(wards: int, image: Path | None = None) -> list[Missing]:
    """Everything that keeps this machine from running a lab of `wards` wards; empty when nothing does.

    `image` is the base image's folder if it is known, so that its space is not counted twice.
    """
    found = missing_programs()
    try:
        read_debian_sources()
    except LabError as error:
        found.append(Missing(str(error), _("run the lab on Debian 12 or 13")))
    found += missing_space(
        min(_free_disk(STATE_ROOT), _free_disk(CACHE_ROOT)),
        parse_available_memory(Path("/proc/meminfo").read_text()),
        wards,
        image_cached=image is not None and image.exists(),
    )
    if not_root():
        found.insert(0, Missing(_("not root"), _("run the same command with sudo, or in a root shell")))
        return found
    if all("util-linux" not in missing.remedy for missing in found):
        found += _missing_features()
    return found + _missing_cgroups()


def require(wards: int, image: Path | None = None) -> None:
    """Raises LabError with a line for each missing thing."""
    missing = look(wards, image)
    if missing:
        lines = "\n".join(f"  - {one}" for one in missing)
        raise LabError(_("this machine cannot run the lab yet:\n{lines}").format(lines=lines))
