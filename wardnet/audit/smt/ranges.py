"""Values of which scripts only ask in which ranges they lie, and whether two are the same: addresses and ports.

What no range tells apart is one value to the solver. The ranges are gathered while the script is made; where they begin
and end is numbered in order at last, so that some hundred of them take ten bits instead of an address's 128.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator


class Ranges:
    """One such kind of value, `bits` wide on the wire: a sort of the script by the name `name`."""

    def __init__(self, name: str, bits: int) -> None:
        self.name = name
        self.bits = bits
        self._asked: dict[tuple[int, int], str] = {}
        self._whole = False

    def holds(self, term: str, low: int, high: int) -> str:
        """low <= term <= high"""
        return f"({self._name(low, high)} {term})"

    def value(self, number: int) -> str:
        return f"{self._name(number, number)}.only"

    def whole(self) -> int:
        """From now on values are also looked at bit by bit: no two of them are alike. Returns how many bits."""
        self._whole = True
        return self.bits

    def _name(self, low: int, high: int) -> str:
        if not 0 <= low <= high < 1 << self.bits:
            raise ValueError(f"{low} to {high} is no range of {self.bits} bits")
        return self._asked.setdefault((low, high), f"{self.name}.{len(self._asked)}")

    def text(self) -> Iterator[str]:
        """What has to stand before the first use of all that was asked."""
        cuts = sorted({0, *(low for low, _ in self._asked), *(high + 1 for _, high in self._asked)} - {1 << self.bits})
        bits = self.bits if self._whole else max(1, (len(cuts) - 1).bit_length())
        yield f"(define-sort {self.name} () (_ BitVec {bits}))"
        for (low, high), name in self._asked.items():
            first, last = (low, high) if self._whole else (bisect_right(cuts, end) - 1 for end in (low, high))
            # The values beyond the last cut take the numbers that are left over.
            open_ended = high == (1 << self.bits) - 1
            if first == last and not open_ended:
                test = f"(= x (_ bv{first} {bits}))"
            else:
                above = "true" if low == 0 else f"(bvuge x (_ bv{first} {bits}))"
                test = above if open_ended else f"(and {above} (bvule x (_ bv{last} {bits})))"
            yield f"(define-fun {name} ((x {self.name})) Bool {test})"
            if low == high:
                yield f"(define-fun {name}.only () {self.name} (_ bv{first} {bits}))"
