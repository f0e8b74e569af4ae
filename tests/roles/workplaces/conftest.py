"""One clerk's PC in a lab of its own, converged as wards.yml does it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.roles.roles_support import inside
from tests.roles.workplaces.labs import made, must_play
from tests.roles.workplaces.workplaces_support import NAME, PC, TOOLS


def _set_up(lab: Lab) -> None:
    # The lab's image takes no texts in other languages, to be small; a PC does. And no power will be cut here.
    dpkg = "cd /etc/dpkg/dpkg.cfg.d && rm -f 99mmdebstrap && echo force-unsafe-io > lab"
    lab.shell(PC, ["sh", "-c", dpkg])
    must_play(lab, "wards.yml", PC)
    lab.shell(PC, ["apt-get", "-qq", "-y", "--no-install-recommends", "install", *TOOLS], timeout=900)


@pytest.fixture(scope="session")
def workplaces() -> Iterator[Lab]:
    """The lab, with its gateway and the PC converged."""
    with made(NAME, _set_up) as lab:
        yield lab


@pytest.fixture
def pc(workplaces: Lab) -> Lab:
    """The same; fails early where the PC does not run."""
    assert inside(workplaces, PC, "hostname") == PC
    return workplaces
