"""What the tests of PCs share: the PC, somebody who works at it, and runs that find and heal."""

from __future__ import annotations

from lab import Lab
from tests.lab.lab_support import LABS
from tests.roles.roles_support import Run, play

NAME = f"{LABS}-workplaces"
PC = "buoi-pc-1"
CLERK = "mot-cua"
# What the tests look with; not of the role.
TOOLS = ("cups-ipp-utils", "poppler-utils", "scrot", "softhsm2", "xdotool", "xvfb", "zenity")
PASSWORD = "demo"  # of every account in a lab


def as_clerk(lab: Lab, command: str, *, timeout: float = 180) -> str:
    """Output and errors of a shell command in a clerk's login; AssertionError where it fails."""
    done = lab.shell(PC, ["su", "-", CLERK, "-c", command], timeout=timeout)
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, f"{command}: {said}"
    return said.strip()


def as_root(lab: Lab, command: str, *, timeout: float = 180) -> str:
    done = lab.shell(PC, ["sh", "-c", command], timeout=timeout)
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, f"{command}: {said}"
    return said.strip()


def converge(lab: Lab, *more: str) -> Run:
    return play(lab, "wards.yml", "--limit", PC, *more)
