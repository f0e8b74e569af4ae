"""Carries out a whole plan of `wardnet audit --replay` in the lab: it is the prober that --replay-with names.

Every place listens for every packet all the time, so that one that comes out anywhere is heard. Whether an ear hears is
tried at the end, with a packet that the gateway itself sends out of the ear's port.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from lab.build import blueprint_of
from lab.errors import LabError
from lab.handle import Lab
from lab.replay import EPHEMERAL_PORT, Held, Side, hardware_address, put_on_wire, sides_of, start
from lab.replay.packet import SYN, frame, probe
from lab.topology import Topology
from wardnet.model.plan import GatewayPlan, PortKind

FORMAT = 1
EVERYWHERE = ["0.0.0.0/0", "::/0"]  # who stands at the far end of a line stands for all that is behind it
SETTLE_SECONDS = 2  # what a circuit's delay and buffer may hold back


@dataclass(frozen=True, slots=True)
class _Place:
    id: str
    side: Side
    gateway: str
    gateway_port: str
    first: bool  # it stands for whoever is behind the port and is in no lab


def places(lab: Lab) -> dict[str, Any]:
    """The lab's hosts behind the ports of its managed gateways, in the form of `wardnet audit --places`. Lines that are
    dialled, and ports that stand on others, have none: their frames are not the plain ones that are sent here."""
    topology = blueprint_of(lab.record).topology
    found = [_record(lab, topology, place) for place in _places(topology)]
    return {"places": [place for place in found if place["addresses"]]}


def carry_out(lab: Lab, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The answers to a plan. Raises LabError where the plan is none for this lab."""
    if plan.get("format") != FORMAT:
        raise LabError(f"a plan of format {FORMAT} is needed")
    known = {place.id: place for place in _places(blueprint_of(lab.record).topology)}
    try:
        wanted = {item["id"]: known[item["id"]] for item in plan["places"]}
        packets = list(plan["packets"])
        return {"format": FORMAT, "answers": _sent(lab, wanted, packets, int(plan["copies"]), float(plan["seconds"]))}
    except KeyError as error:
        raise LabError(f"the lab has no place {error}, or the plan is not whole") from None


def _places(topology: Topology) -> Iterator[_Place]:
    for node in topology.nodes:
        if node.gateway is None or not node.gateway.reached:
            continue
        for port in node.gateway.ports:
            if port.parent is not None or port.dialled is not None:
                continue
            for number, side in enumerate(sides_of(topology, node.gateway, port.name)):
                yield _Place(f"{side.host}/{side.port}", side, node.id, port.name, first=number == 0)


def _record(lab: Lab, topology: Topology, place: _Place) -> dict[str, Any]:
    gateway = topology.node(place.gateway).gateway
    assert gateway is not None
    return {
        "id": place.id,
        "device": place.gateway,
        "port": place.gateway_port,
        "addresses": _addresses(lab, place.side),
        "stands_for": (_networks(gateway, place.gateway_port) or EVERYWHERE) if place.first else [],
    }


def _networks(gateway: GatewayPlan, port_name: str) -> list[str]:
    port = gateway.port(port_name)
    return [str(own.network) for own in port.own] if port.kind is PortKind.NETWORK else []


def _addresses(lab: Lab, side: Side) -> list[str]:
    done = lab.run(side.host, ["ip", "-j", "addr", "show", "dev", side.port, "scope", "global"])
    if done.returncode != 0:
        raise LabError(f"{side.host} has no port {side.port}: {done.stderr.decode(errors='replace').strip()}")
    return [entry["local"] for entry in json.loads(done.stdout)[0].get("addr_info", []) if "local" in entry]


class _Macs:
    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._known: dict[tuple[str, str], str] = {}

    def of(self, host: str, port: str) -> str:
        if (host, port) not in self._known:
            self._known[host, port] = hardware_address(self._lab, host, port)
        return self._known[host, port]


