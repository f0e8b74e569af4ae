"""This machine itself: each artefact's own command, run here. Needs the privileges that the commands need."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import Self

from collectors.errors import UnreachableError
from collectors.transport.base import MAX_BYTES
from wardnet.model.snapshot import Artefact


class LocalTransport:
    def __init__(self, timeout: float = 30.0) -> None:
        self._timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def read(self, artefact: Artefact) -> bytes:
        try:
            done = subprocess.run(artefact.command, capture_output=True, check=False, timeout=self._timeout)
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(f"{artefact.name}: timeout after {self._timeout:g} s") from error
        except OSError as error:
            raise UnreachableError(f"{artefact.name}: {artefact.command[0]}: {error.strerror}") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise UnreachableError(f"{artefact.name}: exit {done.returncode}: {said[-1] if said else 'no message'}")
        if len(done.stdout) > MAX_BYTES:
            raise UnreachableError(f"{artefact.name}: more than {MAX_BYTES} bytes")
        return done.stdout
