"""A guarded part: something whose change can cut the way to the host. All guarded parts of a candidate are changed in
one transaction, which the host takes back by itself unless a new connection confirms it. Standard library only.

To add a part:

1. Write `wardnet_part_NAME.py` with one class, a subclass of Part.
2. Add NAME to GUARDED in wardnet_candidate.py, at the place at which it is to be applied, and the class to PARTS in
   wardnet_parts.py.
3. Test it against real tools: tests/unit/test_plugins_part_NAME.py.

What the engine does with it, in this order, and what each call may do:

    part = NAME(steps, host)   all steps of this part; `step.arguments` is the dict under the part's name
    part.files                 set by the engine: changes of the files and directories of these steps (bundle.Change)
    part.read()                reads what runs. In a no-op this is all that happens: batch, start few processes
    part.difference()          -> Difference: missing, foreign, before and after as text. Empty: nothing to do
       -- the rest only in earnest, and judge() also in check mode; not called where nothing differs --
    part.judge(root)           raises RefusedError where the candidate, or the way back from it, would not be taken;
                               touches nothing. `root` holds all files of the candidate under their final paths
    part.undo()                -> entries that bring back what ran before, whatever of apply() has happened by then.
                               They are data; the engine writes them to disk (fsync) before anything is touched and the
                               host runs them itself, by timer or at boot. Each must be harmless when it is run
                               twice, or when its change never happened. The files of the steps need none: the engine
                               keeps them
       -- log written, timer armed --
    part.prepare()             what must be there before the files are, as the owner of one
       -- files in place where `files_when` is 'apply' --
    part.apply()               changes what runs; waits until it has taken effect; raises PartError where it does
                               not: then the engine takes everything back at once
    part.verify()              after all parts are applied: raises PartError where what runs is still not as intended
       -- the gateway's own probes, then the manager's new connection, then in a second run of the module --
    part.confirmed()           files in place where `files_when` is 'persist'; makes the change last beyond a reboot

Instances live for one run; the second run (confirmed) makes new ones of the parts that the first one changed, and calls
only confirmed().
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ansible.module_utils.wardnet_bundle import Change
    from ansible.module_utils.wardnet_candidate import Step
    from ansible.module_utils.wardnet_host import Host


class RefusedError(Exception):
    """The candidate, or the way back, would not be taken. Nothing was touched."""


class PartError(Exception):
    """A change did not take effect. `facts` go into the module's result."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts


@dataclass(frozen=True)
class Difference:
    """Between what runs and what is intended, in words of the tool. `before` and `after` are shown as a diff; without
    them, foreign and missing are. `needs` names what else is to be done, as 'start nftables.service'."""

    missing: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    before: str | None = None
    after: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)  # more for the result, as without_link

    def __bool__(self) -> bool:
        return bool(self.missing or self.foreign or self.needs)


ALWAYS, RUNNING, BOOT = "always", "running", "boot"


@dataclass(frozen=True)
class UndoFile:
    """A file as it was: a regular one with content, a link, or absent where both are None. Made by `keep_file`."""

    path: str
    content: bytes | None = None
    link: str | None = None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    directory: bool = False
    when: str = ALWAYS
    mtime_ns: int | None = None  # None: now. A unit that started after a file changed need not start again for it


@dataclass(frozen=True)
class UndoCommand:
    """`when` is 'running' where the command needs services that are not there early in a boot (D-Bus, networkd), 'boot'
    where it is needed only then, else 'always'. A failure whose message holds one of `harmless` is none; so is any
    failure where `harmless` holds ''. Commands run after all files are back, in the order given."""

    argv: tuple[str, ...]
    stdin: bytes | None = None
    harmless: tuple[str, ...] = ()
    when: str = RUNNING


Undo = UndoFile | UndoCommand


class Part:
    """See above. What a subclass leaves out does nothing."""

    name: ClassVar[str]
    files_when: ClassVar[str] = "apply"  # or 'persist'

    def __init__(self, steps: tuple[Step, ...], host: Host) -> None:
        self.steps = steps
        self.host = host
        self.files: list[Change] = []

    def services(self) -> tuple[str, ...]:
        """Units whose properties the part wants in host.unit(), which are read together."""
        return ()

    def read(self) -> None:
        """Reads what runs. Where the tool itself is not installed (yet), difference() says so."""

    def difference(self) -> Difference:
        return Difference()

    def judge(self, root: Path) -> None:
        """Raises RefusedError. In check mode the part's packages may not be installed."""

    def undo(self) -> list[Undo]:
        return []

    def prepare(self) -> None:
        """Raises PartError."""

    def apply(self) -> None:
        """Raises PartError."""

    def verify(self) -> None:
        """Raises PartError."""

    def confirmed(self) -> None:
        """Raises PartError."""

    def content(self, path: str) -> str:
        """Text of the candidate's file with this path; RefusedError where no step has it."""
        for step in self.steps:
            for item in step.files:
                if item["path"] == path and item.get("content") is not None:
                    return str(item["content"])
        raise RefusedError(f"part {self.name}: no file of the candidate is {path}")
