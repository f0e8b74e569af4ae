"""Where journals are: the folder that the controller's people share, or one's own.

WARDNET_RUNS names another folder. The shared one is used where it exists and may be written (role runs_exporter
makes it); nothing is made in /var/log behind anybody's back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "WARDNET_RUNS"
SHARED = Path("/var/log/wardnet/runs")
SUFFIX = ".jsonl"


def own(environment: Mapping[str, str] = os.environ) -> Path:
    state = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME") or Path.home()) / ".local" / "state")
    return Path(state) / "wardnet" / "runs"


def write_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the next journal goes."""
    if environment.get(VARIABLE):
        return Path(environment[VARIABLE])
    return SHARED if SHARED.is_dir() and os.access(SHARED, os.W_OK | os.X_OK) else own(environment)


def read_folders(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Where journals may be. Those written before the shared folder was made are not forgotten."""
    if environment.get(VARIABLE):
        return [Path(environment[VARIABLE])]
    return [SHARED, own(environment)]
