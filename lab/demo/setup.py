"""The demo's first steps: the inventory, the hosts, Ansible, and what PCs of both channels reach."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab import cli as lab_cli
from lab.build import WINDOW_PORT, blueprint_of, up
from lab.demo.stage import BIN, Stage
from lab.errors import LabError
from lab.showing import showing
from wardnet.model.intent import Channel, District, HostRole


def station_id(district: District, ward: str, role: HostRole) -> str:
    return next(h.id for w, site in district.sites for h in site.hosts if w.id == ward and h.role is role)


def inventory(stage: Stage) -> None:
    checked = subprocess.run(
        [str(BIN / "wardnet"), "check", str(stage.inventory)], text=True, capture_output=True, check=False
    )
    stage.console.print(checked.stdout + checked.stderr, markup=False, highlight=False)
    first = next(iter(checked.stdout.splitlines()), "not right")
    stage.claims["inventory"].settle(checked.returncode == 0, first)


def boot(stage: Stage) -> None:
    with lab_cli.locked(stage.lab.layout), showing(stage.console) as progress:
        record, stage.made = up(
            stage.lab.layout, stage.inventory, stage.wards, WINDOW_PORT, progress, workplaces=stage.workplaces
        )
    stage.claims["booted"].settle(True, f"{len(record.hosts)} hosts, {len(record.circuits)} circuits")
    for host, reason in record.not_booted:
        stage.say(f"not booted: {host} ({reason})")


def provision(stage: Stage) -> None:
    played = play(stage, "site.yml")
    if not stage.claims["provisioned"].settle(played.good, played.figure):
        raise LabError(played.why)


@dataclass(frozen=True, slots=True)
class Played:
    """How a playbook came out: its exit status, its lines of hosts (`HOST : ok=...`), and where all that it said is."""

    status: int
    recap: tuple[str, ...]
    log: Path

    @property
    def wrong(self) -> list[str]:
        return [text.split()[0] for text in self.recap if "failed=0" not in text or "unreachable=0" not in text]

    @property
    def changed(self) -> list[str]:
        return [text.split()[0] for text in self.recap if "changed=0" not in text]

    @property
    def good(self) -> bool:
        return self.status == 0 and bool(self.recap) and not self.wrong

    @property
    def figure(self) -> str:
        named = f" ({', '.join(self.wrong)})" if self.wrong else ""
        return f"{len(self.recap)} hosts, {len(self.wrong)} wrong{named}"

    @property
    def why(self) -> str:
        return f"ansible-playbook ended with {self.status}; the last lines of {self.log} say why"


def play(stage: Stage, playbook: str, *words: str) -> Played:
    """A playbook from the controller's station; the screen shows where it is, a log has all of it."""
    folder = stage.lab.state / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "ansible.log"
    recap: list[str] = []
    with stage.console.status("  Ansible") as shown, log.open("a") as kept:

        def line(text: str) -> None:
            kept.write(text + "\n")
            if text.startswith("PLAY [") and not stage.console.is_terminal:
                stage.say(text.rstrip("* "))
            if text.startswith(("TASK [", "PLAY [")):
                shown.update(f"  {text.split('*')[0].strip().replace('[', ' ', 1).rstrip('] ')}")
            if " : ok=" in text:
                recap.append(text)

        command = ["ansible-playbook", "-i", str(stage.lab.layout.inventory / "wardnet.yml"),
                   "-e", f"@{stage.lab.state / 'ansible-vars.yml'}", f"playbooks/{playbook}", *words]  # fmt: skip
        code = stage.at(stage.station(HostRole.CONTROLLER), command, line, ANSIBLE_FORCE_COLOR="0")
    stage.say(f"{len(recap)} hosts; the whole log is in {log}")
    return Played(code, tuple(recap), log)


def reach(stage: Stage) -> None:
    """Real connections from a PC of each channel, in both families."""
    district = blueprint_of(stage.lab.record).district
    pcs = {
        Channel.WAN: station_id(district, stage.ward, HostRole.COUNTER),
        Channel.INTERNET: station_id(district, stage.ward, HostRole.CITIZEN),
    }
    for key, channel in (("clerk", Channel.WAN), ("citizen", Channel.INTERNET)):
        urls = [service.url for service in district.services if service.channel is channel]
        answers = [_curl(stage, pcs[channel], url, family) for url in urls for family in (4, 6)]
        figure = f"{pcs[channel]}: " + ", ".join(f"HTTP {answer}" for answer in answers)
        stage.claims[key].settle(bool(answers) and set(answers) == {"200"}, figure)
        stage.say(figure)
    own: list[tuple[str, bool]] = []
    across: list[tuple[str, bool]] = []
    for channel in Channel:
        for service in district.services:
            for address in (service.ipv4, service.ipv6):
                if address is not None:
                    into = own if service.channel is channel else across
                    into.append((f"{pcs[channel]} to {address}", _connects(stage, pcs[channel], str(address))))
    crossed = [what for what, connected in across if connected]
    heard = sum(connected for _what, connected in own)
    figure = f"{len(crossed)} of {len(across)} across answered, {heard} of {len(own)} on the own channel"
    figure += f" ({', '.join(crossed)})" if crossed else ""
    stage.claims["apart"].settle(bool(across) and not crossed and heard == len(own), figure)
    stage.say(figure)


def _curl(stage: Stage, host: str, url: str, family: int) -> str:
    argv = ["curl", f"-{family}", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", url]
    return stage.lab.shell(host, argv).stdout.decode().strip()


_CONNECT = """
import socket, sys
wire = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
wire.settimeout(3)
try:
    wire.connect((sys.argv[1], 443))
except OSError:
    print("no")
else:
    print("yes")
"""


def _connects(stage: Stage, host: str, address: str) -> bool:
    """LabError where it could not even be tried: a silence of that kind shows nothing."""
    done = stage.lab.shell(host, ["python3", "-c", _CONNECT, address])
    answer = done.stdout.decode().strip()
    if answer not in ("yes", "no"):
        raise LabError(f"{host} could not try {address}: {done.stderr.decode(errors='replace').strip()}")
    return answer == "yes"
