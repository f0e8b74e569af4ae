"""One packet through a device, step by step, with plain numbers: what the sets say, shown on an example.

Shares the model and nothing else with the sets, so that an example which does not pass here is a disagreement.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from wardnet.audit.question import LinkState
from wardnet.audit.records import Hop
from wardnet.audit.steps.concrete import Concrete, Guessed, Probe
from wardnet.model.device import (
    Chain,
    Choose,
    Decide,
    Device,
    FilterRule,
    Hook,
    Match,
    NextHop,
    Opaque,
    RouteType,
    SetMark,
    Table,
    TranslateDestination,
    TranslateSource,
    Untrack,
    Verdict,
)
from wardnet.model.packet import (
    Field,
    State,
)
from wardnet.model.span import Span

CONNTRACK = -200


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
    """One device in one family and one link state. `guessed` answers for unknowns and chances."""

    def __init__(
        self,
        device: Device,
        family: int,
        links: LinkState,
        guessed: Guessed,
        *,
        state: State = State.NEW,
        translated_to: tuple[int, int] | None = None,
        mark: int = 0,
    ) -> None:
        self._device = device
        self._family = family
        self._guessed = guessed
        self._concrete = Concrete(device, family, links, guessed)
        self._links = links
        self._state = state  # what connection tracking makes of the packet
        self._mark = mark  # of its connection, as it finds it
        self._translated_to = translated_to  # address and port, where a translation leaves a choice

    def run(self, probe: Probe, wanted: str, *, from_tracking: bool = False) -> Trace:
        """The packet's way, hoped to leave by `wanted`. `from_tracking` starts it at connection tracking, as for an
        answer whose addresses are put back there."""
        trace = Trace()
        trace.note("enters", f"through {probe.incoming}")
        if probe.incoming in self._links.down:
            trace.note("enters", f"{probe.incoming} is down")
            return trace
        hooks = [] if from_tracking else [*self._bases(Hook.INGRESS), *self._prerouting(before=True)]
        for table, chain in hooks:
            result = self._pass(trace, table, chain, probe)
            if result is None:
                return trace
            probe = result
        if probe.fields[Field.STATE] != State.UNTRACKED:
            probe = probe.with_fields(state=self._state, connection_mark=self._mark)
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
        return sorted(found, key=lambda pair: pair[1].rank)

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
        if chain.translates and chain.hook is Hook.PREROUTING and probe.fields[Field.TRANSLATED]:
            return probe  # its ends are chosen
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
                    if not self._concrete.holds(predicate, probe):
                        return None, probe, False
                case Decide():
                    decide = statement
                case Choose(cases=cases):
                    decide = next((d for predicate, d in cases if self._concrete.holds(predicate, probe)), None)
                    if decide is None:
                        return None, probe, False
                case SetMark(keep=keep, flip=flip, source=source, target=target):
                    probe = probe.with_fields(**{target.value: (probe.fields[source] & keep) ^ flip})
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

    def _route(self, trace: Trace, probe: Probe, wanted: str) -> NextHop | None:
        found = self._concrete.lookup(probe)
        if found is None:
            trace.note("route", "no route")
            return None
        trace.policy_rule = trace.note("policy rule", found.rule.text, found.rule.span)
        route, hops = found.route, found.hops
        if route is None:
            return None
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
        if not self._concrete.forwarding(probe):
            trace.note("forwarding", f"is off for {probe.incoming}")
            return None
        if self._family == 4 and not self._concrete.source_valid(probe, hop.port):
            trace.note("source check", "no route back to the source (rp_filter), or it is the device's own")
            return None
        return hop


def _named(table: str) -> str:
    return {"254": "main", "255": "local", "253": "default"}.get(table, table)
