"""Changes that undo themselves. A change that could cut the way to a host is armed first: a timer on the host itself
takes it back, unless a new connection confirms in time that the host is still reached. Standard library only.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

FOLDER = Path("/run/wardnet")
SYSTEMCTL = "/usr/bin/systemctl"
SYSTEMD_RUN = "/usr/bin/systemd-run"
LOGGER = "/usr/bin/logger"


class Rollback:
    """One armed change of a kind (`name`) at a time. `module` is the AnsibleModule that runs commands."""

    def __init__(self, module: Any, name: str) -> None:
        self._module = module
        self._unit = f"wardnet-rollback-{name}"
        self._script = FOLDER / f"rollback-{name}"
        self._name = name

    def arm(self, commands: list[list[str]], seconds: int) -> None:
        """Has the host run `commands` in `seconds`, each whether or not the one before succeeds."""
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        said = f"nobody confirmed the {self._name} within {seconds} s: the former one is back"
        lines = [
            shlex.join(command) for command in [*commands, [LOGGER, "--tag", "wardnet", "--priority", "err", said]]
        ]
        self._script.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        self._run([SYSTEMCTL, "reset-failed", f"{self._unit}.service"], check=False)
        self._run([SYSTEMCTL, "stop", f"{self._unit}.timer"], check=False)
        self._run(
            [
                SYSTEMD_RUN,
                "--quiet",
                "--collect",
                f"--unit={self._unit}",
                f"--on-active={seconds}",
                "--timer-property=AccuracySec=100ms",
                "/bin/sh",
                str(self._script),
            ]
        )

    def confirm(self) -> None:
        """Takes the timer away; fails where it has run already."""
        if not self._waits():
            self._module.fail_json(
                msg=f"the {self._name} was not confirmed in time: the host has taken the change back by itself"
            )
        self._run([SYSTEMCTL, "stop", f"{self._unit}.timer"])
        self._script.unlink(missing_ok=True)

    def _waits(self) -> bool:
        return bool(self._run([SYSTEMCTL, "is-active", "--quiet", f"{self._unit}.timer"], check=False) == 0)

    def _run(self, command: list[str], check: bool = True) -> int:
        code, _, err = self._module.run_command(command)
        if code != 0 and check:
            self._module.fail_json(msg=f"{shlex.join(command)}: {err.strip()}")
        return int(code)
