"""What tests of the lab share: its command line, and Ansible run from its controller."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import Lab, open_lab

# Two runs of the tests on one machine take each its own labs: give one of them another WARDNET_TEST_LABS.
LABS = os.environ.get("WARDNET_TEST_LABS") or "wardnet"
NAME = f"{LABS}-test"
CHECKOUT = Path(__file__).parents[2]


def lab_command(*words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """`python -m lab`, from the checkout."""
    argv = [sys.executable, "-m", "lab", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=CHECKOUT, timeout=timeout)


@contextmanager
def own_lab(name: str, set_up: Callable[[Lab], None], *words: str, timeout: float = 1200) -> Iterator[Lab]:
    """A lab for some slow tests alone, brought up with `words` and then set up; gone afterwards.

    WARDNET_LAB_KEEP=1 leaves it running. WARDNET_LAB_KEPT=1 takes one that was left so, as it is.
    """
    if os.geteuid() != 0:
        pytest.fail("tests with a lab need root: run them with sudo, or leave them out with -m 'not lab'")
    if os.environ.get("WARDNET_LAB_KEPT"):
        yield open_lab(name)
        return
    lab_command("down", "--name", name)
    done = lab_command("up", "--name", name, *words, timeout=timeout)
    if done.returncode != 0:
        pytest.fail(f"the lab did not come up:\n{done.stdout}\n{done.stderr}")
    lab = open_lab(name)
    try:
        set_up(lab)
        yield lab
    finally:
        if not os.environ.get("WARDNET_LAB_KEEP"):
            lab_command("down", "--name", name)


def command(lab: Lab, playbook: str) -> list[str]:
    """The command that runs a playbook of the checkout, or one by its whole path, against the hosts that exist in the
    lab, in the network of its controller."""
    return [
        "env",
        f"--chdir={CHECKOUT}",
        f"ANSIBLE_CONFIG={CHECKOUT / 'ansible.cfg'}",
        str(Path(sys.executable).with_name("ansible-playbook")),
        f"--inventory={lab.state / 'inventory' / 'wardnet.yml'}",
        f"--extra-vars=@{lab.state / 'ansible-vars.yml'}",
        str(CHECKOUT / "playbooks" / playbook),
    ]


def ansible(lab: Lab, playbook: str, *more: str, timeout: float = 600) -> subprocess.CompletedProcess[bytes]:
    """Run a playbook over SSH from the lab's controller."""
    # An empty input of its own: Ansible refuses one that another program has made non-blocking.
    return lab.run("controller", [*command(lab, playbook), *more], stdin=b"", timeout=timeout)
