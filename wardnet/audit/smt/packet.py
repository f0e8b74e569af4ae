"""A packet of which nothing is known: its header as constants of the solver, on its way through one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from wardnet.audit.smt.terms import FALSE, TRUE, Script, Sort, Term, both, disj, either, number, same
from wardnet.model.packet import Field, State, port_named, width
from wardnet.model.span import Span

FREE = (Field.PROTOCOL, Field.NEXT_HEADER, Field.DESTINATION, Field.SOURCE, Field.DESTINATION_PORT, Field.SOURCE_PORT,
        Field.ICMP_TYPE, Field.ICMP_CODE, Field.TCP_FLAGS, Field.DSCP, Field.FRAGMENT)  # fmt: skip
ADDRESSED = (Field.SOURCE, Field.DESTINATION, Field.SOURCE_PORT, Field.DESTINATION_PORT)
_PORT_BITS = 12
_SORTS = dict(zip(ADDRESSED, ("Address", "Address", "Port", "Port"), strict=True))


@dataclass(frozen=True, slots=True)
class Ports:
    """Which port of the device a packet meets on one side: a constant of the solver over `candidates`, or without it
    the one that is named ('' for none)."""

    numbers: dict[str, int]
    constant: Term = ""
    candidates: tuple[str, ...] = ()
    fixed: str = ""
    known: dict[tuple[str, ...], Term] = field(default_factory=dict, compare=False, repr=False)

    def are(self, name: str) -> Term:
        if not self.constant:
            return TRUE if name and name == self.fixed else FALSE
        return same(self.constant, number(self.numbers[name], _PORT_BITS)) if name in self.candidates else FALSE

    def named(self, patterns: tuple[str, ...]) -> Term:
        if patterns not in self.known:
            if self.constant:
                found = disj(self.are(name) for name in self.candidates if port_named(name, patterns))
            else:
                found = TRUE if self.fixed and port_named(self.fixed, patterns) else FALSE
            self.known[patterns] = found
        return self.known[patterns]

    def any(self) -> Term:
        return disj(self.are(name) for name in self.candidates)


class Unknown:
    """One packet's constants. `label` sets them apart from another packet's in the same script."""

    def __init__(self, script: Script, label: str, family: int, names: Sequence[str]) -> None:
        self.script = script
        self.label = label
        self.family = family
        self.numbers = {name: place for place, name in enumerate(names, start=1)}
        self._guesses: dict[tuple[str, Span, str], Term] = {}
        self._down = {name: script.declare(f"{label}.down.{place}") for name, place in self.numbers.items()}
        self._gone = {name: script.declare(f"{label}.gone.{place}") for name, place in self.numbers.items()}
        self._fresh = 0

    def sort(self, field: Field) -> Sort:
        """Of a field's values."""
        bits = width(field, self.family)
        return self.script.ranges(_SORTS[field], bits) if field in _SORTS else bits

    def header(self) -> dict[Field, Term]:
        """As it arrives: connection tracking has not seen it, nothing has marked or rewritten it."""
        fields = {name: self.script.declare(f"{self.label}.{name.value}", self.sort(name)) for name in FREE}
        fields[Field.STATE] = number(State.INVALID, 3)
        fields[Field.MARK] = number(0, 32)
        fields[Field.CONNECTION_MARK] = number(0, 32)
        fields[Field.TRANSLATED] = number(0, 1)
        return fields

    def ports(self, side: str, candidates: Sequence[str]) -> Ports:
        constant = self.script.declare(f"{self.label}.{side}", _PORT_BITS)
        return Ports(self.numbers, constant, tuple(candidates))

    def no_port(self, name: str = "") -> Ports:
        return Ports(self.numbers, fixed=name)

    def fresh(self, bits: Sort) -> Term:
        """A value that anything may have chosen."""
        self._fresh += 1
        return self.script.declare(f"{self.label}.any.{self._fresh}", bits)

    def guess(self, kind: str, span: Span, reason: str) -> Term:
        """Whether an `unknown` condition holds for this packet, or a `chance` comes up: one constant for each place
        and reason."""
        key = (kind, span, reason)
        if key not in self._guesses:
            name = self.script.declare(f"{self.label}.{kind}.{len(self._guesses)}")
            self._guesses[key] = name
            if kind == "unknown":
                self.script.unknowns.append(name)
        return self._guesses[key]

    def unknown(self, span: Span, reason: str) -> Term:
        return self.guess("unknown", span, reason)

    # --- link states

    def down(self, name: str) -> Term:
        """Any port may be, each by itself."""
        return self._down.get(name, FALSE)

    def gone(self, name: str) -> Term:
        """It is down, and so are the addresses that it had."""
        return both(self._down[name], self._gone[name]) if name in self._down else FALSE


@dataclass(frozen=True, slots=True)
class View:
    """What a condition or a lookup sees of a packet: its fields as they are by now, and its ports."""

    packet: Unknown
    fields: dict[Field, Term]
    incoming: Ports
    outgoing: Ports

    def turned(self, *, mark: bool, bare: bool, incoming: Ports) -> View:
        """The way back to its source: ends exchanged, without its mark, or (`bare`) its protocol's ports."""
        fields = dict(self.fields)
        fields[Field.SOURCE], fields[Field.DESTINATION] = fields[Field.DESTINATION], fields[Field.SOURCE]
        ends = fields[Field.SOURCE_PORT], fields[Field.DESTINATION_PORT]
        none = number(0, self.packet.sort(Field.SOURCE_PORT))
        fields[Field.DESTINATION_PORT], fields[Field.SOURCE_PORT] = (none, none) if bare else ends
        if not mark:
            fields[Field.MARK] = number(0, 32)
        return View(self.packet, fields, incoming, self.packet.no_port())

    def leaving_by(self, ports: Ports) -> View:
        return replace(self, outgoing=ports)

    def changed(self, **fields: Term) -> View:
        return replace(self, fields={**self.fields, **{Field(name): term for name, term in fields.items()}})

    def is_state(self, *states: State) -> Term:
        found = FALSE
        for state in states:
            found = either(found, same(self.fields[Field.STATE], number(state, 3)))
        return found
