"""What passes through a device: from port to port, in one family, in all link states.

    enters -> ingress -> prerouting, with connection tracking and new destinations -> route, forwarding switched on,
    the source's route back -> forward -> postrouting -> egress -> leaves

A set of packets goes through with ports and link state as variables, so once is enough for all pairs of ports.
Headers are those at the forward hook: after a new destination, before a new source. An established or related
packet needs a flow whose first packet got through; so first packets go first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

from wardnet.audit.chains import Chains, Translation, Walk
from wardnet.audit.conditions import Conditions
from wardnet.audit.routing import Routing
from wardnet.audit.space import Bdd, Space
from wardnet.model.device import Chain, Device, Hook, Table
from wardnet.model.packet import ICMP, ICMPV6, Field, State, looks_at
from wardnet.model.span import Span

CONNTRACK = -200
SOURCE_NAT = 100
_ERRORS = {4: ((3, 5), (11, 12)), 6: ((1, 4),)}  # ICMP types that speak of another packet; 4 is source quench
_EXTENSION_HEADERS = (0, 43, 44, 51, 60, 135, 139, 140)
_MANY = 4  # uplinks up to which pairs of failures are looked at too
# Sources and destinations that the kernel never forwards.
_NOWHERE: dict[int, dict[Field, tuple[tuple[int, int], ...]]] = {
    4: {
        Field.SOURCE: ((0, 0x00FFFFFF), (0xE0000000, 0xEFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF)),
        Field.DESTINATION: ((0, 0x00FFFFFF), (0xE0000000, 0xEFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF)),
    },
    6: {
        Field.SOURCE: ((0, 1), (0xFE80 << 112, (0xFEC0 << 112) - 1), (0xFF << 120, (1 << 128) - 1)),
        Field.DESTINATION: ((0, 1), (0xFF << 120, (1 << 128) - 1)),
    },
}
_LOOPBACK = (0x7F000000, 0x7FFFFFFF)


@dataclass(frozen=True, slots=True)
class Base:
    """A base chain with its table's evaluator."""

    chain: Chain
    chains: Chains


@dataclass
class Passage:
    """`packets` pass, over headers, ports and link states; `flows` are the first packets that do. `diverted` may
    leave by any port, past the rest."""

    packets: Bdd
    flows: Bdd
    translations: list[Translation] = field(default_factory=list)
    diverted: list[tuple[Span, Bdd]] = field(default_factory=list)


