"""What the demo measures, breaks and proves. Each step settles the claims that it is there to show."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.build import blueprint_of
from lab.demo.setup import station_id
from lab.demo.stage import Stage
from lab.demo.table import table
from lab.replay import replay
from wardnet.cli.status import state_text
from wardnet.live.status import ChannelStatus, State
from wardnet.model.intent import Channel, HostRole

FIRST_DATA_SECONDS = 90
FAULT_SECONDS = 90
DOWNLOAD_SECONDS = 35  # a rate over 30 s is what the table shows
FAULT_MS = 100  # the slow line adds 160 ms
SERVER_MS = 500  # the slow server adds 1.5 s to its pages
CALM_MS = 25
SLOW_LINE, SLOW_SERVER, LEAK = "slow-line", "slow-server", "forwarding-leak"


def measure(stage: Stage) -> None:
    """Wait until each ward and channel has a round trip and a service measured by phase. Meanwhile a clerk
    downloads from the portal, so that the line shows what it carries."""

    def complete() -> tuple[ChannelStatus, ...]:
        found = stage.status()
        return found if sum(_is_measured(one) for one in found) >= stage.clerks_channels else ()

    with _downloads(stage):
        found = stage.wait("waiting for the first measurements", FIRST_DATA_SECONDS, complete)
    done = sum(_is_measured(one) for one in found or stage.status())
    stage.claims["measured"].settle(bool(found), f"{done} of {stage.clerks_channels}")
    stage.say(stage.claims["measured"].figure)


@contextmanager
def _downloads(stage: Stage) -> Iterator[None]:
    """For DOWNLOAD_SECONDS, and at most as long again as they take to end."""
    blueprint = blueprint_of(stage.lab.record)
    pc = station_id(blueprint.district, stage.ward, HostRole.COUNTER)
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
    settle(stage)
    show(stage, "The district")


def _audited(report: dict[str, Any]) -> str:
    pairs = sum(len(device["pairs"]) for device in report["devices"])
    return f"{len(report['devices'])} devices, {pairs} ways between ports of different zones"


def _tell_problems(stage: Stage, report: dict[str, Any]) -> None:
    for device in report["devices"]:
        for problem in device["problems"]:
            stage.say(f"  {device['device']}: {problem['reason']}")


def show(stage: Stage, title: str) -> None:
    stage.console.print()
    stage.console.print(table(title, stage.status(), stage.separation))
    stage.console.print()


def settle(stage: Stage) -> None:
    """Wait until the ward's WAN channel is well, so that what is seen next has one cause."""

    def well(one: ChannelStatus) -> bool:
        return one.state is State.OK and _above_base(one) < CALM_MS and _waiting_ms(one) < CALM_MS

    stage.wait("waiting until the line is well", FAULT_SECONDS, lambda: _seen(stage, well))


def slow_line(stage: Stage) -> None:
    """Until the state says so, and the software's figures have followed."""

    def slow(one: ChannelStatus) -> bool:
        return one.state is State.LINE_SLOW and _above_base(one) >= FAULT_MS and _waiting_ms(one) >= FAULT_MS

    settle(stage)
    with _broken(stage, SLOW_LINE):
        seen = stage.wait(f"the WAN line of {stage.ward} is slow now; waiting until the tool says so", FAULT_SECONDS,
                          lambda: _seen(stage, slow))  # fmt: skip
        _settle_state(stage, "slow line", seen)
        show(stage, f"The WAN line of {stage.ward} is slow")


def slow_server(stage: Stage) -> None:
    def slow(one: ChannelStatus) -> bool:
        return one.state is State.SERVER_SLOW and _above_base(one) < CALM_MS and _server_ms(one) >= SERVER_MS

    settle(stage)
    with _broken(stage, SLOW_SERVER):
        seen = stage.wait("the portal is slow now; waiting until the tool says so", FAULT_SECONDS,
                          lambda: _seen(stage, slow))  # fmt: skip
        _settle_state(stage, "slow server", seen)
        show(stage, "The portal is slow, which all wards feel")


@contextmanager
def _broken(stage: Stage, fault: str) -> Iterator[None]:
    """The fault holds meanwhile, and is taken back whatever happens."""
    stage.lab.break_(fault, stage.ward)
    try:
        yield
    finally:
        stage.lab.heal()


