"""What is sent, from where, what was heard, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wardnet.model.intent import IPAddress, IPNetwork


class Kind(StrEnum):
    """Why a packet is sent: a crossing of the report has to show; what must pass has to pass; what was proved not to
    pass has to stay out."""

    COUNTEREXAMPLE = "counterexample"
    CONTROL = "control"
    FORBIDDEN = "forbidden"

    @property
    def expected(self) -> bool:
        """Whether it has to be heard."""
        return self is not Kind.FORBIDDEN


class Outcome(StrEnum):
    """`silent` says nothing: it was to be heard and was not, or no control shows that its ends work. A `fault` is of
    the audit or of the snapshot's age: what must not cross was heard on another channel, or in another zone."""

    CROSSED = "crossed"  # a counterexample, heard on the other side
    PASSED = "passed"  # a control, heard
    STOPPED = "stopped"  # a forbidden packet, not heard between ends that work
    SILENT = "silent"
    FAILED = "failed"  # a control that was not heard
    FAULT = "fault"
    NOT_SENT = "not sent"


@dataclass(frozen=True, slots=True)
class Place:
    """A host that may send and hear, behind a port of a device. Nothing is sent to or from any address but its own and
    those that it `stands_for`."""

    id: str
    device: str
    port: str
    addresses: tuple[IPAddress, ...]
    stands_for: tuple[IPNetwork, ...]

    def may_be(self, address: IPAddress) -> bool:
        return address in self.addresses or any(address in network for network in self.stands_for)


@dataclass(frozen=True, slots=True)
class Shot:
    """One packet as it leaves a place. Fields that its protocol (an IP protocol's number) lacks are None."""

    place: str
    family: int
    source: str
    destination: str
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    tcp_flags: int | None = None
    dscp: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """A packet to send: where it is to be listened for, and the first packet of its flow, to be sent before it.
    `about` is the crossing, conduit or exception, or the pair of ports. The mark is its payload, in hexadecimal."""

    id: str
    kind: Kind
    about: str
    device: str
    ward: str
    from_port: str
    to_port: str
    first: Shot | None
    packet: Shot
    listener: str
    mark: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not sent, and why."""

    kind: Kind
    about: str
    device: str
    from_port: str
    to_port: str
    family: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """All that a prober needs. It has `seconds` for everything, and sends each packet `copies` times."""

    seconds: int
    copies: int
    places: tuple[Place, ...]
    packets: tuple[Planned, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a prober says of one packet: how often it was sent, and how often it was heard at which place."""

    id: str
    sent: int
    heard: tuple[tuple[str, int], ...]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """Where a packet was heard, and whether it `crossed` to get there: to another channel or zone, and nothing of the
    policy lets it."""

    place: str
    device: str
    port: str
    channel: str
    zone: str
    times: int
    crossed: bool


@dataclass(frozen=True, slots=True)
class Replayed:
    """A packet that was to be sent, and what came of it. `reason` says why nothing did, or what an outcome means."""

    planned: Planned
    sent: int
    heard: tuple[Heard, ...]
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """The whole of it. What is not `conclusive`, for the `reasons`, says nothing by its silence. `failed` is why the
    prober gave no answer, empty where it did."""

    prober: str
    conclusive: bool
    reasons: tuple[str, ...]
    places: tuple[Place, ...]
    packets: tuple[Replayed, ...]
    left_out: tuple[LeftOut, ...]
    failed: str = ""
