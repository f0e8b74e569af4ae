"""What role hardening sends to hosts, as far as it can be seen without one."""

from __future__ import annotations

import re
from typing import Any

import jinja2
import yaml

from tests.unit.plugins_support import ROOT

ROLE = ROOT / "roles" / "hardening"


def variables() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    return found


def audit_rules() -> list[str]:
    """Lines of the audit log's rules, as Ansible would render them."""
    environment = jinja2.Environment(  # noqa: S701 - the output is no HTML
        loader=jinja2.FileSystemLoader(ROLE / "templates"), trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["regex_replace"] = lambda text, pattern, to: re.sub(pattern, to, text)
    template = environment.get_template("etc/audit/rules.d/audit.rules.j2")
    return template.render(variables(), hardening_audit_locked=False).splitlines()


def test_a_folder_that_is_missing_takes_no_other_rule_and_not_the_log_away() -> None:
    """auditctl -R says that it failed where a rule with `-F dir=` names none, unless told by -i; with -c it still does."""
    lines = audit_rules()
    folders = [line for line in lines if " -F dir=" in line]
    assert folders
    assert "-c" not in lines
    assert lines.index("-D") < lines.index("-i") < lines.index(folders[0])
