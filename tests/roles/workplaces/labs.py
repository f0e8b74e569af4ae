"""Labs of one ward with what PCs are made of. tests/lab/lab_support.py says how to keep one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from lab import Lab
from tests.lab.lab_support import own_lab
from tests.roles.roles_support import play


def made(name: str, set_up: Callable[[Lab], None]) -> AbstractContextManager[Lab]:
    """The lab, with its ward's gateway converged and then `set_up`; neither where it was kept."""

    def channels_and_more(lab: Lab) -> None:
        must_play(lab, "channels.yml", "tay-ho-hub,buoi-gw")
        set_up(lab)

    return own_lab(name, channels_and_more, "--wards", "1", "--workplaces", timeout=3600)


def must_play(lab: Lab, playbook: str, hosts: str) -> None:
    run = play(lab, playbook, "--limit", hosts)
    if run.status != 0:
        pytest.fail(f"{playbook} failed:\n{run.tail}")
