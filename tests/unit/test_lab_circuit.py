"""A line carries bits at its rate, after its delay, through its buffer; and never out of order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.circuit.emulator import CircuitConfig, End, dump_config, parse_config
from lab.circuit.shaper import ETHERNET_HEADER, Line, LineSettings


def frame(octets: int) -> bytes:
    """A frame with so many octets at the IP layer."""
    return bytes(ETHERNET_HEADER + octets)


def drain(line: Line) -> list[float]:
    """The times at which everything in the line arrives."""
    times = []
    while (due := line.next_due()) is not None:
        times.append(due)
        assert line.take_due(due) is not None
    return times


def test_a_frame_takes_its_bits_time_and_the_delay() -> None:
    line = Line(LineSettings(rate_bps=1_000_000, delay=0.010, buffer=1.0))
    assert line.offer(100.0, frame(1250))
    assert line.next_due() == pytest.approx(100.0 + 0.010 + 0.010)
    assert line.take_due(100.019) is None
    assert line.take_due(100.0201) == frame(1250)


def test_the_ethernet_header_is_not_counted_against_the_contracted_rate() -> None:
    line = Line(LineSettings(rate_bps=8000, delay=0.0, buffer=10.0))
    line.offer(0.0, frame(1000))
    assert line.next_due() == pytest.approx(1.0)
    assert line.counters.octets == 1000


def test_frames_leave_one_after_the_other_at_the_rate() -> None:
    line = Line(LineSettings(rate_bps=20_000_000, delay=0.005, buffer=1.0))
    for _ in range(100):
        line.offer(0.0, frame(1500))
    times = drain(line)
    assert times[-1] == pytest.approx(100 * 1500 * 8 / 20e6 + 0.005)
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps == pytest.approx([0.0006] * 99)


def test_an_idle_line_does_not_save_up_its_rate() -> None:
    line = Line(LineSettings(rate_bps=1_000_000, delay=0.0, buffer=1.0))
    line.offer(0.0, frame(1250))
    drain(line)
    line.offer(50.0, frame(1250))
    line.offer(50.0, frame(1250))
    assert drain(line) == pytest.approx([50.010, 50.020])


def test_what_would_wait_longer_than_the_buffer_is_dropped_and_counted() -> None:
    line = Line(LineSettings(rate_bps=1_000_000, delay=0.0, buffer=0.050))
    taken = [line.offer(0.0, frame(1250)) for _ in range(20)]
    # The first goes at once, and five more wait 10, 20 ... 50 ms.
    assert taken == [True] * 6 + [False] * 14
    assert line.counters.dropped_full == 14
    assert max(drain(line)) <= 0.050 + 0.010 + 1e-9


def test_loss_takes_all_or_nothing_at_its_ends() -> None:
    lossless = Line(LineSettings(rate_bps=1_000_000, delay=0.0, buffer=10.0, loss=0.0))
    dead = Line(LineSettings(rate_bps=1_000_000, delay=0.0, buffer=10.0, loss=1.0))
    assert all(lossless.offer(float(turn), frame(100)) for turn in range(100))
    assert not any(dead.offer(float(turn), frame(100)) for turn in range(100))
    assert dead.counters.dropped_loss == 100


def test_loss_is_about_its_share() -> None:
    line = Line(LineSettings(rate_bps=1_000_000_000, delay=0.0, buffer=10.0, loss=0.3))
    for turn in range(10_000):
        line.offer(float(turn), frame(100))
    assert 2700 < line.counters.dropped_loss < 3300


def test_a_line_that_is_cut_does_not_wait_for_a_backlog_counted_at_the_old_rate() -> None:
    line = Line(LineSettings(rate_bps=100_000_000, delay=0.0, buffer=0.1))
    for _ in range(100):
        line.offer(0.0, frame(1250))
    line.change(0.0, LineSettings(rate_bps=1_000_000, delay=0.0, buffer=0.1))
    drain(line)
    line.offer(0.0, frame(1250))
    assert line.next_due() == pytest.approx(0.1 + 0.010)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate_bps": 0}, "above 0"),
        ({"delay": -0.1}, "below 0"),
        ({"buffer": -1.0}, "below 0"),
        ({"loss": 1.5}, "from 0 to 1"),
    ],
)
def test_senseless_settings_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LineSettings(**({"rate_bps": 1000, "delay": 0.0, "buffer": 1.0, "loss": 0.0} | values))  # type: ignore[arg-type]


events = st.lists(
    st.tuples(
        st.floats(0, 0.02),  # seconds since the last event
        st.integers(40, 1500),  # octets
        st.one_of(st.none(), st.tuples(st.integers(10_000, 10**9), st.floats(0, 0.1), st.floats(0, 0.5))),
    ),
    max_size=60,
)


@given(events)
def test_frames_never_overtake_each_other_whatever_changes(
    steps: list[tuple[float, int, tuple[int, float, float] | None]],
) -> None:
    line = Line(LineSettings(rate_bps=1_000_000, delay=0.02, buffer=0.2))
    now, sent, arrived = 0.0, [], []
    for number, (pause, octets, change) in enumerate(steps):
        now += pause
        while (due := line.take_due(now)) is not None:
            arrived.append(due)
        if change is not None:
            line.change(now, LineSettings(*change))
        marked = number.to_bytes(4, "big") + frame(octets)
        if line.offer(now, marked):
            sent.append(marked)
    while line.next_due() is not None:
        last = line.take_due(float(line.next_due() or 0))
        assert last is not None
        arrived.append(last)
    assert arrived == sent
    assert line.counters.frames == len(sent)


@given(st.integers(100_000, 10**9), st.integers(1, 400))
def test_no_more_bits_pass_than_the_rate_allows(rate: int, count: int) -> None:
    line = Line(LineSettings(rate_bps=rate, delay=0.0, buffer=0.1))
    for _ in range(count):
        line.offer(0.0, frame(1500))
    times = drain(line)
    if times:
        assert len(times) * 1500 * 8 <= rate * times[-1] * (1 + 1e-9)


def test_the_configuration_survives_its_file() -> None:
    line = LineSettings(rate_bps=20_000_000, delay=0.004, buffer=0.1)
    circuits = (CircuitConfig("one-wan", End("/run/netns/a", "wan0"), End("/run/netns/b", "one-wan"), line, line),)
    assert parse_config(dump_config(circuits)) == circuits
