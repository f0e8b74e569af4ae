"""A harmful change as a run of Ansible: a shipped playbook with another plan, and where the harm needs it one step more
just before the commit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from lab import access
from lab.drill.kinds import Harm, Target
from lab.drill.watch import end_connections, in_controllers_network
from lab.handle import Lab

CHECKOUT = Path(__file__).resolve().parents[2]
PLAYBOOKS = CHECKOUT / "playbooks"
ROLE = {Target.GATEWAY: "gateway", Target.SWITCH: "access_switch"}
VARIABLE = {Target.GATEWAY: "wardnet_gateway", Target.SWITCH: "wardnet_switch"}
COMMIT = "commit"


class Change:
    """One run that makes one change of one device. `folder` is its own, and short: sockets of SSH lie in it."""

    def __init__(
        self, lab: Lab, host: str, target: Target, harm: Harm, folder: Path, variables: dict[str, Any]
    ) -> None:
        self._lab = lab
        self._folder = folder
        self.log = folder / "output"
        self._sockets = folder / "cp"
        self._sockets.mkdir()
        extra = folder / "extra.json"
        own = {VARIABLE[target]: harm.plan, "ansible_control_path_dir": str(self._sockets), "wardnet_serial": ["100%"]}
        extra.write_text(json.dumps({**own, **harm.variables, **variables}))
        self._argv = [
            str(Path(sys.executable).with_name("ansible-playbook")),
            f"--inventory={lab.state / 'inventory' / 'wardnet.yml'}",
            f"--extra-vars=@{lab.state / 'ansible-vars.yml'}",
            f"--extra-vars=@{extra}",
            f"--limit={host}",
            str(playbook(target, harm.step, folder)),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **access.run_environment(self._lab.layout),
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "WARDNET_RUNS": str(self._folder / "runs"),
            "WARDNET_LANG": "en",  # its words are looked for
        }
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                in_controllers_network(self._lab, self._argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=CHECKOUT,
                env=environment,
            )

    def ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def succeeded(self) -> bool:
        return self._process is not None and self._process.poll() == 0

    def kill(self) -> None:
        """As if the manager's machine died: Ansible, its workers and its connections, at once."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        end_connections(self._sockets)

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def playbook(target: Target, step: dict[str, Any] | None, folder: Path) -> Path:
    """The shipped playbook that sets up such devices; with a step, its play with one role more before the commit."""
    role = ROLE[target]
    for path in sorted(PLAYBOOKS.glob("*.yml")):
        for play in yaml.safe_load(path.read_text()):
            roles = [_name(entry) for entry in play.get("roles") or []]
            if role not in roles:
                continue
            if step is None:
                return path
            harmful = folder / "harmful"
            (harmful / "tasks").mkdir(parents=True)
            task = {"name": "Add what cuts the manager off", "wardnet_candidate": step}
            (harmful / "tasks" / "main.yml").write_text(json.dumps([task]))
            play["roles"].insert(roles.index(COMMIT), {"role": str(harmful)})
            made = folder / "playbook.yml"
            made.write_text(json.dumps([play]))
            for beside in ("group_vars", "tasks"):
                if (PLAYBOOKS / beside).is_dir():
                    (folder / beside).symlink_to(PLAYBOOKS / beside)
            return made
    raise LookupError(f"no playbook has the role {role}")


def _name(entry: Any) -> str:
    return str(entry if isinstance(entry, str) else entry.get("role") or entry.get("name"))
