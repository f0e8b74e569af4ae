"""Which page of the kiosk's own lies over those of the browser: pure. Standard library only.

The guest asks for some (the end, a scan, a file), and the kiosk tells others by itself (the line is down, an update is
near). What the guest has asked for lies over what is told, and stays until it is answered, but for a warning of the
end, which lies over all and leaves what was beneath it as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Button = tuple[str, Callable[[], None], str]


@dataclass(frozen=True, eq=False)
class Page:
    """`gone` is called once, when the guest's page is closed or another takes its place: whoever waits for its answer
    hears of it so."""

    kind: str
    title: str
    text: str
    buttons: Sequence[Button] = ()
    gone: Callable[[], None] | None = None
    urgent: bool = False

    def only_text_differs(self, other: Page) -> bool:
        """As the seconds of a warning do: what is drawn may stay, and a finger that is on a button."""
        mine, theirs = ((page.kind, page.title, [each[0] for each in page.buttons]) for page in (self, other))
        return mine == theirs and self.gone is None and other.gone is None


class Pages:
    """`draw` is given the page that is to be seen whenever it is another one; None where none is."""

    def __init__(self, draw: Callable[[Page | None], None]) -> None:
        self._draw = draw
        self._asked: Page | None = None
        self._told: Page | None = None
        self._drawn: Page | None = None

    @property
    def seen(self) -> Page | None:
        if self._told is not None and (self._told.urgent or self._asked is None):
            return self._told
        return self._asked

    def ask(self, page: Page | None) -> None:
        """The guest asks for a page, or closes the one that it has asked for."""
        before, self._asked = self._asked, page
        self._update()
        if before is not None and before.gone is not None:
            before.gone()

    def close(self) -> None:
        self.ask(None)

    def tell(self, page: Page | None) -> None:
        """What the kiosk has to say by itself now; a page of the same kind stays, with another text."""
        self._told = page
        self._update()

    def _update(self) -> None:
        seen = self.seen
        if seen is not self._drawn:
            self._drawn = seen
            self._draw(seen)
