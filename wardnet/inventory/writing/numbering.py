"""The next free addresses, as a person finds them: the offices' networks go up in equal steps, and one number stands
for a ward in all of them. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

from wardnet.inventory.writing.errors import WritingError
from wardnet.locale import _
from wardnet.model.intent import Channel, District, IPNetwork, Site, SiteKind

OFFICES = (SiteKind.WARD_OFFICE, SiteKind.DISTRICT_OFFICE)
MOST = 4096  # steps that are looked at


@dataclass(frozen=True, slots=True)
class Row:
    """What offices call by one name in one family: prefixes of `length` bits from `first` on, `stride` apart, inside
    `within`."""

    name: str
    first: int
    stride: int
    length: int
    version: int
    within: tuple[IPNetwork, ...]

    def at(self, step: int) -> IPNetwork | None:
        """The row's prefix after so many steps from its first; None beyond the channel's prefixes. Ward 10 is
        fd20:20:10 as it is 10.20.10: in IPv6 the decimal digits are written, as people do."""
        start = self.first + (step if self.version == 4 else int(str(step), 16)) * self.stride
        if start >= 1 << (32 if self.version == 4 else 128):
            return None
        address = IPv4Address(start) if self.version == 4 else IPv6Address(start)
        # The first may stand for a length of its own: what is wanted must begin where it may begin.
        found = ip_network((address, self.length), strict=False)
        inside = any(_holds(whole, found) for whole in self.within)
        return found if inside and found.network_address == address else None


def offices(district: District) -> list[Site]:
    return [site for _ward, site in district.sites if site.kind in OFFICES]


def network_row(district: District, network_id: str, channel: Channel, version: int, length: int) -> Row | None:
    """The row of a network's name, such as all that offices call `clerks`."""
    used = [
        own.network
        for site in offices(district)
        for network in site.networks
        if network.id == network_id
        for own in (network.ipv4, network.ipv6)
        if own.version == version
    ]
    return _row(network_id, used, length, district.channel(channel).prefixes)


def circuit_row(district: District, channel: Channel, version: int, length: int) -> Row | None:
    """The row of the offices' circuits of a channel."""
    used = [
        own.network
        for site in offices(district)
        for circuit in site.circuits
        if circuit.channel is channel
        for own in circuit.own
        if own.version == version
    ]
    return _row(f"{channel} circuits", used, length, district.channel(channel).prefixes)


def _row(name: str, used: Sequence[IPNetwork], length: int, within: Sequence[IPNetwork]) -> Row | None:
    """Those that lie together: a line whose provider gave it an address from elsewhere is not counted from. None where
    there is nothing to count from."""
    together: list[IPNetwork] = []
    for whole in within:
        held = [each for each in used if _holds(whole, each)]
        together = held if len(held) > len(together) else together
    if not together:
        return None
    starts = sorted(int(prefix.network_address) for prefix in together)
    steps = math.gcd(*(after - before for before, after in itertools.pairwise(starts)))
    size = 1 << (together[0].max_prefixlen - length)
    return Row(name, starts[0], max(steps, size), length, together[0].version, tuple(within))


def _holds(whole: IPNetwork, prefix: IPNetwork) -> bool:
    return prefix.version == whole.version and prefix.subnet_of(whole)  # type: ignore[arg-type]


def taken(district: District) -> list[IPNetwork]:
    """All that no new network may overlap."""
    found: list[IPNetwork] = []
    for _ward, site in district.sites:
        found += [own.network for network in site.networks for own in (network.ipv4, network.ipv6)]
        found += [own.network for circuit in site.circuits for own in circuit.own]
    for service in district.services:
        found += [ip_network(own) for own in (service.ipv4, service.ipv6) if own is not None]
    for reflector in district.reflectors:
        found += [ip_network(reflector.ipv4), ip_network(reflector.ipv6)]
    for channel in district.channels:
        found += [ip_network(own) for own in (*channel.resolvers, *channel.time_sources)]
    return found


def next_free(rows: Mapping[str, Row], occupied: Sequence[IPNetwork]) -> dict[str, IPNetwork]:
    """A free prefix a row, with one step for all rows where there is such a step, else the first of each row.

    WritingError where a row has none left.
    """
    for step in range(1, MOST):
        found = {key: row.at(step) for key, row in rows.items()}
        if all(prefix is not None and _is_free(prefix, occupied) for prefix in found.values()):
            return {key: prefix for key, prefix in found.items() if prefix is not None}
        if all(prefix is None for prefix in found.values()):
            break
    return {key: _first(row, occupied) for key, row in rows.items()}


def _first(row: Row, occupied: Iterable[IPNetwork]) -> IPNetwork:
    for step in range(MOST):
        prefix = row.at(step)
        if prefix is not None and _is_free(prefix, occupied):
            return prefix
    raise WritingError(
        _("no /{length} is left for '{name}' in {prefixes}: add a prefix to the channel in district.yml").format(
            length=row.length, name=row.name, prefixes=", ".join(map(str, row.within))
        )
    )


def _is_free(prefix: IPNetwork, occupied: Iterable[IPNetwork]) -> bool:
    return not any(prefix.version == other.version and prefix.overlaps(other) for other in occupied)
