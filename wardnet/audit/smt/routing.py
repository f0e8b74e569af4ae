"""The routing policy and its tables as terms, for any packet in any link state.

A route counts where its prefix holds the address, one of its ways is up, and no better route counts there: a longer
prefix, or the same one with a smaller metric. Which of several ways the kernel takes is left open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wardnet.audit.smt.conditions import UnencodableError, term_of
from wardnet.audit.smt.packet import Ports, View
from wardnet.audit.smt.terms import FALSE, TRUE, Term, between, both, conj, disj, either, implies, neg
from wardnet.model.device import Device, KernelRoute, PolicyRule, RouteType, RuleAction
from wardnet.model.packet import Field

_FINAL = (RouteType.UNREACHABLE, RouteType.PROHIBIT, RouteType.BLACKHOLE)
_HERE = (RouteType.LOCAL, RouteType.ANYCAST, RouteType.BROADCAST)
_DEFAULT_RULES = (0, 32766, 32767)
_ADDRESSES = (RouteType.LOCAL, RouteType.ANYCAST)
_IGNORED = "net.ipv6.conf.{}.ignore_routes_with_linkdown"
_MAIN_TABLE = "254"
LOCAL_TABLE = "255"


@dataclass(frozen=True, slots=True)
class Way:
    """When a packet is led out of each port, and when to the device itself."""

    ports: Mapping[str, Term]
    here: Term

    def any(self) -> Term:
        return disj(self.ports.values())


@dataclass(frozen=True, slots=True)
class _Group:
    """Routes of one prefix and metric: any of them may be taken."""

    prefix: tuple[int, int]
    length: int
    metric: int
    routes: tuple[KernelRoute, ...]


class Routing:
    """One device's routing in one family."""

    def __init__(self, device: Device, family: int) -> None:
        self.device = device
        self.family = family
        self._rules = device.policy_rules[family]
        gathered: dict[str, dict[tuple[int, int, int, int], list[KernelRoute]]] = defaultdict(lambda: defaultdict(list))
        for route in device.routes[family]:
            network = route.destination
            key = (int(network[0]), int(network[-1]), network.prefixlen, route.metric)
            gathered[route.table][key].append(route)
        self._tables = {
            name: [_Group((key[0], key[1]), key[2], key[3], tuple(routes)) for key, routes in found.items()]
            for name, found in gathered.items()
        }
        self._known: dict[tuple[object, ...], Way] = {}

    # --- what others ask

    def own(self, view: View, field: Field) -> Term:
        """The address is the device's own."""
        bits = view.packet.sort(field)
        found = []
        for group in self._tables.get(LOCAL_TABLE, ()):
            held = disj(self._stays(route, view) for route in group.routes if route.type in _ADDRESSES)
            found.append(both(between(view.fields[field], group.prefix[0], group.prefix[1], bits), held))
        return view.packet.script.share(disj(found))

    def route_back(self, view: View, *, same_port: bool, by_mark: bool) -> Term:
        """nft's `fib saddr`. Where the port is asked for and the packet has one to leave by, as if an answer came in
        there; else as from the device itself."""
        decided = same_port and bool(view.outgoing.constant or view.outgoing.fixed)
        incoming = view.outgoing if decided else view.packet.no_port("lo")
        way = self.back(view, by_mark=by_mark, bare=True, incoming=incoming)
        if not same_port:
            return way.any()
        return disj(both(view.incoming.are(port), term) for port, term in way.ports.items())

    def back(self, view: View, *, by_mark: bool, bare: bool, incoming: Ports) -> Way:
        """The way to the packet's source, for what comes in there."""
        turned = view.turned(mark=by_mark, bare=bare, incoming=incoming)
        return self._way(turned, came_in=view.incoming)

    def forward(self, view: View) -> Way:
        return self._way(view, came_in=view.incoming)

    def ruled(self) -> bool:
        """Whether there is any policy rule that the kernel does not start with."""
        return any(rule.priority not in _DEFAULT_RULES for rule in self._rules)

    # --- the policy

    def _way(self, view: View, came_in: Ports) -> Way:
        key = (view.packet.label, view.incoming.constant, view.incoming.fixed, came_in.constant,
               *(view.fields[field] for field in Field))  # fmt: skip
        if key not in self._known:
            self._known[key] = self._by_rules(view, came_in)
        return self._known[key]

    def _by_rules(self, view: View, came_in: Ports) -> Way:
        """Each rule is met by what the rules before it sent on; `goto` skips those in between."""
        share = view.packet.script.share
        present = {rule.priority for rule in self._rules}
        ports: dict[str, list[Term]] = defaultdict(list)
        here: list[Term] = []
        sent: dict[int, list[Term]] = defaultdict(list)
        met: Term = TRUE
        for rule in self._rules:
            # A rule of this priority that is aimed at is the first of its priority.
            met = share(disj([met, *sent.pop(rule.priority, ())]))
            picked = term_of(rule.selector, view, self)
            if picked == FALSE or met == FALSE or rule.action is RuleAction.NOTHING:
                continue
            if rule.action is RuleAction.GOTO and rule.goto not in present:
                continue  # nowhere to go: the kernel looks at the next rule
            hit = share(both(met, picked))
            met = both(met, neg(picked))
            if rule.action is RuleAction.GOTO:
                sent[rule.goto].append(hit)
            elif rule.action is RuleAction.LOOKUP:
                way, missing = self._table(rule, view, came_in)
                for port, term in way.ports.items():
                    ports[port].append(both(hit, term))
                here.append(both(hit, way.here))
                met = either(met, both(hit, missing))
            elif rule.action not in (RuleAction.UNREACHABLE, RuleAction.PROHIBIT, RuleAction.BLACKHOLE):
                raise UnencodableError(f"a policy rule that does {rule.action}")
            met = share(met)
        return Way({port: share(disj(terms)) for port, terms in ports.items()}, share(disj(here)))

    # --- one table

    def _table(self, rule: PolicyRule, view: View, came_in: Ports) -> tuple[Way, Term]:
        """Where the table leads, and when it has nothing to say."""
        groups = self._tables.get(rule.table, [])
        ports: dict[str, list[Term]] = defaultdict(list)
        here: list[Term] = []
        missing: list[Term] = []
        counting: list[Term] = []
        for group in groups:
            inside = self._inside(group, view)
            counting.append(both(inside, self._counts(group, view)))
            chosen = view.packet.script.share(conj([inside, *self._not_better(group, groups, view)]))
            for route in group.routes:
                taken = both(chosen, self._is_taken(route, view))
                if route.type is RouteType.THROW or _suppressed(route, rule.suppress):
                    missing.append(taken)
                elif route.type in _HERE:
                    here.append(taken)
                elif route.type is RouteType.UNICAST:
                    for hop in route.next_hops:
                        if hop.port in view.packet.numbers:
                            up = neg(view.packet.down(hop.port))
                            ports[hop.port].append(conj([taken, up, self._on_link(view, hop.port, came_in)]))
                elif route.type not in (*_FINAL, RouteType.MULTICAST):
                    raise UnencodableError(f"a route of type {route.type}")
        missing.append(neg(disj(counting)))
        return Way({port: disj(terms) for port, terms in ports.items()}, disj(here)), disj(missing)

    def _inside(self, group: _Group, view: View) -> Term:
        return between(view.fields[Field.DESTINATION], *group.prefix, view.packet.sort(Field.DESTINATION))

    def _not_better(self, group: _Group, groups: Iterable[_Group], view: View) -> Iterable[Term]:
        """No better route holds the address too. Of two prefixes one lies in the other, or they have nothing in
        common."""
        for other in groups:
            if other is group or other.prefix[1] < group.prefix[0] or other.prefix[0] > group.prefix[1]:
                continue
            if (-other.length, other.metric) < (-group.length, group.metric):
                yield neg(both(self._inside(other, view), self._counts(other, view)))

    def _counts(self, group: _Group, view: View) -> Term:
        return disj(self._is_taken(route, view) for route in group.routes)

    def _is_taken(self, route: KernelRoute, view: View) -> Term:
        """It is there; maybe, where it is not known to apply as written."""
        there = self._stays(route, view)
        return both(there, view.packet.unknown(route.span, route.open)) if route.open else there

    def _stays(self, route: KernelRoute, view: View) -> Term:
        """Whether failures have left the route. (fib_sync_down_dev and fib_sync_down_addr in net/ipv4/fib_semantics.c,
        fib6_ifdown in net/ipv6/route.c.)"""
        if not route.next_hops:
            kept: Term = TRUE
        elif route.type in _ADDRESSES:
            kept = disj(neg(self._addresses_left(hop.port, view)) for hop in route.next_hops)
        else:
            kept = disj(neg(view.packet.down(hop.port)) for hop in route.next_hops)
            if self.family == 4 and len(route.next_hops) > 1 and not route.grouped:
                # NETDEV_UNREGISTER counts every way as dead.
                kept = conj([kept, *(neg(view.packet.gone(hop.port)) for hop in route.next_hops)])
        if self.family == 6 or route.table != _MAIN_TABLE or route.prefers is None or route.type in _ADDRESSES:
            return kept
        wanted = int(route.prefers)
        holders = [
            one
            for group in self._tables.get(LOCAL_TABLE, ())
            if group.prefix[0] <= wanted <= group.prefix[1]
            for one in group.routes
            if one.type is RouteType.LOCAL
        ]
        return both(kept, disj(self._stays(one, view) for one in holders)) if holders else kept

    def _addresses_left(self, port: str, view: View) -> Term:
        """IPv4's stay while the port is there, up or not. IPv6's go when it is set down, and stay when it is without a
        carrier: which is no failure to routes unless they are ignored then."""
        if self.family == 6 and self.device.settings.get(_IGNORED.format(port.replace(".", "/"))) == "0":
            return view.packet.down(port)
        return view.packet.gone(port)

    def _on_link(self, view: View, port: str, came_in: Ports) -> Term:
        """A link-local destination is a neighbour on the port where the packet came in."""
        if self.family == 4:
            return TRUE
        sort = view.packet.sort(Field.DESTINATION)
        local = between(view.fields[Field.DESTINATION], 0xFE80 << 112, (0xFEC0 << 112) - 1, sort)
        return implies(local, came_in.are(port))


def _suppressed(route: KernelRoute, suppress: int | None) -> bool:
    """Only what a lookup finds can be suppressed: a route that refuses ends it."""
    return suppress is not None and route.type not in _FINAL and route.destination.prefixlen <= suppress
