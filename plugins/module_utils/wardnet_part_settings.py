"""Part `settings`: kernel settings below /proc/sys, held to their values.

    settings: {values: {net/ipv4/ip_forward: "1", ...}, optional: [net/ipv4/conf/wan0/, ...]}

Names have slashes; a `*` in one stands for every name that is there, as of all ports, and gives way to a name that is
given as it is. Each setting must exist, but those whose name begins with one of `optional`, as of a port that is not
there; nor is one of these held that cannot be written, as a container has what it shares with others. They are written
after the packet filter is loaded, never before.
"""

from __future__ import annotations

import os
from pathlib import Path

from ansible.module_utils.wardnet_part import (
    ALWAYS,
    RUNNING,
    Difference,
    Part,
    PartError,
    RefusedError,
    Undo,
    UndoCommand,
)

SYSCTL = "/usr/sbin/sysctl"
FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")
WRITE = (SYSCTL, "-e", "-q", "-w")  # a port that is not there has no settings


class Settings(Part):
    name = "settings"
    files_when = "persist"

    def read(self) -> None:
        given: dict[str, str] = {}
        self._optional: list[str] = []
        for step in self.steps:
            for name, value in (step.arguments.get("values") or {}).items():
                if given.setdefault(name, str(value)) != str(value):
                    raise RefusedError(f"{name} is given differently, {given[name]} and {value}, the latter by {step}")
            self._optional += step.arguments.get("optional") or []
        self._given = given
        self._values = self._named()
        self._wrong = self._differing()

    def _named(self) -> dict[str, str]:
        """The values by names without `*`; ports that have come meanwhile are among them."""
        found: dict[str, str] = {}
        for pattern, value in self._given.items():
            if "*" in pattern:
                for path in sorted(self.host.sysctl.glob(pattern)):
                    found.setdefault(path.relative_to(self.host.sysctl).as_posix(), value)
        return {**found, **{name: value for name, value in self._given.items() if "*" not in name}}

    def _may_be_left(self, name: str) -> bool:
        return any(name.startswith(beginning) for beginning in self._optional)

    def _is_left(self, name: str) -> bool:
        return self._may_be_left(name) and not os.access(self.host.sysctl / name, os.W_OK)

    def _differing(self) -> dict[str, str]:
        """Present values of the settings that are not as intended."""
        wrong = {}
        for name, value in self._values.items():
            try:
                present = (self.host.sysctl / name).read_text().strip()
            except FileNotFoundError:
                if self._may_be_left(name) or name not in self._given:
                    continue
                raise RefusedError(f"this kernel has no setting {name}") from None
            if present.split() != value.split() and not self._is_left(name):
                wrong[name] = present
        return wrong

    def difference(self) -> Difference:
        return Difference(
            missing=tuple(f"{name} = {self._values[name]}" for name in self._wrong),
            foreign=tuple(f"{name} = {present}" for name, present in self._wrong.items()),
        )

    def judge(self, root: Path) -> None:  # noqa: ARG002 - values are the kernel's to judge, as they are written
        fixed = [name for name in self._wrong if not os.access(self.host.sysctl / name, os.W_OK)]
        if fixed:
            raise RefusedError(f"{', '.join(fixed)} cannot be written on this host: nothing was touched")

    def undo(self) -> list[Undo]:
        # Switching forwarding sets others back, so it comes first; and those that the switch will have changed are
        # among the values that are right now. At boot no filter is loaded yet: its unit switches forwarding on.
        held = {name: value for name, value in self._values.items() if not self._is_left(name)}
        former = {name: self._wrong.get(name, value) for name, value in held.items()}
        switches = [name for name in FORWARDING if name in former]
        switches += [name for name in former if name not in FORWARDING and name.endswith("/forwarding")]
        others = [name for name in former if name not in switches]
        return [
            UndoCommand((*WRITE, *(f"{name}={former[name]}" for name in names)), when=when)
            for names, when in ((switches, RUNNING), (others, ALWAYS))
            if names
        ]

    def apply(self) -> None:
        self._write()

    def verify(self) -> None:
        self._values = self._named()
        self._write()  # ports that have come with the change
        wrong = self._differing()
        if wrong:
            raise PartError(f"settings do not keep their values: {', '.join(wrong)}")

    def _write(self) -> None:
        for _ in range(3):  # the kernel sets others back when forwarding is switched
            for name in self._differing():
                try:
                    (self.host.sysctl / name).write_text(f"{self._values[name]}\n")
                except OSError as error:
                    raise PartError(f"{name} cannot be {self._values[name]}: {error}") from error
