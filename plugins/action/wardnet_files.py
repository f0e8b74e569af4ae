"""Renders the templates of a bundle on the controller, so that the host gets it finished in one module run; and
confirms, on a new connection, a change that the host would otherwise take back by itself.

The modules with a bundle of files (wardnet_files, wardnet_firewall, wardnet_networkd) share it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template


class ActionModule(ActionBase):
    """Turns `template` (with `each`) into `content`, and hands the rest on unchanged."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    MODULE = "wardnet_files"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        arguments = dict(self._task.args)
        files = arguments.get("files") or []
        if not isinstance(files, list):
            raise AnsibleActionFail("files must be a list")
        arguments["files"] = [rendered for entry in files for rendered in self._render(entry, variables)]
        result.update(self._execute_module(module_name=self.MODULE, module_args=arguments, task_vars=variables))
        if result.get("armed"):
            # The connection that made the change proves nothing: the filter knows it, and SSH keeps it open.
            self._connection.reset()
            confirmation = self._execute_module(
                module_name=self.MODULE, module_args={**arguments, "confirmed": True}, task_vars=variables
            )
            if confirmation.get("failed"):
                return dict(confirmation)
        return result

    def _render(self, entry: dict[str, Any], variables: dict[str, Any]) -> list[dict[str, Any]]:
        plain = {key: value for key, value in entry.items() if key not in ("template", "each")}
        template = entry.get("template")
        if template is None:
            return [plain]
        if entry.get("each") is None:
            return [{**plain, "content": self._text(template, variables)}]
        return [
            {
                **plain,
                "path": str(entry["path"]).format(**item),
                "content": self._text(template, {**variables, "item": item}),
            }
            for item in entry["each"]
        ]

    def _text(self, name: str, variables: dict[str, Any]) -> str:
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
            raise AnsibleActionFail(f"{name}: {error}") from error
