"""The demo, step by step. Each step settles the claims that it is there to show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from lab.build import blueprint_of
from lab.demo.claims import Claims
from lab.demo.stage import Stage
from lab.demo.table import table
from lab.errors import LabError
from lab.replay import replay
from wardnet.live.status import ChannelStatus, State
from wardnet.model.intent import Channel, HostRole

FIRST_DATA_SECONDS = 90
FAULT_SECONDS = 90
DOWNLOAD_SECONDS = 35  # a rate over 30 s is what the table shows
SLOW_LINE, SLOW_SERVER, LEAK = "slow-line", "slow-server", "forwarding-leak"


def declare(claims: Claims, lab: str, ward: str) -> None:
    """Everything that the demo sets out to show, before it begins."""
    state = f"/var/lib/wardnet-lab/{lab}"
    run = f"python -m lab run --name {lab}"
    audit = (
        f"{run} auditor -- wardnet collect -i {state}/inventory -o /tmp/snapshot --known-hosts {state}/known_hosts "
        f"--key {state}/ssh/auditor; wardnet audit /tmp/snapshot"
    )
    status = f"wardnet status -p http://127.0.0.1:19090 -w {ward}"
    broken = f"python -m lab break --name {lab}"
    site = f"{run} controller -- ansible-playbook -i {state}/inventory/wardnet.yml -e @{state}/ansible-vars.yml"
    declared = [
        ("inventory", "the inventory is right", "no error", "wardnet check inventory/tay-ho"),
        ("booted", "the district's hosts boot", "all of them", f"python -m lab status --name {lab}"),
        ("provisioned", "Ansible sets the hosts up over SSH", "none failed, none unreachable",
         f"{site} playbooks/site.yml"),
        ("clerk", "a clerk's PC opens the portal over the WAN channel", "HTTP 200",
         f"python -m lab shell --name {lab} {ward}-pc-1 -- curl -sI https://..."),
        ("citizen", "a citizen's PC opens the public web over the internet channel", "HTTP 200",
         f"python -m lab shell --name {lab} {ward}-citizen-1 -- curl -sI https://..."),
        ("apart", "neither opens what is on the other channel", "no answer, both families",
         f"python -m lab shell --name {lab} {ward}-citizen-1 -- curl -m 3 ..."),
        ("measured", "Prometheus has line and software of each ward and channel", "every one", f"{status}"),
        ("proved", "the audit proves the channels separate", "proved, exit 0", audit),
        ("slow line", f"a slowed WAN line of {ward} is named as the line", "state line_slow or line_full, portal up",
         f"{broken} {SLOW_LINE} --ward {ward}; {status}"),
        ("slow server", "a slowed portal is named as the server", "state server_slow",
         f"{broken} {SLOW_SERVER} --ward {ward}; {status}"),
        ("leak", f"a leak opened in {ward} is found", "violated, exit 1, with a packet and its rule",
         f"{broken} {LEAK} --ward {ward}; {audit}"),
        ("replayed", "that packet really crosses, sent through the gateway", "heard on the other channel",
         f"python -m lab replay --name {lab} REPORT.json"),
        ("healed", "with the leak closed the channels are proved separate again", "proved, exit 0, packet stopped",
         f"python -m lab heal --name {lab}; {audit}"),
    ]  # fmt: skip
    for key, what, wanted, repeat in declared:
        claims.declare(key, what, wanted, repeat)


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
        channel: next(h.id for h in blueprint.plan.hosts if h.ward == ward and h.role is role)
        for channel, role in ((Channel.WAN, HostRole.COUNTER), (Channel.INTERNET, HostRole.CITIZEN))
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
    pc = next(h.id for h in blueprint.plan.hosts if h.ward == ward and h.role is HostRole.COUNTER)
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


def slow_line(stage: Stage, ward: str) -> None:
    stage.lab.break_(SLOW_LINE, ward, "wan")
    wanted = (State.LINE_SLOW, State.LINE_FULL)
    seen = stage.wait(f"the WAN line of {ward} is slow now; waiting until the tool says so", FAULT_SECONDS,
                      lambda: _in_state(stage, ward, wanted))  # fmt: skip
    _settle_state(stage, "slow line", ward, seen)
    show(stage, f"After the WAN line of {ward} was slowed")
    stage.lab.heal()


def slow_server(stage: Stage, ward: str) -> None:
    """After the slow line was healed: first the line has to be well again, so that one fault is seen at a time."""
    stage.wait("the line is healed; waiting until it is well", FAULT_SECONDS,
               lambda: _in_state(stage, ward, (State.OK,)))  # fmt: skip
    stage.lab.break_(SLOW_SERVER, ward, "wan")
    seen = stage.wait("the portal is slow now; waiting until the tool says so", FAULT_SECONDS,
                      lambda: _in_state(stage, ward, (State.SERVER_SLOW,)))  # fmt: skip
    _settle_state(stage, "slow server", ward, seen)
    stage.lab.heal()


def _in_state(stage: Stage, ward: str, wanted: tuple[State, ...]) -> ChannelStatus | None:
    one = stage.channel(ward, "wan")
    return one if one is not None and one.state in wanted else None


def _settle_state(stage: Stage, key: str, ward: str, seen: ChannelStatus | None) -> None:
    one = seen or stage.channel(ward, "wan")
    if one is None:
        stage.claims[key].settle(False, "no data")
        return
    parts = one.services[0].parts if one.services else {}
    server = parts.get("server")
    figure = f"state {one.state}, round trip {_ms(one.round_trip_seconds)} (base {_ms(one.base_round_trip_seconds)})"
    stage.claims[key].settle(seen is not None, f"{figure}, portal's server part {_ms(server)}")
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
    crossing: dict[str, Any] = crossings[0]
    figure = f"{report['verdict']}, exit {code}: {describe(crossing)}"
    stage.claims["leak"].settle(code == 1 and crossing["ward"] == ward, figure)
    stage.say(figure)
    (stage.lab.state / "demo" / "crossing.json").write_text(json.dumps(crossing, indent=2))
    heard = replay(stage.lab, crossing)
    stage.claims["replayed"].settle(
        heard.crossed, f"{heard.heard} of {heard.sent} packets heard at {heard.listener}, sent from {heard.sender}"
    )
    stage.say(stage.claims["replayed"].figure)
    show(stage, f"With a leak in {ward}")
    return crossing


def describe(crossing: dict[str, Any]) -> str:
    packet, rule = crossing["packet"], crossing["rule"]
    ports = f" port {packet['destination_port']}" if packet["destination_port"] is not None else ""
    where = f"; let through by {rule['text']}" if rule else ""
    return (
        f"{crossing['device']} lets {packet['source']} ({crossing['from_port']}) reach {packet['destination']} "
        f"({crossing['to_port']}), protocol {packet['protocol']}{ports}{where}"
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
