"""What is asked of an engine, and what it answers. Engines share this and the model, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from wardnet.audit.carriers import carriers
from wardnet.audit.records import Verdict
from wardnet.model.device import Device
from wardnet.model.policy import DevicePolicy, PolicyPort

FAMILIES = (4, 6)

Ends = tuple[str, str]  # an ordered pair of ports


@dataclass(frozen=True, slots=True)
class LinkState:
    """Ports that are down; all others are as in the snapshot. Those of them that are `gone` are not on the device any
    more, nor are their addresses; of ports for which that makes no difference nothing is said."""

    down: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Question:
    """What may cross a device in one family, in any link state, beside what conduits and grants let pass?"""

    device: Device
    policy: DevicePolicy
    family: int

    @property
    def pairs(self) -> tuple[Ends, ...]:
        return tuple((one.interface, other.interface) for one, other in crossing_pairs(self.device, self.policy))


@dataclass(frozen=True, slots=True)
class Answer:
    """An engine's verdict on each pair of ports; None where it gave up, for the reason in `gave_up`."""

    engine: str
    verdicts: Mapping[Ends, Verdict | None]
    gave_up: Mapping[Ends, str] = field(default_factory=dict)


def crossing_pairs(device: Device, policy: DevicePolicy) -> Iterator[tuple[PolicyPort, PolicyPort]]:
    """Ordered pairs of ports of different zones; also of what carries them, which is of each channel on it."""
    ports = (*policy.ports, *carriers(device, policy))
    for source in ports:
        for destination in ports:
            if source.interface != destination.interface and source.crosses(destination):
                yield source, destination


def may_fail(device: Device) -> tuple[str, ...]:
    """The ports that may be up or down: every combination of them is a link state."""
    return tuple(link.name for link in device.links if not link.loopback)
