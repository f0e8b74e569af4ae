"""The demo, step by step. Each step settles the claims that it is there to show."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from lab.build import blueprint_of
from lab.demo.claims import Claims
from lab.demo.stage import Stage
from lab.demo.table import table
from lab.errors import LabError
from lab.layout import DEFAULT_NAME
from lab.replay import replay
from wardnet.live.status import ChannelStatus, State
from wardnet.model.intent import Channel, District, HostRole

FIRST_DATA_SECONDS = 90
FAULT_SECONDS = 90
DOWNLOAD_SECONDS = 35  # a rate over 30 s is what the table shows
FAULT_MS = 100  # the slow line adds 160 ms
SERVER_MS = 500  # the slow server adds 1.5 s to its pages
CALM_MS = 25
SLOW_LINE, SLOW_SERVER, LEAK = "slow-line", "slow-server", "forwarding-leak"


def declare(claims: Claims, lab: str, ward: str, district: District) -> None:
    """Everything that the demo sets out to show, before it begins. `{window}` is Prometheus's address, once known."""
    state = f"/var/lib/wardnet-lab/{lab}"
    python = ".venv/bin/python -m lab"
    named = "" if lab == DEFAULT_NAME else f" --name {lab}"
    audit = (
        f"{python} run{named} auditor -- wardnet collect -i {state}/inventory -o /tmp/snapshot "
        f"--known-hosts {state}/known_hosts --key {state}/ssh/auditor; .venv/bin/wardnet audit /tmp/snapshot"
    )
    status = f".venv/bin/wardnet status -p {{window}} -w {ward}"
    broken = f"{python} break{named}"
    heal = f"{python} heal{named}"
    site = f"ansible-playbook -i {state}/inventory/wardnet.yml -e @{state}/ansible-vars.yml playbooks/site.yml"
    clerk, citizen = (_station_id(district, ward, role) for role in (HostRole.COUNTER, HostRole.CITIZEN))
    urls = {channel: [one.url for one in district.services if one.channel is channel] for channel in Channel}
    portal, public = urls[Channel.WAN][0], urls[Channel.INTERNET][0]
    declared = [
        ("inventory", "the inventory is right", "no error", ".venv/bin/wardnet check"),
        ("booted", "the district's hosts boot", "all of them", f"{python} status{named}"),
        ("provisioned", "Ansible sets the hosts up over SSH", "none failed, none unreachable",
         f"{python} run{named} controller -- {site}"),
        ("clerk", "a clerk's PC opens the portal over the WAN channel", "HTTP 200",
         f"{python} shell{named} {clerk} -- curl -sI {portal}"),
        ("citizen", "a citizen's PC opens the public services over the internet channel", "HTTP 200",
         f"{python} shell{named} {citizen} -- curl -sI {public}"),
        ("apart", "neither opens what is on the other channel", "no answer, both families",
         f"{python} shell{named} {citizen} -- curl -sI -m 5 {portal}"),
        ("measured", "Prometheus has line and software of each ward and channel", "every one", status),
        ("proved", "the audit proves the channels separate", "proved, exit 0", audit),
        ("slow line", f"a slowed WAN line of {ward} is named as the line",
         f"state line_slow, round trip at least {FAULT_MS} ms above its base",
         f"{broken} {SLOW_LINE} --ward {ward}; {status}; {heal}"),
        ("slow server", "a slowed portal is named as the server",
         f"state server_slow, its part at least {SERVER_MS} ms, the line within {CALM_MS} ms of its base",
         f"{broken} {SLOW_SERVER} --ward {ward}; {status}; {heal}"),
        ("leak", f"a leak opened in {ward} is found", "violated, exit 1, with a packet and its rule",
         f"{broken} {LEAK} --ward {ward}; {audit}; {heal}"),
        ("replayed", "that packet really crosses, sent through the gateway", "heard on the other channel",
         f"{broken} {LEAK} --ward {ward}; {python} replay{named} {state}/demo/crossing.json; {heal}"),
        ("healed", "with the leak closed the channels are proved separate again, and the packet is stopped",
         "proved, exit 0, no packet heard, positive control heard",
         f"{audit}; {python} replay{named} {state}/demo/crossing.json"),
    ]  # fmt: skip
    for key, what, wanted, repeat in declared:
        claims.declare(key, what, wanted, repeat)


def _station_id(district: District, ward: str, role: HostRole) -> str:
    return next(h.id for w, site in district.sites for h in site.hosts if w.id == ward and h.role is role)


