"""Connection tracking: which packets can be established or related, from the flows whose first packets got through."""

from __future__ import annotations

from dataclasses import dataclass

from wardnet.audit.sets.space import Bdd, Space
from wardnet.model.packet import ICMP, ICMPV6, Field, State
from wardnet.model.span import Span

_ERRORS = {4: ((3, 5), (11, 12)), 6: ((1, 4),)}  # ICMP types that speak of another packet; 4 is source quench
_REQUESTS = {4: (8, 13, 15, 17), 6: (128, 139)}
UNTRACKED_ICMPV6 = (*range(130, 138), 143)
WRITTEN = (Field.SOURCE, Field.DESTINATION, Field.SOURCE_PORT, Field.DESTINATION_PORT, Field.TRANSLATED)
NOT_OF_FLOW = (
    Field.FRAGMENT,
    Field.TRANSLATED,
    Field.ICMP_TYPE,
    Field.ICMP_CODE,
    Field.TCP_FLAGS,
    Field.NEXT_HEADER,
    Field.DSCP,
)


@dataclass(frozen=True, slots=True)
class Flows:
    """First packets that got through: `plain` with the header that they came with, `moved` with a rewritten one, and
    `own` that the device itself may send or take. Of connections with one of the `remarked` headers the mark is not
    known: a later packet may have set it."""

    plain: Bdd
    moved: Bdd
    own: Bdd
    remarked: Bdd


class Tracking:
    """One device's connection tracking in one family. `helpers` let in related connections of any kind; of several
    `zones` each has connections of its own. `marks`: those of connections matter."""

    def __init__(self, space: Space, device: str, *, helpers: bool, zones: bool = False, marks: bool = False) -> None:
        self.space = space
        self.family = space.family
        self._device = device
        self._helpers = helpers
        self._zones = zones
        self._marks = marks

    def later(self, tracked: Bdd, wanted: Bdd, flows: Flows, *, helped: bool = True) -> Bdd:
        """Established and related packets, each with its state and its connection's mark; and, where such marks matter,
        more like the first one, before any answer: they are `new` as it was, and find the mark that it left. `tracked`
        are all that connection tracking sees; `wanted` are headers: only packets with one of them are looked for.

        Whether a packet belongs to a flow is asked of the few wanted ones, turned round, and not of all flows.
        """
        space = self.space
        turned = space.reversed(wanted)
        plain, moved, own = (self._of_flows(known) for known in (flows.plain, flows.moved, flows.own))
        plain, moved = (self._unsurely_marked(known, flows.remarked) for known in (plain, moved))
        if not self._marks:
            own = own & space.value(Field.CONNECTION_MARK, 0)
        if own != space.false:
            span = Span(self._device, "nft-ruleset.json", "output and input")
            plain = plain | (own & space.guess("unknown", span, "a flow of the device's own may have these ends"))
        anything = space.forget(tracked, *WRITTEN)
        belongs = (plain & wanted) | space.reversed(plain & turned)
        rewritten = (moved & wanted) | space.reversed(moved & turned)
        established = (tracked & belongs) | (anything & rewritten)
        related = self._errors() & ((tracked & self._ends(plain, wanted)) | (anything & self._ends(moved, wanted)))
        if self._helpers and helped:
            span = Span(self._device, "nft-ruleset.json", "connection tracking helpers and expectations")
            related = related | (
                tracked & space.guess("unknown", span, "helpers and expectations let in related connections")
            )
        found = (established & space.value(Field.STATE, State.ESTABLISHED)) | (
            related & space.value(Field.STATE, State.RELATED)
        )
        if self._marks:
            again = (tracked & plain & wanted) | (anything & moved & wanted)
            found = found | (again & space.value(Field.STATE, State.NEW))
        return found

    def left_alone(self) -> Bdd:
        """Neighbour discovery and multicast listeners of IPv6: no connections, nor parts of any, and so untracked."""
        space = self.space
        if self.family == 4:
            return space.false
        kinds = space.any_of(space.value(Field.ICMP_TYPE, kind) for kind in UNTRACKED_ICMPV6)
        return space.value(Field.PROTOCOL, ICMPV6) & kinds & space.value(Field.STATE, State.UNTRACKED)

    def _starts_none(self) -> Bdd:
        """ICMP that starts no flow: all but requests."""
        space = self.space
        requests = space.any_of(space.value(Field.ICMP_TYPE, kind) for kind in _REQUESTS[self.family])
        return space.value(Field.PROTOCOL, ICMP if self.family == 4 else ICMPV6) & ~requests

    def _errors(self) -> Bdd:
        space = self.space
        kind = space.value(Field.PROTOCOL, ICMP if self.family == 4 else ICMPV6)
        return kind & space.any_of(space.between(Field.ICMP_TYPE, low, high) for low, high in _ERRORS[self.family])

    def _of_flows(self, flows: Bdd) -> Bdd:
        """Flows by their addresses, protocol and ports: through any port, with any flags. One that hangs on an unknown
        is an unknown of its own, since it held for another packet."""
        space = self.space
        flows = space.forget(flows & ~self._starts_none(), Field.MARK)
        beside = ("in", "out", Field.STATE, Field.MARK, *NOT_OF_FLOW)
        certain = space.false if self._zones else space.forget(space.headers(space.certain(flows)), *beside)
        possible = space.forget(space.headers(space.possible(flows)), *beside)
        if certain == possible:
            return certain
        span = Span(self._device, "nft-ruleset.json", "flows")
        reason = "in which zone a connection is tracked" if self._zones else "a flow that an unknown may let start"
        return certain | (possible & space.guess("unknown", span, reason))

    def _unsurely_marked(self, flows: Bdd, remarked: Bdd) -> Bdd:
        """Those of which a later packet may have set the mark have any mark as well, maybe."""
        space = self.space
        if remarked == space.false:
            return flows
        span = Span(self._device, "nft-ruleset.json", "marks of connections")
        unsure = space.guess("unknown", span, "a later packet of a connection may set its mark")
        return flows | (space.forget(flows & remarked, Field.CONNECTION_MARK) & unsure)

    def remarked(self, packets: Bdd) -> Bdd:
        """Flows that these packets belong to or are related to, with the marks that the packets found."""
        space = self.space
        packets = space.headers(space.possible(packets))
        related = space.value(Field.STATE, State.RELATED)
        beside = ("in", "out", Field.STATE, Field.MARK, *NOT_OF_FLOW)
        parts = space.forget(packets & ~related, *beside)
        ends = space.forget(packets & related, *beside, Field.SOURCE, Field.PROTOCOL, Field.SOURCE_PORT,
                            Field.DESTINATION_PORT)  # fmt: skip
        found = parts | ends
        return found | space.reversed(found)

    def _ends(self, flows: Bdd, wanted: Bdd) -> Bdd:
        """The destination is an end of one of the flows, and of a wanted packet."""
        space = self.space
        others = (Field.SOURCE, Field.PROTOCOL, Field.SOURCE_PORT, Field.DESTINATION_PORT)
        here = space.forget(wanted, *others)
        last = space.forget(flows & here, *others)
        first = space.forget(space.reversed(flows & space.reversed(here)), *others)
        return here & (last | first)
