"""Labs of one ward with what PCs are made of.

WARDNET_LAB_KEEP=1 leaves the lab running. WARDNET_LAB_KEPT=1 takes one that was left so, as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lab import Lab, open_lab
from tests.lab.lab_support import lab_command
from tests.roles.roles_support import play


@contextmanager
def made(name: str, set_up: Callable[[Lab], None]) -> Iterator[Lab]:
    """The lab, with its ward's gateway converged and then `set_up`; neither where it was kept."""
    if os.geteuid() != 0:
        pytest.fail("tests of the roles need root: run them with sudo, or leave them out with -m 'not lab'")
    if os.environ.get("WARDNET_LAB_KEPT"):
        yield open_lab(name)
        return
    lab_command("down", "--name", name)
    done = lab_command("up", "--name", name, "--wards", "1", "--workplaces", timeout=3600)
    if done.returncode != 0:
        pytest.fail(f"the lab did not come up:\n{done.stdout}\n{done.stderr}")
    lab = open_lab(name)
    try:
        must_play(lab, "channels.yml", "tay-ho-hub,buoi-gw")
        set_up(lab)
        yield lab
    finally:
        if not os.environ.get("WARDNET_LAB_KEEP"):
            lab_command("down", "--name", name)


def must_play(lab: Lab, playbook: str, hosts: str) -> None:
    run = play(lab, playbook, "--limit", hosts)
    if run.status != 0:
        pytest.fail(f"{playbook} failed:\n{run.tail}")
