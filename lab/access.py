"""Running things on hosts: a program of this machine in a host's network (`run`), or one of the host's own (`shell`).

Imports little, since every Ansible connection and every probe of a test starts here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lab import hosts, namespaces
from lab.errors import LabError
from lab.layout import COMMAND, DEFAULT_NAME, Layout
from wardnet.locale import _

_INSIDE = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LANG": "C.UTF-8",
}


def layout_from_environment() -> Layout:
    return Layout(os.environ.get("WARDNET_LAB") or DEFAULT_NAME)


def inside_argv(layout: Layout, host: str, argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` in the booted host. LabError if it does not run."""
    pid = hosts.leader(layout, host)
    if pid is None:
        raise LabError(
            _("host {host} does not run in the lab {name}; `{lab} status` lists them").format(
                host=host, name=layout.name, lab=COMMAND
            )
        )
    where = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
    return ["nsenter", f"--target={pid}", *where, "--", *(argv or ["/bin/bash", "-l"])]


def inside_environment() -> dict[str, str]:
    return {**_INSIDE, **{key: os.environ[key] for key in ("TERM",) if key in os.environ}}


def run_environment(layout: Layout) -> dict[str, str]:
    """This process's environment, with three changes for what runs in a host's network.

    Programs beside this Python are found, such as ansible-playbook and wardnet. Ansible's SSH connections that
    stay open have a folder of the lab's own: two labs have the same addresses, and a connection that one left open
    must never serve the other. And journals of runs go with the lab.
    """
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(layout.run / "ssh"),
        "WARDNET_RUNS": os.environ.get("WARDNET_RUNS") or str(layout.runs),
    }


def run(
    layout: Layout, host: str, argv: Sequence[str], *, stdin: bytes | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """Run a program of this machine in the host's network; its status and output are in the result.

    Raises subprocess.TimeoutExpired after `timeout` seconds.
    """
    return subprocess.run(
        namespaces.enter_argv(layout, host, argv),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=timeout,
        env=run_environment(layout),
    )


def shell(
    layout: Layout, host: str, argv: Sequence[str], *, stdin: bytes | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """Run a program of the booted host inside it; as `run`."""
    return subprocess.run(
        inside_argv(layout, host, argv),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=timeout,
        env=inside_environment(),
    )


_USAGE = f"usage: {COMMAND} {{verb}} [--name NAME] HOST [--] COMMAND [ARGUMENT ...]"


def main(verb: str, words: Sequence[str]) -> int:
    """`run` and `shell` of the command line. Replaces this process; returns a status only on an error."""
    words = list(words)
    layout = layout_from_environment()
    while words and words[0].startswith("-") and words[0] != "--":
        option, _equals, value = words.pop(0).partition("=")
        if option != "--name" or not (value or words):
            print(_USAGE.format(verb=verb), file=sys.stderr)
            return 0 if option in ("--help", "-h") else 2
        layout = Layout(value or words.pop(0))
    if not words or (verb == "run" and not [word for word in words[1:] if word != "--"]):
        print(_USAGE.format(verb=verb), file=sys.stderr)
        return 2
    host, argv = words[0], words[1:]
    if argv and argv[0] == "--":
        argv = argv[1:]
    if os.geteuid() != 0:
        raise LabError(_("not root: run the same command with sudo, or in a root shell"))
    if verb == "shell":
        command = inside_argv(layout, host, argv)
        os.execvpe(command[0], command, inside_environment())  # noqa: S606 - becoming it is the point
    environment = run_environment(layout)
    if shutil.which(argv[0], path=environment["PATH"]) is None:
        raise LabError(_("{program}: no such program on this machine").format(program=argv[0]))
    command = namespaces.enter_argv(layout, host, argv)
    return os.execvpe(command[0], command, environment)  # noqa: S606 - becoming it is the point
