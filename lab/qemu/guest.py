"""One guest of a lab: its power, and the ways into it. Its processes are in the lab's control groups and its cards on
the lab's switches, so that `lab down` ends it like any host, whatever has become of who started it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from lab import bootstrap, build, cgroups, hosts, processes
from lab.errors import LabError
from lab.hosts import HostFile
from lab.layout import FABRIC, Layout
from lab.qemu import agent, base, panel
from lab.qemu.command import MEMORY_MB, PROGRAM, Card, Plug, Power, mac_of, qemu_argv
from lab.record import require_record
from lab.topology import Node
from wardnet.locale import _

BOOT_SECONDS = 900  # an emulated processor on a machine that has other work
_TASKS = 256
_NICE = -10  # a guest that is starved boots for minutes, and what it waits for comes late
_NOTE = "guest.json"  # how it is plugged in
_AGENT = "/usr/local/lib/wardnet-lab/agent.py"
_AGENT_UNIT = f"""[Unit]
Description=The lab's way in, which no network is part of
DefaultDependencies=no
After=local-fs.target

[Service]
ExecStart=/usr/bin/python3 {_AGENT} /dev/ttyS1
Restart=always
RestartSec=1
KillMode=process

[Install]
WantedBy=sysinit.target
"""


# All that a guest has, its kernel and its initial RAM disk know; of the rest udev only has to name the cards.
_COLDPLUG = """[Service]
ExecStart=
ExecStart=-/bin/udevadm trigger --type=devices --action=add --subsystem-match=net --subsystem-match=block
"""


@dataclass
class Guest:
    """`cards` are plugged in when it is made, and stay so while its power is off."""

    layout: Layout
    name: str
    cards: tuple[Card, ...]
    base: base.Base
    number: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def folder(self) -> Path:
        return self.layout.host(f"{self.name}.guest")

    @property
    def powered(self) -> bool:
        return bool(cgroups.members(self.layout.host_cgroup(self.name)))

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    def start(self, clock: datetime | None = None) -> None:
        """Power on, with the hardware's clock at `clock` (UTC) or at this machine's, and wait until systemd has
        started everything. LabError where it does not come up."""
        power = Power(
            self.base.kernel,
            self.base.initrd,
            self.folder / "disk",
            self.console,
            self.folder / "agent.sock",
            self.folder / "monitor.sock",
            [
                (tap, mac_of(self.layout.name, self.name, card.name))
                for tap, card in zip(panel.taps(self.number, self.cards), self.cards, strict=True)
            ],
            clock,
        )
        group = self.layout.host_cgroup(self.name)
        joins = cgroups.create(group, memory_bytes=(MEMORY_MB + 1024) << 20, tasks=_TASKS)
        inside = [
            "nice",
            "-n",
            str(_NICE),
            "nsenter",
            f"--net={self.layout.netns_path(FABRIC)}",
            "--",
            *qemu_argv(power),
        ]
        with (self.folder / "qemu.log").open("ab") as output:
            self._process = subprocess.Popen(
                cgroups.join_argv(joins, inside), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, cwd="/",
            )  # fmt: skip
        # Where the kernel shares out the processor by sessions, `nice` counts only within one.
        with suppress(OSError):
            Path(f"/proc/{self._process.pid}/autogroup").write_text(str(_NICE))
        self.wait_for(self.ready, _("to boot"))

    def ready(self) -> bool:
        """Whether systemd has started everything, as far as it could be started."""
        if self._process is not None and self._process.poll() is not None:
            raise LabError(f"{PROGRAM}: {(self.folder / 'qemu.log').read_text(errors='replace')[-2000:]}")
        way_in = self.folder / "agent.sock"
        # What is asked before the agent is there is lost: it is asked again soon.
        if agent.ask(way_in, ["true"], "", 3) is None:
            return False
        state = agent.ask(way_in, ["systemctl", "is-system-running"], "", 20)
        return state is not None and state["out"].strip() in ("running", "degraded")

    def cut(self) -> None:
        """Power off, at once: nothing is asked to end, and nothing that was not flushed is on the disk."""
        processes.kill_host(self.layout, self.name)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def shell(self, script: str, seconds: float = 300) -> str:
        """Output of a shell script in the guest, which comes in over no network; LabError where it fails."""
        done = agent.ask(self.folder / "agent.sock", ["/bin/sh", "-eu", "-s"], script, seconds)
        if done is None:
            raise LabError(_("{name} did not answer within {seconds:.0f} s").format(name=self.name, seconds=seconds))
        if done["status"] != 0:
            raise LabError(f"{self.name}: {script[:200]}: status {done['status']}: {done['err'] or done['out']}")
        return str(done["out"])

    def unplug(self, card: str, *, plugged: bool = False) -> None:
        """Pull the cable of a card, or with `plugged` put it in again: its carrier goes and comes."""
        number = [each.name for each in self.cards].index(card)
        self._monitor(f"set_link card{number} {'on' if plugged else 'off'}")

    def _monitor(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(30)
            line.connect(str(self.folder / "monitor.sock"))
            said = b""
            for words in ("", command):
                if words:
                    line.sendall(f"{words}\n".encode())
                    said = b""
                while not said.endswith(b"(qemu) "):
                    said += line.recv(4096)

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = BOOT_SECONDS) -> None:
        """LabError, with the console's last lines, where the condition does not come true within the time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                lines = self.console.read_text(errors="replace").splitlines()[-15:] if self.console.exists() else []
                raise LabError(
                    _("guest {name} takes over {seconds:.0f} s {what}; the last lines of its console:\n{lines}").format(
                        name=self.name, seconds=seconds, what=what, lines="\n".join(lines)
                    )
                )
            time.sleep(0.5)


