"""Addresses and ports as few numbers, in both engines: exact, and refused where they would not be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.audit_random import RandomDevice
from tests.unit.audit_support import gateway, gateway_policy, payload, verdict, with_rule
from wardnet.audit import judge as judging
from wardnet.audit.judge import channel_networks, judge
from wardnet.audit.records import Verdict
from wardnet.audit.sets.scales import PORTS, Scale, UncutError, masked_range
from wardnet.audit.sets.space import Space
from wardnet.audit.smt.ranges import Ranges
from wardnet.model.packet import Field, Masked

NUMBERS = st.integers(0, 255)
RANGES = st.lists(st.tuples(NUMBERS, NUMBERS).map(lambda ends: (min(ends), max(ends))), min_size=1, max_size=6)


@given(ranges=RANGES, one=NUMBERS, other=NUMBERS)
def test_a_step_is_what_no_range_tells_apart(ranges: list[tuple[int, int]], one: int, other: int) -> None:
    scale = Scale(ranges, 8)
    alike = scale.around(one, one) == scale.around(other, other)
    cuts = {low for low, _ in ranges} | {high + 1 for _, high in ranges}
    assert alike == all((one < cut) == (other < cut) for cut in cuts)
    for low, high in ranges:
        first, last = scale.steps(low, high)
        assert (first <= scale.around(one, one)[0] <= last) == (low <= one <= high)


@given(ranges=RANGES, low=NUMBERS, high=NUMBERS)
def test_a_range_between_cuts_is_refused(ranges: list[tuple[int, int]], low: int, high: int) -> None:
    starts = {0} | {first for first, _ in ranges} | {last + 1 for _, last in ranges}
    ends = {start - 1 for start in starts} | {255}
    scale = Scale(ranges, 8)
    if low <= high and low in starts and high in ends:
        scale.steps(low, high)
    else:
        with pytest.raises(UncutError):
            scale.steps(low, high)


@given(ranges=RANGES)
def test_the_numbers_left_over_belong_to_the_last_step(ranges: list[tuple[int, int]]) -> None:
    """No number of the variables is a packet that there is not."""
    scale = Scale(ranges, 16)
    space = Space(4, ("a",), scales=dict.fromkeys(PORTS, scale))
    assert space.between(Field.SOURCE_PORT, 0, 0xFFFF) == space.true
    below = [space.between(Field.SOURCE_PORT, low, high) for low, high in ranges]
    beyond = max(high for _, high in ranges) + 1
    rest = space.between(Field.SOURCE_PORT, beyond, 0xFFFF)
    assert all(one & rest == space.false for one in below)
    assert scale.value((1 << scale.bits) - 1) == scale.value(scale.around(0xFFFF, 0xFFFF)[0])


def test_a_shown_value_is_the_one_named_first() -> None:
    scale = Scale([(10, 19)], 8)
    for value in (12, 15):
        scale.show(value)
    assert [scale.value(step) for step in range(3)] == [0, 12, 20]


@pytest.mark.parametrize(
    ("mask", "value", "found"), [(0xF0, 0x20, (0x20, 0x2F)), (0xFF, 3, (3, 3)), (0, 0, (0, 255)), (0x0F, 1, None),
                                 (0x1F0, 0, None), (0xF0, 0x21, None)])  # fmt: skip
def test_a_mask_of_leading_ones_is_a_range(mask: int, value: int, found: tuple[int, int] | None) -> None:
    assert masked_range(Masked(Field.SOURCE_PORT, mask, value), 8) == found


def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "scales", lambda *_: {})


def told(seed: int) -> Any:
    made = RandomDevice(seed)
    wanted = made.zoned_policy()
    result = judge(made.device(), wanted, channel_networks([wanted]), None, None)
    return result.verdict, result.pairs, [(c.from_port, c.to_port, c.verdict, c.rule) for c in result.crossings]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40))
def test_random_devices_are_judged_as_without_scales(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scaled = told(seed)
    whole(monkeypatch)
    assert told(seed) == scaled


def test_all_that_is_asked_of_a_gateway_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be judged twice, without scales the second time: right, and ten times as slow."""
    made: list[object] = []
    spaces = Space.__init__

    def counted(self: Space, *arguments: Any, **options: Any) -> None:
        made.append(self)
        spaces(self, *arguments, **options)

    monkeypatch.setattr(Space, "__init__", counted)
    assert verdict(gateway()).verdict is Verdict.PROVED
    assert len(made) == 2


def test_what_nobody_cut_is_asked_without_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "scales", lambda *_: dict.fromkeys(Field, Scale([], 3)))
    assert verdict(gateway()).verdict is Verdict.PROVED


def test_a_rule_for_single_bits_of_addresses_is_judged_by_them() -> None:
    odd = {"match": {"op": "==", "left": {"&": [payload("ip", "daddr", 0)["match"]["left"], 5]}, "right": 1}}
    found = verdict(with_rule(gateway(), [odd, {"accept": None}]), gateway_policy())
    assert found.verdict is Verdict.VIOLATED
    assert found.disagreements == ()
    assert any(int(c.packet.destination.rpartition(".")[2]) & 5 == 1 for c in found.crossings if c.family == 4)


@given(asked=RANGES, number=NUMBERS)
def test_values_of_the_second_opinion_are_told_apart_by_what_was_asked(
    asked: list[tuple[int, int]], number: int
) -> None:
    """Each range holds of the value that lies in it, by the numbers that the script gives them."""
    import z3

    sort = Ranges("Kind", 8)
    terms = [sort.holds("x", low, high) for low, high in asked]
    alone = sort.value(number)
    lines = [*sort.text(), "(declare-const x Kind)", f"(assert (= x {alone}))"]
    for (low, high), term in zip(asked, terms, strict=True):
        lines.append(f"(assert (= {term} {str(low <= number <= high).lower()}))")
    solver = z3.Solver()
    solver.from_string("\n".join(lines))
    assert solver.check() == z3.sat


def test_a_value_that_is_too_wide_is_refused() -> None:
    with pytest.raises(ValueError, match="no range of 8 bits"):
        Ranges("Kind", 8).holds("x", 0, 256)
