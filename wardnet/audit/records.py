"""What an audit says. Everything here can be written as canonical JSON; see `report`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from wardnet.audit.replay.records import Replay
from wardnet.model.span import Coverage, Span


class Verdict(StrEnum):
    PROVED = "proved"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


def worst(verdicts: list[Verdict]) -> Verdict:
    """Violated wins over unknown, unknown over proved."""
    for verdict in (Verdict.VIOLATED, Verdict.UNKNOWN):
        if verdict in verdicts:
            return verdict
    return Verdict.PROVED


CHANNELS, ZONES = "channels", "zones"  # what a pair of ports lies on both sides of


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as it is sent. Fields that its protocol lacks are None. `state` is what connection tracking makes
    of it: for other than `new`, the flow `needs` has to exist first."""

    family: int
    incoming: str
    source: str
    destination: str
    protocol: int
    source_port: int | None
    destination_port: int | None
    icmp_type: int | None
    icmp_code: int | None
    tcp_flags: int | None
    dscp: int
    mark: int
    fragment: bool
    next_header: int | None
    state: str


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a packet: `stage` in the pipeline, what happened there, and what decided it."""

    stage: str
    text: str
    span: Span | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class OpenPoint:
    """Something unknown that a verdict hangs on."""

    span: Span
    reason: str
    settle: str


@dataclass(frozen=True, slots=True)
class Crossing:
    """A way from one zone to another that neither a conduit nor a grant covers: certain (`violated`) or possible
    (`unknown`). It may cross the `channels`, which is the graver, or only the `zones` of one.

    `rule` lets the packet through the forward hook, `route` and `policy_rule` lead it out of the other channel's port;
    `down` are the ports that have to be down for it, `failed` the same as people call them; those that are `gone` must
    have lost their addresses too. A packet of a flow that exists `needs` that flow's first packet, which `needs_rule`
    let through while `needs_down` were down; where that rule opens a crossing for first packets too, this one `follows`
    it.
    """

    id: str
    verdict: Verdict
    device: str
    ward: str
    family: int
    from_port: str
    from_channel: str
    from_zone: str
    to_port: str
    to_channel: str
    to_zone: str
    packet: Packet
    needs: Packet | None
    needs_rule: Hop | None
    needs_down: tuple[str, ...]
    follows: str
    path: tuple[Hop, ...]
    rule: Hop | None
    route: Hop | None
    policy_rule: Hop | None
    down: tuple[str, ...]
    gone: tuple[str, ...]
    failed: tuple[str, ...]
    open_points: tuple[OpenPoint, ...]
    suggestion: str

    @property
    def crosses(self) -> str:
        return _crossed(self.from_channel, self.to_channel)


@dataclass(frozen=True, slots=True)
class Pair:
    """An ordered pair of a device's ports of different zones, in one family. `second` is what the second engine says
    of it; None where it came to no verdict."""

    from_port: str
    from_channel: str
    from_zone: str
    to_port: str
    to_channel: str
    to_zone: str
    family: int
    verdict: Verdict
    second: Verdict | None = None

    @property
    def crosses(self) -> str:
        return _crossed(self.from_channel, self.to_channel)


def _crossed(one: str, other: str) -> str:
    return CHANNELS if one != other else ZONES


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two engines that don't say the same of a pair of ports. `verdicts` by engine, None where one gave up."""

    from_port: str
    to_port: str
    family: int
    verdicts: Mapping[str, Verdict | None]
    reason: str
    settle: str


@dataclass(frozen=True, slots=True)
class DeviceResult:
    """`problems` hold for the device as a whole: without them settled nothing on it is proved. Ports that `may_fail`
    were taken to be up or down in every combination. Where there are `disagreements`, the audit itself failed on a
    pair of ports. It was judged by itself, or is proved as the device is that it is `like` but for addresses."""

    device: str
    ward: str
    site: str
    platform: str
    verdict: Verdict
    collected: bool
    pairs: tuple[Pair, ...]
    crossings: tuple[Crossing, ...]
    problems: tuple[OpenPoint, ...]
    coverage: tuple[Coverage, ...]
    may_fail: tuple[str, ...]
    disagreements: tuple[Disagreement, ...] = ()
    like: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """From one place of the network to another, in one family. A place is a zone at a site; at none, what is outside.
    Where it is `assumed`, a device that is not looked into has to keep to its part for it."""

    from_ward: str
    from_site: str
    from_zone: str
    from_channel: str
    to_ward: str
    to_site: str
    to_zone: str
    to_channel: str
    family: int
    verdict: Verdict
    assumed: bool

    @property
    def crosses(self) -> str:
        return _crossed(self.from_channel, self.to_channel)


@dataclass(frozen=True, slots=True)
class Way:
    """How a packet may get from one place to another that no conduit or exception leads to: over which devices, in by
    which port and out by which (`path`). Violated if each of them was followed and lets it pass; else `open_points` say
    what is not known."""

    cell: Cell
    packet: Packet
    path: tuple[Hop, ...]
    open_points: tuple[OpenPoint, ...]


@dataclass(frozen=True, slots=True)
class NetworkResult:
    """What the devices' proofs make together. `relays` are hosts on several links, by their names: taken to pass
    nothing on."""

    verdict: Verdict
    cells: tuple[Cell, ...]
    ways: tuple[Way, ...]
    relays: Mapping[str, tuple[str, ...]]

    def doubted(self) -> NetworkResult:
        """Where something that it was put together from turned out to be otherwise: nothing of it is proved."""
        cells = tuple(
            replace(cell, verdict=Verdict.UNKNOWN) if cell.verdict is Verdict.PROVED else cell for cell in self.cells
        )
        return replace(self, verdict=worst([cell.verdict for cell in cells]), cells=cells)


@dataclass(frozen=True, slots=True)
class GrantInForce:
    id: str
    device: str
    from_port: str
    to_port: str
    sender: str
    receiver: str
    allow: tuple[str, ...]
    owner: str
    document: str
    expires: date
    source: str


@dataclass(frozen=True, slots=True)
class AssumptionMade:
    subject: str
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class AuditResult:
    """`as_of` is the snapshot's time, ISO; hashes are SHA-256 in hexadecimal. `wards` are those that the audit was
    narrowed to; empty where it is on all. `replay` is what came of real packets, where any were to be sent."""

    verdict: Verdict
    district: str
    wards: tuple[str, ...]
    as_of: str
    collected_by: str
    snapshot_sha256: str
    inventory_sha256: str
    model_sha256: str
    version: str
    engines: tuple[str, ...]  # with their packages' versions
    devices: tuple[DeviceResult, ...]
    grants: tuple[GrantInForce, ...]
    assumptions: tuple[AssumptionMade, ...]
    artefacts: Mapping[str, Mapping[str, str]]  # device -> artefact -> SHA-256
    replay: Replay | None = None
    network: NetworkResult | None = None  # None where the policy has none, or the audit was narrowed to some wards
