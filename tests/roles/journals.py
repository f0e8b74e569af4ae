"""Journals of a lab's runs as tests read them, and `wardnet runs` as the people at its controller give it."""

from __future__ import annotations

import subprocess
import sys

from lab import Lab
from tests.lab.lab_support import CHECKOUT
from wardnet.runs.journal import find_journals, read_run
from wardnet.runs.records import Run

PATIENCE = 900.0  # seconds; a machine with other work takes long for a run


def newest(lab: Lab) -> Run:
    return read_run(find_journals([lab.layout.runs])[0])


def states(run: Run) -> dict[str, str]:
    return {host.host: host.state.value for host in run.hosts}


def wardnet(lab: Lab, *words: str, language: str = "en") -> subprocess.CompletedProcess[bytes]:
    """`wardnet runs` at the controller."""
    argv = [sys.executable, "-m", "wardnet.cli.main", "runs", *words]
    environment = ["env", f"--chdir={CHECKOUT}", f"WARDNET_LANG={language}", "COLUMNS=200"]
    return lab.run("controller", [*environment, *argv], stdin=b"", timeout=PATIENCE)


def batches(run: Run, play: str = "Gateways") -> list[tuple[str, ...]]:
    """The steps of the play that were begun, in order."""
    return [batch for one in run.plays if one.name == play for batch in one.batches]
