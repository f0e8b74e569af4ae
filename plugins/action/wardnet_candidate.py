"""Adds one step to the host's candidate, on the controller alone: nothing here touches the host.

A role says what it wants of a host with one or more such tasks. They gather in the fact `wardnet_candidate`, a list
of steps in the order of the roles, and wardnet_commit sends all of them in one module run. A step is

    {"role": who asks, "part": what it changes, "files": [...], "directories": [...], "packages": [...],
     "validate": [[argument, ...], ...], "units": [...], "after": [...], PART: {the part's own arguments}}

with templates rendered: a file has `content` or `link`. Keys that the task does not give are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

FACT = "wardnet_candidate"
PLAIN = "files"  # the part of whatever cannot cut the way to the host
UTILS = Path(__file__).parents[1] / "module_utils"

RIGHTS = {"owner": str, "group": str, "tag": str}
SHAPES: dict[str, dict[str, type]] = {
    "files": {"path": str, "content": str, "template": str, "each": list, "link": str, "mode": str, **RIGHTS},
    "directories": {"path": str, "mode": str, "purge": list, **RIGHTS},
    "units": {"name": str, "state": str, "files": list, "reload_files": list},
    "after": {"tag": str, "command": list},
}
NEEDED = {"files": ["path"], "directories": ["path"], "units": ["name"], "after": ["tag", "command"]}


class StepError(Exception):
    """A step has not the shape of one; the message names the key."""


def parts() -> list[str]:
    """Names of the parts: one file each in module_utils, besides plain files."""
    return [PLAIN, *sorted(path.stem.removeprefix("wardnet_part_") for path in UTILS.glob("wardnet_part_*.py"))]


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
            step = {"role": role, **check_step(dict(self._task.args), parts())}
        except StepError as error:
            raise AnsibleActionFail(f"{role}: {error}") from error
        if "files" in step:
            step["files"] = [file for entry in step["files"] for file in self._render(role, entry, variables)]
        gathered = variables.get("ansible_facts", {}).get(FACT) or []
        result.update(changed=False, ansible_facts={FACT: [*gathered, step]})
        return result

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
            return str(templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True}))
        except AnsibleError as error:
            raise AnsibleActionFail(f"{role}: {name}: {error}") from error


def check_step(step: dict[str, Any], known: list[str]) -> dict[str, Any]:
    """The step without keys that are empty; StepError names the key that is wrong."""
    part = step.get("part")
    if part not in known:
        raise StepError(f"part is {part!r}, not one of {', '.join(known)}")
    allowed = {"part", "packages", "validate", *SHAPES, *({part} - {PLAIN})}
    unknown = sorted(set(step) - allowed)
    if unknown:
        raise StepError(f"a step of part {part} has no {', '.join(unknown)}; it has {', '.join(sorted(allowed))}")
    for key, shape in SHAPES.items():
        for index, entry in enumerate(_list(key, step.get(key))):
            _check_entry(f"{key}[{index}]", entry, shape, NEEDED[key])
    for index, file in enumerate(step.get("files") or []):
        _check_file(f"files[{index}] ({file['path']})", file)
    for key in ("packages", "validate"):
        wanted = str if key == "packages" else list
        if not all(isinstance(entry, wanted) for entry in _list(key, step.get(key))):
            raise StepError(f"{key} must be a list of {'names' if wanted is str else 'commands, each a list'}")
    own = step.get(part) if part != PLAIN else None
    if own is not None and not isinstance(own, dict):
        raise StepError(f"{part} must be a dictionary of the part's arguments")
    return {key: value for key, value in step.items() if value not in (None, [], {}) or key == part != PLAIN}


def _list(key: str, value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise StepError(f"{key} must be a list")
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
