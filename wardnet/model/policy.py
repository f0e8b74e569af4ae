"""What the audit must show: which port of which gateway belongs to which channel, and which crossings are granted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from wardnet.model.intent import Channel, IPNetwork, Platform, Ports, Source


@dataclass(frozen=True, slots=True)
class PolicyPort:
    """A port of one channel. What it stands on is its `parent`: as VLAN `tag` of it, or, if `dialled`, as a PPPoE
    session over it (over its VLAN `tag`, where that is set)."""

    interface: str
    channel: Channel
    label: str  # zone of a LAN, or id of a circuit
    prefixes: tuple[IPNetwork, ...]  # what lies on the LAN; empty for circuits
    parent: str | None = None
    tag: int | None = None
    dialled: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """An exception that is valid on the day, in one family, at one gateway."""

    id: str
    from_interface: str
    to_interface: str
    sender: IPNetwork
    receiver: IPNetwork
    allow: tuple[Ports, ...]
    owner: str
    document: str
    expires: date
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class DevicePolicy:
    device: str
    ward: str
    site: str
    platform: Platform
    ports: tuple[PolicyPort, ...]
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class SwitchEnd:
    """A port of an access switch: of one VLAN without a tag, or `tagged` of several; of none where it is unused."""

    name: str
    vlans: tuple[int, ...]
    tagged: bool


@dataclass(frozen=True, slots=True)
class SwitchPolicy:
    """What an access switch must keep apart: the VLANs of one channel from the ports of the other. `channels` and
    `networks` are by VLAN."""

    device: str
    ward: str
    site: str
    platform: str
    bridge: str
    ports: tuple[SwitchEnd, ...]
    channels: Mapping[int, Channel]
    networks: Mapping[int, tuple[IPNetwork, ...]]


@dataclass(frozen=True, slots=True)
class Assumption:
    """Something in the inventory that the audit cannot look into, and why; it is named in every verdict."""

    subject: str
    reason: str
    source: Source = field(compare=False)


@dataclass(frozen=True, slots=True)
class AuditPolicy:
    """The statement to prove: at each device nothing passes from a port of one channel to a port of the
    other, in either direction and family, except what a grant names. Likewise at each of the `switches`, where a
    snapshot has it."""

    district: str
    model_sha256: str
    as_of: date
    devices: tuple[DevicePolicy, ...]
    assumptions: tuple[Assumption, ...]
    switches: tuple[SwitchPolicy, ...] = ()
