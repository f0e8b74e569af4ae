"""Units of guarded parts whose process was started with a file that is there no more: a drop-in that somebody had made,
or a unit file in front of the package's. Whoever had systemd read its files again since has it forget that, so it is
seen by the folder, too. They are started again within the change. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils import wardnet_drop_ins as drop_ins
from ansible.module_utils import wardnet_units as units
from ansible.module_utils.wardnet_bundle import Change
from ansible.module_utils.wardnet_host import SYSTEMCTL, Host
from ansible.module_utils.wardnet_part import Part, UndoCommand


@dataclass(frozen=True)
class Lost:
    """`now`: those of the names from which this candidate takes it. What the others ran with is not known any more."""

    names: tuple[str, ...] = ()
    now: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(f"restart {name}" for name in self.names)

    def back(self) -> Iterator[UndoCommand]:
        if self.now:
            yield UndoCommand((SYSTEMCTL, "daemon-reload"))
            yield UndoCommand((SYSTEMCTL, "try-restart", "--", *self.now))


def read_lost(host: Host, part: Part, changes: Sequence[Change]) -> Lost:
    """Of the part's services and the units of its steps; `changes` are those of the whole candidate."""
    going = {path for change in changes if change.kind == "remove" for path in (change.path, change.path.parent)}
    names = dict.fromkeys((*part.services(), *(name for step in part.steps for name in drop_ins.running(step))))
    runs = [name for name in names if is_running(host.unit(name))]
    now = tuple(name for name in runs if going & drop_ins.paths_of(name))
    return Lost(
        tuple(name for name in runs if name in now or runs_otherwise(host.unit(name), drop_ins.removed_at(name))), now
    )


def start_again(host: Host, lost: Lost, since: float) -> None:
    """Those that still run and were not started `since`, by the steady clock. PartError as units.carry_out()."""
    shown = units.show(host, lost.names)
    due = [("restart", name) for name, one in shown.items() if is_running(one) and units.entered(one) < since]
    if due:
        host.run([SYSTEMCTL, "daemon-reload"])
        units.carry_out(host, due, {})


def is_running(shown: dict[str, str]) -> bool:
    return shown.get("MainPID") not in (None, "", "0")


def runs_otherwise(shown: dict[str, str], removed: float) -> bool:
    """Whether a file is not there with which the unit was started, or one went, at `removed`, after its start."""
    started = units.booted() + units.entered(shown)
    return removed > started or not all(Path(path).exists() for path in shown.get("DropInPaths", "").split())
