"""The devices whose raw artefacts are edited: gateways of the sample district as they printed themselves, and what an
edit has to know of one: its ports, their channels, tables and networks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

from tests.unit.audit_support import Artefacts, policy, with_policy_rule
from tests.unit.gateway_support import device_policy, fixture
from tests.unit.test_audit_carriers import dialled, dialled_policy, trunk_policy, trunked
from wardnet.audit.question import FAMILIES
from wardnet.model.policy import DevicePolicy

# Of what is behind a line, and is no LAN of the device.
_BEYOND = {
    "wan": {4: ("10.24.0.0", 13), 6: ("fd20:40::", 32)},
    "internet": {4: ("203.0.113.0", 24), 6: ("2001:db8:4000::", 36)},
}


@dataclass(frozen=True, slots=True)
class Way:
    """From a port of one zone to a port of another, in one family: what a leak opens."""

    source: str
    destination: str
    family: int

    def __str__(self) -> str:
        return f"{self.source} to {self.destination}, IPv{self.family}"

    @property
    def word(self) -> str:
        """The family as nft has it."""
        return "ip" if self.family == 4 else "ip6"


@dataclass(frozen=True, slots=True)
class Subject:
    """One device: its artefacts are proved as they are. Of `ways`, between the channels, each kind of leak is tried in
    all; `within` are ways between zones of one channel, where an accept alone is a leak."""

    name: str
    artefacts: Artefacts
    policy: DevicePolicy
    ways: tuple[Way, ...]
    within: tuple[Way, ...] = ()

    @property
    def ports(self) -> tuple[str, ...]:
        return tuple(port.interface for port in self.policy.ports)

    @property
    def lans(self) -> tuple[str, ...]:
        return tuple(port.interface for port in self.policy.ports if port.prefixes)

    @property
    def exception(self) -> bool:
        """Whether one is granted at it, so that routes lead across for two hosts."""
        return bool(self.policy.grants)

    def channel(self, port: str) -> str:
        """Empty of a port that the policy does not know."""
        return next((str(found.channel) for found in self.policy.ports if found.interface == port), "")

    def of(self, channel: str, *, lan: bool | None = None) -> tuple[str, ...]:
        return tuple(p for p in self.ports if self.channel(p) == channel and lan in (None, p in self.lans))

    def line(self, channel: str) -> str:
        return self.of(channel, lan=False)[0]

    def other(self, channel: str) -> str:
        return "internet" if channel == "wan" else "wan"

    def table(self, port: str) -> str:
        """In which packets that come in by the port are looked up."""
        rules = json.loads(self.artefacts["ip-rule.json"])
        return str(next(rule["table"] for rule in rules if rule.get("iif") == port))

    def network(self, port: str, family: int) -> tuple[str, int]:
        """One that is behind a port, and its length."""
        found = next(known for known in self.policy.ports if known.interface == port)
        for prefix in found.prefixes:
            if prefix.version == family:
                return str(prefix.network_address), prefix.prefixlen
        return _BEYOND[self.channel(port)][family]

    def prefix(self, port: str, family: int) -> str:
        address, length = self.network(port, family)
        return f"{address}/{length}"

    def host(self, port: str, family: int, number: int = 77) -> str:
        """An address that is behind a port, and nobody's that the district names."""
        address, _ = self.network(port, family)
        return f"{address}{number}" if family == 6 else f"{address.rpartition('.')[0]}.{number}"

    def led(self, way: Way, artefacts: Artefacts | None = None, priority: int = 950) -> Artefacts:
        """With a policy rule that leads from the one port to what is behind the other, where no route of its own
        channel does."""
        if self.channel(way.source) == self.channel(way.destination):
            return self.artefacts if artefacts is None else artefacts
        address, length = self.network(way.destination, way.family)
        return with_policy_rule(
            self.artefacts if artefacts is None else artefacts,
            way.family,
            priority=priority,
            iif=way.source,
            dst=address,
            dstlen=length,
            table=self.table(way.destination),
        )


def _ways(wanted: DevicePolicy, few: bool) -> Iterator[Way]:
    """All of them; or of each channel's ports the line and the first LAN with each other."""
    ports = [port.interface for port in wanted.ports]
    if few:
        ports = [port for port in ports if port in ("wan0", "inet0", "clerks0", "citizen0")]
    channels = {port.interface: port.channel for port in wanted.ports}
    for source, destination, family in product(ports, ports, FAMILIES):
        if channels[source] is not channels[destination] and not (
            few and (source in _LINES) == (destination in _LINES)
        ):
            yield Way(source, destination, family)


_LINES = ("wan0", "inet0")


def _within(wanted: DevicePolicy) -> Iterator[Way]:
    """From any port to a LAN of its channel, where no conduit leads from the one to the other."""
    named = {(passing.from_interface, passing.to_interface) for passing in wanted.conduits}
    for source, destination, family in product(wanted.ports, wanted.ports, FAMILIES):
        apart = source.channel is destination.channel and source.crosses(destination)
        if apart and destination.prefixes and (source.interface, destination.interface) not in named:
            yield Way(source.interface, destination.interface, family)


@cache
def subjects() -> tuple[Subject, ...]:
    """A ward's gateway with an exception: every way. The district office's without one: fewer. And the hub, all of
    whose ports are of one channel. These with their zones and conduits; the ward's gateway with its LANs as VLANs of
    one cable, and with a dialled line, of the channels alone."""
    wanted = {name: device_policy(policy(), name) for name in ("buoi-gw", "tay-ho-gw", "tay-ho-hub")}

    def subject(name: str, artefacts: Artefacts, of: DevicePolicy, *, few: bool = True) -> Subject:
        within = list(_within(of))
        return Subject(
            name,
            artefacts,
            of,
            tuple(_ways(of, few)),
            tuple(dict.fromkeys(within[:2] + within[-2:]) if few else within),
        )

    return (
        subject("buoi-gw", fixture("buoi-gw"), wanted["buoi-gw"], few=False),
        subject("tay-ho-gw", fixture("tay-ho-gw"), wanted["tay-ho-gw"]),
        subject("buoi-gw on a trunk", trunked(), trunk_policy()),
        subject("buoi-gw dialled", dialled(), dialled_policy()),
        subject("tay-ho-hub", fixture("tay-ho-hub"), wanted["tay-ho-hub"]),
    )
