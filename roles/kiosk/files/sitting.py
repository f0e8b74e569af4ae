"""When a sitting at a kiosk is warned and ended: pure, told what time it is. Standard library only.

A sitting begins untouched. The first touch makes it used; one that nobody has touched since holds nothing of anybody's,
and is not ended. After `idle` seconds without a touch a used one is warned for `warning` seconds, and ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CALM, WARNED, OVER = "calm", "warned", "over"
OWN_KEY_SECONDS = 1.5  # a key that the kiosk itself presses is no touch; the screen tells it with this accuracy


@dataclass
class Sitting:
    """All times are seconds of one clock that is not set."""

    idle: float
    warning: float
    began: float
    renew: float = 6 * 3600.0  # an untouched one begins anew, so that updates and leaks do not add up
    touched: float | None = None
    _own: tuple[float, float] = field(default=(-1.0, -1.0))

    @property
    def used(self) -> bool:
        return self.touched is not None

    def pressed_itself(self, first: float, last: float) -> None:
        """The kiosk pressed a key, between these times."""
        self._own = (first - OWN_KEY_SECONDS, last + OWN_KEY_SECONDS)

    def last_input(self, at: float) -> None:
        """The screen's last input, whoever's, was at this time."""
        if at <= self.began or self._own[0] <= at <= self._own[1]:
            return
        if self.touched is None or at > self.touched:
            self.touched = at

    def left(self, now: float) -> float:
        """Seconds until it ends; of an untouched one until it begins anew."""
        if self.touched is None:
            return self.began + self.renew - now
        return self.touched + self.idle + self.warning - now

    def state(self, now: float) -> str:
        left = self.left(now)
        if left <= 0:
            return OVER
        return WARNED if self.used and left <= self.warning else CALM


@dataclass
class Line:
    """Whether the portal is reached: silent for `patience` seconds, it is not; the first answer brings it back."""

    patience: float
    answered: float

    def heard(self, at: float) -> None:
        self.answered = max(self.answered, at)

    def down(self, now: float) -> bool:
        return now - self.answered > self.patience
