"""What roles have gathered of a host's candidate, on the controller, until it is sent: one file a host, a line of JSON
a step. Each task of Ansible is a process of its own, and those of one host come one after another. Standard library
only.

The folder is Ansible's temporary one, which one run alone has, for its owner alone, and which is removed at its end.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any


def add(folder: str, host: str, step: dict[str, Any], encoder: type[json.JSONEncoder] = json.JSONEncoder) -> None:
    """Appends a step to the host's."""
    line = json.dumps(step, cls=encoder).encode() + b"\n"
    descriptor = os.open(_path(folder, host), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        file.write(line)


def take(folder: str, host: str) -> list[dict[str, Any]]:
    """The host's steps in their order; they are gone then."""
    path = _path(folder, host)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    path.unlink()
    return [json.loads(line) for line in text.splitlines()]


def _path(folder: str, host: str) -> Path:
    return Path(folder) / f"wardnet-{sha256(host.encode()).hexdigest()[:32]}"
