"""Devices judged side by side, one a processor.

The processes are forked, so that they know all that this one has read: nothing goes to them but a place in a list. A
process with other threads is not forked, since a lock that one of them holds would stay locked in the copy.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from wardnet.audit.errors import AuditError

One = TypeVar("One")
Found = TypeVar("Found")
_work: Callable[[int], Any]


def beside(work: Callable[[One], Found], things: Sequence[One]) -> list[Found]:
    """What the work makes of each, in order. Raises what the work raises; and AuditError where a process ended."""
    processes = min(len(things), len(os.sched_getaffinity(0)))
    if processes < 2 or threading.active_count() > 1 or "fork" not in multiprocessing.get_all_start_methods():
        return [work(thing) for thing in things]
    context = multiprocessing.get_context("fork")

    def at(place: int) -> Found:
        return work(things[place])

    with ProcessPoolExecutor(processes, context, _begin, (at,)) as pool:
        try:
            return list(pool.map(_do, range(len(things))))
        except BrokenProcessPool:
            raise AuditError("a process that judged a device was ended from outside, or ran out of memory") from None


def _begin(work: Callable[[int], Any]) -> None:
    global _work
    _work = work


def _do(place: int) -> Any:
    return _work(place)
