"""One packet through a device, step by step, with plain numbers: what the sets say, shown on an example.

Shares the model and nothing else with the sets, so that an example which does not pass here is a disagreement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from wardnet.audit.records import Hop
from wardnet.model.device import (
    Chain,
    Choose,
    Decide,
    Device,
    FilterRule,
    Hook,
    KernelRoute,
    Match,
    NextHop,
    Opaque,
    RouteType,
    RuleAction,
    SetMark,
    Table,
    TranslateDestination,
    TranslateSource,
    Untrack,
    Verdict,
)
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
    State,
    port_named,
)
from wardnet.model.span import Span

Guessed = Callable[[str, Span, str], bool]
CONNTRACK = -200


@dataclass(frozen=True, slots=True)
class Probe:
    """A packet on its way: header fields, and the ports it came in and is to leave by ('' is none)."""

    fields: Mapping[Field, int]
    incoming: str
    outgoing: str = ""

    def with_fields(self, **changes: int) -> Probe:
        return replace(self, fields={**self.fields, **{Field(name): value for name, value in changes.items()}})


@dataclass
class Trace:
    hops: list[Hop] = field(default_factory=list)
    passed: bool = False
    decided_by: Hop | None = None  # what accepted it at the forward hook
    route: Hop | None = None
    policy_rule: Hop | None = None

    def note(self, stage: str, text: str, span: Span | None = None, comment: str = "") -> Hop:
        hop = Hop(stage, text, span, comment)
        self.hops.append(hop)
        return hop


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a chain: accepted, dropped, or run through (None); with the packet as it is then, and what decided."""

    accepted: bool | None
    probe: Probe
    span: Span
    comment: str = ""


