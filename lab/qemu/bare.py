"""A machine as it comes out of its box, in the place of a host of the lab: an emulated PC with an empty disk, that
host's cable, and a stick that it may start from. Its screen is its first serial line, its keyboard too."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lab import cgroups, processes
from lab.errors import LabError
from lab.layout import FABRIC, Layout
from lab.qemu import panel
from lab.qemu.command import NO_OFFLOADS, PROCESSOR, PROGRAM, Card, Plug
from wardnet.locale import _

MEMORY_MB = 2048  # as docs/install-media.md asks for
DISK_GB = 10
_TASKS = 256
ENTER, DOWN = "\r", "\x1b[B"


def bare_argv(disk: Path, stick: Path | None, tap: str, mac: str, console: Path) -> list[str]:
    """The command line. The PC starts from the stick where there is one, and does not start again by itself."""
    argv = [
        *(PROGRAM, "-accel", "tcg,thread=multi,tb-size=256", "-cpu", PROCESSOR, "-smp", "2", "-m", str(MEMORY_MB)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-device", "VGA"),
        *("-chardev", f"socket,id=console,path={console}.sock,server=on,wait=off,logfile={console},logappend=on"),
        *("-serial", "chardev:console", "-device", "virtio-rng-pci"),
        *("-drive", f"if=none,id=disk,file={disk},format=raw,cache=unsafe"),
        *("-device", "virtio-blk-pci,drive=disk,bootindex=2"),
        *("-netdev", f"tap,id=net0,ifname={tap},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,netdev=net0,mac={mac},romfile=,{NO_OFFLOADS}"),
    ]
    if stick is not None:
        argv += ["-device", "qemu-xhci,id=usb", "-drive", f"if=none,id=stick,file={stick},format=raw,readonly=on"]
        argv += ["-device", "usb-storage,bus=usb.0,drive=stick,removable=on,bootindex=1"]
    return argv


@dataclass
class BareMachine:
    """`host`'s place in the lab. Whatever its power is, its cable stays plugged in."""

    layout: Layout
    host: str
    number: int
    card: Card
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _keyboard: socket.socket | None = field(default=None, repr=False)

    @property
    def folder(self) -> Path:
        return self.layout.host(f"{self.host}.guest")

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    @property
    def powered(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, mac: str, stick: Path | None = None) -> None:
        """Power on, with a card of that address. What the screen showed before is forgotten."""
        self.console.unlink(missing_ok=True)
        argv = bare_argv(self.disk, stick, panel.taps(self.number, (self.card,))[0], mac, self.console)
        group = self.layout.host_cgroup(self.host)
        joins = cgroups.create(group, memory_bytes=(MEMORY_MB + 1024) << 20, tasks=_TASKS)
        inside = ["nsenter", f"--net={self.layout.netns_path(FABRIC)}", "--", *argv]
        with (self.folder / "qemu.log").open("ab") as output:
            self._process = subprocess.Popen(
                cgroups.join_argv(joins, inside), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, cwd="/",
            )  # fmt: skip

    def screen(self) -> str:
        """All that it has shown since it was switched on."""
        with suppress(FileNotFoundError):
            return self.console.read_text(errors="replace").replace("\r", "")
        return ""

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """LabError, with the screen's last lines, where the condition does not come true within the time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                lines = self.screen().splitlines()[-25:]
                raise LabError(f"{self.host}: {what}: {seconds:.0f} s\n" + "\n".join(lines))
            time.sleep(0.5)

    def wait_to_show(self, text: str, seconds: float) -> None:
        """LabError where it goes off first, or the time is over."""

        def shown() -> bool:
            if text in self.screen():
                return True
            if not self.powered:
                log = (self.folder / "qemu.log").read_text(errors="replace")[-1000:]
                raise LabError(f"{self.host}: {text!r} was not shown\n{log}\n{self.screen()[-3000:]}")
            return False

        self.wait_for(shown, f"to show {text!r}", seconds)

    def wait_to_go_off(self, seconds: float) -> None:
        self.wait_for(lambda: not self.powered, "to go off", seconds)

    def press(self, keys: str) -> None:
        if self._keyboard is None:
            self._keyboard = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._keyboard.connect(f"{self.console}.sock")
        self._keyboard.sendall(keys.encode())

    def cut(self) -> None:
        """Power off, at once."""
        processes.kill_host(self.layout, self.host)
        if self._keyboard is not None:
            self._keyboard.close()
            self._keyboard = None
        if self._process is not None:
            self._process.wait()
            self._process = None


def unpack(layout: Layout, host: str, port: str) -> BareMachine:
    """A new machine in the place of a booted host, whose power is cut: with the cable of its `port`, and an empty disk.
    LabError where there is no emulator, or no such host."""
    if shutil.which(PROGRAM) is None:
        raise LabError(_("{program} is not installed: `make test-slow` installs it").format(program=PROGRAM))
    processes.kill_host(layout, host)
    cgroups.remove(layout.host_cgroup(host))
    number = len(list((layout.state / "hosts").glob("*.guest")))
    card = Card(port, (Plug(port, host),))
    machine = BareMachine(layout, host, number, card)
    machine.folder.mkdir(parents=True)
    with machine.disk.open("wb") as file:
        file.truncate(DISK_GB << 30)
    panel.lay(layout, number, host, (card,))
    return machine
