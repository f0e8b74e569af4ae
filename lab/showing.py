"""How the commands show what they are at: one line a step, and a bar while hosts boot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from lab import build


class Shown(build.Progress):
    """Progress as a person watches it: one line a step, and a bar while hosts boot."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def step(self, what: str) -> None:
        self._finish()
        self._task = self._bars.add_task(what, total=None)

    def booted(self, ready: int, of: int) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=ready, total=of)

    def note(self, what: str) -> None:
        self._bars.console.print(f"  {what}", highlight=False)

    def _finish(self) -> None:
        if self._task is not None:
            total = self._bars.tasks[self._task].total
            self._bars.update(self._task, total=total or 1, completed=total or 1)


@contextmanager
def showing(out: Console) -> Iterator[Shown]:
    columns = (SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), BarColumn(20),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=out) as bars:
        shown = Shown(bars)
        yield shown
        shown._finish()
