"""What passes through a device: from port to port, in one family, in all link states.

    enters -> ingress -> prerouting, with connection tracking and new destinations -> route, forwarding switched on,
    the source's route back -> forward -> postrouting -> egress -> leaves

A set of packets goes through with ports and link state as variables, so once is enough for all pairs of ports.
Headers are those at the forward hook: after a new destination, before a new source. An established or related
packet needs a flow whose first packet got through; so first packets go first.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

from wardnet.audit.sets.chains import Chains, Translation, Walk
from wardnet.audit.sets.conditions import Conditions
from wardnet.audit.sets.kernel import Kernel
from wardnet.audit.sets.routing import Routing, failing, parting
from wardnet.audit.sets.scales import Scales
from wardnet.audit.sets.space import Bdd, Space
from wardnet.audit.sets.tracking import NOT_OF_FLOW, WRITTEN, Flows, Tracking
from wardnet.model.connections import asks_for_marks, marks_followed, marks_set_beside
from wardnet.model.device import Chain, Device, Hook, Opaque, Table
from wardnet.model.packet import Field, State
from wardnet.model.span import Span

CONNTRACK = -200
SOURCE_NAT = 100


@dataclass(frozen=True, slots=True)
class Base:
    """A base chain with its table's evaluator."""

    chain: Chain
    chains: Chains


@dataclass
class Passage:
    """`packets` pass, over headers, ports and link states; `flows` are the first packets that do. A new packet that is
    none of `beginning` is not its connection's first. `diverted` may leave by any port, past the rest."""

    packets: Bdd
    beginning: Bdd
    flows: Bdd
    translations: list[Translation] = field(default_factory=list)
    diverted: list[tuple[Span, Bdd]] = field(default_factory=list)


