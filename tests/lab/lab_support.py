"""What tests of the lab share: its command line, and Ansible run from its controller."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab import Lab

NAME = "wardnet-test"
CHECKOUT = Path(__file__).parents[2]


def lab_command(*words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """`python -m lab`, from the checkout."""
    argv = [sys.executable, "-m", "lab", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=CHECKOUT, timeout=timeout)


def ansible(lab: Lab, playbook: str, *more: str, timeout: float = 600) -> subprocess.CompletedProcess[bytes]:
    """Run a playbook over SSH from the lab's controller against the hosts that exist in it."""
    argv = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        f"--inventory={lab.state / 'inventory' / 'wardnet.yml'}",
        f"--extra-vars=@{lab.state / 'ansible-vars.yml'}",
        str(CHECKOUT / "playbooks" / playbook),
        *more,
    ]
    env = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
    wrapped = ["env", "--chdir", str(CHECKOUT), *(f"{key}={value}" for key, value in env.items()), *argv]
    return lab.run("controller", wrapped, timeout=timeout)
