"""Connection tracking: which packets can be established or related, from the flows whose first packets got through."""

from __future__ import annotations

from dataclasses import dataclass

from wardnet.audit.sets.space import Bdd, Space
from wardnet.model.packet import ICMP, ICMPV6, Field, State
from wardnet.model.span import Span

_ERRORS = {4: ((3, 5), (11, 12)), 6: ((1, 4),)}  # ICMP types that speak of another packet; 4 is source quench
# Requests, each with its answer; of other ICMP no flow starts.
ANSWERS = {4: {8: 0, 13: 14, 15: 16, 17: 18}, 6: {128: 129, 139: 140}}
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
        belongs = (plain & wanted) | self._turned(plain & turned)
        rewritten = (moved & wanted) | self._turned(moved & turned)
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
        requests = space.any_of(space.value(Field.ICMP_TYPE, kind) for kind in ANSWERS[self.family])
        return self._icmp() & ~requests

    def _icmp(self) -> Bdd:
        return self.space.value(Field.PROTOCOL, ICMP if self.family == 4 else ICMPV6)

    def _turned(self, flows: Bdd, *, back: bool = False) -> Bdd:
        """What comes back in flows: the ends exchanged, and answers for requests; or from these `back` to the flows."""
        space = self.space
        echoes = flows & self._icmp()
        pairs = ANSWERS[self.family].items()
        answers = (
            space.at(echoes, Field.ICMP_TYPE, one) & space.value(Field.ICMP_TYPE, other)
            for one, other in ((pair[::-1] for pair in pairs) if back else pairs)
        )
        return space.reversed((flows & ~self._icmp()) | space.any_of(answers))

    def _errors(self) -> Bdd:
        space = self.space
        return self._icmp() & space.any_of(
            space.between(Field.ICMP_TYPE, low, high) for low, high in _ERRORS[self.family]
        )

    def _of_flows(self, flows: Bdd) -> Bdd:
        """Flows by their addresses, protocol, and ports or kind of request: through any port, with any flags. One that
        hangs on an unknown is an unknown of its own, since it held for another packet."""
        space = self.space
        flows = space.forget(flows & ~self._starts_none(), Field.MARK)
        certain = space.false if self._zones else self._ends_alone(space.headers(space.certain(flows)))
        possible = self._ends_alone(space.headers(space.possible(flows)))
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
        established = space.value(Field.STATE, State.ESTABLISHED)
        straight = self._ends_alone(packets & ~related)
        answered = self._turned(self._ends_alone(packets & established), back=True)
        ends = space.forget(packets & related, "in", "out", Field.STATE, Field.MARK, *NOT_OF_FLOW, Field.SOURCE,
                            Field.PROTOCOL, Field.SOURCE_PORT, Field.DESTINATION_PORT)  # fmt: skip
        return straight | answered | ends | space.reversed(ends)

    def _ends_alone(self, flows: Bdd) -> Bdd:
        space = self.space
        beside = ("in", "out", Field.STATE, Field.MARK, *(f for f in NOT_OF_FLOW if f is not Field.ICMP_TYPE))
        flows = space.forget(flows, *beside)
        return space.forget(flows & ~self._icmp(), Field.ICMP_TYPE) | (flows & self._icmp())

    def _ends(self, flows: Bdd, wanted: Bdd) -> Bdd:
        """The destination is an end of one of the flows, and of a wanted packet."""
        space = self.space
        others = (Field.SOURCE, Field.PROTOCOL, Field.ICMP_TYPE, Field.SOURCE_PORT, Field.DESTINATION_PORT)
        here = space.forget(wanted, *others)
        last = space.forget(flows & here, *others)
        first = space.forget(space.reversed(flows & space.reversed(here)), *others)
        return here & (last | first)