def provision(stage: Stage) -> None:
    log = stage.lab.state / "demo" / "ansible.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    recap: list[str] = []
    with stage.console.status("  Ansible") as shown, log.open("w") as kept:

        def line(text: str) -> None:
            kept.write(text + "\n")
            if text.startswith(("TASK [", "PLAY [")):
                shown.update(f"  {text.split('*')[0].strip().replace('[', ' ', 1).rstrip('] ')}")
            if " : ok=" in text:
                recap.append(text)

        command = ["ansible-playbook", "-i", str(stage.lab.layout.inventory / "wardnet.yml"),
                   "-e", f"@{stage.lab.state / 'ansible-vars.yml'}", "playbooks/site.yml"]  # fmt: skip
        code = stage.at(stage.station(HostRole.CONTROLLER), command, line, ANSIBLE_FORCE_COLOR="0")
    wrong = [text.split()[0] for text in recap if "failed=0" not in text or "unreachable=0" not in text]
    stage.say(f"{len(recap)} hosts; the whole log is in {log}")
    figure = f"{len(recap)} hosts, {len(wrong)} wrong" + (f" ({', '.join(wrong)})" if wrong else "")
    if not stage.claims["provisioned"].settle(code == 0 and bool(recap) and not wrong, figure):
        raise LabError(f"ansible-playbook ended with {code}; the last lines of {log} say why")


def reach(stage: Stage, ward: str) -> None:
    """Real requests from a PC of each channel, in both families."""
    blueprint = blueprint_of(stage.lab.record)
    urls = {channel: [s.url for s in blueprint.district.services if s.channel is channel] for channel in Channel}
    pcs = {
        Channel.WAN: _station_id(blueprint.district, ward, HostRole.COUNTER),
        Channel.INTERNET: _station_id(blueprint.district, ward, HostRole.CITIZEN),
    }
    for key, channel in (("clerk", Channel.WAN), ("citizen", Channel.INTERNET)):
        answers = [_curl(stage, pcs[channel], url, family) for url in urls[channel] for family in (4, 6)]
        figure = f"{pcs[channel]}: " + ", ".join(f"HTTP {answer}" for answer in answers)
        stage.claims[key].settle(bool(answers) and set(answers) == {"200"}, figure)
        stage.say(figure)
    crossed = []
    tried = 0
    for channel in Channel:
        for service in blueprint.district.services:
            for address in (service.ipv4, service.ipv6):
                if service.channel is not channel and address is not None:
                    tried += 1
                    if _connects(stage, pcs[channel], str(address)):
                        crossed.append(f"{pcs[channel]} to {address}")
    figure = f"{tried} tries, {len(crossed)} answered" + (f" ({', '.join(crossed)})" if crossed else "")
    stage.claims["apart"].settle(not crossed and tried > 0, figure)
    stage.say(f"across: {figure}")


