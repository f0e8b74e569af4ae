"""What the audit must show: which port of which gateway belongs to which channel and zone, and what may pass between
them: conduits within a channel, exceptions across."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from wardnet.model.intent import Channel, IPNetwork, Platform, Ports, Source


@dataclass(frozen=True, slots=True)
class PolicyPort:
    """A port of one channel. What it stands on is its `parent`: as VLAN `tag` of it, or, if `dialled`, as a PPPoE
    session over it (over its VLAN `tag`, where that is set). `zone` is what lies behind it: the zone of a LAN, or the
    circuit by whose far end other zones are reached; without one, the whole channel is one zone. Ports on the same
    `link` hear each other. `becomes` is the source that IPv4 leaves by it with: empty if nobody knows it
    beforehand, None if it stays."""

    interface: str
    channel: Channel
    label: str  # zone of a LAN, or id of a circuit
    prefixes: tuple[IPNetwork, ...]  # what lies on the LAN; empty for circuits
    parent: str | None = None
    tag: int | None = None
    dialled: bool = False
    zone: str = ""
    link: str = ""
    becomes: tuple[IPNetwork, ...] | None = None

    @property
    def area(self) -> str:
        """The zone by its name, or the channel's where it has none."""
        return self.zone or str(self.channel)

    def crosses(self, other: PolicyPort) -> bool:
        """From here to there is from one zone to another."""
        return self.channel is not other.channel or self.area != other.area

    def apart(self, other: PolicyPort) -> tuple[str, str]:
        """Of which channel each of the two is, in words; of which zone, where the channel is one."""
        if self.channel is not other.channel:
            return f"channel {self.channel}", f"channel {other.channel}"
        return f"zone {self.area}", f"zone {other.area}"


@dataclass(frozen=True, slots=True)
class Passing:
    """What one device lets start from one port to another, both families: from `senders` but `not_senders`, to
    `receivers` but `not_receivers`. Where an interface is None, the device itself is that end."""

    id: str  # of the conduit or exception
    from_interface: str | None
    to_interface: str | None
    senders: tuple[IPNetwork, ...]
    receivers: tuple[IPNetwork, ...]
    allow: tuple[Ports, ...]
    source: Source = field(compare=False)
    not_senders: tuple[IPNetwork, ...] = ()
    not_receivers: tuple[IPNetwork, ...] = ()


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
    conduits: tuple[Passing, ...] = ()

    @property
    def exceptions(self) -> tuple[Passing, ...]:
        """What the grants let pass."""
        return tuple(
            Passing(
                grant.id, grant.from_interface, grant.to_interface, (grant.sender,), (grant.receiver,), grant.allow,
                grant.source,
            )
            for grant in self.grants
        )  # fmt: skip

    @property
    def passings(self) -> tuple[Passing, ...]:
        """All that may pass: exceptions, then conduits."""
        return (*self.exceptions, *self.conduits)

    @property
    def divided(self) -> bool:
        """It has ports of several zones: there is something to be shown of it."""
        return any(one.crosses(other) for one in self.ports for other in self.ports)


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
class Place:
    """A zone at a site, or what lies outside: on which links its hosts are, at which addresses."""

    ward: str
    site: str
    zone: str
    channel: Channel
    links: tuple[str, ...]
    prefixes: tuple[IPNetwork, ...]
    excluded: tuple[IPNetwork, ...] = ()


@dataclass(frozen=True, slots=True)
class Journey:
    """What a conduit lets start from one zone to another, wherever they are. An exception's has the one `sender` and
    the one `receiver`, by their addresses."""

    id: str
    from_zone: str
    to_zone: str
    allow: tuple[Ports, ...]
    source: Source = field(compare=False)
    sender: tuple[IPNetwork, ...] = ()
    receiver: tuple[IPNetwork, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """What may get from each place to each other, end to end. Devices that are `assumed` are not looked into, and are
    taken to keep to their part. Hosts that are on several links might `relay` what they get."""

    places: tuple[Place, ...]
    journeys: tuple[Journey, ...]
    assumed: tuple[DevicePolicy, ...]
    relays: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class AuditPolicy:
    """The statement to prove: at each device nothing passes from a port of one zone to a port of another, in either
    direction and family, except what a conduit names within a channel, and a grant across. Likewise between the
    channels at each of the `switches`; one that a snapshot lacks and an assumption names is taken on trust. With a
    `network`, nor from one place of it to another, over all devices."""

    district: str
    model_sha256: str
    as_of: date
    devices: tuple[DevicePolicy, ...]
    assumptions: tuple[Assumption, ...]
    switches: tuple[SwitchPolicy, ...] = ()
    network: NetworkPolicy | None = None
