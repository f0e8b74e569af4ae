"""The model against the kernel: random rulesets, routes and rules on a real router, real packets through it.

WARDNET_KERNEL_SEEDS=FIRST:COUNT runs others than the short run of every test.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from itertools import product

import pytest

from collectors.parsers.linux import parse_device
from tests.lab.kernel_configurations import Generator
from tests.lab.kernel_support import PORTS, Router, Sent, router
from wardnet.audit.judge import channel_networks, judge
from wardnet.audit.question import LinkState
from wardnet.audit.sets.pipeline import Pipeline
from wardnet.audit.sets.space import Bdd
from wardnet.audit.steps.concrete import Probe
from wardnet.audit.steps.trace import Tracer
from wardnet.model.device import Device
from wardnet.model.intent import Channel, Platform
from wardnet.model.packet import Field, State
from wardnet.model.policy import DevicePolicy, PolicyPort

pytestmark = pytest.mark.lab

PACKETS = 150
_FIRST, _, _COUNT = os.environ.get("WARDNET_KERNEL_SEEDS", "1:12").partition(":")


POLICY = DevicePolicy(
    "router", "w", "s", Platform.LINUX,
    tuple(PolicyPort(port, Channel.INTERNET if port == "p1" else Channel.WAN, port, ()) for port in PORTS), (),
)  # fmt: skip


class Model:
    """One device's two evaluations, asked about single packets."""

    def __init__(self, device: Device, between: list[tuple[str, str]] | None) -> None:
        self._device = device
        self._pipelines = {family: Pipeline(device, family, between=between) for family in (4, 6)}

    def by_sets(self, sent: Sent, state: State) -> tuple[set[str], set[str]]:
        """Ports by which the packet certainly leaves, and by which it may, as the BDDs have it."""
        pipeline = self._pipelines[sent.family]
        space = pipeline.space
        passed: Bdd = pipeline.passage.packets & space.entering(sent.incoming) & space.in_state(LinkState())
        for field, value in fields(sent).items():
            if field not in (Field.STATE, Field.TRANSLATED, Field.MARK):
                passed = passed & space.value(field, value)
        allowed = (State.NEW, State.UNTRACKED) if state is State.NEW else (state,)
        passed = passed & space.any_of(space.value(Field.STATE, one) for one in allowed)
        ways = {port: passed & space.leaving(port) for port in PORTS}
        return (
            {port for port, way in ways.items() if space.certain(space.forget(way, Field.MARK)) != space.false},
            {port for port, way in ways.items() if way != space.false},
        )

    def translates(self, packet: Sent) -> bool:
        """Sets speak of headers after a new destination, packets have the one before."""
        return bool(self._pipelines[packet.family].passage.translations)

    def by_steps(self, sent: Sent, state: State) -> set[str]:
        """The same, followed step by step."""
        start = {**fields(sent), Field.STATE: State.INVALID}
        found = set()
        for port in PORTS:
            tracer = Tracer(self._device, sent.family, LinkState(), lambda *_: False, state=state)
            if tracer.run(Probe(start, sent.incoming), port).passed:
                found.add(port)
        return found


def fields(sent: Sent) -> dict[Field, int]:
    icmp = sent.protocol in (1, 58)
    ports = sent.protocol in (6, 17)
    return {
        Field.STATE: State.INVALID,
        Field.FRAGMENT: 0,
        Field.TRANSLATED: 0,
        Field.PROTOCOL: sent.protocol,
        Field.NEXT_HEADER: sent.protocol,
        Field.MARK: 0,
        Field.DESTINATION: int(ip_address(sent.destination)),
        Field.SOURCE: int(ip_address(sent.source)),
        Field.SOURCE_PORT: sent.source_port if ports else 0,
        Field.DESTINATION_PORT: sent.destination_port if ports else 0,
        Field.ICMP_TYPE: sent.icmp_type if icmp else 0,
        Field.ICMP_CODE: 0,
        Field.TCP_FLAGS: sent.flags if sent.protocol == 6 else 0,
        Field.DSCP: 0,
    }


def configure(here: Router, generator: Generator) -> None:
    """What the kernel or nft refuses (a route twice, conditions that contradict each other) is left out; the model
    reads what is really there."""
    here.shell("\n".join(f"{command} 2>/dev/null || true" for command in generator.commands()))
    lines = generator.ruleset().splitlines()
    for _ in range(50):
        refused = here.shell("nft -f - 2>&1 <<'END'\n" + "\n".join(lines) + "\nEND", check=False)
        numbers = {int(number) for number in re.findall(r"^/dev/stdin:(\d+):", refused, re.MULTILINE)}
        if not numbers:
            assert not refused, refused
            return
        lines = [line for number, line in enumerate(lines, start=1) if number not in numbers]
    raise AssertionError("no ruleset was accepted")


def check(seed: int, here: Router, count: int = PACKETS) -> int:
    """Packets compared: so many, and the answers to those that came out. AssertionError where one differs."""
    generator = Generator(seed)
    configure(here, generator)
    device = parse_device("router", here.artefacts())
    result = judge(device, POLICY, channel_networks([POLICY]))
    assert result.disagreements == (), f"seed {seed}: the engines disagree"
    # Both ways of looking: at all pairs of ports, and at what may pass between those named, here all of them.
    model = Model(device, list(product(PORTS, PORTS)) if seed % 2 else None)
    packets = generator.packets(count)
    came_out = here.send(packets)
    compared = len(packets)
    wrong = list(_differences(model, packets, came_out, State.NEW))
    if generator.tracked and not generator.translating:
        answers = [
            packet.turned(came_out[packet.tag], generator.tag())
            for packet in packets
            if packet.tag in came_out and packet.protocol in (6, 17)
        ]
        wrong += _differences(model, answers, here.send(answers), State.ESTABLISHED)
        compared += len(answers)
    assert not wrong, f"seed {seed}: {wrong[:3]} of {len(wrong)}"
    return compared


def _differences(
    model: Model, packets: list[Sent], came_out: Mapping[bytes, str], state: State
) -> Iterator[tuple[Sent, str | None, tuple[set[str], set[str]], set[str]]]:
    for packet in packets:
        real = {came_out[packet.tag]} if packet.tag in came_out else set()
        steps = model.by_steps(packet, state)
        certain, possible = (steps, steps) if model.translates(packet) else model.by_sets(packet, state)
        right = real <= possible
        if certain == possible:
            # Of several next hops of equal weight the model allows each.
            right = right and bool(possible) == bool(real) == bool(steps) and real <= steps
        else:
            right = right and bool(certain) <= bool(real)
        if not right:
            yield packet, came_out.get(packet.tag), (certain, possible), steps


@pytest.mark.parametrize("seed", range(int(_FIRST), int(_FIRST) + int(_COUNT or 12)))
def test_model_forwards_what_the_kernel_forwards(seed: int) -> None:
    """For every packet: it comes out by the port that the model says, or not at all where the model says so."""
    with router(f"wk{os.getpid()}") as here:
        assert check(seed, here) >= PACKETS
