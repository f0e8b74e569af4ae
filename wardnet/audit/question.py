"""What is asked of an engine, and what it answers. Engines share this and the model, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from wardnet.audit.records import Verdict
from wardnet.model.device import Device
from wardnet.model.policy import DevicePolicy, PolicyPort

FAMILIES = (4, 6)
_MANY = 4  # uplinks up to which pairs of failures are looked at too

Ends = tuple[str, str]  # an ordered pair of ports


@dataclass(frozen=True, slots=True)
class Question:
    """What may cross a device in one family, in any of the link states, beside what the policy's grants let pass?"""

    device: Device
    policy: DevicePolicy
    family: int

    @property
    def pairs(self) -> tuple[Ends, ...]:
        return tuple((one.interface, other.interface) for one, other in crossing_pairs(self.policy))

    @property
    def link_states(self) -> tuple[frozenset[str], ...]:
        ports = tuple(link.name for link in self.device.links if not link.loopback)
        return link_states(circuits_of(self.policy), ports)


@dataclass(frozen=True, slots=True)
class Answer:
    """An engine's verdict on each pair of ports; None where it gave up, for the reason in `gave_up`."""

    engine: str
    verdicts: Mapping[Ends, Verdict | None]
    gave_up: Mapping[Ends, str] = field(default_factory=dict)


def crossing_pairs(policy: DevicePolicy) -> Iterator[tuple[PolicyPort, PolicyPort]]:
    """Ordered pairs of ports on different channels."""
    for source in policy.ports:
        for destination in policy.ports:
            if source.channel is not destination.channel:
                yield source, destination


def circuits_of(policy: DevicePolicy) -> tuple[str, ...]:
    return tuple(port.interface for port in policy.ports if not port.prefixes)


def link_states(circuits: tuple[str, ...], ports: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    """All up as captured; each circuit down; with few circuits also two at a time; and each other port down."""
    uplinks = [name for name in circuits if name in ports]
    found = [frozenset[str](), *(frozenset({name}) for name in uplinks)]
    if len(uplinks) <= _MANY:
        found.extend(frozenset(pair) for pair in combinations(uplinks, 2))
    found.extend(frozenset({name}) for name in ports if name not in uplinks)
    return tuple(found)
