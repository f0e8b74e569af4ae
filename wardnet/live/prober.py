"""Has a command send what a replay's plan says: the plan on its standard input, the answers from its standard output.

The command knows how to reach the places; wardnet opens no way to them. It is bounded in time and in what it says.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from wardnet.live.errors import BadAnswerError, LiveError, UnreachableError

MOST_BYTES = 4 * 2**20
PATIENCE_SECONDS = 10.0  # beyond what the plan gives it, to start and to stop
LOOK_SECONDS = 0.1


def ask_prober(command: Sequence[str], plan: bytes, seconds: float) -> bytes:
    """What the command answers to a plan. It, and all that it started in its session, is ended after `seconds` and some
    patience. Raises LiveError."""
    with tempfile.TemporaryFile() as question, tempfile.TemporaryFile() as answer:
        question.write(plan)
        question.seek(0)
        try:
            process = subprocess.Popen(command, stdin=question, stdout=answer, start_new_session=True)
        except OSError as error:
            raise UnreachableError(f"{command[0]}: {error.strerror}") from error
        try:
            status = _ended(process, answer, seconds + PATIENCE_SECONDS)
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if status != 0:
            raise LiveError(f"{command[0]} ended with {status}")
        answer.seek(0)
        return answer.read(MOST_BYTES)


def _ended(process: subprocess.Popen[bytes], answer: IO[bytes], seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while True:
        if os.fstat(answer.fileno()).st_size > MOST_BYTES:
            raise BadAnswerError(f"the prober says more than {MOST_BYTES // 2**20} MiB")
        with suppress(subprocess.TimeoutExpired):
            return process.wait(LOOK_SECONDS)
        if time.monotonic() > deadline:
            raise UnreachableError(f"the prober did not end within {seconds:.0f} s")
