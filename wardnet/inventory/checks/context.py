"""What a check is given: the district, where to put problems, and the records by id (the first where one is double)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from functools import cached_property

from wardnet.inventory.problems import Problems, did_you_mean
from wardnet.locale import _
from wardnet.model.intent import Channel, Circuit, District, Host, Network, Site, Source, Ward, Zone


def in_site(site: Site) -> str:
    """Where something is, for the end of a sentence."""
    return _(" in site '{site}'").format(site=site.id)


Days = tuple[date, date]  # the first and the last, both included
ALWAYS: Days = (date.min, date.max)


def days_of(circuit: Circuit) -> Days:
    """When the circuit is there. Of two that never are on one day, the one may have what the other had."""
    return circuit.valid_from or date.min, circuit.valid_to or date.max


def share_a_day(one: Days, other: Days) -> bool:
    return max(one[0], other[0]) <= min(one[1], other[1])


class Context:
    def __init__(self, district: District, problems: Problems, complete: bool) -> None:
        self.district = district
        self.complete = complete
        self._problems = problems

    def add(self, source: Source, message: str, suggestion: str = "") -> None:
        self._problems.add(source, message, suggestion)

    def unknown(self, source: Source, what: str, word: str, known: Iterable[str], within: str = "") -> None:
        """A reference to something that is not defined. `within` is where it had to be."""
        self.add(
            source,
            _("there is no {what} '{word}'{within}").format(what=what, word=word, within=within),
            did_you_mean(word, known, what),
        )

    @cached_property
    def zones(self) -> dict[str, Zone]:
        return {zone.id: zone for zone in reversed(self.district.zones)}

    @cached_property
    def hosts(self) -> dict[str, tuple[Site, Host]]:
        return {host.id: (site, host) for _ward, site in reversed(self.district.sites) for host in reversed(site.hosts)}

    @property
    def sites(self) -> Iterator[tuple[Ward, Site]]:
        return iter(self.district.sites)

    def networks(self, site: Site) -> dict[str, Network]:
        return {network.id: network for network in reversed(site.networks)}

    def channel_of(self, network: Network) -> Channel | None:
        zone = self.zones.get(network.zone)
        return zone.channel if zone else None
