"""Runs each target's measurement at a steady beat, independent of every other target's.

A run starts on a grid of its own: jittered at first, never drifting afterwards. Where a run is still busy when
the next is due, that next one is left out and counted; runs never pile up.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)

_WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Job:
    """`run` is called every `interval` seconds; an exception from it is logged and does not stop the beat."""

    interval: float
    run: Callable[[], Awaitable[None]]


class Scheduler:
    """`skipped` counts the runs left out, over all jobs."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self.skipped = 0
        self._jitter = jitter
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}
        self._lateness = _WorstOfWindow()

    @property
    def lateness(self) -> float:
        """Seconds by which the latest minute's most belated run started late."""
        return self._lateness.read(asyncio.get_running_loop().time())

    def reconcile(self, jobs: Mapping[Hashable, Job]) -> None:
        """Makes the running jobs equal to these: keys that stay keep their beat, others stop or start."""
        for key in self._tasks.keys() - jobs.keys():
            self._tasks.pop(key).cancel()
        for key, job in jobs.items():
            if key not in self._tasks:
                self._tasks[key] = asyncio.get_running_loop().create_task(self._repeat(key, job))

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(self, key: Hashable, job: Job) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._jitter() * job.interval
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            started = loop.time()
            self._lateness.note(started, max(0.0, started - due))
            try:
                await job.run()
            except Exception:
                log.exception("the run of %s failed unexpectedly", key)
            due += job.interval
            behind = loop.time() - due
            if behind >= 0:
                missed = int(behind // job.interval) + 1
                self.skipped += missed
                due += missed * job.interval


class _WorstOfWindow:
    """The largest value of the last one to two windows, in constant space."""

    def __init__(self) -> None:
        self._since = 0.0
        self._current = 0.0
        self._previous = 0.0

    def note(self, now: float, value: float) -> None:
        self._turn(now)
        self._current = max(self._current, value)

    def read(self, now: float) -> float:
        self._turn(now)
        return max(self._current, self._previous)

    def _turn(self, now: float) -> None:
        age = now - self._since
        if age >= _WINDOW_SECONDS:
            self._previous = self._current if age < 2 * _WINDOW_SECONDS else 0.0
            self._current = 0.0
            self._since = now
