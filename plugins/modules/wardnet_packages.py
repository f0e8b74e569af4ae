#!/usr/bin/python
"""Installs Debian packages; costs one dpkg-query where all of them are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: wardnet_packages
short_description: Install Debian packages without what they merely recommend
version_added: "0.1.0"
description:
  - Asks dpkg what is installed, and calls apt-get only for what is missing or has another version than asked.
options:
  packages:
    description: What must be installed, as C(name) where any version will do, or C(name=version).
    type: list
    elements: str
    required: true
  start:
    description: >-
      Whether the packages may start their services. Without it nothing runs with a package's own configuration
      before the host's is there.
    type: bool
    default: true
  timeout:
    description: Seconds that apt-get may wait for the lock of another run.
    type: int
    default: 120
attributes:
  check_mode:
    description: Says what would be installed, without looking for it in the package sources.
    support: full
author: the wardnet developers
"""

EXAMPLES = r"""
- name: Install the monitoring server
  wardnet_packages:
    packages: [prometheus, prometheus-alertmanager]
    start: false
"""

RETURN = r"""
installed:
  description: What was or would be installed, as name or name=version.
  returned: always
  type: list
  elements: str
"""

FORMAT = r"${Package}\t${db:Status-Status}\t${Version}\n"
POLICY = Path("/usr/sbin/policy-rc.d")
FORBIDS = "#!/bin/sh\n# wardnet: services wait for their configuration\nexit 101\n"
APT = ["/usr/bin/apt-get", "--quiet", "--yes", "--no-install-recommends"]
OPTIONS = [
    "--option=Dpkg::Options::=--force-confdef",
    "--option=Dpkg::Options::=--force-confold",
    "--option=APT::Update::Error-Mode=any",
]


def parse_installed(text: str) -> dict[str, str]:
    """Versions by name, from lines of 'name<TAB>status<TAB>version'; only what is fully installed counts."""
    rows = (line.split("\t") for line in text.splitlines())
    return {row[0]: row[2] for row in rows if len(row) == 3 and row[1] == "installed"}


def missing(wanted: list[str], installed: dict[str, str]) -> list[str]:
    """Those of the wanted that are not installed, or not in the version asked for."""
    due = []
    for package in wanted:
        name, _, version = package.partition("=")
        if name not in installed or version not in ("", installed[name]):
            due.append(package)
    return due


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "required": True},
            "start": {"type": "bool", "default": True},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    wanted = module.params["packages"]
    query = ["/usr/bin/dpkg-query", "--show", f"--showformat={FORMAT}"]
    # dpkg-query exits 1 where a name is unknown to it, which is an answer here
    _, out, _ = module.run_command([*query, *(package.partition("=")[0] for package in wanted)])
    due = missing(wanted, parse_installed(out))
    if due and not module.check_mode:
        with policy(module.params["start"]):
            install(module, due)
    module.exit_json(changed=bool(due), installed=due)


def install(module: AnsibleModule, due: list[str]) -> None:
    environment = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    lock = f"--option=DPkg::Lock::Timeout={module.params['timeout']}"
    for action in (["update"], ["install", *due]):
        code, out, err = module.run_command([*APT, lock, *OPTIONS, *action], environ_update=environment)
        if code != 0:
            said = [line for line in err.splitlines() if line.startswith(("E:", "W:"))]
            reason = " ".join(said) or (err or out).strip()
            module.fail_json(msg=f"apt-get {' '.join(action)}: {reason}")


@contextmanager
def policy(start: bool) -> Iterator[None]:
    """Debian's way to keep packages from starting services; one of ours that a killed run left is taken away."""
    if POLICY.exists() and POLICY.read_text() == FORBIDS:
        POLICY.unlink()
    ours = not start and not POLICY.exists()
    if ours:
        POLICY.write_text(FORBIDS)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
