#!/usr/bin/python
"""Holds systemd units to their intended state, all of a role in one run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: wardnet_units
short_description: Hold systemd units enabled, running and up to date with their files
version_added: "0.1.0"
description:
  - Compares the running state of all given units in one call of systemctl, and acts only where it differs.
  - A unit that started before one of its O(units[].files) last changed is restarted, even if the run that
    changed the file was cut off before it came to that; likewise with O(units[].reload_files) and a reload.
options:
  units:
    description: The units.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Full name of the unit.
        type: str
        required: true
      state:
        description:
          - C(running) is enabled and active, C(off) is disabled and stopped, C(masked) is off and cannot start.
        type: str
        choices: [running, "off", masked]
        default: running
      files:
        description: Files, or directories of files, that the unit reads only when it starts.
        type: list
        elements: str
        default: []
      reload_files:
        description: Files, or directories of files, that the unit reads again when it is reloaded.
        type: list
        elements: str
        default: []
  settle:
    description: Seconds within which a started unit must be active, and stay so on a second look.
    type: int
    default: 20
attributes:
  check_mode:
    description: Says what would be done; a unit that is not installed yet counts as to be started.
    support: full
author: the wardnet developers
"""

EXAMPLES = r"""
- name: Run the exporters
  wardnet_units:
    units:
      - name: wardnet-link-exporter.service
        reload_files: [/etc/wardnet/agent.json]
"""

RETURN = r"""
actions:
  description: What was or would be done, as 'verb unit'.
  returned: always
  type: list
  elements: str
"""

PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "MainPID",
    "ActiveEnterTimestampMonotonic",
    "StateChangeTimestampMonotonic",
)
SYSTEMCTL = "/usr/bin/systemctl"


def parse_show(text: str) -> list[dict[str, str]]:
    """One dict a unit, in the order asked for, from `systemctl show` output."""
    return [
        dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        for block in text.strip().split("\n\n")
    ]


@dataclass(frozen=True)
class Times:
    """Unix seconds: when the files of a unit last changed, and when it last took files up."""

    files: float
    reload_files: float
    started: float
    changed_state: float  # a reload is a change of state, a start too

    @property
    def needs_restart(self) -> bool:
        return self.files > self.started

    @property
    def needs_reload(self) -> bool:
        return self.reload_files > max(self.started, self.changed_state)


def decide(unit: dict, shown: dict[str, str], times: Times) -> list[str]:  # type: ignore[type-arg]
    """The verbs that bring a unit to its state."""
    enabled, active = shown.get("UnitFileState"), shown.get("ActiveState")
    if unit["state"] == "masked":
        stop = [] if active in ("inactive", "failed") else ["stop"]
        return stop + ([] if enabled == "masked" else ["mask"])
    if unit["state"] == "off":
        if shown.get("LoadState") == "not-found":
            return []
        stop = [] if active in ("inactive", "failed") else ["stop"]
        return stop + (["disable"] if enabled == "enabled" else [])
    verbs = []
    if shown.get("LoadState") == "masked":
        verbs.append("unmask")
    if enabled not in ("enabled", "static", "alias", "indirect", "generated"):
        verbs.append("enable")
    if active != "active" or times.needs_restart or shown.get("NeedDaemonReload") == "yes":
        verbs.append("restart")
    elif times.needs_reload:
        verbs.append("reload")
    return verbs


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "units": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "state": {"type": "str", "choices": ["running", "off", "masked"], "default": "running"},
                    "files": {"type": "list", "elements": "str", "default": []},
                    "reload_files": {"type": "list", "elements": "str", "default": []},
                },
            },
            "settle": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    units = module.params["units"]
    shown = show(module, [unit["name"] for unit in units])
    plan = [
        (unit, decide(unit, state, times(unit, state)))
        for unit, state in zip(units, shown)  # noqa: B905 - a managed host's Python may be older than 3.10
    ]
    actions = [f"{verb} {unit['name']}" for unit, verbs in plan for verb in verbs]
    if actions and not module.check_mode:
        if any(state.get("NeedDaemonReload") == "yes" for state in shown) or any(
            state.get("LoadState") == "not-found" for state in shown
        ):
            systemctl(module, "daemon-reload")
        for unit, verbs in plan:
            for verb in verbs:
                systemctl(module, verb, unit["name"])
        settle(module, [unit["name"] for unit, verbs in plan if "restart" in verbs])
    module.exit_json(changed=bool(actions), actions=actions)


def times(unit: dict, shown: dict[str, str]) -> Times:  # type: ignore[type-arg]
    boot = time.time() - time.monotonic()
    return Times(
        files=newest(unit["files"]),
        reload_files=newest(unit["reload_files"]),
        started=boot + int(shown.get("ActiveEnterTimestampMonotonic") or 0) / 1e6,
        changed_state=boot + int(shown.get("StateChangeTimestampMonotonic") or 0) / 1e6,
    )


def newest(paths: list[str]) -> float:
    return max((Path(path).stat().st_mtime for path in paths if Path(path).exists()), default=0.0)


def show(module: AnsibleModule, names: list[str]) -> list[dict[str, str]]:
    command = [SYSTEMCTL, "show", f"--property={','.join(PROPERTIES)}", "--", *names]
    code, out, err = module.run_command(command)
    if code != 0:
        module.fail_json(msg=f"systemctl show: {err.strip()}")
    return parse_show(out)


def systemctl(module: AnsibleModule, verb: str, *names: str) -> None:
    code, _, err = module.run_command([SYSTEMCTL, verb, "--", *names] if names else [SYSTEMCTL, verb])
    if code != 0:
        module.fail_json(
            msg=f"systemctl {verb} {' '.join(names)}: {err.strip()}", journal=journal(module, names[0]) if names else []
        )


def settle(module: AnsibleModule, names: list[str]) -> None:
    """Waits until all started units are active with the same process on two looks; else fails, with a journal."""
    deadline = time.monotonic() + module.params["settle"]
    before: list[tuple[str, str]] = []
    while names:
        states = show(module, names)
        looks = [(state["ActiveState"], state["MainPID"]) for state in states]
        bad = [state["Id"] for state in states if state["ActiveState"] != "active"]
        if not bad and looks == before:
            return
        if any(state["ActiveState"] == "failed" for state in states) or time.monotonic() > deadline:
            unsteady = bad or names
            module.fail_json(
                msg=f"does not stay active after its start: {', '.join(unsteady)}", journal=journal(module, unsteady[0])
            )
        before = looks
        time.sleep(0.7)


def journal(module: AnsibleModule, name: str) -> list[str]:
    command = ["/usr/bin/journalctl", "--no-pager", "--lines=15", "--output=cat", f"--unit={name}"]
    return module.run_command(command)[1].splitlines()  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
