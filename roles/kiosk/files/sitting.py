"""When a sitting at a kiosk is warned and ended: pure, told what time it is. Standard library only.

A sitting begins untouched. The first touch makes it used; one that nobody has touched since holds nothing of anybody's,
and is not ended. After `idle` seconds without a touch a used one is warned for `warning` seconds, and ends.

Where what it has begun with is changed, one that is untouched ends at once, so that the next one has the change. A used
one is left to whoever sits there, for `patience` seconds at most; `notice` seconds before that it is told so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

CALM, WARNED, ENDING, OVER = "calm", "warned", "ending", "over"
SETTLED = 5.0  # seconds for which files must stay as they are to count: they are changed one after the other
OWN_KEY_SECONDS = 1.5  # a key that the kiosk itself presses is no touch; the screen tells it with this accuracy


@dataclass
class Sitting:
    """All times are seconds of one clock that is not set."""

    idle: float
    warning: float
    began: float
    renew: float = 6 * 3600.0  # an untouched one begins anew, so that updates and leaks do not add up
    patience: float = 3600.0
    notice: float = 120.0
    touched: float | None = None
    changed: float | None = None  # since when the next sitting would be another than this one
    _own: tuple[float, float] = field(default=(-1.0, -1.0))

    @property
    def used(self) -> bool:
        return self.touched is not None

    def pressed_itself(self, first: float, last: float) -> None:
        """The kiosk pressed a key, between these times."""
        self._own = (first - OWN_KEY_SECONDS, last + OWN_KEY_SECONDS)

    def last_input(self, at: float) -> None:
        """The screen's last input, whoever's, was at this time."""
        if not (at <= self.began or self._own[0] <= at <= self._own[1]):
            self.touch(at)

    def touch(self, at: float) -> None:
        """Somebody has touched the screen, whatever the kiosk itself pressed beside it."""
        if self.touched is None or at > self.touched:
            self.touched = at

    def left(self, now: float) -> float:
        """Seconds until it ends; of an untouched one until it begins anew."""
        if self.touched is None:
            return self.began + self.renew - now
        return self.touched + self.idle + self.warning - now

    def until_change(self, now: float) -> float:
        """Seconds for which a change still waits; endless where there is none."""
        if self.changed is None:
            return math.inf
        return self.changed + self.patience - now if self.used else 0.0

    def state(self, now: float) -> str:
        left, change = self.left(now), self.until_change(now)
        if min(left, change) <= 0:
            return OVER
        if self.used and left <= self.warning:
            return WARNED
        return ENDING if change <= self.notice else CALM

    def why(self, now: float) -> str:
        """In words, of one that is over."""
        if self.left(now) <= 0:
            return "nobody has touched the screen" if self.used else "untouched, it begins anew"
        return "what it shows has changed" + (f", {self.patience:.0f} s ago" if self.used else "")


@dataclass
class Changes:
    """Whether files are as they were when the sitting began; `look` is given what they hold."""

    begun_with: str
    _seen: str = ""
    _since: float = 0.0
    _changed: float | None = None

    def look(self, found: str, now: float) -> float | None:
        """Since when they are others; None where they are not, or are just being changed."""
        if found != self._seen:
            self._seen, self._since = found, now
        if found == self.begun_with:
            self._changed = None
        elif self._changed is None and now - self._since >= SETTLED:
            self._changed = now
        return self._changed


@dataclass
class Line:
    """Whether the portal is reached: silent for `patience` seconds, it is not; the first answer brings it back."""

    patience: float
    answered: float

    def heard(self, at: float) -> None:
        self.answered = max(self.answered, at)

    def down(self, now: float) -> bool:
        return now - self.answered > self.patience
