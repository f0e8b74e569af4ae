"""SMT-LIB 2 as text: terms are strings, and a script gathers declarations and definitions.

Text because one call of z3 reads all of it, where its Python terms cost a call each. Constants fold as terms are made,
so that what can't matter for the ports asked about never gets to the solver.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wardnet.audit.smt.ranges import Ranges

Term = str
Sort = int | Ranges  # so many bits, or 0 for true and false
TRUE: Term = "true"
FALSE: Term = "false"
_SHORT = 40  # shorter terms are repeated, longer ones get a name


def conj(terms: Iterable[Term]) -> Term:
    kept: list[Term] = []
    for term in terms:
        if term == FALSE:
            return FALSE
        if term != TRUE:
            kept.append(term)
    if len(kept) < 2:
        return kept[0] if kept else TRUE
    return f"(and {' '.join(kept)})"


def disj(terms: Iterable[Term]) -> Term:
    kept: list[Term] = []
    for term in terms:
        if term == TRUE:
            return TRUE
        if term != FALSE:
            kept.append(term)
    if len(kept) < 2:
        return kept[0] if kept else FALSE
    return f"(or {' '.join(kept)})"


def both(one: Term, other: Term) -> Term:
    return conj((one, other))


def either(one: Term, other: Term) -> Term:
    return disj((one, other))


def neg(term: Term) -> Term:
    if term in (TRUE, FALSE):
        return FALSE if term == TRUE else TRUE
    return f"(not {term})"


def implies(one: Term, other: Term) -> Term:
    return either(neg(one), other)


def choose(condition: Term, then: Term, otherwise: Term) -> Term:
    if condition == TRUE or then == otherwise:
        return then
    return otherwise if condition == FALSE else f"(ite {condition} {then} {otherwise})"


def number(value: int, bits: Sort) -> Term:
    if isinstance(bits, Ranges):
        return bits.value(value)
    if value < 0 or value >> bits:
        raise ValueError(f"{value} has no {bits} bits")
    return f"#x{value:0{bits // 4}x}" if bits % 4 == 0 else f"#b{value:0{bits}b}"


def same(one: Term, other: Term) -> Term:
    if one == other:
        return TRUE
    if one[0] == other[0] == "#":
        return FALSE
    return f"(= {one} {other})"


def between(term: Term, low: int, high: int, bits: Sort) -> Term:
    """low <= term <= high, as the shared leading bits where it is a prefix."""
    if low > high:
        return FALSE
    if isinstance(bits, Ranges):
        return bits.holds(term, low, high)
    loose = (low ^ high).bit_length()
    ones = (1 << loose) - 1
    if low & ones == 0 and high & ones == ones:
        if loose == bits:
            return TRUE
        part = term if loose == 0 else f"((_ extract {bits - 1} {loose}) {term})"
        return f"(= {part} {number(low >> loose, bits - loose)})"
    above = TRUE if low == 0 else f"(bvuge {term} {number(low, bits)})"
    below = TRUE if high == (1 << bits) - 1 else f"(bvule {term} {number(high, bits)})"
    return both(above, below)


def under_mask(term: Term, mask: int, value: int, bits: Sort) -> Term:
    """term & mask == value"""
    if isinstance(bits, Ranges):
        bits = bits.whole()
    mask &= (1 << bits) - 1
    if value & ~mask:
        return FALSE
    if mask == 0:
        return TRUE
    if mask == (1 << bits) - 1:
        return f"(= {term} {number(value, bits)})"
    return f"(= (bvand {term} {number(mask, bits)}) {number(value, bits)})"


class Script:
    """What a solver is to read. `unknowns` are the names of constants that stand for what nobody knows."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._named: dict[tuple[str, Term], Term] = {}
        self._ranges: dict[str, Ranges] = {}
        self.unknowns: list[Term] = []

    def ranges(self, name: str, bits: int) -> Ranges:
        """The sort of that name."""
        if name not in self._ranges:
            self._ranges[name] = Ranges(name, bits)
        return self._ranges[name]

    def declare(self, name: str, bits: Sort = 0) -> Term:
        """A constant: of so many bits, or true or false."""
        self._lines.append(f"(declare-const {name} {_sort(bits)})")
        return name

    def share(self, term: Term, bits: Sort = 0) -> Term:
        """The term by a name, where it is long enough for one."""
        if len(term) <= _SHORT:
            return term
        key = (_sort(bits), term)
        name = self._named.get(key)
        if name is None:
            name = f"d{len(self._named)}"
            self._named[key] = name
            self._lines.append(f"(define-fun {name} () {key[0]} {term})")
        return name

    def demand(self, term: Term) -> None:
        self._lines.append(f"(assert {term})")

    def text(self) -> str:
        return "\n".join([*(line for ranges in self._ranges.values() for line in ranges.text()), *self._lines])


def _sort(bits: Sort) -> str:
    if isinstance(bits, Ranges):
        return bits.name
    return f"(_ BitVec {bits})" if bits else "Bool"


def one_of(term: Term, values: Sequence[int], bits: Sort) -> Term:
    if isinstance(bits, Ranges):
        return disj(bits.holds(term, value, value) for value in values)
    return disj(same(term, number(value, bits)) for value in values)