class Tracer:
    """One device in one family, with some ports down. `guessed` answers for unknowns and chances."""

    def __init__(
        self,
        device: Device,
        family: int,
        down: frozenset[str],
        guessed: Guessed,
        *,
        state: State = State.NEW,
        translated_to: tuple[int, int] | None = None,
    ) -> None:
        self._device = device
        self._family = family
        self._down = down
        self._guessed = guessed
        self._state = state  # what connection tracking makes of the packet
        self._translated_to = translated_to  # address and port, where a translation leaves a choice

    def run(self, probe: Probe, wanted: str, *, from_tracking: bool = False) -> Trace:
        """The packet's way, hoped to leave by `wanted`. `from_tracking` starts it at connection tracking, as for an
        answer whose addresses are put back there."""
        trace = Trace()
        trace.note("enters", f"through {probe.incoming}")
        hooks = [] if from_tracking else [*self._bases(Hook.INGRESS), *self._prerouting(before=True)]
        for table, chain in hooks:
            result = self._pass(trace, table, chain, probe)
            if result is None:
                return trace
            probe = result
        if probe.fields[Field.STATE] != State.UNTRACKED:
            probe = probe.with_fields(state=self._state)
        for table, chain in self._prerouting(before=False):
            result = self._pass(trace, table, chain, probe)
            if result is None:
                return trace
            probe = result
        hop = self._route(trace, probe, wanted)
        if hop is None:
            return trace
        probe = replace(probe, outgoing=hop.port)
        for table, chain in self._bases(Hook.FORWARD):
            result = self._pass(trace, table, chain, probe)
            if result is None:
                return trace
            probe = result
        if not any(True for _ in self._bases(Hook.FORWARD)):
            trace.note("forward", "no chain filters what is forwarded")
        for table, chain in [*self._bases(Hook.POSTROUTING), *self._bases(Hook.EGRESS)]:
            result = self._pass(trace, table, chain, probe)
            if result is None:
                return trace
            probe = result
        trace.note("leaves", f"through {hop.port}")
        trace.passed = hop.port == wanted
        return trace

    # --- hooks and chains

    def _bases(self, hook: Hook) -> list[tuple[Table, Chain]]:
        found = [
            (table, chain)
            for table in self._device.ruleset.tables
            if table.layer == 3 and self._family in table.families
            for chain in table.chains.values()
            if chain.hook is hook
        ]
        found.reverse()  # of two with one priority the later runs first
        return sorted(found, key=lambda pair: pair[1].priority)

    def _prerouting(self, *, before: bool) -> list[tuple[Table, Chain]]:
        return [
            (table, chain)
            for table, chain in self._bases(Hook.PREROUTING)
            if (chain.priority <= CONNTRACK and not chain.translates) is before
        ]

    def _pass(self, trace: Trace, table: Table, chain: Chain, probe: Probe) -> Probe | None:
        """The packet after a base chain; None where it ends there."""
        assert chain.hook is not None
        if chain.translates and probe.fields[Field.STATE] != State.NEW:
            return probe
        if chain.hook in (Hook.INGRESS, Hook.EGRESS):
            port = probe.incoming if chain.hook is Hook.INGRESS else probe.outgoing
            if chain.devices is not None and port not in chain.devices:
                return probe
        outcome = self._chain(table, chain, probe)
        stage = str(chain.hook)
        if outcome.accepted is None:
            hop = trace.note(stage, f"policy {chain.policy}", chain.span)
            if chain.policy is Verdict.DROP:
                return None
        elif not outcome.accepted:
            trace.note(stage, "dropped", outcome.span, outcome.comment)
            return None
        else:
            hop = trace.note(stage, "accepted", outcome.span, outcome.comment)
        if chain.hook is Hook.FORWARD and (trace.decided_by is None or chain.policy is Verdict.DROP):
            trace.decided_by = hop
        return outcome.probe

    def _chain(self, table: Table, chain: Chain, probe: Probe) -> Outcome:
        for rule in chain.rules:
            outcome, probe, ended = self._rule(table, rule, probe)
            if outcome is not None:
                return outcome
            if ended:
                break
        return Outcome(None, probe, chain.span)

    def _rule(self, table: Table, rule: FilterRule, probe: Probe) -> tuple[Outcome | None, Probe, bool]:
        """A final outcome if there is one; the packet; and whether the chain ends here without one."""
        for statement in rule.statements:
            decide: Decide | None = None
            match statement:
                case Match(predicate=predicate):
                    if not self.holds(predicate, probe):
                        return None, probe, False
                case Decide():
                    decide = statement
                case Choose(cases=cases):
                    decide = next((d for predicate, d in cases if self.holds(predicate, probe)), None)
                case SetMark(keep=keep, flip=flip):
                    probe = probe.with_fields(mark=(probe.fields[Field.MARK] & keep) ^ flip)
                case Untrack():
                    probe = probe.with_fields(state=State.UNTRACKED)
                case TranslateSource():
                    return Outcome(True, probe, rule.span, rule.comment), probe, True
                case TranslateDestination():
                    return Outcome(True, self._translated(statement, probe), rule.span, rule.comment), probe, True
                case Opaque(span=span, reason=reason):
                    if self._guessed("unknown", span, f"{reason}: accepts"):
                        return Outcome(True, probe, rule.span, rule.comment), probe, True
                    if self._guessed("unknown", span, f"{reason}: drops"):
                        return Outcome(False, probe, rule.span, rule.comment), probe, True
            if decide is not None and decide.verdict is not Verdict.CONTINUE:
                return self._decided(table, rule, decide, probe)
            if decide is not None:
                return None, probe, False
        return None, probe, False

    def _decided(
        self, table: Table, rule: FilterRule, decide: Decide, probe: Probe
    ) -> tuple[Outcome | None, Probe, bool]:
        if decide.verdict in (Verdict.ACCEPT, Verdict.DROP):
            return Outcome(decide.verdict is Verdict.ACCEPT, probe, rule.span, rule.comment), probe, True
        if decide.verdict is Verdict.RETURN:
            return None, probe, True
        outcome = self._chain(table, table.chains[decide.target], probe)
        if outcome.accepted is not None:
            return outcome, outcome.probe, True
        return None, outcome.probe, decide.verdict is Verdict.GOTO

    def _translated(self, statement: TranslateDestination, probe: Probe) -> Probe:
        address, port = probe.fields[Field.DESTINATION], probe.fields[Field.DESTINATION_PORT]
        wish = self._translated_to or (address, port)
        if statement.addresses:
            low, high = statement.addresses
            address = wish[0] if low <= wish[0] <= high else low
        if statement.to_device:
            address = wish[0]
        if statement.ports:
            low, high = statement.ports
            port = wish[1] if low <= wish[1] <= high else low
        return probe.with_fields(destination=address, destination_port=port, translated=1)

    # --- conditions

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
                found = self._reverse(
                    _bare(probe, self._family), by_mark=by_mark, enters=(same_port and probe.outgoing) or "lo"
                )
                return bool(found) and (not same_port or probe.incoming in found)
        raise AssertionError(predicate)

    # --- routing

    def _own(self, address: int) -> bool:
        return any(
            route.table == "255" and route.type in (RouteType.LOCAL, RouteType.ANYCAST) and _within(route, address)
            for route in self._device.routes[self._family]
        )

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
        found = self._lookup(None, back)
        return {hop.port for hop in found[1]} if found is not None and found[0].type is RouteType.UNICAST else set()

    def _route(self, trace: Trace, probe: Probe, wanted: str) -> NextHop | None:
        found = self._lookup(trace, probe)
        if found is None:
            trace.note("route", "no route")
            return None
        route, hops = found
        if route.type is not RouteType.UNICAST:
            trace.route = trace.note("route", f"{route.type} {route.destination}", route.span)
            return None
        usable = [hop for hop in hops if hop.port == wanted] or list(hops)
        if not usable:
            return None
        hop = usable[0]
        via = f" via {hop.via}" if hop.via else ""
        trace.route = trace.note(
            "route", f"table {_named(route.table)}: {route.destination}{via} dev {hop.port}", route.span
        )
        if not self._forwarding(probe):
            trace.note("forwarding", f"is off for {probe.incoming}")
            return None
        if self._family == 4 and not self._source_valid(probe, hop.port):
            trace.note("source check", "no route back to the source (rp_filter), or it is the device's own")
            return None
        return hop

    def _lookup(self, trace: Trace | None, probe: Probe) -> tuple[KernelRoute, tuple[NextHop, ...]] | None:
        """The route taken, with its next hops that are up."""
        skip_to = 0
        for rule in self._device.policy_rules[self._family]:
            if rule.priority < skip_to or not self.holds(rule.selector, probe):
                continue
            skip_to = 0
            if rule.action is RuleAction.GOTO:
                skip_to = rule.goto
            elif rule.action is RuleAction.LOOKUP:
                found = self._in_table(rule.table, rule.suppress, probe)
                if found is not None:
                    if trace is not None:
                        trace.policy_rule = trace.note("policy rule", rule.text, rule.span)
                    return found
            elif rule.action is not RuleAction.NOTHING:
                if trace is not None:
                    trace.policy_rule = trace.note("policy rule", rule.text, rule.span)
                return None
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
            hops = tuple(hop for hop in route.next_hops if hop.port not in self._down)
            if best is not None:
                same = (route.destination, route.metric) == (best[0].destination, best[0].metric)
                if not same or best[0].type is not RouteType.UNICAST:
                    break
                if route.type is RouteType.UNICAST:
                    best = (best[0] if best[1] else route, best[1] + self._on_link(hops, probe))
                continue
            if route.type is RouteType.UNICAST and not hops:
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

    def _forwarding(self, probe: Probe) -> bool:
        if self._family == 4:
            return self._switch(probe.incoming, "forwarding")
        if self._switch("all", "forwarding"):
            return True
        return self._setting("all", "force_forwarding") is not None and self._switch(probe.incoming, "force_forwarding")

    def _source_valid(self, probe: Probe, outgoing: str) -> bool:
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


def _bare(probe: Probe, family: int) -> Probe:
    """Without what nft does not ask the routing policy for."""
    bare = probe.with_fields(source_port=0, destination_port=0)
    return bare.with_fields(protocol=0) if family == 4 else bare


def _within(route: KernelRoute, address: int) -> bool:
    network = route.destination
    return int(network[0]) <= address <= int(network[-1])


def _named(table: str) -> str:
    return {"254": "main", "255": "local", "253": "default"}.get(table, table)
