"""Single packets, with plain numbers: conditions, routes and the kernel's switches. Beside `Conditions`, `Routing` and
`Kernel`, which do the same for sets, and independent of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from wardnet.audit.question import LinkState
from wardnet.model.device import Device, KernelRoute, NextHop, PolicyRule, RouteType, RuleAction
from wardnet.model.packet import (
    All,
    AnyOf,
    Chance,
    Field,
    InPort,
    InRanges,
    LocalAddress,
    Masked,
    Not,
    OfFamily,
    Open,
    OutPort,
    Predicate,
    ReversePath,
    port_named,
)
from wardnet.model.span import Span

_OWN = (RouteType.LOCAL, RouteType.ANYCAST)
Guessed = Callable[[str, Span, str], bool]


@dataclass(frozen=True, slots=True)
class Probe:
    """A packet on its way: header fields, and the ports it came in and is to leave by ('' is none)."""

    fields: Mapping[Field, int]
    incoming: str
    outgoing: str = ""

    def with_fields(self, **changes: int) -> Probe:
        return replace(self, fields={**self.fields, **{Field(name): value for name, value in changes.items()}})


@dataclass(frozen=True, slots=True)
class Found:
    """A policy rule with an answer: a route and its next hops that are up, or None where the rule itself refuses."""

    rule: PolicyRule
    route: KernelRoute | None
    hops: tuple[NextHop, ...]


class Concrete:
    """One device in one family and one link state. `guessed` answers for unknowns and chances."""

    def __init__(self, device: Device, family: int, links: LinkState, guessed: Guessed) -> None:
        self._device = device
        self._family = family
        self._links = links
        self._guessed = guessed

    def holds(self, predicate: Predicate, probe: Probe) -> bool:
        fields = probe.fields
        match predicate:
            case InRanges(field=name, ranges=ranges):
                return any(low <= fields[name] <= high for low, high in ranges)
            case Masked(field=name, mask=mask, value=value):
                return fields[name] & mask == value
            case All(terms=terms):
                return all(self.holds(term, probe) for term in terms)
            case AnyOf(terms=terms):
                return any(self.holds(term, probe) for term in terms)
            case Not(term=term):
                return not self.holds(term, probe)
            case OfFamily(version=version):
                return version == self._family
            case InPort(names=names):
                return bool(probe.incoming) and port_named(probe.incoming, names)
            case OutPort(names=names):
                return bool(probe.outgoing) and port_named(probe.outgoing, names)
            case Open(span=span, reason=reason):
                return self._guessed("unknown", span, reason)
            case Chance(span=span, reason=reason):
                return self._guessed("chance", span, reason)
            case LocalAddress(field=name):
                return self._own(fields[name])
            case ReversePath(same_port=same_port, by_mark=by_mark):
                found = self._reverse(_bare(probe), by_mark=by_mark, enters=(same_port and probe.outgoing) or "lo")
                return bool(found) and (not same_port or probe.incoming in found)
        raise AssertionError(predicate)

    # --- routing

    def _own(self, address: int) -> bool:
        return any(
            route.table == "255" and route.type in _OWN and _within(route, address) and self._present(route)
            for route in self._device.routes[self._family]
        )

    def _present(self, route: KernelRoute) -> bool:
        """In this link state: some of its ports still have it. The kernel takes a route of IPv4's main table away with
        the address that it prefers as a source."""
        if self._family == 4 and route.table == "254" and route.prefers is not None:
            wanted = int(route.prefers)
            held = [r for r in self._device.routes[4]
                    if r.table == "255" and r.type is RouteType.LOCAL and _within(r, wanted)]  # fmt: skip
            if held and not any(self._present(r) for r in held):
                return False
        ports = [hop.port for hop in route.next_hops]
        if route.type in _OWN:
            return not ports or any(not self._left(port) for port in ports)
        if self._family == 4 and len(ports) > 1 and not route.grouped and self._links.gone & set(ports):
            return False  # it goes as a whole with one of its ports
        return not ports or any(port not in self._links.down for port in ports)

    def _left(self, port: str) -> bool:
        """The port's addresses are no longer the device's: IPv6's are not while it is down, unless it has only lost its
        carrier."""
        if port not in self._links.down or port in self._links.gone:
            return port in self._links.down
        return self._family == 6 and self._setting(port, "ignore_routes_with_linkdown") == "0"

    def _reverse(self, probe: Probe, *, by_mark: bool, enters: str) -> set[str]:
        """Ports of the way back to the packet's source, for an answer that enters so."""
        fields = probe.fields
        back = replace(
            probe,
            incoming=enters,
            outgoing="",
            fields={
                **fields,
                Field.SOURCE: fields[Field.DESTINATION],
                Field.DESTINATION: fields[Field.SOURCE],
                Field.SOURCE_PORT: fields[Field.DESTINATION_PORT],
                Field.DESTINATION_PORT: fields[Field.SOURCE_PORT],
                Field.MARK: fields[Field.MARK] if by_mark else 0,
            },
        )
        found = self.lookup(back)
        if found is None or found.route is None or found.route.type is not RouteType.UNICAST:
            return set()
        return {hop.port for hop in found.hops}

    def lookup(self, probe: Probe) -> Found | None:
        """What the policy rules and their tables make of the packet; None where no rule has an answer."""
        skip_to = 0
        for rule in self._device.policy_rules[self._family]:
            if rule.priority < skip_to or not self.holds(rule.selector, probe):
                continue
            skip_to = 0
            if rule.action is RuleAction.GOTO:
                there = any(other.priority == rule.goto for other in self._device.policy_rules[self._family])
                skip_to = rule.goto if there else 0
            elif rule.action is RuleAction.LOOKUP:
                found = self._in_table(rule.table, rule.suppress, probe)
                if found is not None:
                    return Found(rule, *found)
            elif rule.action is not RuleAction.NOTHING:
                return Found(rule, None, ())
        return None

    def _in_table(
        self, table: str, suppress: int | None, probe: Probe
    ) -> tuple[KernelRoute, tuple[NextHop, ...]] | None:
        address = probe.fields[Field.DESTINATION]
        fitting = sorted(
            (r for r in self._device.routes[self._family] if r.table == table and _within(r, address)),
            key=lambda route: (-route.destination.prefixlen, route.metric),
        )
        best: tuple[KernelRoute, tuple[NextHop, ...]] | None = None
        for route in fitting:
            hops = tuple(hop for hop in route.next_hops if hop.port not in self._links.down)
            if best is not None:
                same = (route.destination, route.metric) == (best[0].destination, best[0].metric)
                if not same or best[0].type is not RouteType.UNICAST:
                    break
                if route.type is RouteType.UNICAST:
                    best = (best[0] if best[1] else route, best[1] + self._on_link(hops, probe))
                continue
            if not self._present(route) or (route.type is RouteType.UNICAST and not hops):
                continue
            if route.open and not self._guessed("unknown", route.span, route.open):
                continue
            best = (route, self._on_link(hops, probe) if route.type is RouteType.UNICAST else hops)
        if best is None or best[0].type is RouteType.THROW:
            return None
        nowhere = best[0].type in (RouteType.UNREACHABLE, RouteType.PROHIBIT, RouteType.BLACKHOLE)
        if suppress is not None and not nowhere and best[0].destination.prefixlen <= suppress:
            return None
        return best

    def _on_link(self, hops: tuple[NextHop, ...], probe: Probe) -> tuple[NextHop, ...]:
        """IPv6 link-local destinations stay on the port that they came in by."""
        address = ip_address(probe.fields[Field.DESTINATION]) if self._family == 6 else None
        if address is None or not address.is_link_local:
            return hops
        return tuple(hop for hop in hops if hop.port == probe.incoming)

    def _setting(self, port: str, name: str) -> str | None:
        settings = self._device.settings
        return settings.get(f"net.ipv{self._family}.conf.{port.replace('.', '/')}.{name}")

    def _switch(self, port: str, name: str) -> bool:
        value = self._setting(port, name)
        if value in ("0", "1"):
            return value == "1"
        span = Span(self._device.id, "sysctl.txt", f"net.ipv{self._family}.conf.{port}.{name}")
        return self._guessed("unknown", span, f"is {value or 'not in the listing'}")

    def forwarding(self, probe: Probe) -> bool:
        if self._family == 4:
            return self._switch(probe.incoming, "forwarding")
        if self._switch("all", "forwarding"):
            return True
        return self._setting("all", "force_forwarding") is not None and self._switch(probe.incoming, "force_forwarding")

    def source_valid(self, probe: Probe, outgoing: str) -> bool:
        if self._own(probe.fields[Field.SOURCE]):
            return self._switch("all", "accept_local") or self._switch(probe.incoming, "accept_local")
        modes = [self._setting(port, "rp_filter") for port in (probe.incoming, "all")]
        if not all(mode in ("0", "1", "2") for mode in modes):
            span = Span(self._device.id, "sysctl.txt", f"net.ipv4.conf.{probe.incoming}.rp_filter")
            return self._guessed("unknown", span, "is not in the listing")
        mode = max(int(mode or 0) for mode in modes)
        if mode == 0:
            return True
        marked = "1" in (self._setting(port, "src_valid_mark") for port in (probe.incoming, "all"))
        back = self._reverse(probe, by_mark=marked, enters=outgoing)
        return probe.incoming in back if mode == 1 else bool(back)


def _bare(probe: Probe) -> Probe:
    """Without what nft does not ask the routing policy for."""
    return probe.with_fields(source_port=0, destination_port=0)


def _within(route: KernelRoute, address: int) -> bool:
    network = route.destination
    return int(network[0]) <= address <= int(network[-1])
