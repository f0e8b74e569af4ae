"""One lab for all tests that need one: booted once a run, provisioned once, taken down at the end.

WARDNET_LAB_KEEP=1 leaves it running, so that the next run begins at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab import Lab, open_lab
from tests.lab.lab_support import NAME, ansible, lab_command


@pytest.fixture(scope="session", name="lab")
def booted_lab() -> Iterator[Lab]:
    """The lab `wardnet-test` with one ward, as it is before Ansible comes."""
    if os.geteuid() != 0:
        pytest.fail("tests of the lab need root: run them with sudo, or leave them out with -m 'not lab'")
    done = lab_command("up", "--name", NAME, "--wards", "1")
    if done.returncode != 0:
        pytest.fail(f"the lab did not come up:\n{done.stdout}\n{done.stderr}")
    opened = open_lab(NAME)
    opened.heal()
    yield opened
    if not os.environ.get("WARDNET_LAB_KEEP"):
        lab_command("down", "--name", NAME)


def _play(lab: Lab, playbook: str) -> Lab:
    done = ansible(lab, playbook)
    if done.returncode != 0:
        pytest.fail(f"{playbook} failed:\n{done.stdout.decode()[-6000:]}\n{done.stderr.decode()[-2000:]}")
    return lab


@pytest.fixture(scope="session")
def routed(lab: Lab) -> Lab:
    """The same lab after playbooks/channels.yml: the hub and the gateways do their work."""
    return _play(lab, "channels.yml")


@pytest.fixture(scope="session")
def provisioned(lab: Lab) -> Lab:
    """The same lab after playbooks/site.yml."""
    return _play(lab, "site.yml")
