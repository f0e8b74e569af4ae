"""Where packets go: policy rules in order, each with its table by longest prefix, in every link state.

A link state is a set of ports that are down; a down port's next hops are gone and nothing enters or leaves by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wardnet.audit.conditions import Conditions
from wardnet.audit.space import Bdd, Space
from wardnet.model.device import Device, KernelRoute, PolicyRule, RouteType, RuleAction
from wardnet.model.packet import Field

_LINK_LOCAL = (0xFE80 << 112, (0xFEC0 << 112) - 1)
_TO_DEVICE = frozenset({RouteType.LOCAL, RouteType.ANYCAST, RouteType.BROADCAST})
_MAIN_PRIORITIES = (0, 32766, 32767)


@dataclass(frozen=True, slots=True)
class Routed:
    """Packets by what becomes of them; those in none go nowhere. Where a choice is left open (several next hops of
    equal weight), a packet is in several."""

    ports: Mapping[str, Bdd]
    device: Bdd  # to the device itself, broadcasts included

    def limited(self, packets: Bdd) -> Routed:
        return Routed({port: found & packets for port, found in self.ports.items()}, self.device & packets)


class Routing:
    """One device's routing in one family. `states` are the link states, the snapshot's own first."""

    def __init__(self, device: Device, space: Space, states: tuple[frozenset[str], ...]) -> None:
        self._device = device
        self._space = space
        self._states = states
        self._family = space.family
        self._rules = device.policy_rules[self._family]
        self._tables: dict[str, list[KernelRoute]] = {}
        for route in device.routes[self._family]:
            self._tables.setdefault(route.table, []).append(route)
        self._lookups: dict[tuple[str, int | None, frozenset[str]], tuple[Routed, Bdd]] = {}
        self._reverse: Routed | None = None
        self._reverse_marked: Routed | None = None

    # --- what conditions ask

    def local(self, field: Field) -> Bdd:
        """The address is one of the device's own, by its local table."""
        return self._space.any_of(
            self._within(field, route)
            for route in self._tables.get("255", [])
            if route.type in (RouteType.LOCAL, RouteType.ANYCAST)
        )

    def reverse_path(self, *, same_port: bool, by_mark: bool) -> Bdd:
        back = self.back(by_mark=by_mark)
        space = self._space
        if same_port:
            return space.any_of(found & space.entering(port) for port, found in back.ports.items())
        return space.any_of(back.ports.values())

    # --- lookups

    def forward(self) -> Routed:
        """Packets as they came in, by where they go, in all link states."""
        conditions = Conditions(self._space, None, None, "")
        return self._in_all_states(conditions)

    def back(self, *, by_mark: bool) -> Routed:
        """The way back to the packets' sources, as the kernel looks it up: from the device itself."""
        if by_mark:
            if self._reverse_marked is None:
                self._reverse_marked = self._turned(None)
            return self._reverse_marked
        if self._reverse is None:
            self._reverse = self._turned(0)
        return self._reverse

    def _turned(self, mark: int | None) -> Routed:
        space = self._space
        found = self._in_all_states(Conditions(space, None, "lo", ""))

        def turn(packets: Bdd) -> Bdd:
            return space.reversed(packets if mark is None else space.at(packets, Field.MARK, mark))

        return Routed({port: turn(packets) for port, packets in found.ports.items()}, turn(found.device))

    def has_own_rules(self) -> bool:
        return any(rule.priority not in _MAIN_PRIORITIES for rule in self._rules)

    def _in_all_states(self, conditions: Conditions) -> Routed:
        space = self._space
        gathered: dict[str, list[Bdd]] = {port: [] for port in space.ports}
        own: list[Bdd] = []
        for number, down in enumerate(self._states):
            up = space.value("link", number)
            for port in down:
                up = up & ~space.entering(port)
            routed = self._routed(conditions, down).limited(up)
            own.append(routed.device)
            for port, packets in routed.ports.items():
                if port not in down:
                    gathered[port].append(packets)
        return Routed({port: space.any_of(found) for port, found in gathered.items()}, space.any_of(own))

    def _routed(self, conditions: Conditions, down: frozenset[str]) -> Routed:
        """The policy rules in order, in one link state."""
        space = self._space
        left = space.true
        waiting: list[tuple[int, Bdd]] = []  # sent on by goto, until the rule of that priority
        gathered: dict[str, list[Bdd]] = {port: [] for port in space.ports}
        own: list[Bdd] = []
        for rule in self._rules:
            arrived = space.any_of(packets for priority, packets in waiting if priority <= rule.priority)
            waiting = [(priority, packets) for priority, packets in waiting if priority > rule.priority]
            left = left | arrived
            hit = left & conditions.packets(rule.selector)
            if hit == space.false:
                continue
            if rule.action is RuleAction.NOTHING:
                continue
            left = left & ~hit
            if rule.action is RuleAction.GOTO:
                waiting.append((rule.goto, hit))
            elif rule.action is RuleAction.LOOKUP:
                routed, missing = self._lookup(rule, down)
                own.append(routed.device & hit)
                for port, packets in routed.ports.items():
                    gathered[port].append(packets & hit)
                left = left | (hit & missing)
        return Routed({port: space.any_of(found) for port, found in gathered.items()}, space.any_of(own))

    def _lookup(self, rule: PolicyRule, down: frozenset[str]) -> tuple[Routed, Bdd]:
        routes = self._tables.get(rule.table, [])
        touched = frozenset(hop.port for route in routes for hop in route.next_hops) & down
        key = (rule.table, rule.suppress, touched)
        if key not in self._lookups:
            self._lookups[key] = self._by_prefix(routes, rule.suppress, touched)
        return self._lookups[key]

    def _by_prefix(
        self, routes: Iterable[KernelRoute], suppress: int | None, down: frozenset[str]
    ) -> tuple[Routed, Bdd]:
        """One table: packets by outcome, and those for which it has no route."""
        space = self._space
        covered = missing = space.false
        gathered: dict[str, list[Bdd]] = {port: [] for port in space.ports}
        own: list[Bdd] = []
        alike: list[KernelRoute] = []

        def close(group: list[KernelRoute]) -> None:
            """Routes of one prefix and metric: of several, any may be taken."""
            nonlocal covered, missing
            here = self._within(Field.DESTINATION, group[0]) & ~covered
            for route in group:
                hops = [hop for hop in route.next_hops if hop.port not in down]
                if route.type is RouteType.UNICAST and route.next_hops and not hops:
                    continue
                taken = here
                if route.open:
                    taken = taken & space.guess("unknown", route.span, route.open)
                covered = covered | taken
                if route.type is RouteType.THROW or (suppress is not None and route.destination.prefixlen <= suppress):
                    missing = missing | taken
                elif route.type in _TO_DEVICE:
                    own.append(taken)
                elif route.type is RouteType.UNICAST:
                    for hop in hops:
                        gathered.setdefault(hop.port, []).append(self._by(hop.port, taken))

        for route in sorted(routes, key=lambda route: (-route.destination.prefixlen, route.metric)):
            if alike and (route.destination, route.metric) != (alike[0].destination, alike[0].metric):
                close(alike)
                alike = []
            alike.append(route)
        if alike:
            close(alike)
        ports = {port: space.any_of(found) for port, found in gathered.items() if port in space.ports}
        return Routed(ports, space.any_of(own)), missing | ~covered

    def _by(self, port: str, packets: Bdd) -> Bdd:
        """IPv6 link-local destinations are on the port that the packet came in by, and nowhere else."""
        if self._family == 4:
            return packets
        space = self._space
        local = space.between(Field.DESTINATION, *_LINK_LOCAL)
        return packets & (~local | space.entering(port))

    def _within(self, field: Field, route: KernelRoute) -> Bdd:
        network = route.destination
        return self._space.between(field, int(network[0]), int(network[-1]))
