"""Sets of packets of one family at one device, as BDDs over header fields, ports and link states.

Variables, top to bottom: ports, small fields, destination, source, link states, transport ports; then one for each
chance and each unknown, as they turn up. An unknown's variable stands for "its condition holds for this packet": what
holds for all its values is certain, what holds for some is possible.

A link state is a variable for each port that can matter when it is down. They stand below both addresses: which route
a packet takes, and whether its source is the device's own, hangs on few of them once these are known, and on all of
them before.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wardnet.audit.errors import AuditError
from wardnet.audit.question import LinkState
from wardnet.audit.sets.scales import Scales, UncutError, masked_range
from wardnet.model.packet import ADDRESSES, Field, Masked, width
from wardnet.model.packet import InRanges as InRangesOf
from wardnet.model.span import Span

Bdd = Any  # a node; dd has no type stubs

_ORDER = (
    Field.STATE,
    Field.FRAGMENT,
    Field.TRANSLATED,
    Field.PROTOCOL,
    Field.ICMP_TYPE,
    Field.ICMP_CODE,
    Field.TCP_FLAGS,
    Field.NEXT_HEADER,
    Field.DSCP,
    Field.MARK,
    Field.CONNECTION_MARK,
    Field.DESTINATION,
    Field.SOURCE,
    Field.DESTINATION_PORT,
    Field.SOURCE_PORT,
)
_LINKS_BELOW = Field.SOURCE
_MARKS = (Field.MARK, Field.CONNECTION_MARK)  # bit beside bit: one is copied to the other
LINKS = "links"  # as a field: the link state
_BACKENDS = ("dd.cudd", "dd.autoref")
_SWAPPED = ((Field.SOURCE, Field.DESTINATION), (Field.SOURCE_PORT, Field.DESTINATION_PORT))


@dataclass(frozen=True, slots=True)
class Guess:
    """What a chance's or an unknown's variable stands for."""

    span: Span
    reason: str


def manager(backend: str | None = None) -> Any:
    """A BDD manager: CUDD's where it is installed, else dd's own in Python, with the same results. Variables keep
    their order, so that a result does not depend on the way to it. Raises AuditError where there is neither."""
    for name in [backend] if backend else _BACKENDS:
        try:
            found = importlib.import_module(name).BDD()
        except ImportError:
            continue
        found.configure(reordering=False)
        return found
    raise AuditError("the audit needs the package dd: pip install 'wardnet[audit]'")


class Space:
    """`ports` are the device's, in order; `failing` those that may be down, `parting` those of them that may then keep
    their addresses or not. Fields with one of the `scales` have its steps for values."""

    def __init__(
        self,
        family: int,
        ports: Sequence[str],
        failing: Sequence[str] = (),
        parting: Sequence[str] = (),
        backend: str | None = None,
        scales: Scales | None = None,
    ) -> None:
        self.family = family
        self._scales = scales or {}
        self.ports = tuple(ports)
        self.bdd = manager(backend)
        self.true: Bdd = self.bdd.true
        self.false: Bdd = self.bdd.false
        self.guesses: dict[str, Guess] = {}
        self._bits: dict[str, tuple[str, ...]] = {}
        self._declare("in", len(self.ports).bit_length())
        self._declare("out", len(self.ports).bit_length())
        self._down = {port: f"down.{port}" for port in failing}
        self._gone = {port: f"gone.{port}" for port in failing if port in parting}
        for field in _ORDER:
            if field is _MARKS[0]:
                self._declare_marks()
            elif field not in _MARKS:
                self._declare(field, self._scales[field].bits if field in self._scales else width(field, family))
            if field is _LINKS_BELOW:
                names = ((self._down[port], self._gone.get(port)) for port in failing)
                self._bits[LINKS] = tuple(name for pair in names for name in pair if name is not None)
                self.bdd.declare(*self._bits[LINKS])
        self._index = {name: number for number, name in enumerate(self.ports, start=1)}
        self._ranges: dict[tuple[str, int, int], Bdd] = {}
        self._guess_names: dict[tuple[str, Span, str], str] = {}
        self._swap = {
            a: b
            for one, other in _SWAPPED
            for pair in zip(self._bits[one], self._bits[other], strict=True)
            for a, b in (pair, pair[::-1])
        }

    def _declare(self, name: str, bits: int) -> None:
        self._bits[name] = tuple(f"{name}.{bit}" for bit in range(bits))
        self.bdd.declare(*self._bits[name])

    def _declare_marks(self) -> None:
        for field in _MARKS:
            self._bits[field] = tuple(f"{field}.{bit}" for bit in range(width(field, self.family)))
        pairs = zip(*(self._bits[field] for field in _MARKS), strict=True)
        self.bdd.declare(*(name for pair in pairs for name in pair))

    # --- sets

    def value(self, name: str, number: int) -> Bdd:
        """The field, `in` or `out` has this value. Bit 0 is the most significant."""
        return self.between(name, number, number)

    def entering(self, port: str) -> Bdd:
        return self.value("in", self._index[port]) if port in self._index else self.false

    def leaving(self, port: str) -> Bdd:
        return self.value("out", self._index[port]) if port in self._index else self.false

    def down(self, port: str) -> Bdd:
        return self.bdd.var(self._down[port]) if port in self._down else self.false

    def gone(self, port: str) -> Bdd:
        """The port is down, and its addresses are not the device's any more."""
        down = self.down(port)
        return down & self.bdd.var(self._gone[port]) if port in self._gone else down

    def in_state(self, state: LinkState) -> Bdd:
        """These ports are down or gone, and no other."""
        down = {name: port in state.down for port, name in self._down.items()}
        return self.bdd.cube({**down, **{name: port in state.gone for port, name in self._gone.items()}})

    def between(self, name: str, low: int, high: int) -> Bdd:
        key = (name, low, high)
        found = self._ranges.get(key)
        if found is None:
            if name in self._scales:
                low, high = self._scales[name].steps(low, high)
            found = self._ranges[key] = self._between(self._bits[name], low, high)
        return found

    def like(self, name: str, number: int) -> Bdd:
        """The field has this value, or one that nothing tells apart from it; of these it is the one to be shown."""
        return self.around(name, number, number)

    def around(self, name: str, low: int, high: int) -> Bdd:
        """The field has a value of this range, or one that nothing tells apart from such a value."""
        if name not in self._scales:
            return self.between(name, low, high)
        scale = self._scales[name]
        scale.show(low)
        return self._between(self._bits[name], *scale.around(low, high))

    def _between(self, names: tuple[str, ...], low: int, high: int) -> Bdd:
        bits = len(names)
        loose = (low ^ high).bit_length()
        span = (1 << loose) - 1
        if low & span == 0 and high & span == span:  # a prefix
            return self.bdd.cube({names[i]: bool(low >> (bits - 1 - i) & 1) for i in range(bits - loose)})
        above = below = self.true
        for i in range(bits - 1, bits - loose - 1, -1):
            bit = self.bdd.var(names[i])
            place = bits - 1 - i
            above = (bit & above) if low >> place & 1 else (bit | above)
            below = (~bit | below) if high >> place & 1 else (~bit & below)
        shared = {names[i]: bool(low >> (bits - 1 - i) & 1) for i in range(bits - loose)}
        return self.bdd.cube(shared) & above & below

    def in_ranges(self, condition: InRangesOf) -> Bdd:
        return self.any_of(self.between(condition.field, low, high) for low, high in condition.ranges)

    def masked(self, condition: Masked) -> Bdd:
        name, mask, value = condition.field, condition.mask, condition.value
        if name in self._scales:
            asked = masked_range(condition, width(name, self.family))
            if asked is None:
                raise UncutError(f"single bits of {name}")
            return self.between(name, *asked)
        names = self._bits[name]
        bits = len(names)
        if value & ~mask:
            return self.false
        places = {names[i]: bits - 1 - i for i in range(bits)}
        return self.bdd.cube({n: bool(value >> place & 1) for n, place in places.items() if mask >> place & 1})

    def any_of(self, sets: Iterable[Bdd]) -> Bdd:
        """Union, in pairs, so that many small sets don't pass through one large one again and again."""
        level = list(sets)
        if not level:
            return self.false
        while len(level) > 1:
            level = [a | b for a, b in zip(level[::2], level[1::2], strict=False)] + (
                [level[-1]] if len(level) % 2 else []
            )
        return level[0]

    def guess(self, kind: str, span: Span, reason: str) -> Bdd:
        """The variable of an unknown (`unknown`) or a chance (`chance`): one for each place and reason."""
        key = (kind, span, reason)
        name = self._guess_names.get(key)
        if name is None:
            name = f"{kind}.{len(self._guess_names)}"
            self._guess_names[key] = name
            self.guesses[name] = Guess(span, reason)
            self.bdd.declare(name)
        return self.bdd.var(name)

    # --- changes

    def forget(self, packets: Bdd, *names: str) -> Bdd:
        """The packets with any value in these fields."""
        return self.bdd.exist([bit for name in names for bit in self._bits[name]], packets)

    def at(self, packets: Bdd, name: str, value: int) -> Bdd:
        """The packets that have this value, said without it."""
        if name in self._scales:
            value, _ = self._scales[name].steps(value, value)
        bits = len(self._bits[name])
        return self.bdd.let({bit: bool(value >> (bits - 1 - i) & 1) for i, bit in enumerate(self._bits[name])}, packets)

    def set_mark(
        self, packets: Bdd, keep: int, flip: int, source: Field = Field.MARK, target: Field = Field.MARK
    ) -> Bdd:
        """The packets with target = (source & keep) ^ flip."""
        names = self._bits[target]
        if source is not target:
            alike = self.true
            for name, wanted in self._marked(keep, flip, source, target):
                alike = ~self.bdd.apply("xor", self.bdd.var(name), wanted) & alike
            return self.bdd.exist(list(names), packets) & alike
        fixed = {n: bool(flip >> 31 - i & 1) for i, n in enumerate(names) if not keep >> 31 - i & 1}
        turned = {n: ~self.bdd.var(n) for i, n in enumerate(names) if keep >> 31 - i & 1 and flip >> 31 - i & 1}
        if turned:
            packets = self.bdd.let(turned, packets)
        return self.bdd.exist(list(fixed), packets) & self.bdd.cube(fixed) if fixed else packets

    def remarked(self, keep: int, flip: int, source: Field, target: Field) -> Bdd:
        """The packets that `set_mark` would change."""
        other = self.false
        for name, wanted in self._marked(keep, flip, source, target):
            other = self.bdd.apply("xor", self.bdd.var(name), wanted) | other
        return other

    def _marked(self, keep: int, flip: int, source: Field, target: Field) -> Iterator[tuple[str, Bdd]]:
        """Each bit of the target and what it is to be, the least significant first."""
        for place, (name, from_name) in enumerate(zip(reversed(self._bits[target]), reversed(self._bits[source]),
                                                      strict=True)):  # fmt: skip
            kept = self.bdd.var(from_name) if keep >> place & 1 else self.false
            yield name, ~kept if flip >> place & 1 else kept

    def reversed(self, packets: Bdd) -> Bdd:
        """Source and destination, addresses and ports, exchanged."""
        return self.bdd.let({a: self.bdd.var(b) for a, b in self._swap.items()}, packets)

    # --- unknowns and chances

    def _named(self, kind: str) -> list[str]:
        return [name for name in self.guesses if name.startswith(kind)]

    def possible(self, packets: Bdd) -> Bdd:
        return self.bdd.exist(self._named("unknown"), packets)

    def certain(self, packets: Bdd) -> Bdd:
        return self.bdd.forall(self._named("unknown"), packets)

    def headers(self, packets: Bdd) -> Bdd:
        """In any link state, by any chance."""
        return self.forget(self.bdd.exist(self._named("chance"), packets), LINKS)

    def unknowns_in(self, packets: Bdd) -> tuple[Guess, ...]:
        found = sorted(name for name in self.bdd.support(packets) if name.startswith("unknown"))
        return tuple(self.guesses[name] for name in found)

    # --- one packet out of a set

    def prefer(self, packets: Bdd, wish: Bdd) -> Bdd:
        """The packets that also fulfil the wish, if there are any; else all."""
        narrowed = packets & wish
        return packets if narrowed == self.false else narrowed

    def smallest(self, packets: Bdd, name: str, likely: int | None = None) -> int:
        """The smallest value that the field takes in the set, which must not be empty; `likely` may be the only one."""
        # Bit by bit costs a hundred questions of an address; most often it is the one that was wished for, or 0.
        if likely is not None and packets & ~self.like(name, likely) == self.false:
            scale = self._scales.get(name)
            return scale.value(scale.around(likely, likely)[0]) if scale else likely
        value = 0
        if name not in self._scales and packets & self.value(name, 0) != self.false:
            return value
        for bit in self._bits[name]:
            zero = packets & ~self.bdd.var(bit)
            if zero == self.false:
                packets = packets & self.bdd.var(bit)
                value = value << 1 | 1
            else:
                packets = zero
                value <<= 1
        return self._scales[name].value(value) if name in self._scales else value

    def near_states(self) -> Iterator[Bdd]:
        """All up; then one port down, each; then one gone."""
        yield self.in_state(LinkState())
        yield from (self.in_state(LinkState(frozenset({port}))) for port in self._down)
        yield from (self.in_state(LinkState(frozenset({port}), frozenset({port}))) for port in self._gone)

    def link_state(self, packets: Bdd) -> LinkState:
        """One in which a packet of the set passes, which must not be empty; and in which all ports are needed that are
        down."""
        found: dict[str, set[str]] = {"down": set(), "gone": set()}
        for kind, names in (("down", self._down), ("gone", self._gone)):
            for port, name in reversed(names.items()):
                without = packets & ~self.bdd.var(name)
                if without == self.false:
                    found[kind].add(port)
                else:
                    packets = without
        return LinkState(frozenset(found["down"]), frozenset(found["gone"]))

    def assignment(self, packets: Bdd) -> dict[str, bool]:
        """Of the guesses: false where it can be, one after the other."""
        found = {}
        for name in self.guesses:
            zero = packets & ~self.bdd.var(name)
            found[name] = zero == self.false
            packets = packets & self.bdd.var(name) if found[name] else zero
        return found


__all__ = ["ADDRESSES", "LINKS", "Bdd", "Guess", "Space", "manager"]
