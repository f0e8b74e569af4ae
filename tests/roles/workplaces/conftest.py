"""One lab of one ward with what PCs are made of, and one clerk's PC of it, converged as wards.yml does it.

WARDNET_LAB_KEEP=1 leaves the lab running. WARDNET_LAB_KEPT=1 takes one that was left so, as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab import Lab, open_lab
from tests.lab.lab_support import lab_command
from tests.roles.roles_support import inside, play
from tests.roles.workplaces.workplaces_support import NAME, PC, TOOLS


@pytest.fixture(scope="session")
def workplaces() -> Iterator[Lab]:
    """The lab, with its gateway and the PC converged."""
    if os.geteuid() != 0:
        pytest.fail("tests of the roles need root: run them with sudo, or leave them out with -m 'not lab'")
    if os.environ.get("WARDNET_LAB_KEPT"):
        yield open_lab(NAME)
        return
    lab_command("down", "--name", NAME)
    done = lab_command("up", "--name", NAME, "--wards", "1", "--workplaces", timeout=3600)
    if done.returncode != 0:
        pytest.fail(f"the lab did not come up:\n{done.stdout}\n{done.stderr}")
    lab = open_lab(NAME)
    # The lab's image takes no texts in other languages, to be small; a PC does. And no power will be cut here.
    dpkg = "cd /etc/dpkg/dpkg.cfg.d && rm -f 99mmdebstrap && echo force-unsafe-io > lab"
    lab.shell(PC, ["sh", "-c", dpkg])
    for playbook, hosts in (("channels.yml", "tay-ho-hub,buoi-gw"), ("wards.yml", PC)):
        run = play(lab, playbook, "--limit", hosts)
        if run.status != 0:
            pytest.fail(f"{playbook} failed:\n{run.tail}")
    lab.shell(PC, ["apt-get", "-qq", "-y", "--no-install-recommends", "install", *TOOLS], timeout=900)
    yield lab
    if not os.environ.get("WARDNET_LAB_KEEP"):
        lab_command("down", "--name", NAME)


@pytest.fixture
def pc(workplaces: Lab) -> Lab:
    """The same; fails early where the PC does not run."""
    assert inside(workplaces, PC, "hostname") == PC
    return workplaces
