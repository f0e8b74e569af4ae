"""Auditors' keys: a run that is not told whose they are leaves them, and one that is told of nobody takes them away."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

from tests.unit.plugins_support import ROOT

ROLE = ROOT / "roles" / "audit_account"
KEYS = "/etc/ssh/authorized_keys.d/wardnet-audit"


def written(**site: Any) -> list[str]:
    """The files of the role's step, with what a site gives."""
    native = NativeEnvironment()
    common = yaml.safe_load((ROOT / "playbooks" / "group_vars" / "all.yml").read_text())
    variables = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    keep = native.from_string(common["audit_account_keep_keys"]).render(**common, **site)
    (task,) = yaml.safe_load((ROLE / "tasks" / "main.yml").read_text())
    files = native.from_string(task["wardnet_candidate"]["files"]).render(**variables, audit_account_keep_keys=keep)
    return [native.from_string(file["path"]).render(audit_account_user="wardnet-audit") for file in files]


def test_a_run_without_the_sites_variables_leaves_the_keys() -> None:
    assert KEYS not in written()
    assert "/etc/sudoers.d/wardnet-audit" in written()


@pytest.mark.parametrize("keys", [[], ["ssh-ed25519 AAAA auditor"]])
def test_keys_that_are_given_are_held_even_where_there_are_none(keys: list[str]) -> None:
    assert KEYS in written(wardnet_audit_public_keys=keys)
