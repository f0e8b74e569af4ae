"""One packet's way through a device, as a term that says when it passes.

    enters -> ingress -> raw prerouting -> connection tracking -> prerouting -> route -> forward -> postrouting ->
    egress -> leaves

Netfilter runs a hook's chains by priority, of equal ones the later registered first (net/netfilter/core.c). Chains that
translate see packets that start a connection, and after the first translation in a hook the others are not asked
(net/netfilter/nf_nat_core.c).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from wardnet.audit.smt.chains import Log, Run, changes
from wardnet.audit.smt.conditions import Ends, Pairs
from wardnet.audit.smt.kernel import Kernel
from wardnet.audit.smt.packet import Unknown, View
from wardnet.audit.smt.routing import Routing
from wardnet.audit.smt.terms import FALSE, Term, both, choose, conj, disj, either, implies, neg, number, one_of, same
from wardnet.model.connections import marks_followed
from wardnet.model.device import Chain, Device, Hook, Table
from wardnet.model.packet import ICMPV6, Field, State
from wardnet.model.span import Span

_TRACKING = -200  # NF_IP_PRI_CONNTRACK
_SOURCE_TRANSLATION = 100  # NF_IP_PRI_NAT_SRC
# Neighbour discovery and multicast listeners: no connections (net/netfilter/nf_conntrack_proto_icmpv6.c).
_UNTRACKED_ICMPV6 = (*range(130, 138), 143)
_MOVED = (Field.SOURCE, Field.DESTINATION, Field.SOURCE_PORT, Field.DESTINATION_PORT)


@dataclass(frozen=True, slots=True)
class Passed:
    """`passes` is when the packet comes out; `diverted`, when it or a copy may come out of any port. `tracked` is the
    packet as connection tracking knows it, `last` as it leaves. `translated` is when its ends were rewritten;
    `remarked`, when it gave its connection another mark, whether it comes out or not."""

    passes: Term
    diverted: Term
    tracked: View
    last: View
    translated: Term
    remarked: Term


class Passage:
    """A device in one family."""

    def __init__(self, device: Device, family: int) -> None:
        self.device = device
        self.family = family
        self.routing = Routing(device, family)
        self.kernel = Kernel(device, family, self.routing)
        self.names = tuple(link.name for link in device.links if not link.loopback)
        self.up = tuple(link.name for link in device.links if link.up and not link.loopback)
        self.marked = marks_followed(device.ruleset)
        self._hooks: dict[Hook, list[tuple[Table, Chain]]] = {hook: [] for hook in Hook}
        for table in reversed(device.ruleset.tables):
            if table.layer == 3 and family in table.families:
                for chain in reversed(list(table.chains.values())):
                    if chain.hook is not None:
                        self._hooks[chain.hook].append((table, chain))
        for found in self._hooks.values():
            found.sort(key=lambda one: one[1].rank)

    def hook(self, hook: Hook) -> list[tuple[Table, Chain]]:
        return self._hooks[hook]

    @property
    def entrances(self) -> tuple[str, ...]:
        """A member of a bridge or bond hands what it hears to its master, before any of this."""
        kinds = {link.name: link.kind for link in self.device.links}
        return tuple(
            link.name
            for link in self.device.links
            if link.name in self.up and (link.master is None or kinds.get(link.master) == "vrf")
        )

    def unordered(self) -> bool:
        """Chains of one hook and priority in several tables, one of which changes packets: which comes first is not in
        the listing."""
        for found in self._hooks.values():
            for place, (table, chain) in enumerate(found):
                for other_table, other in found[place + 1 :]:
                    apart = chain.rank == other.rank and table is not other_table
                    if apart and (changes(table, chain.name) or changes(other_table, other.name)):
                        return True
        return False

    def diverts(self) -> bool:
        return any(getattr(statement, "diverts", False) for rule in self.device.ruleset.rules()
                   for statement in rule.statements)  # fmt: skip

    def translates(self) -> bool:
        return any(chain.translates and chain.rules for found in self._hooks.values() for _, chain in found)

    # --- the way

    def run(
        self, packet: Unknown, states: Collection[State], pairs: Collection[Ends], moved: Term, mark: Term
    ) -> Passed:
        """A packet of which connection tracking thinks one of these states, between one of these pairs of ports.
        `moved` is when it belongs to a connection with translated ends: they are put back as it is tracked. `mark` is
        what it finds on its connection."""
        return _Way(self, packet, states, pairs, moved, mark).passed()


class _Way:
    def __init__(
        self,
        passage: Passage,
        packet: Unknown,
        states: Collection[State],
        pairs: Collection[Ends],
        moved: Term,
        mark: Term,
    ) -> None:
        self._passage = passage
        self._packet = packet
        self._states = states
        self._pairs = Pairs(pairs)
        self._arriving = Pairs(sorted({(source, "") for source, _ in pairs}))
        self._moved = moved
        self._mark = mark
        self._share = packet.script.share
        self._log = Log()
        sources = [name for name in passage.entrances if any(name == pair[0] for pair in pairs)]
        targets = [name for name in passage.up if any(name == pair[1] for pair in pairs)]
        self._leaving = packet.ports("out", targets)
        self._view = View(packet, packet.header(), packet.ports("in", sources), packet.no_port())

    def passed(self) -> Passed:
        passage, packet = self._passage, self._packet
        came_in = disj(both(self._view.incoming.are(name), neg(packet.down(name))) for name in passage.entrances)
        there = both(came_in, passage.kernel.forwardable(self._view))
        if passage.family in passage.device.ruleset.tracked:
            there = both(there, same(self._view.fields[Field.FRAGMENT], number(0, 1)))  # put together by tracking
        for table, chain in passage.hook(Hook.INGRESS):
            there = self._on_ports(table, chain, there, self._view.incoming.are)
        for table, chain in passage.hook(Hook.PREROUTING):
            if chain.priority <= _TRACKING and not chain.translates:
                there = self._through(table, chain, there)
        there = both(there, self._track())
        tracked = self._view
        for table, chain in passage.hook(Hook.PREROUTING):
            if chain.translates:
                chosen = either(self._log.new_destination, same(self._view.fields[Field.TRANSLATED], number(1, 1)))
                there = self._translate(table, chain, there, chosen)
            elif chain.priority > _TRACKING:
                there = self._through(table, chain, there)
        there = self._share(both(there, self._routed()))
        self._view = self._view.leaving_by(self._leaving)
        for table, chain in passage.hook(Hook.FORWARD):
            there = self._through(table, chain, there)
        there = self._after(there)
        translated = either(same(self._view.fields[Field.TRANSLATED], number(1, 1)), self._log.new_source)
        return Passed(there, disj(self._log.diverted), tracked, self._view, translated, self._log.new_mark)

    def _after(self, there: Term) -> Term:
        for table, chain in self._passage.hook(Hook.POSTROUTING):
            if chain.translates:
                there = self._translate(table, chain, there, self._log.new_source)
            elif chain.priority > _SOURCE_TRANSLATION:
                # It sees a new source, of which nothing is known here.
                blind = self._packet.unknown(chain.span, "postrouting after source translation")
                there = self._share(disj((both(there, blind), self._through(table, chain, there))))
            else:
                there = self._through(table, chain, there)
        for table, chain in self._passage.hook(Hook.EGRESS):
            there = self._on_ports(table, chain, there, self._leaving.are)
        return there

    # --- stages

    def _track(self) -> Term:
        """What connection tracking makes of the packet; whether it can."""
        packet, view = self._packet, self._view
        untracked = view.is_state(State.UNTRACKED)
        said = packet.fresh(3)
        possible = [one_of(said, tuple(self._states), 3)]
        if self._passage.family == 6 and State.NEW in self._states:
            # Seen and left alone: neither a connection nor a part of one.
            kind = both(
                same(view.fields[Field.PROTOCOL], number(ICMPV6, 8)),
                one_of(view.fields[Field.ICMP_TYPE], _UNTRACKED_ICMPV6, 8),
            )
            possible.append(both(kind, same(said, number(State.UNTRACKED, 3))))
        state = self._share(choose(untracked, number(State.UNTRACKED, 3), said), 3)
        changed = {Field.STATE.value: state, Field.CONNECTION_MARK.value: self._mark}
        if self._moved != FALSE:
            known = (State.ESTABLISHED, State.RELATED, *((State.NEW,) if self._passage.marked else ()))
            later = one_of(said, known, 3)
            packet.script.demand(implies(self._moved, both(neg(untracked), later)))
            for name in (*_MOVED, Field.TRANSLATED):
                bits = packet.sort(name)
                changed[name.value] = self._share(choose(self._moved, packet.fresh(bits), view.fields[name]), bits)
        self._view = view.changed(**changed)
        return either(untracked, disj(possible))

    def _through(self, table: Table, chain: Chain, there: Term) -> Term:
        pairs = self._pairs if self._view.outgoing.constant else self._arriving
        run = Run(table, self._view, self._passage.routing, pairs, self._log)
        passed = run.base(chain, self._share(there))
        self._view = run.view
        return passed

    def _translate(self, table: Table, chain: Chain, there: Term, done: Term) -> Term:
        """Only what starts a connection, and whose ends nobody has chosen yet in this hook."""
        asked = self._share(conj((there, self._view.is_state(State.NEW), neg(done))))
        return self._share(disj((both(there, neg(asked)), self._through(table, chain, asked))))

    def _on_ports(self, table: Table, chain: Chain, there: Term, at: Callable[[str], Term]) -> Term:
        if chain.devices is None:
            reason = "the listing does not say on which ports the chain hangs"
            here = self._packet.unknown(Span(chain.span.device, chain.span.artefact, chain.span.place), reason)
        else:
            here = disj(at(name) for name in chain.devices)
        met = self._share(both(there, here))
        return self._share(disj((both(there, neg(here)), self._through(table, chain, met))))

    def _routed(self) -> Term:
        passage, view, packet = self._passage, self._view, self._packet
        way = passage.routing.forward(view)
        led = disj(
            conj((self._leaving.are(name), way.ports[name], neg(packet.down(name))))
            for name in self._leaving.candidates
            if name in way.ports
        )
        return conj((led, passage.kernel.forwarding(view), passage.kernel.source_valid(view, self._leaving)))
