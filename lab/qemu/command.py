"""What one guest is, and the command line that powers it on. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

PROGRAM = "qemu-system-x86_64"
MEMORY_MB = 640
# The lab's switches look at each frame as it is: nothing may be left to a card that is none.
NO_OFFLOADS = "csum=off,gso=off,host_tso4=off,host_tso6=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ufo=off"
# The emulated time stamp counter is this machine's clock: nothing has to watch over it, and a clock that counted ticks
# would fall behind with each one that came late.
_CLOCK_WORDS = "tsc=reliable clocksource=tsc"
_KERNEL_WORDS = (
    f"root=/dev/vda rw console=ttyS0 net.ifnames=0 {_CLOCK_WORDS} nokaslr mitigations=off cryptomgr.notests loglevel=4 "
    "panic=-1 systemd.show_status=no"
)
# What a newer one has more is emulated step by step.
PROCESSOR = "Nehalem,+rdrand"


@dataclass(frozen=True, slots=True)
class Plug:
    """What a card is plugged into: the end of a cable that `host` has in the lab, which it loses to the guest; or,
    without a host, the lab's own switch `port`. Frames are untagged there, and carry `tag` at the guest."""

    port: str
    host: str | None = None
    tag: int | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A network card of a guest. One plug without a tag, or any number with tags of their own."""

    name: str
    plugs: tuple[Plug, ...]

    def __post_init__(self) -> None:
        tags = [plug.tag for plug in self.plugs]
        if not tags or len(set(tags)) != len(tags) or (None in tags and len(tags) > 1):
            raise ValueError(f"card {self.name}: one plug without a tag, or each with a tag of its own")

    @property
    def trunk(self) -> bool:
        return self.plugs[0].tag is not None


def mac_of(lab: str, guest: str, card: str) -> str:
    """The same at each boot, and another's nowhere: locally administered."""
    digest = hashlib.sha256(f"{lab}/{guest}/{card}".encode()).hexdigest()
    return ":".join(["02", *(digest[at : at + 2] for at in range(0, 10, 2))])


@dataclass(frozen=True, slots=True)
class Power:
    """All that powering on takes. `taps` holds (TAP, MAC address) for each card in order. Without `clock` the guest's
    clock is this machine's when it starts; it runs on by itself."""

    kernel: Path
    initrd: Path
    disk: Path
    console: Path
    agent: Path  # a socket: the guest's second serial line
    monitor: Path  # a socket: QEMU's own
    taps: Sequence[tuple[str, str]]
    clock: datetime | None = None
    memory_mb: int = MEMORY_MB


def qemu_argv(power: Power) -> list[str]:
    """The command line. `writethrough`: what the guest has flushed is on the disk when its power goes."""
    base = power.clock.strftime("%Y-%m-%dT%H:%M:%S") if power.clock is not None else "utc"
    argv = [
        *(
            PROGRAM,
            "-accel",
            "tcg,thread=multi,tb-size=128",
            "-cpu",
            PROCESSOR,
            "-smp",
            "1",
            "-m",
            str(power.memory_mb),
        ),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", str(power.kernel), "-initrd", str(power.initrd), "-append", _KERNEL_WORDS),
        *("-rtc", f"base={base}"),
        *("-drive", f"file={power.disk},format=raw,if=virtio,cache=writethrough"),
        *("-serial", f"file:{power.console}"),
        *("-chardev", f"socket,id=agent,path={power.agent},server=on,wait=off", "-serial", "chardev:agent"),
        *("-chardev", f"socket,id=monitor,path={power.monitor},server=on,wait=off", "-mon", "chardev=monitor"),
        *("-device", "virtio-rng-pci"),
    ]
    for number, (tap, mac) in enumerate(power.taps):
        argv += ["-netdev", f"tap,id=net{number},ifname={tap},script=no,downscript=no"]
        argv += ["-device", f"virtio-net-pci,id=card{number},netdev=net{number},mac={mac},{NO_OFFLOADS}"]
    return argv