class Pipeline:
    """One device in one family. `circuits` are its uplinks, whose failures count."""

    def __init__(self, device: Device, family: int, circuits: tuple[str, ...], backend: str | None = None) -> None:
        self.device = device
        self.family = family
        self.states = link_states(circuits, tuple(link.name for link in device.links if not link.loopback))
        ports = tuple(link.name for link in device.links if link.up and not link.loopback)
        self.space = Space(family, ports, len(self.states), backend)
        self.routing = Routing(device, self.space, self.states)
        self.conditions = Conditions(self.space, self.routing)
        self._bases: dict[Hook, list[Base]] = {hook: [] for hook in Hook}
        for table in device.ruleset.tables:
            if table.layer == 3 and family in table.families:
                self._add(table)
        for found in self._bases.values():
            # Of two with one priority the kernel runs the one that was added later first; the listing is in the order
            # in which they were added, but for chains that joined an older table after a younger one's.
            found.reverse()
            found.sort(key=lambda base: base.chain.priority)

    def _add(self, table: Table) -> None:
        chains = Chains(self.space, self.conditions, table)
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
                alike = one.chain.priority == other.chain.priority and one.chain.translates == other.chain.translates
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
        first = self._through(arrived, walk, [State.NEW, State.INVALID], space.false, space.false)
        flows = first & space.value(Field.STATE, State.NEW)
        known = space.any_of(
            space.forget(first & packets, "in", "out") & space.value(Field.STATE, State.NEW)
            for packets in [space.value(Field.TRANSLATED, 1), *walk.source_translated]
        )
        later = self._through(arrived, Walk(), [State.ESTABLISHED, State.RELATED], flows, known)
        passed = first | later
        self._divert(walk)
        return Passage(passed, flows, walk.translations, walk.diverted)

    def _divert(self, walk: Walk) -> None:
        """Diverted packets may leave by any port, whatever their route would be."""
        found = [(span, self.space.forget(packets, "out")) for span, packets in walk.diverted]
        walk.diverted = [(span, packets) for span, packets in found if packets != self.space.false]

    def _arrived(self, walk: Walk) -> Bdd:
        """What enters and gets to connection tracking."""
        space = self.space
        enters = space.any_of(space.entering(port) for port in entrances(self.device))
        enters = enters & space.value("out", 0) & space.value(Field.MARK, 0) & space.value(Field.TRANSLATED, 0)
        enters = enters & space.value(Field.STATE, State.INVALID)  # what rules see before connection tracking
        if self.family in self.device.ruleset.tracked:
            enters = enters & space.value(Field.FRAGMENT, 0)  # connection tracking puts fragments together
        enters = enters & self._sane()
        for base in self.bases(Hook.INGRESS):
            enters = self._on_devices(base, enters, walk, "in")
        for base in self.bases(Hook.PREROUTING):
            if base.chain.priority <= CONNTRACK and not base.chain.translates:
                enters = base.chains.walk(base.chain, enters, walk)
        return enters

    def _sane(self) -> Bdd:
        """Addresses that the kernel forwards at all."""
        space = self.space
        bad = [space.between(name, low, high) for name, found in _NOWHERE[self.family].items() for low, high in found]
        if self.family == 4:
            loopback = space.between(Field.SOURCE, *_LOOPBACK) | space.between(Field.DESTINATION, *_LOOPBACK)
            allowed = self._ports_with("route_localnet")
            bad.append(loopback & ~allowed)
        elif any(looks_at(p, Field.NEXT_HEADER) for rule in self.device.ruleset.rules() for p in rule.predicates()):
            plain = space.any_of(
                space.value(Field.NEXT_HEADER, number) & space.value(Field.PROTOCOL, number) for number in range(256)
            )
            extended = space.any_of(space.value(Field.NEXT_HEADER, number) for number in _EXTENSION_HEADERS)
            bad.append(~(plain | extended))
        return ~space.any_of(bad)

    def _through(self, arrived: Bdd, walk: Walk, states: list[State], flows: Bdd, translated: Bdd) -> Bdd:
        """From connection tracking on, for packets in the given states (and untracked ones, with new ones)."""
        space = self.space
        untracked = space.value(Field.STATE, State.UNTRACKED)
        tracked = space.forget(arrived & ~untracked, Field.STATE)
        packets = arrived & untracked if State.NEW in states else space.false
        for state in states:
            packets = packets | (self._in_state(state, tracked, flows, translated) & space.value(Field.STATE, state))
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

    def _in_state(self, state: State, packets: Bdd, flows: Bdd, translated: Bdd) -> Bdd:
        """Of tracked packets those that can be in the state."""
        space = self.space
        if state in (State.NEW, State.INVALID):
            return packets
        plain = self._of_flows(flows)
        moved = self._of_flows(translated)
        if state is State.ESTABLISHED:
            here = packets & (plain | space.reversed(plain))
            anything = space.forget(packets, *_WRITTEN) & (moved | space.reversed(moved))
            return here | anything
        kind = ICMP if self.family == 4 else ICMPV6
        errors = space.value(Field.PROTOCOL, kind) & space.any_of(
            space.between(Field.ICMP_TYPE, low, high) for low, high in _ERRORS[self.family]
        )
        found = errors & ((packets & self._ends(plain)) | (space.forget(packets, *_WRITTEN) & self._ends(moved)))
        if self.device.ruleset.helpers or self._setting("net.netfilter.nf_conntrack_helper") == "1":
            span = Span(self.device.id, "nft-ruleset.json", "connection tracking helpers")
            found = found | (packets & space.guess("unknown", span, "helpers let in related connections"))
        return found

    def _of_flows(self, flows: Bdd) -> Bdd:
        """Flows by their addresses, protocol and ports: through any port, with any flags. One that hangs on an unknown
        is an unknown of its own, since it held for another packet."""
        space = self.space
        beside = ("in", "out", Field.STATE, Field.MARK, *_NOT_OF_FLOW)
        certain = space.forget(space.headers(space.certain(flows)), *beside)
        possible = space.forget(space.headers(space.possible(flows)), *beside)
        if certain == possible:
            return certain
        span = Span(self.device.id, "nft-ruleset.json", "flows")
        return certain | (possible & space.guess("unknown", span, "a flow that an unknown may let start"))

    def _ends(self, flows: Bdd) -> Bdd:
        """The destination is an end of one of the flows."""
        space = self.space
        others = (Field.SOURCE, Field.PROTOCOL, Field.SOURCE_PORT, Field.DESTINATION_PORT)
        both = flows | space.reversed(flows)
        return space.forget(both, *others)

    def _new_only(self, base: Base, packets: Bdd, walk: Walk) -> Bdd:
        """Chains that translate see a connection's first packet only."""
        new = packets & self.space.value(Field.STATE, State.NEW)
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

    # --- routing and its switches

    def _routed(self, packets: Bdd) -> Bdd:
        space = self.space
        routed = self.routing.forward()
        packets = space.forget(packets & self._forwarding(), "out")
        packets = space.any_of(packets & found & space.leaving(port) for port, found in routed.ports.items())
        return packets & self._source_valid() if self.family == 4 else packets

    def _forwarding(self) -> Bdd:
        if self.family == 4:
            return self._ports_with("forwarding")
        everywhere = self._switch("net.ipv6.conf.all.forwarding")
        forced = self._setting("net.ipv6.conf.all.force_forwarding")
        return everywhere if forced is None else everywhere | self._ports_with("force_forwarding")

    def _source_valid(self) -> Bdd:
        """The kernel's check of IPv4 sources: not its own, and, as `rp_filter` says, with a route back."""
        space = self.space
        modes = {port: self._reverse_mode(port) for port in space.ports}
        own = self.routing.local(Field.SOURCE)
        accepting = self._ports_with("accept_local", everywhere=True)
        if any(mode != 0 for mode in modes.values()) or self.routing.has_own_rules():
            back = self.routing.back(by_mark=False, answering=True)
            own = own | back.device
        own = own & ~accepting
        valid = [~own & space.any_of(space.entering(port) for port, mode in modes.items() if mode == 0)]
        for port, mode in modes.items():
            if mode == 0:
                continue
            marked = self._setting(f"net.ipv4.conf.{port}.src_valid_mark") == "1" or (
                self._setting("net.ipv4.conf.all.src_valid_mark") == "1"
            )
            back = self.routing.back(by_mark=marked, answering=True)
            route = back.ports[port] if mode == 1 else space.any_of(back.ports.values())
            if mode is None:
                span = self._setting_span(f"net.ipv4.conf.{port}.rp_filter")
                route = route | space.guess("unknown", span, "is not in the listing")
            valid.append(space.entering(port) & ~own & route)
        return space.any_of(valid)

    def _reverse_mode(self, port: str) -> int | None:
        """0 off, 1 strict, 2 loose; None where the listing does not say."""
        here, all_ports = (self._setting(f"net.ipv4.conf.{name}.rp_filter") for name in (port, "all"))
        if here not in ("0", "1", "2") or all_ports not in ("0", "1", "2"):
            return None
        return max(int(here), int(all_ports))

    def _ports_with(self, setting: str, *, everywhere: bool = False) -> Bdd:
        """Packets that came in by a port where the setting is on (or on for all, where that is enough)."""
        space = self.space
        prefix = f"net.ipv{self.family}.conf"
        found = [space.entering(port) & self._switch(f"{prefix}.{port}.{setting}") for port in space.ports]
        if everywhere or setting == "route_localnet":
            found.append(self._switch(f"{prefix}.all.{setting}"))
        return space.any_of(found)

    def _switch(self, name: str) -> Bdd:
        value = self._setting(name)
        if value in ("0", "1"):
            return self.space.true if value == "1" else self.space.false
        return self.space.guess("unknown", self._setting_span(name), f"is {value or 'not in the listing'}")

    def _setting(self, name: str) -> str | None:
        """sysctl writes a dot in a port's name as a slash."""
        settings = self.device.settings
        if name in settings:
            return settings[name]
        head, _, last = name.rpartition(".")
        prefix, port = head[: len("net.ipv4.conf.")], head[len("net.ipv4.conf.") :]
        return settings.get(f"{prefix}{port.replace('.', '/')}.{last}")

    def _setting_span(self, name: str) -> Span:
        return Span(self.device.id, "sysctl.txt", name)


