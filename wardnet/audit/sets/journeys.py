"""What may get from one place of the network to another, end to end, as sets of packets."""

from __future__ import annotations

from collections.abc import Sequence

from wardnet.audit.sets.grants import Services
from wardnet.audit.sets.space import Bdd, Space
from wardnet.model.intent import IPNetwork
from wardnet.model.packet import Field
from wardnet.model.policy import Journey, NetworkPolicy, Place


class Journeys:
    """Conduits and exceptions in one family. Of connection tracking nothing is said: an answer is a packet with a
    flow's ends exchanged, an error one of ICMP to an end of a flow."""

    def __init__(self, space: Space, policy: NetworkPolicy) -> None:
        self._space = space
        self._policy = policy
        self._services = Services(space)
        self._channels = {place.zone: place.channel for place in policy.places}

    def between(self, start: Place, end: Place) -> Bdd:
        space, services = self._space, self._services
        found = []
        for journey in self._policy.journeys:
            if (journey.from_zone, journey.to_zone) == (start.zone, end.zone):
                flow = services.carried(journey.allow, answers=False)
                found.append(flow & self._source(start, end, journey.sender) & self._at(end, journey.receiver))
            if (journey.to_zone, journey.from_zone) == (start.zone, end.zone):
                answer = services.carried(journey.allow, answers=True)
                found.append(answer & self._source(start, end, journey.receiver) & self._at(end, journey.sender))
            for near, far, hosts in self._ends(journey):
                if near == end.zone and self._channels.get(far) is start.channel:
                    found.append(services.errors & self._at(end, hosts))
        return space.any_of(found)

    def _ends(self, journey: Journey) -> tuple[tuple[str, str, Sequence[IPNetwork]], ...]:
        return (
            (journey.from_zone, journey.to_zone, journey.sender),
            (journey.to_zone, journey.from_zone, journey.receiver),
        )

    def _source(self, start: Place, end: Place, hosts: Sequence[IPNetwork]) -> Bdd:
        """From a place; into the internet with whatever source in IPv4, which the gateways replace."""
        if self._space.family == 4 and not end.site:
            return self._space.true
        return self._in(Field.SOURCE, start, hosts)

    def _at(self, end: Place, hosts: Sequence[IPNetwork]) -> Bdd:
        return self._in(Field.DESTINATION, end, hosts)

    def _in(self, field: Field, place: Place, hosts: Sequence[IPNetwork]) -> Bdd:
        inside = self._services.inside(field, place.prefixes) & ~self._services.inside(field, place.excluded)
        return inside & self._services.inside(field, tuple(hosts)) if hosts else inside
