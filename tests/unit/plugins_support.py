"""Loads Ansible plugins of this repository as plain modules, as Ansible itself would find them."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from datetime import date
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils

from wardnet.compile import compile_plan, to_plain
from wardnet.inventory import read_district

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "plugins"
TAY_HO = ROOT / "inventory" / "tay-ho"
DAY = date(2026, 11, 24)

if str(PLUGINS / "module_utils") not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(PLUGINS / "module_utils"))


@cache
def load(kind: str, name: str) -> ModuleType:
    """The plugin PLUGINS/kind/name.py; module_utils under the name that modules import it by."""
    if kind == "module_utils":
        return importlib.import_module(f"ansible.module_utils.{name}")
    spec = importlib.util.spec_from_file_location(f"wardnet_plugins_{kind}_{name}", PLUGINS / kind / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def commit_options() -> tuple[str, ...]:
    """What the action may send to the module; for tests that put a module of their own in its place."""
    return tuple(load("modules", "wardnet_commit").ARGUMENTS)


def gateway(gateway_id: str) -> dict[str, Any]:
    """The plain record of a gateway of the sample district, as roles get it."""
    plain: dict[str, Any] = to_plain(compile_plan(read_district(TAY_HO), DAY).gateway(gateway_id))
    return plain


def ansible(program: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of the Ansible in this environment, from the checkout, with its ansible.cfg."""
    return subprocess.run(
        [str(Path(sys.executable).with_name(program)), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def going_back(entries: list[dict[str, Any]], mode: str) -> list[str]:
    """Goes a way back as the host does; what failed of it, in words."""
    return [said for _, said in load("module_utils", "wardnet_undo").go_through(entries, mode)]
