"""Adds one step to the host's candidate, on the controller alone: nothing here touches the host.

A role says what it wants of a host with one or more such tasks. They gather in the order of the roles, and
wardnet_commit sends all of them in one module run. They gather in a file (module_utils/wardnet_gathered.py): a fact
would be copied several times a task, with all that was gathered before. What a step may hold is written in
module_utils/wardnet_candidate.py; beyond that the files of a task may have

    template  rendered as the content, looked for as ansible.builtin.template does
    each      with a template: renders it once for each dictionary of this list, as the variable `item`; the path may
              then hold `{key}` of the item
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

UTILS = str(Path(__file__).parents[1] / "module_utils")
if UTILS not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(UTILS)
candidate = importlib.import_module("ansible.module_utils.wardnet_candidate")
gathered = importlib.import_module("ansible.module_utils.wardnet_gathered")

ENCODER = get_module_encoder("legacy", Direction.CONTROLLER_TO_MODULE)  # as it would be sent to a module

RIGHTS: dict[str, type] = {"owner": str, "group": str, "tag": str}
FILE: dict[str, type] = {"path": str, "content": str, "link": str, "mode": str, "secret": bool, **RIGHTS}
SHAPES: dict[str, dict[str, type]] = {
    "files": {**FILE, "template": str, "each": list},
    "directories": {"path": str, "mode": str, "purge": list, "lent": bool, **RIGHTS},
    "units": {
        "name": str,
        "state": str,
        "files": list,
        "reload_files": list,
        "line": bool,
        "conditional": str,
        "waits": bool,
    },
    "after": {"tag": str, "command": list},
}
NEEDED = {"files": ["path"], "directories": ["path"], "units": ["name"], "after": ["tag", "command"]}


class StepError(Exception):
    """A step has not the shape of one; the message names the key."""


class ActionModule(ActionBase):
    """Renders and checks a step, and appends it to the host's candidate."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        role = self._task._role.get_name() if self._task._role else "the play"
        try:
            step = check_step({"role": role, **self._task.args})
        except (StepError, candidate.CandidateError) as error:
            raise AnsibleActionFail(str(error)) from error
        if "files" in step:
            step["files"] = [file for entry in step["files"] for file in self._render(role, entry, variables)]
        gathered.add(constants.DEFAULT_LOCAL_TMP, str(variables["inventory_hostname"]), step, ENCODER)
        return {**result, "changed": False}

    def _render(self, role: str, entry: dict[str, Any], variables: dict[str, Any]) -> list[dict[str, Any]]:
        plain = {key: value for key, value in entry.items() if key not in ("template", "each")}
        template = entry.get("template")
        if template is None:
            return [plain]
        if entry.get("each") is None:
            return [{**plain, "content": self._text(role, template, variables)}]
        return [
            {
                **plain,
                "path": str(entry["path"]).format(**item),
                "content": self._text(role, template, {**variables, "item": item}),
            }
            for item in entry["each"]
        ]

    def _text(self, role: str, name: str, variables: dict[str, Any]) -> str:
        """As ansible.builtin.template renders, without its copy of all variables for every file."""
        try:
            path = self._find_needle("templates", name)
            beside = [str(Path(root) / "templates") for root in variables.get("ansible_search_path", [])]
            templar = self._templar.copy_with_new_env(
                searchpath=[str(Path(path).parent), *beside], available_variables=variables
            )
            text = trust_as_template(self._loader.get_text_file_contents(path))
            rendered = templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True})
            return "" if rendered is None else str(rendered)
        except AnsibleError as error:
            raise AnsibleActionFail(f"{role}: {name}: {error}") from error


def check_step(step: dict[str, Any]) -> dict[str, Any]:
    """The step without keys that are empty; StepError or CandidateError names the role and the key that is wrong."""
    candidate.read_step(step)
    where, part = f"role {step['role']}, part {step['part']}", step["part"]
    for key, shape in SHAPES.items():
        for index, entry in enumerate(_list(f"{where}: {key}", step.get(key))):
            _check_entry(f"{where}: {key}[{index}]", entry, shape, NEEDED[key])
    for file in step.get("files") or []:
        _check_file(f"{where}: file {file['path']}", file)
    for key, kind in (("packages", str), ("validate", list)):
        if not all(isinstance(entry, kind) for entry in _list(f"{where}: {key}", step.get(key))):
            raise StepError(f"{where}: {key} must be a list of {'names' if kind is str else 'commands, each a list'}")
    if part != candidate.UNGUARDED and not isinstance(step.get(part) or {}, dict):
        raise StepError(f"{where}: {part} must be a dictionary of the part's arguments")
    return {key: value for key, value in step.items() if value is not None and value != []}


def _list(where: str, value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise StepError(f"{where} must be a list")
    return value or []


def _check_entry(where: str, entry: Any, shape: dict[str, type], needed: list[str]) -> None:
    if not isinstance(entry, dict):
        raise StepError(f"{where} must be a dictionary")
    unknown = sorted(set(entry) - set(shape))
    if unknown:
        raise StepError(f"{where} has no {', '.join(unknown)}; it has {', '.join(sorted(shape))}")
    for key in needed:
        if not entry.get(key):
            raise StepError(f"{where} needs {key}")
    for key, value in entry.items():
        if value is not None and not isinstance(value, shape[key]):
            raise StepError(f"{where}: {key} must be a {shape[key].__name__}, not {value!r}")


def _check_file(where: str, file: dict[str, Any]) -> None:
    if not file["path"].startswith("/"):
        raise StepError(f"{where}: path must be absolute")
    given = [key for key in ("content", "template", "link") if file.get(key) is not None]
    if len(given) != 1:
        raise StepError(f"{where} needs one of content, template and link, and has {', '.join(given) or 'none'}")
    if file.get("each") is not None and given != ["template"]:
        raise StepError(f"{where}: each goes with template")
    mode = file.get("mode")
    if mode is not None and not (mode.isdigit() and set(mode) <= set("01234567")):
        raise StepError(f"{where}: mode must be octal digits in quotes, not {mode!r}")
