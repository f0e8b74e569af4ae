#!/usr/bin/env python3
"""Writes each role's README.md from its meta/argument_specs.yml and defaults: `python roles/document.py`.

With --check it only says which ones are out of date, and exits 1.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).parent


def roles() -> list[Path]:
    return sorted(path.parents[1] for path in ROLES.glob("*/meta/argument_specs.yml"))


def readme(role: Path) -> str:
    """The text of a role's README.md."""
    spec = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]
    lines = [f"# {role.name}", "", f"{spec['short_description']}.", ""]
    lines += [f"- {sentence}" for sentence in spec["description"]]
    lines += ["", "| input | type | default | what it is |", "|---|---|---|---|"]
    for name, option in sorted(spec["options"].items(), key=lambda item: (not item[1].get("required"), item[0])):
        lines.append(f"| `{name}` | {kind(option)} | {default(option)} | {option['description']} |")
    lines += ["", "Made from meta/argument_specs.yml by `python roles/document.py`."]
    return "\n".join(lines) + "\n"


def kind(option: dict[str, Any]) -> str:
    return f"list of {option['elements']}" if option["type"] == "list" else str(option["type"])


def default(option: dict[str, Any]) -> str:
    if option.get("required"):
        return "**required**"
    if "default" not in option:
        return "see its description"
    value = option["default"]
    return f"`{yaml.safe_dump(value, default_flow_style=True, width=1000).splitlines()[0]}`" if value != "" else "empty"


def main(arguments: list[str]) -> int:
    stale = []
    for role in roles():
        path, text = role / "README.md", readme(role)
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path)
        if "--check" not in arguments:
            path.write_text(text)
    for path in stale:
        print(f"{'out of date' if '--check' in arguments else 'written'}: {path.relative_to(ROLES.parent)}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
