"""Ansible's hosts, groups and variables, compiled from a district's inventory."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.display import Display

DOCUMENTATION = r"""
name: wardnet
short_description: Hosts of a district, compiled from its inventory
version_added: "0.1.0"
description:
  - Reads the folder that its configuration file lies in, checks it, and compiles it for one day.
  - A wrong inventory is refused with all of its errors, each as file:line.
  - What is in the inventory but not managed is in the group C(skipped), with C(wardnet_skip_reason).
options:
  plugin:
    description: Says that the file is meant for this plugin.
    type: str
    required: true
    choices: [wardnet]
  as_of:
    description: The day to compile for, as YYYY-MM-DD; today in the district's time zone where it is not given.
    type: str
    env:
      - name: WARDNET_AS_OF
author: the wardnet developers
"""

EXAMPLES = r"""
# inventory/tay-ho/wardnet.yml
plugin: wardnet
"""


class InventoryModule(BaseInventoryPlugin):  # type: ignore[misc]
    NAME = "wardnet"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and Path(path).name in ("wardnet.yml", "wardnet.yaml")

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = False) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            compiled = compile_folder(Path(path).parent, self.get_option("as_of"))
        except AnsibleParserError as error:
            # Ansible would try its own plugins on the file, and tell all that they say of it too.
            Display().error(str(error), wrap_text=False)
            raise SystemExit(1) from None
        for name, value in compiled["vars"].items():
            inventory.set_variable("all", name, value)
        for group, members in compiled["groups"].items():
            inventory.add_group(group)
            for host in members:
                inventory.add_host(host, group=group)
        for host, variables in compiled["hosts"].items():
            inventory.add_host(host)
            for name, value in variables.items():
                inventory.set_variable(host, name, value)


def compile_folder(folder: Path, as_of: str | None) -> dict[str, Any]:
    """{"groups", "vars", "hosts"} of the district in `folder`; AnsibleParserError says what is wrong with it."""
    try:
        from wardnet.compile import compile_hosts, compile_plan
        from wardnet.inventory import InventoryErrors, read_district
    except ImportError as error:
        raise AnsibleParserError(
            f"Ansible's Python cannot import wardnet ({error}): run the ansible-playbook of the .venv that make made"
        ) from error
    try:
        district = read_district(folder)
    except InventoryErrors as error:
        raise AnsibleParserError(f"the inventory has errors, nothing was provisioned:\n{error}") from error
    try:
        day = date.fromisoformat(as_of) if as_of else datetime.now(ZoneInfo(district.timezone)).date()
    except ValueError as error:
        raise AnsibleParserError(f"as_of is not a day written as YYYY-MM-DD: {as_of}") from error
    compiled: dict[str, Any] = compile_hosts(district, compile_plan(district, day))
    return compiled