def cards_of(node: Node) -> tuple[Card, ...]:
    """The cards of a gateway that takes the place of the booted host with its ports: one for each port with a cable of
    its own, and one for each parent with what stands on it."""
    if node.gateway is None:
        raise LabError(_("{host} is no gateway: no guest takes its place").format(host=node.id))
    plugs: dict[str, list[Plug]] = {}
    for port in node.gateway.ports:
        plugs.setdefault(port.parent or port.name, []).append(Plug(port.name, node.id, port.tag))
    return tuple(Card(name, tuple(found)) for name, found in plugs.items())


def take_over(layout: Layout, host: str, say: Callable[[str], None]) -> Guest:
    """A guest in the place of a booted gateway, whose power is cut: with its cables, its keys and what a technician
    leaves on it before Ansible comes. Not started yet. LabError where the lab is not up, or has no such gateway."""
    blueprint = build.blueprint_of(require_record(layout))
    node = blueprint.topology.node(host)
    key = layout.certificates / "hosts" / host
    files = [
        *hosts.identity_files(
            host,
            key.read_bytes(),
            key.with_name(f"{host}.pub").read_bytes(),
            (layout.ssh / "controller.pub").read_bytes(),
        ),
        *bootstrap.files(node, blueprint.topology, blueprint.plan, blueprint.outside, blueprint.resolvers(node)),
    ]
    processes.kill_host(layout, host)
    cgroups.remove(layout.host_cgroup(host))
    return make(layout, host, cards_of(node), files, say)


def make(
    layout: Layout, name: str, cards: tuple[Card, ...], files: Sequence[HostFile], say: Callable[[str], None]
) -> Guest:
    """A guest with a disk of its own, plugged in and not started."""
    if shutil.which(PROGRAM) is None:
        raise LabError(_("{program} is not installed: `make test-slow` installs it").format(program=PROGRAM))
    number = len(list((layout.state / "hosts").glob("*.guest")))
    guest = Guest(layout, name, cards, base.ensure(say), number)
    guest.folder.mkdir(parents=True)
    base.make_disk(guest.base, [*files, *_own_files(layout, name, cards)], guest.folder / "disk")
    panel.lay(layout, number, name, cards)
    note = {"number": number, "cards": [asdict(card) for card in cards]}
    (guest.folder / _NOTE).write_text(json.dumps(note))
    return guest


def find(layout: Layout, name: str) -> Guest | None:
    """A guest that was made in this lab before, by another process; None where there is none."""
    note = layout.host(f"{name}.guest") / _NOTE
    if not note.is_file():
        return None
    kept = json.loads(note.read_text())
    cards = tuple(Card(card["name"], tuple(Plug(**plug) for plug in card["plugs"])) for card in kept["cards"])
    return Guest(layout, name, cards, base.ensure(lambda _: None), kept["number"])


def _own_files(layout: Layout, name: str, cards: Sequence[Card]) -> list[HostFile]:
    unit = "/etc/systemd/system/lab-agent.service"
    return [
        HostFile(_AGENT, Path(agent.__file__).read_bytes()),
        HostFile(unit, _AGENT_UNIT.encode()),
        HostFile("/etc/systemd/system/systemd-udev-trigger.service.d/lab.conf", _COLDPLUG.encode()),
        HostFile("/etc/systemd/system/sysinit.target.wants/lab-agent.service", target=unit),
        *(
            HostFile(
                f"/etc/systemd/network/05-lab-{card.name}.link",
                f"[Match]\nMACAddress={mac_of(layout.name, name, card.name)}\nType=ether\n\n"
                f"[Link]\nName={card.name}\n".encode(),
            )
            for card in cards
        ),
    ]
