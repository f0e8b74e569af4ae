"""The lab as Python code uses it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import access
from lab.layout import DEFAULT_NAME, Layout

if TYPE_CHECKING:
    from lab.record import FaultRecord, Record


@dataclass(frozen=True, slots=True)
class Lab:
    layout: Layout

    @property
    def name(self) -> str:
        return self.layout.name

    @property
    def state(self) -> Path:
        """STATE: known_hosts, ssh/, ca.pem, ansible-vars.yml, lab.json."""
        return self.layout.state

    @property
    def record(self) -> Record:
        """What the lab was made from, and the faults that hold now. LabError if it is not up."""
        from lab.record import require_record

        return require_record(self.layout)

    def run(
        self, host: str, argv: Sequence[str], *, stdin: bytes | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program of this machine in the host's network namespace."""
        return access.run(self.layout, host, argv, stdin=stdin, timeout=timeout)

    def shell(
        self, host: str, argv: Sequence[str], *, stdin: bytes | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program of the booted host inside it."""
        return access.shell(self.layout, host, argv, stdin=stdin, timeout=timeout)

    def power(self, host: str, what: str) -> None:
        """Cut a host's power (`off`), boot it again (`on`) and wait for it, or both (`cycle`). LabError where it is
        so already."""
        from lab import power

        power.switch(self.layout, host, power.Power(what))

    def replace(self, host: str) -> None:
        """Put a machine with Debian and nothing else in a host's place, and wait until it has booted."""
        from lab import blank

        blank.replace(self.layout, host)

    def break_(self, fault: str, ward: str, channel: str | None = None) -> FaultRecord:
        """Inject a fault by its name; the record holds the verdict that it must produce."""
        from lab import faults

        return faults.inject(self.layout, fault, ward, channel)

    def heal(self) -> tuple[FaultRecord, ...]:
        """Take back all faults; returns those that were taken back."""
        from lab import faults

        return faults.heal(self.layout)


def open_lab(name: str = DEFAULT_NAME) -> Lab:
    """The lab of that name. It need not be up yet; using it then says so."""
    return Lab(Layout(name))
