"""What a transport is: a connection over which artefacts are read one by one."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from wardnet.model.snapshot import Artefact

MAX_BYTES = 64 * 1024 * 1024  # of one artefact; a full Internet table in JSON is far below


class Transport(Protocol):
    """A context manager; leaving it closes the connection."""

    def read(self, artefact: Artefact) -> bytes:
        """The artefact, whole. Raises UnreachableError."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