_WRITTEN = (Field.SOURCE, Field.DESTINATION, Field.SOURCE_PORT, Field.DESTINATION_PORT, Field.TRANSLATED)
_NOT_OF_FLOW = (
    Field.FRAGMENT,
    Field.TRANSLATED,
    Field.ICMP_TYPE,
    Field.ICMP_CODE,
    Field.TCP_FLAGS,
    Field.NEXT_HEADER,
    Field.DSCP,
)


def entrances(device: Device) -> tuple[str, ...]:
    """Ports at which routed packets enter: switched on, no loopback, not a bridge's or bond's member."""
    masters = {link.name: link.kind for link in device.links}
    return tuple(
        link.name
        for link in device.links
        if link.up and not link.loopback and (link.master is None or masters.get(link.master) == "vrf")
    )


def link_states(circuits: tuple[str, ...], ports: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    """All up as captured; each circuit down; with few circuits also two at a time; and each other port down."""
    uplinks = [name for name in circuits if name in ports]
    found = [frozenset[str](), *(frozenset({name}) for name in uplinks)]
    if len(uplinks) <= _MANY:
        found.extend(frozenset(pair) for pair in combinations(uplinks, 2))
    found.extend(frozenset({name}) for name in ports if name not in uplinks)
    return tuple(found)
