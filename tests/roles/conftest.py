"""A lab of its own for the roles, since they are first run in check mode on hosts that nothing has configured yet.
The whole story is told once: check, converge, once more; every test reads or goes on from that.

WARDNET_LAB_KEEP=1 leaves the lab running. WARDNET_LAB_KEPT=1 takes one that was left so, without the story.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import Lab, open_lab
from tests.lab.lab_support import lab_command
from tests.roles.roles_support import NAME, Run, inside, play


@dataclass(frozen=True)
class Story:
    before: dict[str, str]  # state of a gateway before anything ran
    checked: Run
    after_check: dict[str, str]
    converged: Run
    again: Run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The story is told within whichever test comes first, and a machine with other work tells it slowly."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session")
def fresh() -> Iterator[Lab]:
    """A lab with one ward that Ansible has not come to."""
    if os.geteuid() != 0:
        pytest.fail("tests of the roles need root: run them with sudo, or leave them out with -m 'not lab'")
    lab_command("down", "--name", NAME)
    done = lab_command("up", "--name", NAME, "--wards", "1")
    if done.returncode != 0:
        pytest.fail(f"the lab did not come up:\n{done.stdout}\n{done.stderr}")
    yield open_lab(NAME)
    if not os.environ.get("WARDNET_LAB_KEEP"):
        lab_command("down", "--name", NAME)


@pytest.fixture(scope="session")
def story(fresh: Lab) -> Story:
    before = state(fresh)
    checked = play(fresh, "site.yml", "--check", "--diff")
    after_check = state(fresh)
    converged = play(fresh, "site.yml")
    again = play(fresh, "site.yml")
    return Story(before, checked, after_check, converged, again)


@pytest.fixture(scope="session")
def converged(request: pytest.FixtureRequest) -> Lab:
    """The lab after playbooks/site.yml."""
    if os.environ.get("WARDNET_LAB_KEPT"):
        return open_lab(NAME)
    fresh: Lab = request.getfixturevalue("fresh")
    story: Story = request.getfixturevalue("story")
    if story.converged.status != 0:
        pytest.fail(f"site.yml failed:\n{story.converged.tail}")
    return fresh


def state(lab: Lab) -> dict[str, str]:
    commands = {
        "files": ["find", "/etc", "-newer", "/etc/machine-id", "-type", "f", "-printf", "%p %s %m\\n"],
        "network": ["ls", "/etc/systemd/network"],
        "rules": ["ip", "rule"],
        "filter": ["nft", "list", "ruleset"],
        "forwarding": ["cat", "/proc/sys/net/ipv4/ip_forward"],
    }
    return {name: inside(lab, "buoi-gw", *argv) for name, argv in commands.items()}
