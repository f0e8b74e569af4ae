"""Sets of packets: fields, ranges, marks, and which BDD package keeps them."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardnet.audit.errors import AuditError
from wardnet.audit.sets.space import LINKS, Space, manager
from wardnet.model.packet import Field, Masked
from wardnet.model.span import Span

SPACE = Space(4, ("a", "b"), ("a", "b"))
NUMBERS = st.integers(0, 65535)
MARKS = st.integers(0, 0xFFFFFFFF)


@given(low=NUMBERS, high=NUMBERS, number=NUMBERS)
def test_a_range_holds_its_numbers(low: int, high: int, number: int) -> None:
    low, high = min(low, high), max(low, high)
    inside = SPACE.between(Field.SOURCE_PORT, low, high) & SPACE.value(Field.SOURCE_PORT, number)
    assert (inside != SPACE.false) == (low <= number <= high)


@given(mask=MARKS, value=MARKS, mark=MARKS)
def test_a_mask_looks_at_its_bits(mask: int, value: int, mark: int) -> None:
    here = SPACE.masked(Masked(Field.MARK, mask, value)) & SPACE.value(Field.MARK, mark)
    assert (here != SPACE.false) == (mark & mask == value)


@given(mark=MARKS, keep=MARKS, flip=MARKS)
def test_a_mark_is_set_bit_by_bit(mark: int, keep: int, flip: int) -> None:
    assert SPACE.set_mark(SPACE.value(Field.MARK, mark), keep, flip) == SPACE.value(Field.MARK, mark & keep ^ flip)


@given(source=MARKS, destination=MARKS, port=NUMBERS)
def test_turning_a_packet_round_exchanges_its_ends(source: int, destination: int, port: int) -> None:
    packet = SPACE.value(Field.SOURCE, source) & SPACE.value(Field.DESTINATION, destination)
    turned = SPACE.reversed(packet & SPACE.value(Field.SOURCE_PORT, port))
    assert SPACE.smallest(turned, Field.SOURCE) == destination
    assert SPACE.smallest(turned, Field.DESTINATION) == source
    assert SPACE.smallest(turned, Field.DESTINATION_PORT) == port


def test_what_hangs_on_an_unknown_is_possible_and_not_certain() -> None:
    space = Space(6, ("a",))
    known, guess = space.entering("a"), space.guess("unknown", Span("d", "x", "1"), "who knows")
    packets = known & guess
    assert space.possible(packets) == known
    assert space.certain(packets) == space.false
    assert [found.reason for found in space.unknowns_in(packets)] == ["who knows"]
    assert space.guess("unknown", Span("d", "x", "1"), "who knows") == guess
    chance = space.guess("chance", Span("d", "x", "2"), "a rate")
    assert space.certain(known & chance) != space.false


def test_a_link_state_is_a_bit_a_port() -> None:
    """Found are the ports that have to be down, and no other; one failure is looked for before several."""
    links = Space(4, ("a", "b", "c"), ("a", "b", "c"))
    two = links.down("a") & links.down("c")
    assert links.link_state(two | (links.down("a") & links.down("b") & links.down("c"))).down == {"a", "c"}
    assert links.link_state(links.true).down == set()
    near = [state for state in links.near_states() if state & (two | links.down("b")) != links.false]
    assert [links.link_state(state).down for state in near] == [{"b"}]
    assert links.forget(two, LINKS) == links.true
    assert links.down("eth9") == links.false


def test_without_cudd_the_package_in_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dd.cudd", None)
    assert type(manager()).__module__ == "dd.autoref"
    monkeypatch.setitem(sys.modules, "dd.autoref", None)
    with pytest.raises(AuditError, match="pip install"):
        manager()
