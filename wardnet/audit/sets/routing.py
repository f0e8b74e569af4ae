"""Where packets go: policy rules in order, each with its table by longest prefix, in all link states at once.

A link state is a set of ports that are down: their next hops are gone, and the routes that have no other. An IPv4
address stays the device's while its port is down, and leaves with a port that is gone; an IPv6 address leaves either
way, unless the port has only lost its carrier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wardnet.audit.question import may_fail
from wardnet.audit.sets.conditions import Conditions
from wardnet.audit.sets.scales import LINK_LOCAL
from wardnet.audit.sets.space import Bdd, Space
from wardnet.model.device import Device, KernelRoute, PolicyRule, RouteType, RuleAction
from wardnet.model.intent import IPAddress
from wardnet.model.packet import Field

_OWN = frozenset({RouteType.LOCAL, RouteType.ANYCAST})
_TO_DEVICE = frozenset({RouteType.LOCAL, RouteType.ANYCAST, RouteType.BROADCAST})
_MAIN_PRIORITIES = (0, 32766, 32767)


@dataclass(frozen=True, slots=True)
class Routed:
    """Packets by what becomes of them; those in none go nowhere. Where a choice is left open (several next hops of
    equal weight), a packet is in several."""

    ports: Mapping[str, Bdd]
    device: Bdd  # to the device itself, broadcasts included


def failing(device: Device, family: int) -> tuple[str, ...]:
    """Ports that can matter when they are down: there are routes by them, or to them."""
    named = {hop.port for route in device.routes[family] for hop in route.next_hops}
    return tuple(port for port in may_fail(device) if port in named)


def parting(device: Device, family: int) -> tuple[str, ...]:
    """Ports for which it matters whether they are down or gone: in IPv4 for their addresses, and for routes with other
    ways; in IPv6 for their addresses, where a lost carrier takes the routes."""
    routes = [route for route in device.routes[family] if route.type in _OWN or (family == 4 and _breaks(route))]
    named = {hop.port for route in routes for hop in route.next_hops}
    if family == 6:
        setting = "net.ipv6.conf.{}.ignore_routes_with_linkdown"
        named = {port for port in named if device.settings.get(setting.format(port.replace(".", "/"))) != "0"}
    return tuple(port for port in may_fail(device) if port in named)


class Routing:
    """One device's routing in one family."""

    def __init__(self, device: Device, space: Space) -> None:
        self._device = device
        self._space = space
        self._family = space.family
        self._rules = device.policy_rules[self._family]
        self._tables: dict[str, list[KernelRoute]] = {}
        for route in device.routes[self._family]:
            self._tables.setdefault(route.table, []).append(route)
        self._lookups: dict[tuple[str, int | None], tuple[Routed, Bdd]] = {}
        self._reverse: dict[tuple[bool, bool, bool], Routed] = {}

    # --- what conditions ask

    def local(self, field: Field) -> Bdd:
        """The address is one of the device's own, by its local table."""
        return self._space.any_of(
            self._within(field, route) & self._there(route)
            for route in self._tables.get("255", [])
            if route.type in _OWN
        )

    def reverse_path(self, *, same_port: bool, by_mark: bool) -> Bdd:
        """nft's `fib saddr`: before routing it is looked up as from the device itself; once the packet has a port to
        leave by, and where its own port is asked for, as if an answer came in there."""
        space = self._space
        before = self.back(by_mark=by_mark, answering=False, bare=True)
        if not same_port:
            return space.any_of(before.ports.values())
        after = self.back(by_mark=by_mark, answering=True, bare=True)
        undecided = space.value("out", 0)
        found = space.any_of(packets & space.entering(port) for port, packets in after.ports.items()) & ~undecided
        return found | (
            undecided & space.any_of(packets & space.entering(port) for port, packets in before.ports.items())
        )

    # --- lookups

    def forward(self) -> Routed:
        """Packets as they came in, by where they go."""
        return self._routed(Conditions(self._space, None, None, ""))

    def back(self, *, by_mark: bool, answering: bool, bare: bool = False) -> Routed:
        """The way back to the packets' sources: `answering` as for an answer that comes in where the packet leaves,
        else as from the device itself; `bare` without the ports, as nft asks."""
        key = (by_mark, answering, bare)
        if key not in self._reverse:
            self._reverse[key] = self._turned(by_mark=by_mark, answering=answering, bare=bare)
        return self._reverse[key]

    def _turned(self, *, by_mark: bool, answering: bool, bare: bool) -> Routed:
        space = self._space
        found = self._routed(Conditions(space, None, None if answering else "lo", "", turned=answering))
        zero = [] if by_mark else [Field.MARK]
        if bare:
            zero += [Field.SOURCE_PORT, Field.DESTINATION_PORT]

        def turn(packets: Bdd) -> Bdd:
            for field in zero:
                packets = space.at(packets, field, 0)
            return space.reversed(packets)

        return Routed({port: turn(packets) for port, packets in found.ports.items()}, turn(found.device))

    def has_own_rules(self) -> bool:
        return any(rule.priority not in _MAIN_PRIORITIES for rule in self._rules)

    def _routed(self, conditions: Conditions) -> Routed:
        """The policy rules in order."""
        space = self._space
        left = space.true
        waiting: list[tuple[int, Bdd]] = []  # sent on by goto, until the rule of that priority
        gathered: dict[str, list[Bdd]] = {port: [] for port in space.ports}
        own: list[Bdd] = []
        present = {rule.priority for rule in self._rules}
        for rule in self._rules:
            arrived = space.any_of(packets for priority, packets in waiting if priority <= rule.priority)
            waiting = [(priority, packets) for priority, packets in waiting if priority > rule.priority]
            left = left | arrived
            hit = left & conditions.packets(rule.selector)
            if hit == space.false:
                continue
            if rule.action is RuleAction.NOTHING or (rule.action is RuleAction.GOTO and rule.goto not in present):
                continue  # a rule that isn't there is not gone to
            left = left & ~hit
            if rule.action is RuleAction.GOTO:
                waiting.append((rule.goto, hit))
            elif rule.action is RuleAction.LOOKUP:
                routed, missing = self._lookup(rule)
                own.append(routed.device & hit)
                for port, packets in routed.ports.items():
                    gathered[port].append(packets & hit)
                left = left | (hit & missing)
        return Routed({port: space.any_of(found) for port, found in gathered.items()}, space.any_of(own))

    def _lookup(self, rule: PolicyRule) -> tuple[Routed, Bdd]:
        key = (rule.table, rule.suppress)
        if key not in self._lookups:
            self._lookups[key] = self._by_prefix(self._tables.get(rule.table, []), rule.suppress)
        return self._lookups[key]

    def _by_prefix(self, routes: Iterable[KernelRoute], suppress: int | None) -> tuple[Routed, Bdd]:
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
                taken = here & self._there(route)
                if route.open:
                    taken = taken & space.guess("unknown", route.span, route.open)
                covered = covered | taken
                if route.type is RouteType.THROW or _suppressed(route, suppress):
                    missing = missing | taken
                elif route.type in _TO_DEVICE:
                    own.append(taken)
                elif route.type is RouteType.UNICAST:
                    for hop in route.next_hops:
                        gathered.setdefault(hop.port, []).append(self._by(hop.port, taken & ~space.down(hop.port)))

        for route in sorted(routes, key=lambda route: (-route.destination.prefixlen, route.metric)):
            if alike and (route.destination, route.metric) != (alike[0].destination, alike[0].metric):
                close(alike)
                alike = []
            alike.append(route)
        if alike:
            close(alike)
        ports = {port: space.any_of(found) for port, found in gathered.items() if port in space.ports}
        return Routed(ports, space.any_of(own)), missing | ~covered

    def _there(self, route: KernelRoute) -> Bdd:
        """The link states in which the route is there: one of its ways is up, or, to an address of the device's own,
        its port is not gone."""
        space = self._space
        missing = space.gone if route.type in _OWN else space.down
        there = space.true
        if route.next_hops:
            there = space.any_of(~missing(hop.port) for hop in route.next_hops)
        if self._family == 4 and _breaks(route):
            there = there & ~space.any_of(space.gone(hop.port) for hop in route.next_hops)
        if self._family == 4 and route.prefers is not None and route.table == "254" and route.type not in _OWN:
            # With its preferred source the kernel takes a route of the main table away.
            there = there & self._owned(route.prefers)
        return there

    def _owned(self, address: IPAddress) -> Bdd:
        """The link states in which the address is the device's. One that is on no port stays."""
        found = [
            self._there(route)
            for route in self._tables.get("255", [])
            if route.type is RouteType.LOCAL and address in route.destination
        ]
        return self._space.any_of(found) if found else self._space.true

    def _by(self, port: str, packets: Bdd) -> Bdd:
        """IPv6 link-local destinations are on the port that the packet came in by, and nowhere else."""
        if self._family == 4:
            return packets
        space = self._space
        local = space.between(Field.DESTINATION, *LINK_LOCAL)
        return packets & (~local | space.entering(port))

    def _within(self, field: Field, route: KernelRoute) -> Bdd:
        network = route.destination
        return self._space.between(field, int(network[0]), int(network[-1]))


def _breaks(route: KernelRoute) -> bool:
    """IPv4's routes of several ways go as a whole with a port that is gone."""
    return len(route.next_hops) > 1 and not route.grouped


def _suppressed(route: KernelRoute, suppress: int | None) -> bool:
    """Routes to nowhere are final: the kernel looks at their prefix no more."""
    if suppress is None or route.type in (RouteType.UNREACHABLE, RouteType.PROHIBIT, RouteType.BLACKHOLE):
        return False
    return route.destination.prefixlen <= suppress
