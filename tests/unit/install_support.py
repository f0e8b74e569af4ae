"""PCs of the sample district that are to be installed, and a machine that is none: a folder that the installer takes
for its /sys, and programs that only write down that they were called."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.unit.compile_support import DAY, changed
from wardnet.compile import compile_plan
from wardnet.media import Entry, Installation, Pulling, Wishes, installations, medium_files
from wardnet.model.intent import District
from wardnet.model.plan import Plan

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzDhJoeTPqMaZwaAVx80rML0wUry7csQxZ5YJsNtlhc controller"
SIGNERS = f'publisher namespaces="wardnet-bundle" {" ".join(KEY.split()[:2])}\n'
CLERK_MAC, CITIZEN_MAC = "02:00:5e:10:00:11", "02:00:5e:10:00:12"
CHECKSUM = "0" * 64


@cache
def district() -> District:
    """The sample with the hardware addresses of a clerk's PC and of one in a building."""
    return changed(
        "wards/buoi.yml",
        ('ipv6: "fd20:20:1::11"}', f'ipv6: "fd20:20:1::11", mac: "{CLERK_MAC}"}}'),
        ('ipv6: "2001:db8:20:101::11"}', f'ipv6: "2001:db8:20:101::11", mac: "{CITIZEN_MAC.upper()}"}}'),
    )


@cache
def plan() -> Plan:
    return compile_plan(district(), DAY)


def of(*names: str) -> tuple[Installation, ...]:
    return installations(district(), plan(), names)


def wishes(folder: Path, *, disk: str = "", words: str = "") -> Wishes:
    package = folder / "wardnet-pull_1_all.deb"
    package.write_bytes(b"a package")
    pulling = Pulling("https://mirror.example/", SIGNERS, b"an authority", package)
    return Wishes((KEY,), pulling, disk, words)


class Machine:
    """`run` is what the installer's script does on it: its output, and the programs that it called."""

    def __init__(self, folder: Path, entries: Mapping[str, Entry]) -> None:
        self.root = folder
        self.answers = {"wipefs": "", "blkid": ""}
        self.whole = True
        for path, entry in entries.items():
            place = folder / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            assert isinstance(entry.content, bytes) or path.endswith(".deb")
            place.write_bytes(entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes())
        for name in ("sys/class/net", "sys/block", "proc", "bin", "dev"):
            (folder / name).mkdir(parents=True)
        self.start_with("")

    def start_with(self, words: str) -> None:
        (self.root / "proc/cmdline").write_text(f"boot=wardnet {words}\n")

    def has_card(self, mac: str, name: str = "enp1s0") -> None:
        card = self.root / "sys/class/net" / name
        (card / "device").mkdir(parents=True)
        (card / "address").write_text(f"{mac}\n")

    def has_disk(self, name: str, gigabytes: int, *, usb: bool = False, removable: bool = False) -> None:
        place = self.root / "sys/devices" / ("usb1" if usb else "pci0") / name
        place.mkdir(parents=True)
        for file, text in (("removable", int(removable)), ("ro", 0), ("size", gigabytes * 1_953_125)):
            (place / file).write_text(f"{text}\n")
        (self.root / "sys/block" / name).symlink_to(place)

    def run(self) -> tuple[str, list[str]]:
        called = self.root / "called"
        called.write_text("")
        programs = ("sfdisk", "mkfs.fat", "mke2fs", "mount", "udevadm", "chroot", "poweroff", "sleep", "umount", "sync")
        for name in programs:
            self._program(name, f'echo "{name} $*" >>{called}\n[ {name} != poweroff ] || kill -9 $PPID')
        shown = f'printf "%s" "{self.answers["wipefs"]}"'
        self._program("wipefs", f'case "$*" in *--all*) echo "wipefs $*" >>{called};; *) {shown};; esac')
        self._program("blkid", f'echo "{self.answers["blkid"]}"')
        self._program("sha256sum", f"exit {0 if self.whole else 1}")
        script = (self.root / "wardnet/install").read_text()
        for find, put in (
            (r"(?m)^PATH=.*$", f"PATH={self.root}/bin:$PATH"),
            (r"(?m)^patience=\d+", "patience=1"),
            (r"=/(wardnet|target)\b", rf"={self.root}/\1"),
            (r"(?<![\w$])/(sys/(?:class|block)|proc/cmdline)", rf"{self.root}/\1"),
            (r"=/dev/\$disk", f"={self.root}/dev/$disk"),
        ):
            script, count = re.subn(find, put, script)
            assert count, find
        done = subprocess.run(
            ["sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        return done.stdout + done.stderr, called.read_text().splitlines()

    def _program(self, name: str, body: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)


def touched(called: Sequence[str]) -> list[str]:
    """Programs that write to a disk, among those that were called."""
    return [line for line in called if line.split()[0] in ("sfdisk", "mkfs.fat", "mke2fs", "mount", "wipefs")]


def machine(folder: Path, *names: str, disk: str = "") -> Machine:
    root = folder / "machine"
    root.mkdir()
    return Machine(root, medium_files(of(*names), wishes(folder, disk=disk), CHECKSUM))
