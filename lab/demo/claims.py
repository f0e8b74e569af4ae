"""What the demo sets out to show. A claim is MISSED until it was really seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console


@dataclass(slots=True)
class Claim:
    """`wanted` is what the figure had to be; `repeat` the command that shows it again while the lab is up."""

    what: str
    wanted: str
    repeat: str
    figure: str = "not reached"
    shown: bool = False

    def settle(self, seen: bool, figure: str) -> bool:
        self.shown, self.figure = seen, figure
        return seen


@dataclass(slots=True)
class Claims:
    """All claims, in the order in which they are told."""

    _claims: dict[str, Claim] = field(default_factory=dict)

    def declare(self, key: str, what: str, wanted: str, repeat: str) -> None:
        self._claims[key] = Claim(what, wanted, repeat)

    def __getitem__(self, key: str) -> Claim:
        return self._claims[key]

    def __iter__(self) -> Iterator[Claim]:
        return iter(self._claims.values())

    @property
    def all_shown(self) -> bool:
        return all(claim.shown for claim in self)

    def tell(self, console: Console) -> None:
        """One line a claim: SHOWN or MISSED, the figure, what it had to be, and how to see it again."""
        for claim in self:
            word = "[bold green]SHOWN [/]" if claim.shown else "[bold red]MISSED[/]"
            console.print(f"{word} {claim.what}: ", end="", highlight=False, soft_wrap=True)
            console.print(f"{claim.figure} (had to be: {claim.wanted})", markup=False, highlight=False, soft_wrap=True)
            console.print(f"       {claim.repeat}", style="dim", markup=False, highlight=False, soft_wrap=True)
