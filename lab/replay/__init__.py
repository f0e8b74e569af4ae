"""Sends a counterexample of the audit as a real packet through the lab's gateway, and hears whether it arrives.

A silence proves nothing by itself: each replay carries a positive control, a packet that the gateway itself sends
out of the same port, which the same listener has to hear.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from lab import namespaces
from lab.build import CHECKOUT, blueprint_of
from lab.errors import LabError
from lab.handle import Lab
from lab.replay.packet import frame, probe
from lab.topology import Topology
from wardnet.model.plan import GatewayPlan, PortKind

PACKETS = 3
LISTEN_SECONDS = 60  # at most: it ends with the control, which on a busy machine may take long to be sent
EPHEMERAL_PORT = 40000


class CannotReplay(LabError):  # noqa: N818 - an answer, not a fault
    """This crossing cannot be sent as one packet in this lab; others of the same report may."""


@dataclass(frozen=True, slots=True)
class Replay:
    """`heard` of `sent` packets arrived at `listener`; without `control` nothing can be said."""

    sender: str
    listener: str
    sent: int
    heard: int
    control: bool

    @property
    def crossed(self) -> bool:
        return self.heard > 0

    @property
    def stopped(self) -> bool:
        return self.control and self.heard == 0


@dataclass(frozen=True, slots=True)
class Side:
    """A host on the far side of a gateway's port, and its own port there."""

    host: str
    port: str
    is_lan: bool


def replay(lab: Lab, crossing: Mapping[str, Any]) -> Replay:
    """Replay one crossing of `wardnet audit --json`.

    Raises LabError where the lab has no host on one of the sides, or the packet cannot be sent as it is.
    """
    packet = crossing["packet"]
    if packet["state"] != "new":
        raise CannotReplay(f"the packet of {crossing['id']} needs a connection to exist first; it is not replayed")
    topology = blueprint_of(lab.record).topology
    gateway = topology.node(crossing["device"]).gateway
    if gateway is None:
        raise CannotReplay(f"{crossing['device']} is no gateway of this lab")
    sender = side_of(topology, gateway, crossing["from_port"])
    listener = side_of(topology, gateway, crossing["to_port"])
    source_port = packet["source_port"] or EPHEMERAL_PORT
    mark, control_mark = secrets.token_bytes(16), secrets.token_bytes(16)

    def made(with_mark: bytes, from_mac: str, to_mac: str) -> str:
        one = probe(
            packet["source"], packet["destination"], packet["protocol"], source_port,
            packet["destination_port"] or 0, with_mark,
        )  # fmt: skip
        return frame(one, from_mac, to_mac).hex()

    gateway_in, gateway_out = crossing["from_port"], crossing["to_port"]
    with Held(lab, listener, [packet["destination"]]):
        ear = start(lab, listener.host, "listen", listener.port, str(LISTEN_SECONDS), mark.hex(), control_mark.hex())
        try:
            if ear.stdout is None or ear.stdout.readline().strip() != b"ready":
                raise LabError(f"cannot listen on {listener.port} of {listener.host}")
            probe_frame = made(
                mark, hardware_address(lab, sender.host, sender.port), hardware_address(lab, gateway.id, gateway_in)
            )
            control = made(
                control_mark,
                hardware_address(lab, gateway.id, gateway_out),
                hardware_address(lab, listener.host, listener.port),
            )
            put_on_wire(lab, sender.host, sender.port, [probe_frame], PACKETS)
            put_on_wire(lab, gateway.id, gateway_out, [control], PACKETS)
            answer, _nothing = ear.communicate(timeout=LISTEN_SECONDS + 10)
        finally:
            ear.kill()
            ear.wait()
    heard = json.loads(answer)
    return Replay(sender.host, listener.host, PACKETS, heard[mark.hex()], heard[control_mark.hex()] > 0)


def crossings_in(path: Path) -> list[dict[str, Any]]:
    """The violations of a report, or the one crossing that the file holds. LabError where it holds neither."""
    try:
        data = json.loads(path.read_text())
        if "packet" in data:
            return [data]
        return [c for device in data["devices"] for c in device["crossings"] if c["verdict"] == "violated"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(f"{path} holds no report of `wardnet audit --json`: {error}") from None


def side_of(topology: Topology, gateway: GatewayPlan, port_name: str) -> Side:
    """The first. Raises CannotReplay where the lab has nobody behind a gateway's port."""
    for side in sides_of(topology, gateway, port_name):
        return side
    raise CannotReplay(f"the lab has no host behind {port_name} of {gateway.id}")


def sides_of(topology: Topology, gateway: GatewayPlan, port_name: str) -> Iterator[Side]:
    """All that the lab has behind a gateway's port."""
    port = gateway.port(port_name)
    if port.kind is PortKind.CIRCUIT:
        for wire in topology.wires:
            if (wire.near, wire.near_port) == (gateway.id, port_name):
                yield Side(wire.far, wire.far_port, is_lan=False)
    for node in topology.nodes:
        if node.host and node.site == gateway.site and node.host.ports[0].network == port.reference:
            yield Side(node.id, node.host.ports[0].name, is_lan=True)


class Held:
    """A LAN's listener holds packets' destinations while they are sent, so that the gateway finds somebody."""

    def __init__(self, lab: Lab, listener: Side, addresses: Iterable[str]) -> None:
        self._lab, self._listener = lab, listener
        self._wanted = [f"{each}/{ip_address(each).max_prefixlen}" for each in addresses] if listener.is_lan else []
        self._added: list[str] = []

    def __enter__(self) -> None:
        for address in self._wanted:
            if self._ip("add", address, *(["nodad"] if ":" in address else [])).returncode == 0:
                self._added.append(address)  # it may be the host's own already

    def __exit__(self, *_exception: object) -> None:
        for address in self._added:
            self._ip("del", address)

    def _ip(self, verb: str, address: str, *more: str) -> subprocess.CompletedProcess[bytes]:
        return self._lab.run(self._listener.host, ["ip", "addr", verb, address, "dev", self._listener.port, *more])


def hardware_address(lab: Lab, host: str, port: str) -> str:
    done = lab.run(host, ["ip", "-j", "link", "show", "dev", port])
    if done.returncode != 0:
        raise LabError(f"{host} has no port {port}: {done.stderr.decode(errors='replace').strip()}")
    address: str = json.loads(done.stdout)[0]["address"]
    return address


def put_on_wire(lab: Lab, host: str, port: str, frames: Sequence[str], count: int) -> None:
    """Frames in hexadecimal, each so many times. Raises LabError."""
    with start(lab, host, "send", port, str(count), *frames) as sending:
        if sending.wait(timeout=60 + len(frames)) != 0:
            raise LabError(f"cannot send on {port} of {host}")


def start(lab: Lab, host: str, *words: str) -> subprocess.Popen[bytes]:
    """`lab.replay.wire` in a host's network."""
    return subprocess.Popen(
        namespaces.enter_argv(lab.layout, host, [sys.executable, "-m", "lab.replay.wire", *words]),
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
    )
