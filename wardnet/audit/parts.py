"""Devices as parts of the network, and one packet's way through them."""

from __future__ import annotations

from dataclasses import dataclass

from wardnet.audit.forms import Form
from wardnet.audit.question import LinkState
from wardnet.audit.records import DeviceResult, OpenPoint, Verdict, worst
from wardnet.audit.sets.witness import Witness
from wardnet.audit.steps.concrete import Probe
from wardnet.audit.steps.trace import Tracer
from wardnet.model.device import Device
from wardnet.model.packet import Field, State
from wardnet.model.policy import DevicePolicy, PolicyPort
from wardnet.model.span import Span

MEANT = "its policy names this packet; whether it lets it pass is not known"
UNPROVED = "it is not proved to keep this packet back"


@dataclass(frozen=True, slots=True)
class Part:
    """A device as a part of the network: what it must keep to, what was shown of it (None: it is assumed), and what was
    read of it (None: nothing), and of which `form` it is (None: nobody asked)."""

    policy: DevicePolicy
    result: DeviceResult | None = None
    device: Device | None = None
    form: Form | None = None

    def proved(self, family: int) -> set[tuple[str, str]]:
        """Pairs of ports between which nothing passes but what the policy names."""
        if self.result is None:
            ports = [port.interface for port in self.policy.ports]
            return {(one, other) for one in ports for other in ports}
        found: dict[tuple[str, str], list[Verdict]] = {}
        for pair in self.result.pairs:
            if pair.family == family:
                found.setdefault((pair.from_port, pair.to_port), []).append(pair.verdict)
        return {ends for ends, verdicts in found.items() if worst(verdicts) is Verdict.PROVED}


@dataclass(frozen=True, slots=True)
class Step:
    """Through one device, from one link to another."""

    part: Part
    source: PolicyPort
    destination: PolicyPort


def followed(step: Step, family: int, witness: Witness, *, another_source: bool) -> OpenPoint | None:
    """What is not known of a first packet's way through one device, all its ports up; None where it was followed
    through it. It is not, where the device gives it `another_source` that others then see."""
    name = step.part.policy.device
    span = Span(name, "", f"{step.source.interface} -> {step.destination.interface}")
    if step.part.result is None:
        return OpenPoint(span, f"{name} is not looked into", "have it audited")
    if step.part.device is None:
        return OpenPoint(span, f"nothing of {name} was read", f"`wardnet collect --device {name}`")
    if another_source:
        return OpenPoint(span, f"{name} gives it another source, with which it was not followed", "try it")
    asked: set[str] = set()

    def guessed(kind: str, _at: Span, _reason: str) -> bool:
        asked.add(kind)
        return kind == "chance"

    start = {**witness.fields, Field.MARK: 0, Field.CONNECTION_MARK: 0, Field.STATE: State.INVALID}
    wanted = (witness.fields[Field.DESTINATION], witness.fields[Field.DESTINATION_PORT])
    tracer = Tracer(step.part.device, family, LinkState(), guessed, state=State.NEW, translated_to=wanted)
    passed = tracer.run(Probe(start, step.source.interface), step.destination.interface).passed
    if passed and "unknown" not in asked:
        return None
    return OpenPoint(span, MEANT, f"look at what is said of {name}")