def _seen(stage: Stage, wanted: Callable[[ChannelStatus], bool]) -> ChannelStatus | None:
    one = stage.channel(stage.ward, Channel.WAN)
    return one if one is not None and wanted(one) else None


def _above_base(one: ChannelStatus) -> float:
    """Milliseconds; infinite where it was not measured."""
    if one.round_trip_seconds is None or one.base_round_trip_seconds is None:
        return math.inf
    return (one.round_trip_seconds - one.base_round_trip_seconds) * 1000


def _waiting_ms(one: ChannelStatus) -> float:
    """How much longer than the line's base the portal's page waits for the line, in milliseconds."""
    if not one.services or one.base_round_trip_seconds is None:
        return math.inf
    return (one.services[0].parts.get("line", math.inf) - one.base_round_trip_seconds) * 1000


def _server_ms(one: ChannelStatus) -> float:
    return one.services[0].parts.get("server", 0.0) * 1000 if one.services else 0.0


def _settle_state(stage: Stage, key: str, seen: ChannelStatus | None) -> None:
    one = seen or stage.channel(stage.ward, Channel.WAN)
    if one is None:
        stage.claims[key].settle(False, "no data")
        return
    line = f"round trip {_ms(one.round_trip_seconds)} (base {_ms(one.base_round_trip_seconds)})"
    figure = f"{state_text(one.state).plain}, {line}, the portal's server part {_server_ms(one):.0f} ms"
    stage.claims[key].settle(seen is not None, figure)
    stage.say(stage.claims[key].figure)


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"


def leak(stage: Stage) -> None:
    """Open a leak, find it, and send its packet; close it, and send the packet again."""
    with _broken(stage, LEAK):
        crossing = _find(stage)
        settle(stage)
        show(stage, f"With a leak in {stage.ward}")
    if crossing is None:
        return
    code, report = stage.audit("healed")
    heard = replay(stage.lab, crossing)
    control = "heard" if heard.control else "NOT heard"
    figure = (
        f"{report['verdict']}, exit {code}, {heard.heard} of {heard.sent} packets heard, positive control {control}"
    )
    stage.claims["healed"].settle(code == 0 and heard.stopped, figure)
    stage.say(figure)
    stage.say("a crossing's packet can be sent again: .venv/bin/python -m lab replay "
              f"--name {stage.lab.name} {_crossing_file(stage)}")  # fmt: skip


def _find(stage: Stage) -> dict[str, Any] | None:
    """The leak's own crossing, once its packet was sent."""
    code, report = stage.audit("leak")
    crossings = [c for device in report["devices"] for c in device["crossings"] if c["verdict"] == "violated"]
    if not crossings:
        stage.claims["leak"].settle(False, f"{report['verdict']}, exit {code}, no packet")
        return None
    # A new connection is the leak itself; answers that cross are what follows from one.
    crossing: dict[str, Any] = min(crossings, key=lambda one: one["packet"]["state"] != "new")
    figure = f"{report['verdict']}, exit {code}: {describe(crossing)}"
    stage.claims["leak"].settle(code == 1 and crossing["ward"] == stage.ward, figure)
    stage.say(figure)
    _crossing_file(stage).write_text(json.dumps(crossing, indent=2))
    heard = replay(stage.lab, crossing)
    stage.claims["replayed"].settle(
        heard.crossed, f"{heard.heard} of {heard.sent} packets heard at {heard.listener}, sent from {heard.sender}"
    )
    stage.say(stage.claims["replayed"].figure)
    return crossing


def _crossing_file(stage: Stage) -> Path:
    return stage.lab.state / "demo" / "crossing.json"


def describe(crossing: dict[str, Any]) -> str:
    packet, rule = crossing["packet"], crossing["rule"]
    ports = f" port {packet['destination_port']}" if packet["destination_port"] is not None else ""
    where = f'; let through by {rule["span"]} "{rule["comment"]}"' if rule else ""
    return (
        f"{crossing['device']} lets {packet['source']} ({crossing['from_port']}) reach {packet['destination']} "
        f"({crossing['to_port']}), {crossing['replay']['protocol']}{ports}{where}"
    )
