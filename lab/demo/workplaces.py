"""The demo's steps of workplaces: a clerk's PC, a scanner and a citizen point, from bare Debian to work done."""

from __future__ import annotations

import json
import shlex
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from lab import screens
from lab.build import CHECKOUT, blueprint_of
from lab.demo.setup import Played, play
from lab.demo.stage import Stage
from lab.errors import LabError
from wardnet.model.kinds import HostRole, OperatingSystem, SiteKind
from wardnet.model.plan import HostPlan, Plan

UPLOAD = Path(__file__).with_name("upload.py")
PICTURES = CHECKOUT / "build" / "demo"
A4_AT_300_DPI = (2480, 3508)
BROWSER_SECONDS = 300  # for a page on a machine that has other work
PULL_SECONDS = 1800  # a citizen point brings hundreds of megabytes over a ward's line
# Numbers of keys on a keyboard, held together. 37 Control, 50 Shift, 64 Alt.
CHORDS = {
    "an address": (37, 46), "a window": (37, 57), "a tab": (37, 28), "a file": (37, 32), "saving": (37, 39),
    "printing": (37, 33), "developer tools": (37, 50, 31), "closing": (37, 25), "the end": (64, 70),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workplace:
    """Ids of the hosts that the demo makes, chosen from what the inventory has."""

    hub: str
    office_gateway: str
    clerk: HostPlan
    scanner: str
    building_gateway: str
    citizen: HostPlan

    @property
    def pushed(self) -> str:
        return f"{self.clerk.id},{self.scanner}"

    @property
    def pulled(self) -> str:
        return f"{self.building_gateway},{self.citizen.id}"


def workplace(stage: Stage) -> Workplace:
    return choose(blueprint_of(stage.lab.record).plan)


def choose(plan: Plan) -> Workplace:
    """LabError where the inventory has no office with a scanner's box and a clerk's PC, or no building with a point."""
    gateways = {gateway.site: gateway.id for gateway in plan.gateways}

    def first(role: HostRole, what: str, sites: tuple[str, ...] = (), kind: SiteKind | None = None) -> HostPlan:
        for host in plan.hosts:
            stands = (not sites or host.site in sites) and (kind is None or host.site_kind is kind)
            if stands and host.role is role and host.managed and host.os is OperatingSystem.LINUX:
                return host
        raise LabError(f"the inventory has no {what}")

    box = first(HostRole.SCANNER, "scanner on a box with Linux")
    citizen = first(HostRole.CITIZEN, "citizen point in an apartment building", kind=SiteKind.APARTMENT_BUILDING)
    return Workplace(
        hub=next(gateway.id for gateway in plan.gateways if gateway.site_kind is SiteKind.SERVER_ROOM),
        office_gateway=gateways[box.site],
        clerk=first(HostRole.COUNTER, f"clerk's PC at {box.site}", sites=(box.site,)),
        scanner=box.id,
        building_gateway=gateways[citizen.site],
        citizen=citizen,
    )


def provision(stage: Stage) -> None:
    chosen = workplace(stage)
    lines = play(stage, "channels.yml", "--limit", f"{chosen.hub},{chosen.office_gateway}")
    played = play(stage, "wards.yml", "--limit", chosen.pushed) if lines.good else lines
    figure = f"{chosen.clerk.id}, {chosen.scanner} and two routers: {played.figure}"
    if not stage.claims["provisioned"].settle(played.good, figure):
        raise LabError(played.why)


def pull(stage: Stage) -> None:
    chosen = workplace(stage)
    published = play(stage, "publish.yml", "--limit", chosen.pulled)
    if not published.good:
        raise LabError(published.why)
    results = _pull_both(stage, chosen)
    figure = ", ".join(f"{host}: {result}" for host, result in results.items())
    stage.say(figure)
    if not stage.claims["pulled"].settle(set(results.values()) <= {"changed", "converged"}, figure):
        raise LabError(f"journalctl -u wardnet-pull says why: {figure}")


def _pull_both(stage: Stage, chosen: Workplace) -> dict[str, str]:
    """The gateway first: the citizen point is behind it."""
    return {host: _pulled(stage, host) for host in (chosen.building_gateway, chosen.citizen.id)}


def _pulled(stage: Stage, host: str) -> str:
    """How an attempt of the host's comes out; one that its timer began is let end first."""
    with stage.console.status(f"  {host} fetches what is published for it"):
        stage.lab.shell(host, ["systemctl", "start", "wardnet-pull.service"], timeout=PULL_SECONDS)
    said = stage.lab.shell(host, ["cat", "/var/lib/wardnet/pull.json"]).stdout
    record = json.loads(said or b"{}")
    why = f" ({record['why']})" if record.get("why") else ""
    return f"{record.get('result', 'nothing')}{why}"


def again(stage: Stage) -> None:
    chosen = workplace(stage)
    runs: list[Played] = [
        play(stage, "wards.yml", "--limit", chosen.pushed),
        play(stage, "publish.yml", "--limit", chosen.pulled),
    ]
    results = _pull_both(stage, chosen)
    changed = [host for run in runs for host in run.changed]
    anew = [f"{host} {result}" for host, result in results.items() if result != "converged"]
    figure = f"{len(changed)} changed, {len(anew)} pulled anew" + "".join(f" ({what})" for what in (*changed, *anew))
    stage.claims["again"].settle(all(run.good for run in runs) and not changed and not anew, figure)
    stage.say(figure)


def clerk(stage: Stage) -> None:
    chosen = workplace(stage)
    work = chosen.clerk.workplace
    if work is None or work.start_page is None or not work.accounts:
        raise LabError(f"{chosen.clerk.id} has no start page or no account in the inventory")
    page = work.start_page
    account = work.accounts[0].id

    def as_clerk(command: str, timeout: float = BROWSER_SECONDS) -> str:
        argv = ["runuser", "-l", account, "-c", command]
        done = stage.lab.shell(chosen.clerk.id, argv, timeout=timeout)
        if done.returncode != 0:
            raise LabError(f"{account} at {chosen.clerk.id}: {command}: {(done.stdout + done.stderr).decode()[-500:]}")
        return done.stdout.decode().strip()

    with stage.console.status("  the portal in the clerk's browser"):
        as_clerk(f"firefox-esr --headless --window-size=1366,768 --screenshot ~/demo.png {shlex.quote(page)}")
    _keep(stage, "clerk's page", "clerk", stage.lab.shell(chosen.clerk.id, ["cat", f"/home/{account}/demo.png"]).stdout)

    with stage.console.status("  a page from the scanner"):
        as_clerk(f"wardnet-scan-check {chosen.scanner} --scan ./demo-scan.png")
    size = _size(stage.lab.shell(chosen.clerk.id, ["head", "-c", "24", f"/home/{account}/demo-scan.png"]).stdout)
    stage.claims["scanned"].settle(size == A4_AT_300_DPI, f"{chosen.scanner}: {size[0]} x {size[1]} points")
    stage.say(stage.claims["scanned"].figure)

    password = (stage.lab.state / "portal-password").read_text().strip()
    with stage.console.status("  the form with that scan"):
        argv = ["runuser", "-u", account, "--", "python3", "-", page, password, f"/home/{account}/demo-scan.png"]
        sent = stage.lab.shell(chosen.clerk.id, argv, stdin=UPLOAD.read_bytes(), timeout=BROWSER_SECONDS)
    if sent.returncode == 0:
        status, code, board, state = sent.stdout.decode().strip().split(" ", 3)
        figure = f"HTTP {status}, {code} {state}, {'on' if board == 'yes' else 'not on'} the board"
        taken = (status, board) == ("201", "yes")
    else:
        figure, taken = sent.stderr.decode()[-300:].strip(), False
    stage.claims["sent"].settle(taken, figure)
    stage.say(figure)


def resident(stage: Stage) -> None:
    """A real sitting; its screen is in memory, since a host of the lab has no graphics card."""
    host = workplace(stage).citizen.id
    with stage.console.status("  a screen in memory for the citizen point"):
        screens.put_up(stage.lab, host)
    page = stage.wait("waiting for the first page", BROWSER_SECONDS, lambda: _title(stage, host))
    if not page:
        raise LabError(f"{host} shows no page; journalctl -u wardnet-kiosk there says why")
    time.sleep(3)  # a title is there before its page is painted
    _keep(stage, "resident's page", "citizen", screens.picture(stage.lab, host))
    sitting = _sitting(stage, host)
    led = []
    for what, keys in CHORDS.items():
        down, up = (
            " ".join(f"{way} {key}" for key in order) for way, order in (("keydown", keys), ("keyup", keys[::-1]))
        )
        screens.at_screen(stage.lab, host, f"xdotool {down} {up}; sleep 1")
        if _title(stage, host) != page or _sitting(stage, host) != sitting:
            led.append(what)
    figure = f"{len(led)} of {len(CHORDS)} led anywhere" + (f" ({', '.join(led)})" if led else "")
    stage.claims["held"].settle(not led, figure)
    stage.say(figure)
    stage.lab.shell(host, ["systemctl", "kill", "wardnet-kiosk.service"])
    another = bool(
        stage.wait("waiting for the next sitting", BROWSER_SECONDS, lambda: _sitting(stage, host) not in ("", sitting))
    )
    left = stage.lab.shell(host, ["find", "/", "-xdev", "-user", "wardnet-kiosk"]).stdout.decode().split()
    figure = f"{'another' if another else 'no other'} sitting, {len(left)} files of the former one"
    stage.claims["forgotten"].settle(another and not left, figure)
    stage.say(figure)


def _title(stage: Stage, host: str) -> str:
    """Of the browser's window; empty while there is none."""
    look = "xdotool search --onlyvisible --class chromium getwindowname 2>/dev/null | head -n 1"
    try:
        title = screens.at_screen(stage.lab, host, look)
    except LabError:
        return ""
    return "" if title in ("", "Chromium") else title


def _sitting(stage: Stage, host: str) -> str:
    """What tells one sitting from another; empty between two."""
    words = ["systemctl", "show", "--property", "ActiveState,InvocationID", "--value", "wardnet-kiosk.service"]
    found = stage.lab.shell(host, words).stdout.decode().split()
    return next((word for word in found if len(word) == 32), "") if "active" in found else ""


def _size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels; (0, 0) of what is no PNG."""
    if png[:8] != b"\x89PNG\r\n\x1a\n" or len(png) < 24:
        return (0, 0)
    width, height = struct.unpack(">II", png[16:24])
    return (width, height)


def _keep(stage: Stage, claim: str, name: str, png: bytes) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    path.write_bytes(png)
    width, height = _size(png)
    stage.claims[claim].settle(width > 0, f"{width} x {height}: {path}")
    stage.say(stage.claims[claim].figure)
