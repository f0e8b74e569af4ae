"""The host as the engine and its parts see it: commands, and where things are kept. Standard library only."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

IP = "/usr/sbin/ip"
NFT = "/usr/sbin/nft"
NETWORKCTL = "/usr/bin/networkctl"
PYTHON = "/usr/bin/python3"
SYSTEMCTL = "/usr/bin/systemctl"
APT = "/usr/bin/apt-get"
TIMED_OUT = 124  # as timeout(1) has it


class CommandError(Exception):
    """A command of ours was not done; the message holds its own words."""


@dataclass
class Host:
    """`state` holds what must outlive a reboot."""

    check_mode: bool = False
    state: Path = Path("/var/lib/wardnet")
    library: Path = Path("/usr/local/lib/wardnet")
    units: Path = Path("/etc/systemd/system")
    lock: Path = Path("/run/wardnet/lock")
    sysctl: Path = Path("/proc/sys")
    settle: float = 30.0  # seconds within which a change must have taken effect
    patience: float = 1800.0  # seconds for one command: one that hangs must not hold the host for ever
    apt_patience: float = 4 * 3600.0  # it fetches over lines of any kind
    fetches_first: bool = False  # packages are fetched as a step of its own, which whoever ends us may end
    warnings: list[str] = field(default_factory=list)
    shown: dict[str, dict[str, str]] = field(default_factory=dict)  # properties of units by name, as read

    def run(self, argv: Sequence[str], stdin: str | bytes | None = None) -> str:
        """Standard output; CommandError where the status is not 0."""
        code, out, err = self.attempt(argv, stdin)
        if code != 0:
            raise CommandError(f"{shlex.join(argv)}: {(err or out).strip() or f'status {code}'}")
        return out

    def attempt(self, argv: Sequence[str], stdin: str | bytes | None = None) -> tuple[int, str, str]:
        """Status, output and errors of a command; status 127 where there is no such program, 124 where it did not end
        and was ended with all that it had started. nft prints and reads times in the zone of its environment: it is
        always the same one."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        patience = self.apt_patience if APT in argv else self.patience
        try:
            process = subprocess.Popen(
                list(argv), stdin=subprocess.DEVNULL if given is None else subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C", "TZ": "UTC"}, start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError:
            return 127, "", f"{argv[0]} is not installed"
        with process:
            try:
                out, err = process.communicate(given, timeout=patience)
            except BaseException as error:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                return TIMED_OUT, "", f"{shlex.join(argv)} had not ended after {patience:g} s, and was ended"
        return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")

    def unit(self, name: str) -> dict[str, str]:
        """Properties of a unit that services() of a part named; see wardnet_units.PROPERTIES."""
        return self.shown.get(name, {})

    def warn(self, message: str) -> None:
        """Said at the end of the run."""
        self.warnings.append(message)
