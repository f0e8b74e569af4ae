"""Ansible's inventory is the compiled district: groups, variables, and errors as file:line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleParserError

from tests.unit.plugins_support import ROOT, TAY_HO, ansible, load

pytestmark = pytest.mark.long

plugin = load("inventory", "wardnet")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TAY_HO, tmp_path / "district"))


def test_hosts_groups_and_variables_are_those_of_the_compiled_district() -> None:
    result = ansible("ansible-inventory", "-i", TAY_HO / "wardnet.yml", "--list", "--export")
    assert result.returncode == 0, result.stderr
    listed: dict[str, Any] = json.loads(result.stdout)
    compiled = plugin.compile_folder(TAY_HO, None)
    members = {group: listed[group]["hosts"] for group in compiled["groups"]}
    assert {group: sorted(hosts) for group, hosts in members.items()} == compiled["groups"]
    variables = untagged(listed["_meta"]["hostvars"])
    assert variables["buoi-gw"]["wardnet_gateway"] == compiled["hosts"]["buoi-gw"]["wardnet_gateway"]
    assert untagged(listed["all"]["vars"])["ansible_user"] == "wardnet"


def untagged(value: Any) -> Any:
    """Without Ansible's mark of text that is never a template."""
    if isinstance(value, dict):
        if set(value) == {"__ansible_unsafe"}:
            return value["__ansible_unsafe"]
        return {key: untagged(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [untagged(inner) for inner in value]
    return value


def test_text_of_the_inventory_is_never_a_template(copy: Path) -> None:
    district = copy / "district.yml"
    district.write_text(district.read_text().replace('name: "Cổng DVCTT"', "name: \"{{ lookup('pipe', 'id') }}\""))
    result = ansible("ansible-inventory", "-i", copy / "wardnet.yml", "--list")
    assert result.returncode == 0, result.stderr
    assert "uid=" not in result.stdout


def test_every_error_of_the_inventory_is_shown_with_its_place(copy: Path) -> None:
    ward = copy / "wards" / "buoi.yml"
    ward.write_text(
        ward.read_text().replace("platform: linux", "platform: linus").replace("os: linux", "os: linuks", 1)
    )
    with pytest.raises(AnsibleParserError) as error:
        plugin.compile_folder(copy, None)
    text = str(error.value)
    assert text.startswith("the inventory has errors, nothing was provisioned:\n")
    assert text.count("wards/buoi.yml:") >= 2
    result = ansible("ansible-playbook", "-i", copy / "wardnet.yml", "playbooks/site.yml")
    assert result.returncode != 0
    said = result.stderr + result.stdout
    line = 1 + ward.read_text().splitlines().index(
        "    gateway: {id: buoi-gw, platform: linus, management_network: devices}"
    )
    assert said.count(f"wards/buoi.yml:{line}:") == 1, said
    assert "Failed to parse" not in said
    assert "Traceback" not in said


def test_as_of_chooses_the_day(copy: Path) -> None:
    def exception_flows(as_of: str) -> list[str]:
        flows = plugin.compile_folder(copy, as_of)["hosts"]["buoi-gw"]["wardnet_gateway"]["flows"]
        return [flow["id"] for flow in flows if flow["crosses"]]

    assert exception_flows("2026-06-01") == ["buoi-resident-scan"]
    assert exception_flows("2028-01-01") == []
    with pytest.raises(AnsibleParserError, match="as_of is not a day written as YYYY-MM-DD: soon"):
        plugin.compile_folder(copy, "soon")


def test_what_is_not_managed_is_named_by_its_reason_and_never_connected_to(tmp_path: Path) -> None:
    """Runs against no host at all: any connection would fail."""
    known_hosts = tmp_path / "known_hosts"
    known_hosts.touch()
    result = ansible(
        "ansible-playbook", "-i", TAY_HO / "wardnet.yml", "playbooks/skipped.yml", "--limit", "buoi-gw",
        "-e", f"wardnet_known_hosts={known_hosts}",
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("not configured: ")]
    skipped = plugin.compile_folder(TAY_HO, None)["groups"]["skipped"]
    named = [name.strip() for line in lines for name in line.partition(": ")[2].rpartition(" (")[0].split(",")]
    assert sorted(named) == skipped
    assert any("nhat-tan-pc-3" in line and "windows" in line for line in lines)
    assert len(lines) == len({line.rpartition(" (")[2] for line in lines})


def test_each_playbook_names_what_it_skips() -> None:
    """Itself, or by another playbook that it begins with, as site.yml by channels.yml."""

    def first(path: Path) -> str:
        begin = yaml.safe_load(path.read_text())[0]
        return str(begin.get("ansible.builtin.import_playbook"))

    for path in sorted((ROOT / "playbooks").glob("*.yml")):
        if path.name != "skipped.yml":
            begins = first(path)
            assert "skipped.yml" in (begins, first(path.with_name(begins))), path.name


def test_security_updates_come_in_the_inventorys_window_wherever_somebody_works() -> None:
    """Also at citizen points, which nobody reaches to look."""
    hosts = plugin.compile_folder(TAY_HO, None)["hosts"]
    working = {name for name, given in hosts.items() if "wardnet_workplace" in given}
    asked = "AT {{ inventory_hostname }} {{ hardening_upgrade_at }}"
    playbooks = ("--playbook-dir", ROOT / "playbooks")
    result = ansible("ansible", "-i", TAY_HO / "wardnet.yml", *playbooks, "all", "-m", "debug", "-a", f"msg='{asked}'")
    assert result.returncode == 0, result.stderr
    found = dict(re.findall(r"msg: AT (\S+) (.+)", result.stdout))
    assert set(found) == set(hosts)
    for kind in ("counter", "touch_screen", "citizen"):
        assert any(hosts[name]["wardnet_host"]["role"] == kind for name in working), kind
    for name, at in found.items():
        window = hosts[name]["wardnet_workplace"]["updates"]["begin"] if name in working else "02:30"
        assert at == f"*-*-* {window}", name