class _Ears:
    """A listener at each place. `heard` has how often each of the marks came, by place, of those that hear at all."""

    def __init__(self, lab: Lab, wanted: Mapping[str, _Place], marks: Sequence[str], seconds: float) -> None:
        self._lab, self._wanted = lab, wanted
        self._marks = marks
        self._ends = {name: secrets.token_hex(16) for name in wanted}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._seconds = seconds

    def open(self, stack: ExitStack) -> None:
        for name, place in self._wanted.items():
            words = ("listen", place.side.port, str(self._seconds), *self._marks, self._ends[name])
            ear = start(self._lab, place.side.host, *words)
            stack.callback(_end, ear)
            self._running[name] = ear
        for name, ear in self._running.items():
            if ear.stdout is None or ear.stdout.readline().strip() != b"ready":
                raise LabError(f"cannot listen at {name}")

    def heard(self, macs: _Macs) -> dict[str, dict[str, int]]:
        for name, place in self._wanted.items():
            put_on_wire(self._lab, place.gateway, place.gateway_port, [self._last(name, place, macs)], 3)
        told: dict[str, dict[str, int]] = {}
        for name, ear in self._running.items():
            answer, _nothing = ear.communicate(timeout=self._seconds + 10)
            counts: dict[str, int] = json.loads(answer)
            if counts.pop(self._ends[name]):
                told[name] = counts
        return told

    def _last(self, name: str, place: _Place, macs: _Macs) -> str:
        mark = bytes.fromhex(self._ends[name])
        packet = probe("192.0.2.1", "192.0.2.2", "udp", EPHEMERAL_PORT, 9, mark)
        return frame(
            packet, macs.of(place.gateway, place.gateway_port), macs.of(place.side.host, place.side.port)
        ).hex()


def _sent(
    lab: Lab, wanted: Mapping[str, _Place], packets: Sequence[Mapping[str, Any]], copies: int, seconds: float
) -> list[dict[str, Any]]:
    macs = _Macs(lab)
    # Ends before the auditor's patience does. An ear whose time is over too early has not heard its last packet either.
    ears = _Ears(lab, wanted, [packet["mark"] for packet in packets], max(10.0, seconds * 0.8))
    with ExitStack() as stack:
        for name, place in wanted.items():
            held = sorted({one["packet"]["destination"] for one in packets if one["listener"] == name})
            stack.enter_context(Held(lab, place.side, held))
        ears.open(stack)
        unsent = _send(lab, wanted, packets, copies, macs)
        time.sleep(SETTLE_SECONDS)
        told = ears.heard(macs)
    return [_answer(packet, unsent.get(packet["id"], ""), copies, told) for packet in packets]


def _answer(
    packet: Mapping[str, Any], unsent: str, copies: int, told: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    if unsent:
        return {"id": packet["id"], "sent": 0, "heard": {}, "error": unsent}
    deaf = packet["listener"] not in told
    heard = {name: counts[packet["mark"]] for name, counts in told.items()}
    error = f"the listener at {packet['listener']} does not hear" if deaf else ""
    return {"id": packet["id"], "sent": copies, "heard": heard, "error": error}


def _send(
    lab: Lab, wanted: Mapping[str, _Place], packets: Sequence[Mapping[str, Any]], copies: int, macs: _Macs
) -> dict[str, str]:
    """What could not be sent, and why. What is the first packet of its own flow goes out in one go, place by place."""
    unsent: dict[str, str] = {}
    together: dict[str, list[tuple[str, str]]] = {}  # place -> packets' ids with their frames
    for packet in packets:
        try:
            made = _framed(wanted, packet["packet"], packet["mark"], macs)
            if packet["first"] is None:
                together.setdefault(packet["packet"]["place"], []).append((packet["id"], made))
            else:
                first = _framed(wanted, packet["first"], secrets.token_hex(16), macs)
                _put(lab, wanted[packet["first"]["place"]], [first], 1)
                time.sleep(SETTLE_SECONDS)
                _put(lab, wanted[packet["packet"]["place"]], [made], copies)
        except (LabError, ValueError) as error:
            unsent[packet["id"]] = str(error)
    for place, frames in together.items():
        try:
            _put(lab, wanted[place], [made for _id, made in frames], copies)
        except LabError as error:
            unsent |= {identity: str(error) for identity, _made in frames}
    return unsent


def _put(lab: Lab, place: _Place, frames: Sequence[str], count: int) -> None:
    put_on_wire(lab, place.side.host, place.side.port, frames, count)


def _framed(wanted: Mapping[str, _Place], shot: Mapping[str, Any], mark: str, macs: _Macs) -> str:
    """The frame of a packet that a place sends to its gateway, in hexadecimal. ValueError where it can't be made."""
    place = wanted[shot["place"]]
    packet = replace(
        probe(
            shot["source"], shot["destination"], shot["protocol"], shot["source_port"] or EPHEMERAL_PORT,
            shot["destination_port"] or 0, bytes.fromhex(mark),
        ),
        tcp_flags=SYN if shot["tcp_flags"] is None else shot["tcp_flags"],
        icmp_type=shot["icmp_type"],
        icmp_code=shot["icmp_code"] or 0,
        dscp=shot["dscp"],
    )  # fmt: skip
    side = place.side
    return frame(packet, macs.of(side.host, side.port), macs.of(place.gateway, place.gateway_port)).hex()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