def _curl(stage: Stage, host: str, url: str, family: int) -> str:
    argv = ["curl", f"-{family}", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", url]
    return stage.lab.shell(host, argv).stdout.decode().strip()


def _connects(stage: Stage, host: str, address: str) -> bool:
    code = (
        "import socket, sys; s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET); "
        "s.settimeout(2); s.connect((sys.argv[1], 443))"
    )
    return stage.lab.shell(host, ["python3", "-c", code, address]).returncode == 0


def measure(stage: Stage, ward: str) -> None:
    """Wait until each ward and channel has a round trip and a service measured by phase. Meanwhile a clerk
    downloads from the portal, so that the line shows what it carries."""

    def complete() -> tuple[ChannelStatus, ...]:
        found = stage.status()
        return found if sum(_is_measured(one) for one in found) >= stage.clerks_channels else ()

    with _downloads(stage, ward):
        found = stage.wait("waiting for the first measurements", FIRST_DATA_SECONDS, complete)
    done = sum(_is_measured(one) for one in found or stage.status())
    stage.claims["measured"].settle(bool(found), f"{done} of {stage.clerks_channels}")
    stage.say(stage.claims["measured"].figure)


@contextmanager
def _downloads(stage: Stage, ward: str) -> Iterator[None]:
    """For DOWNLOAD_SECONDS, and at most as long again as they take to end."""
    blueprint = blueprint_of(stage.lab.record)
    pc = _station_id(blueprint.district, ward, HostRole.COUNTER)
    url = next(s.url for s in blueprint.district.services if s.channel is Channel.WAN)
    script = (
        f"end=$(($(date +%s) + {DOWNLOAD_SECONDS})); "
        f"while [ $(date +%s) -lt $end ]; do curl -sf -m 10 -o /dev/null '{url}static/forms.bin' || exit 1; done"
    )
    with ThreadPoolExecutor(1) as one:
        running = one.submit(stage.lab.shell, pc, ["sh", "-c", script])
        yield
        running.result()


def _is_measured(one: ChannelStatus) -> bool:
    return one.round_trip_seconds is not None and any(service.parts for service in one.services)


def prove(stage: Stage) -> None:
    code, report = stage.audit("healthy")
    stage.claims["proved"].settle(code == 0, f"{report['verdict']}, exit {code}, {_audited(report)}")
    stage.say(f"{report['verdict']}: {_audited(report)}")
    _tell_problems(stage, report)


def _audited(report: dict[str, Any]) -> str:
    pairs = sum(len(device["pairs"]) for device in report["devices"])
    return f"{len(report['devices'])} devices, {pairs} ways between ports of different channels"


def _tell_problems(stage: Stage, report: dict[str, Any]) -> None:
    for device in report["devices"]:
        for problem in device["problems"]:
            stage.say(f"  {device['device']}: {problem['reason']}")


def show(stage: Stage, title: str) -> None:
    stage.console.print()
    stage.console.print(table(title, stage.status(), stage.separation))
    stage.console.print()


def settle(stage: Stage, ward: str) -> None:
    """Wait until the ward's WAN channel is well, so that what is seen next has one cause."""

    def well(one: ChannelStatus) -> bool:
        return one.state is State.OK and _above_base(one) < CALM_MS

    stage.wait("waiting until the line is well", FAULT_SECONDS, lambda: _seen(stage, ward, well))


def slow_line(stage: Stage, ward: str) -> None:
    stage.lab.break_(SLOW_LINE, ward, Channel.WAN)
    seen = stage.wait(f"the WAN line of {ward} is slow now; waiting until the tool says so", FAULT_SECONDS,
                      lambda: _seen(stage, ward, lambda one: one.state is State.LINE_SLOW
                                    and _above_base(one) >= FAULT_MS))  # fmt: skip
    _settle_state(stage, "slow line", ward, seen)
    show(stage, f"After the WAN line of {ward} was slowed")
    stage.lab.heal()


def slow_server(stage: Stage, ward: str) -> None:
    settle(stage, ward)
    stage.lab.break_(SLOW_SERVER, ward, Channel.WAN)
    seen = stage.wait("the portal is slow now; waiting until the tool says so", FAULT_SECONDS,
                      lambda: _seen(stage, ward, lambda one: one.state is State.SERVER_SLOW
                                    and _above_base(one) < CALM_MS and _server_ms(one) >= SERVER_MS))  # fmt: skip
    _settle_state(stage, "slow server", ward, seen)
    show(stage, "After the portal was slowed, which all wards feel")
    stage.lab.heal()


def _seen(stage: Stage, ward: str, wanted: Callable[[ChannelStatus], bool]) -> ChannelStatus | None:
    one = stage.channel(ward, Channel.WAN)
    return one if one is not None and wanted(one) else None


def _above_base(one: ChannelStatus) -> float:
    """Milliseconds; infinite where it was not measured."""
    if one.round_trip_seconds is None or one.base_round_trip_seconds is None:
        return math.inf
    return (one.round_trip_seconds - one.base_round_trip_seconds) * 1000


def _server_ms(one: ChannelStatus) -> float:
    return one.services[0].parts.get("server", 0.0) * 1000 if one.services else 0.0


def _settle_state(stage: Stage, key: str, ward: str, seen: ChannelStatus | None) -> None:
    one = seen or stage.channel(ward, Channel.WAN)
    if one is None:
        stage.claims[key].settle(False, "no data")
        return
    figure = f"state {one.state}, round trip {_ms(one.round_trip_seconds)} (base {_ms(one.base_round_trip_seconds)})"
    stage.claims[key].settle(seen is not None, f"{figure}, the portal's server part {_server_ms(one):.0f} ms")
    stage.say(stage.claims[key].figure)


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"


def leak(stage: Stage, ward: str) -> dict[str, Any] | None:
    """Open a leak, find it, and send its packet. Returns the crossing that was found."""
    stage.lab.break_(LEAK, ward)
    code, report = stage.audit("leak")
    crossings = [c for device in report["devices"] for c in device["crossings"] if c["verdict"] == "violated"]
    if not crossings:
        stage.claims["leak"].settle(False, f"{report['verdict']}, exit {code}, no packet")
        return None
    # A new connection is the leak itself; answers that cross are what follows from one.
    crossing: dict[str, Any] = min(crossings, key=lambda one: one["packet"]["state"] != "new")
    figure = f"{report['verdict']}, exit {code}: {describe(crossing)}"
    stage.claims["leak"].settle(code == 1 and crossing["ward"] == ward, figure)
    stage.say(figure)
    (stage.lab.state / "demo" / "crossing.json").write_text(json.dumps(crossing, indent=2))
    heard = replay(stage.lab, crossing)
    stage.claims["replayed"].settle(
        heard.crossed, f"{heard.heard} of {heard.sent} packets heard at {heard.listener}, sent from {heard.sender}"
    )
    stage.say(stage.claims["replayed"].figure)
    settle(stage, ward)
    show(stage, f"With a leak in {ward}")
    return crossing


def describe(crossing: dict[str, Any]) -> str:
    packet, rule = crossing["packet"], crossing["rule"]
    ports = f" port {packet['destination_port']}" if packet["destination_port"] is not None else ""
    where = f'; let through by {rule["span"]} "{rule["comment"]}"' if rule else ""
    return (
        f"{crossing['device']} lets {packet['source']} ({crossing['from_port']}) reach {packet['destination']} "
        f"({crossing['to_port']}), {crossing['replay']['protocol']}{ports}{where}"
    )


def heal(stage: Stage, crossing: dict[str, Any] | None) -> None:
    stage.lab.heal()
    code, report = stage.audit("healed")
    figure = f"{report['verdict']}, exit {code}"
    stopped = True
    if crossing is not None:
        heard = replay(stage.lab, crossing)
        stopped = heard.stopped
        control = "heard" if heard.control else "NOT heard"
        figure += f", {heard.heard} of {heard.sent} packets heard, positive control {control}"
    stage.claims["healed"].settle(code == 0 and stopped, figure)
    stage.say(figure)
