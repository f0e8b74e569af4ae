"""The arithmetic of a line, with no clock and no socket of its own: every method is told the time.

A frame leaves when the line is free and the frame's bits are through; it arrives `delay` after that. A frame
that would wait longer than the buffer holds is dropped, as is one that loss takes.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

ETHERNET_HEADER = 14  # octets a frame has above the IP layer, which the contracted rate is counted at


@dataclass(frozen=True, slots=True)
class LineSettings:
    """`rate_bps` in bits a second at the IP layer; `delay` one way and `buffer` in seconds; `loss` 0 to 1."""

    rate_bps: int
    delay: float
    buffer: float
    loss: float = 0.0

    def __post_init__(self) -> None:
        if self.rate_bps <= 0:
            raise ValueError("a line's rate must be above 0 bit/s")
        if self.delay < 0 or self.buffer < 0:
            raise ValueError("a line's delay and buffer cannot be below 0 s")
        if not 0 <= self.loss <= 1:
            raise ValueError("a line's loss must be from 0 to 1")


@dataclass(slots=True)
class Counters:
    frames: int = 0
    octets: int = 0  # at the IP layer
    dropped_full: int = 0
    dropped_loss: int = 0


@dataclass(slots=True)
class Line:
    """One direction."""

    settings: LineSettings
    counters: Counters = field(default_factory=Counters)
    _free_at: float = 0.0
    _queue: deque[tuple[float, bytes]] = field(default_factory=deque)

    def offer(self, now: float, frame: bytes) -> bool:
        """Take a frame in at `now` (seconds); False if it was dropped."""
        settings = self.settings
        if settings.loss and random.random() < settings.loss:  # noqa: S311 - chance, not secrecy
            self.counters.dropped_loss += 1
            return False
        start = max(self._free_at, now)
        if start - now > settings.buffer:
            self.counters.dropped_full += 1
            return False
        size = len(frame) - ETHERNET_HEADER
        self._free_at = start + size * 8 / settings.rate_bps
        due = self._free_at + settings.delay
        # A delay that was just shortened must not let a frame overtake those before it.
        if self._queue and due < self._queue[-1][0]:
            due = self._queue[-1][0]
        self._queue.append((due, frame))
        self.counters.frames += 1
        self.counters.octets += size
        return True

    def next_due(self) -> float | None:
        return self._queue[0][0] if self._queue else None

    def take_due(self, now: float) -> bytes | None:
        """The next frame that has arrived by `now`; None when there is none."""
        if self._queue and self._queue[0][0] <= now:
            return self._queue.popleft()[1]
        return None

    def change(self, now: float, settings: LineSettings) -> None:
        """Let new settings hold from `now`. What is being sent is sent again at the new rate from here on, so
        that a line that was cut does not wait for a backlog counted at the old rate."""
        backlog_bits = max(0.0, self._free_at - now) * self.settings.rate_bps
        self._free_at = now + min(backlog_bits / settings.rate_bps, settings.buffer)
        self.settings = settings
