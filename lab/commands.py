"""Runs the machine's own programs and turns their failures into LabError."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.errors import LabError
from lab.layout import COMMAND
from wardnet.locale import _

log = logging.getLogger(__name__)


def capture(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 600,
) -> str:
    """Run a command to its end and return its standard output.

    Raises LabError with the command and the end of its error output when it fails or takes over `timeout`
    seconds.
    """
    words = [str(word) for word in argv]
    log.debug("run %s", words)
    try:
        done = subprocess.run(
            words,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise LabError(
            _("{program} is not installed; `{lab} preflight` names the package").format(program=words[0], lab=COMMAND)
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(
            _("`{command}` did not end within {seconds:.0f} s").format(command=" ".join(words[:4]), seconds=timeout)
        ) from error
    if done.returncode != 0:
        tail = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-12:])
        raise LabError(
            _("`{command}` failed with status {status}:\n{tail}").format(
                command=" ".join(words[:8]), status=done.returncode, tail=tail
            )
        )
    return done.stdout


def ip_batch(namespace: str | None, lines: Sequence[str]) -> None:
    """Feed many `ip` commands to one process, in `namespace` or in the machine's own. Stops at the first error."""
    if not lines:
        return
    where = ["-n", namespace] if namespace is not None else []
    try:
        capture(["ip", *where, "-batch", "-"], stdin="\n".join(lines) + "\n")
    except LabError as error:
        raise LabError(
            _("{error}\n(among {count} commands from `{command}`)").format(
                error=error, count=len(lines), command=lines[0]
            )
        ) from error
