"""What a check is given: the district, where to put problems, and the records by id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from wardnet.inventory.problems import Problems, did_you_mean
from wardnet.model.intent import Channel, District, Host, Network, Site, Source, Ward, Zone


class Context:
    def __init__(self, district: District, problems: Problems, known_ids: frozenset[str], complete: bool) -> None:
        self.district = district
        self.complete = complete
        self._problems = problems
        self._known_ids = known_ids

    def add(self, source: Source, message: str, suggestion: str = "") -> None:
        self._problems.add(source, message, suggestion)

    def unknown(self, source: Source, what: str, word: str, known: Iterable[str]) -> None:
        """A reference to something that no file defines; silent when a file that did not parse defines it."""
        if self.complete or word not in self._known_ids:
            self.add(source, f"there is no {what} '{word}'", did_you_mean(word, known, what))

    @cached_property
    def zones(self) -> dict[str, Zone]:
        return {zone.id: zone for zone in self.district.zones}

    @cached_property
    def hosts(self) -> dict[str, tuple[Site, Host]]:
        return {host.id: (site, host) for _, site in self.district.sites for host in site.hosts}

    @property
    def sites(self) -> Iterator[tuple[Ward, Site]]:
        return iter(self.district.sites)

    def channel_of(self, network: Network) -> Channel | None:
        zone = self.zones.get(network.zone)
        return zone.channel if zone else None
