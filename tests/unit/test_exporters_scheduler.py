"""The scheduler's beat, in virtual time: jittered at first, without drift, and never piling up."""

from __future__ import annotations

import asyncio
import logging
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from exporters.scheduler import Job, Scheduler


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: the clock jumps to when the next timer is due."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _JumpingSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def stall(self, seconds: float) -> None:
        """Something keeps the process busy: time passes and nothing runs."""
        self._virtual.now += seconds


def in_virtual_time(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)


def now() -> float:
    return asyncio.get_running_loop().time()


def recorded(starts: list[float], work: Callable[[], Awaitable[object]] | None = None) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        starts.append(now())
        if work is not None:
            await work()

    return run


def test_first_run_is_jittered_and_the_beat_does_not_drift() -> None:
    async def main() -> None:
        starts: list[float] = []
        scheduler = Scheduler(jitter=lambda: 0.25)
        scheduler.reconcile({"a": Job(10.0, recorded(starts, lambda: asyncio.sleep(3.7)))})
        await asyncio.sleep(100)
        assert starts == pytest.approx([2.5 + 10 * n for n in range(10)])
        assert scheduler.skipped == 0
        await scheduler.close()

    in_virtual_time(main())


def test_late_runs_are_skipped_and_counted_never_piled_up() -> None:
    async def main() -> None:
        starts: list[float] = []
        scheduler = Scheduler(jitter=lambda: 0.0)
        scheduler.reconcile({"a": Job(10.0, recorded(starts, lambda: asyncio.sleep(25)))})
        await asyncio.sleep(89)
        assert starts == pytest.approx([0, 30, 60])
        assert scheduler.skipped == 3 * 2
        await scheduler.close()

    in_virtual_time(main())


def test_slow_target_does_not_delay_others() -> None:
    async def main() -> None:
        slow: list[float] = []
        quick: list[float] = []
        scheduler = Scheduler(jitter=lambda: 0.0)
        scheduler.reconcile(
            {
                "slow": Job(10.0, recorded(slow, lambda: asyncio.sleep(1000))),
                "quick": Job(10.0, recorded(quick)),
            }
        )
        await asyncio.sleep(95)
        assert len(slow) == 1
        assert quick == pytest.approx([10.0 * n for n in range(10)])
        await scheduler.close()

    in_virtual_time(main())


def test_lateness_is_the_worst_of_the_latest_minute() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        scheduler = Scheduler(jitter=lambda: 0.0)
        scheduler.reconcile({"a": Job(1.0, recorded([]))})
        await asyncio.sleep(4.5)
        assert scheduler.lateness == pytest.approx(0.0)
        loop.stall(0.8)
        await asyncio.sleep(0.5)
        assert scheduler.lateness == pytest.approx(0.3)
        await asyncio.sleep(59)
        assert scheduler.lateness == pytest.approx(0.3)
        await asyncio.sleep(120)
        assert scheduler.lateness == pytest.approx(0.0)
        await scheduler.close()

    in_virtual_time(main())


def test_exception_is_logged_and_the_beat_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("a bug")

    async def main() -> None:
        starts: list[float] = []
        scheduler = Scheduler(jitter=lambda: 0.0)
        scheduler.reconcile({"a": Job(1.0, recorded(starts, fail))})
        await asyncio.sleep(2.5)
        assert len(starts) == 3
        await scheduler.close()

    with caplog.at_level(logging.ERROR):
        in_virtual_time(main())
    assert "the run of a failed unexpectedly" in caplog.text


def test_reconcile_stops_starts_and_leaves_alone() -> None:
    async def main() -> None:
        stays: list[float] = []
        goes: list[float] = []
        comes: list[float] = []
        scheduler = Scheduler(jitter=lambda: 0.5)
        scheduler.reconcile({"stays": Job(2.0, recorded(stays)), "goes": Job(2.0, recorded(goes))})
        await asyncio.sleep(3.5)
        scheduler.reconcile({"stays": Job(2.0, recorded([])), "comes": Job(2.0, recorded(comes))})
        await asyncio.sleep(4.0)
        assert stays == pytest.approx([1, 3, 5, 7])
        assert goes == pytest.approx([1, 3])
        assert comes == pytest.approx([4.5, 6.5])
        await scheduler.close()

    in_virtual_time(main())


def test_close_stops_a_run_in_the_middle() -> None:
    async def main() -> None:
        ended: list[str] = []

        async def run() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                ended.append("cancelled")

        scheduler = Scheduler(jitter=lambda: 0.0)
        scheduler.reconcile({"a": Job(10.0, run)})
        await asyncio.sleep(1)
        await scheduler.close()
        assert ended == ["cancelled"]
        assert now() == pytest.approx(1)
        assert len(asyncio.all_tasks()) == 1

    in_virtual_time(main())
