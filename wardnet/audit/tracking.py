"""Connection tracking: which packets can be established or related, from the flows whose first packets got through."""

from __future__ import annotations

from wardnet.audit.space import Bdd, Space
from wardnet.model.packet import ICMP, ICMPV6, Field, State
from wardnet.model.span import Span

_ERRORS = {4: ((3, 5), (11, 12)), 6: ((1, 4),)}  # ICMP types that speak of another packet; 4 is source quench
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


class Tracking:
    """One device's connection tracking in one family. `helpers` let in related connections of any kind."""

    def __init__(self, space: Space, device: str, *, helpers: bool) -> None:
        self.space = space
        self.family = space.family
        self._device = device
        self._helpers = helpers

    def in_state(self, state: State, packets: Bdd, flows: Bdd, translated: Bdd) -> Bdd:
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
        if self._helpers:
            span = Span(self._device, "nft-ruleset.json", "connection tracking helpers")
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
        span = Span(self._device, "nft-ruleset.json", "flows")
        return certain | (possible & space.guess("unknown", span, "a flow that an unknown may let start"))

    def _ends(self, flows: Bdd) -> Bdd:
        """The destination is an end of one of the flows."""
        space = self.space
        others = (Field.SOURCE, Field.PROTOCOL, Field.SOURCE_PORT, Field.DESTINATION_PORT)
        both = flows | space.reversed(flows)
        return space.forget(both, *others)