class Pipeline:
    """One device in one family. Of packets that belong to a flow only those `between` the named ordered pairs of ports
    are looked for, where pairs are named. What `scales` there are must suit all that is asked."""

    def __init__(
        self,
        device: Device,
        family: int,
        backend: str | None = None,
        between: Collection[tuple[str, str]] | None = None,
        scales: Scales | None = None,
    ) -> None:
        self._between = between
        self._chains: list[Chains] = []
        self.device = device
        self.family = family
        ports = tuple(link.name for link in device.links if link.up and not link.loopback)
        self.space = Space(family, ports, failing(device, family), parting(device, family), backend, scales)
        self.routing = Routing(device, self.space)
        self.conditions = Conditions(self.space, self.routing)
        self.kernel = Kernel(device, self.space, self.routing)
        helpers = device.ruleset.helpers or self.kernel.setting("net.netfilter.nf_conntrack_helper") == "1"
        self._asked = asks_for_marks(device.ruleset)
        self._marks = marks_followed(device.ruleset)
        self._marked_beside = self._marks and marks_set_beside(device.ruleset)
        self.tracking = Tracking(self.space, device.id, helpers=helpers, zones=device.ruleset.zones, marks=self._marks)
        self._bases: dict[Hook, list[Base]] = {hook: [] for hook in Hook}
        for table in device.ruleset.tables:
            if table.layer == 3 and family in table.families:
                self._add(table)
        for found in self._bases.values():
            # Of two with one priority the kernel runs the one that was added later first; the listing is in the order
            # in which they were added, but for chains that joined an older table after a younger one's.
            found.reverse()
            found.sort(key=lambda base: base.chain.rank)

    def _add(self, table: Table) -> None:
        chains = Chains(self.space, self.conditions, table)
        self._chains.append(chains)
        for chain in table.chains.values():
            if chain.hook is not None:
                self._bases[chain.hook].append(Base(chain, chains))

    def bases(self, hook: Hook) -> list[Base]:
        """The hook's base chains in the order in which packets meet them."""
        return self._bases[hook]

    def disordered(self) -> tuple[Span, ...]:
        """Chains of one hook and priority in several tables, one of which changes packets: their order, and so what
        they do, is not in the listing."""
        found = []
        for bases in self._bases.values():
            for one, other in combinations(bases, 2):
                alike = one.chain.rank == other.chain.rank
                calm = one.chains.pure(one.chain.name) and other.chains.pure(other.chain.name)
                if alike and one.chains is not other.chains and not calm:
                    found.append(one.chain.span)
        return tuple(found)

    # --- the way through

    @cached_property
    def passage(self) -> Passage:
        space = self.space
        walk = Walk()
        arrived = self._arrived(walk)
        untracked = space.value(Field.STATE, State.UNTRACKED)
        tracked = space.forget(arrived & ~untracked, Field.STATE, Field.CONNECTION_MARK)
        fresh = space.value(Field.STATE, State.NEW) | space.value(Field.STATE, State.INVALID)
        wanted = space.true if self._marks else self._wanted(arrived)
        beginning = (arrived & untracked) | (tracked & fresh) | (tracked & self.tracking.left_alone())
        beginning = beginning & self._unmarked
        if self._between is not None and self._unchanging():
            # Neither a crossing nor a flow that one belongs to has other ends than these.
            ends = space.forget(wanted, Field.SOURCE, Field.PROTOCOL, Field.SOURCE_PORT, Field.DESTINATION_PORT)
            ends = ends | space.reversed(ends)
            beginning = beginning & ends
            for chains in self._chains:
                chains.only(ends)
        first = self._through(beginning, walk)
        flows = first & space.value(Field.STATE, State.NEW)
        passed = first
        if wanted != space.false:
            touched = [space.value(Field.TRANSLATED, 1), *walk.source_translated]
            moved = space.any_of(space.forget(flows & packets, "in", "out") for packets in touched)
            known = Flows(flows, moved, self._own_flows(), self._remarked(tracked, flows, moved))
            later = Walk()
            following = self._through(self.tracking.later(tracked, wanted, known), later)
            passed = passed | following
            walk.diverted += later.diverted
        self._divert(walk)
        beginning = first if self._marks else space.true
        return Passage(passed, beginning, flows, walk.translations, walk.diverted)

    @property
    def _unmarked(self) -> Bdd:
        """A connection begins without a mark, and keeps none where no rule sets any."""
        return self.space.value(Field.CONNECTION_MARK, 0) if self._asked else self.space.true

    def _remarked(self, tracked: Bdd, flows: Bdd, moved: Bdd) -> Bdd:
        """Flows of which a later packet, or an error, may give the connection another mark."""
        space = self.space
        if not self._marks or self._marked_beside:
            return space.true if self._marked_beside else space.false
        walk = Walk()
        forwarded = Flows(flows, moved, space.false, space.false)
        self._through(self.tracking.later(tracked, space.true, forwarded, helped=False), walk)
        return self.tracking.remarked(space.any_of(walk.remarked))

    @cached_property
    def reached(self) -> Bdd:
        """First packets that may reach the device itself. To be asked before `passage`, which has chains forget what
        does not cross."""
        space = self.space
        walk = Walk()
        arrived = self._arrived(walk)
        untracked = space.value(Field.STATE, State.UNTRACKED)
        new = space.value(Field.STATE, State.NEW)
        tracked = space.forget(arrived & ~untracked, Field.STATE, Field.CONNECTION_MARK)
        packets = ((arrived & untracked) | (tracked & new)) & self._unmarked
        for base in self.bases(Hook.PREROUTING):
            if base.chain.translates:
                packets = self._new_only(base, packets, walk)
            elif base.chain.priority > CONNTRACK:
                packets = base.chains.walk(base.chain, packets, walk)
        packets = packets & self.routing.local(Field.DESTINATION)
        for base in self.bases(Hook.INPUT):
            if not base.chain.translates:
                packets = self._filtered(base, packets, walk)
        return packets

    def _unchanging(self) -> bool:
        """No chain rewrites or diverts a packet, but for its source on the way out."""
        hooks = (Hook.PREROUTING, Hook.FORWARD, Hook.POSTROUTING, Hook.EGRESS)
        return all(
            base.chains.pure(base.chain.name) or (hook is Hook.POSTROUTING and base.chain.translates)
            for hook in hooks
            for base in self.bases(hook)
            if hook is not Hook.PREROUTING or base.chain.translates or base.chain.priority > CONNTRACK
        )

    def _wanted(self, arrived: Bdd) -> Bdd:
        """Headers of packets that would be led between the ports that are asked about. All, where a chain behind
        connection tracking changes packets, and with them their route."""
        space = self.space
        moving = [base for base in self.bases(Hook.PREROUTING) if base.chain.priority > CONNTRACK]
        if any(not base.chain.translates and not base.chains.pure(base.chain.name) for base in moving):
            return space.true
        if any(isinstance(s, Opaque) and s.diverts for rule in self.device.ruleset.rules() for s in rule.statements):
            return space.true  # diverted packets leave by other ports than they would be led to
        led = self._routed(space.forget(arrived, Field.STATE, *WRITTEN))
        if self._between is not None:
            led = led & space.any_of(space.entering(a) & space.leaving(b) for a, b in self._between)
        chances = space.headers(space.possible(led))
        return space.forget(chances, "in", "out", Field.STATE, Field.MARK, Field.CONNECTION_MARK, *NOT_OF_FLOW)

    def _own_flows(self) -> Bdd:
        """What the device's own output and input let start."""
        space = self.space
        found = []
        for hook, side, own in ((Hook.OUTPUT, "in", Field.SOURCE), (Hook.INPUT, "out", Field.DESTINATION)):
            packets = self.routing.local(own) & space.value(side, 0) & space.value(Field.STATE, State.NEW)
            for base in self.bases(hook):
                if not base.chain.translates and base.chains.pure(base.chain.name):
                    packets = packets & base.chains.accepted(base.chain)
            found.append(packets)
        return space.any_of(found)

    def _divert(self, walk: Walk) -> None:
        """Diverted packets may leave by any port, whatever their route would be."""
        found = [(span, self.space.forget(packets, "out")) for span, packets in walk.diverted]
        walk.diverted = [(span, packets) for span, packets in found if packets != self.space.false]

    def _arrived(self, walk: Walk) -> Bdd:
        """What enters and gets to connection tracking."""
        space = self.space
        enters = space.any_of(space.entering(port) & ~space.down(port) for port in entrances(self.device))
        enters = enters & space.value("out", 0) & space.value(Field.MARK, 0) & space.value(Field.TRANSLATED, 0)
        enters = enters & space.value(Field.STATE, State.INVALID)  # what rules see before connection tracking
        if self.family in self.device.ruleset.tracked:
            enters = enters & space.value(Field.FRAGMENT, 0)  # connection tracking puts fragments together
        enters = enters & self.kernel.sane()
        for base in self.bases(Hook.INGRESS):
            enters = self._on_devices(base, enters, walk, "in")
        for base in self.bases(Hook.PREROUTING):
            if base.chain.priority <= CONNTRACK and not base.chain.translates:
                enters = base.chains.walk(base.chain, enters, walk)
        return enters

    def _through(self, packets: Bdd, walk: Walk) -> Bdd:
        """From connection tracking on."""
        space = self.space
        for base in self.bases(Hook.PREROUTING):
            if base.chain.translates:
                packets = self._new_only(base, packets, walk)
            elif base.chain.priority > CONNTRACK:
                packets = base.chains.walk(base.chain, packets, walk)
        packets = self._routed(packets)
        for base in self.bases(Hook.FORWARD):
            packets = self._filtered(base, packets, walk)
        for base in self.bases(Hook.POSTROUTING):
            if base.chain.translates:
                packets = self._new_only(base, packets, walk)
            elif base.chain.priority > SOURCE_NAT:
                # It sees the new source, which the set does not have: it may drop, or not.
                blind = space.guess("unknown", base.chain.span, "postrouting after source translation")
                packets = (packets & blind) | self._filtered(base, packets, walk)
            else:
                packets = self._filtered(base, packets, walk)
        for base in self.bases(Hook.EGRESS):
            packets = self._on_devices(base, packets, walk, "out")
        return packets

    def _new_only(self, base: Base, packets: Bdd, walk: Walk) -> Bdd:
        """Chains that translate see a connection's first packet only."""
        new = packets & self.space.value(Field.STATE, State.NEW)
        # Once its ends are chosen in a hook, the connection's packets don't meet that hook's other translations.
        if base.chain.hook is Hook.PREROUTING:
            new = new & self.space.value(Field.TRANSLATED, 0)
        elif walk.source_translated:
            new = new & ~self.space.any_of(walk.source_translated)
        return (packets & ~new) | base.chains.walk(base.chain, new, walk)

    def _filtered(self, base: Base, packets: Bdd, walk: Walk) -> Bdd:
        if base.chains.pure(base.chain.name):
            return packets & base.chains.accepted(base.chain)
        return base.chains.walk(base.chain, packets, walk)

    def _on_devices(self, base: Base, packets: Bdd, walk: Walk, side: str) -> Bdd:
        """A chain that hangs on some ports; on any, maybe, where the listing does not say on which."""
        space = self.space
        if base.chain.devices is None:
            here = space.guess("unknown", base.chain.span, "the listing does not say on which ports the chain hangs")
        else:
            one = space.entering if side == "in" else space.leaving
            here = space.any_of(one(port) for port in base.chain.devices)
        return (packets & ~here) | base.chains.walk(base.chain, packets & here, walk)

    def _routed(self, packets: Bdd) -> Bdd:
        space = self.space
        routed = self.routing.forward()
        packets = space.forget(packets & self.kernel.forwarding(), "out")
        packets = space.any_of(packets & found & space.leaving(port) for port, found in routed.ports.items())
        return packets & self.kernel.source_valid() if self.family == 4 else packets


def entrances(device: Device) -> tuple[str, ...]:
    """Ports at which routed packets enter: switched on, no loopback, not a bridge's or bond's member."""
    masters = {link.name: link.kind for link in device.links}
    return tuple(
        link.name
        for link in device.links
        if link.up and not link.loopback and (link.master is None or masters.get(link.master) == "vrf")
    )
