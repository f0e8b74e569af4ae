"""What role hardening sends to hosts, as far as it can be seen without one."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from tests.unit.plugins_support import ROOT, load

bundle = load("module_utils", "wardnet_bundle")

ROLE = ROOT / "roles" / "hardening"


def variables() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    return found


def rendering() -> jinja2.Environment:
    environment = jinja2.Environment(  # noqa: S701 - the output is no HTML
        loader=jinja2.FileSystemLoader(ROLE / "templates"), trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["regex_replace"] = lambda text, pattern, to: re.sub(pattern, to, text)
    return environment


def purged(of: str, folder: Path, roles: set[str], **keep: list[str]) -> set[str]:
    """Names in `folder` that go as those in the role's directory list `of` do, where `roles` gives the named files."""
    (directory,) = variables()[of]
    # Ansible makes a list of what a filter gives, Jinja alone does not
    given = rendering().from_string(directory["purge"].replace("') }}", "') | list }}")).render(keep)
    found = bundle.read_bundle(
        [],
        [{"path": str(folder), "purge": ast.literal_eval(given)}],
        lenient=True,
        beside=frozenset(folder / name for name in roles),
    )
    return {change.path.name for change in found.changes() if change.kind == "remove"}


def audit_rules() -> list[str]:
    """Lines of the audit log's rules, as Ansible would render them."""
    template = rendering().get_template("etc/audit/rules.d/audit.rules.j2")
    return template.render(variables(), hardening_audit_locked=False).splitlines()


def test_a_folder_that_is_missing_takes_no_other_rule_and_not_the_log_away() -> None:
    """auditctl -R says that it failed if a rule with `-F dir=` names none, unless told -i; with -c it still does."""
    lines = audit_rules()
    folders = [line for line in lines if " -F dir=" in line]
    assert folders
    assert "-c" not in lines
    assert lines.index("-D") < lines.index("-i") < lines.index(folders[0])


def test_no_name_of_its_own_keeps_a_file_by_hand_with_the_ssh_server(tmp_path: Path) -> None:
    ours, kept = {"10-wardnet.conf", "20-wardnet-audit.conf"}, "40-site.conf"
    foreign = {"00-mine.conf", "05-wardnet-root.conf", "zz-wardnet.conf"}
    for name in {*ours, *foreign, kept, "README"}:
        (tmp_path / name).touch()
    assert purged("__hardening_ssh_directories", tmp_path, ours, hardening_ssh_keep=[kept]) == foreign
    assert purged("__hardening_ssh_directories", tmp_path, ours, hardening_ssh_keep=[]) == {*foreign, kept}


@pytest.mark.parametrize(
    ("name", "program", "file", "line"),
    [
        ("ssh", "/usr/sbin/sshd -t -f", "etc/ssh/sshd_config", "Include {root}/etc/ssh/sshd_config.d/*.conf"),
        ("sudo", "/usr/sbin/visudo --check --file", "etc/sudoers", "@includedir {root}/etc/sudoers.d"),
    ],
)
def test_what_is_tried_is_what_the_host_is_to_have(
    tmp_path: Path, name: str, program: str, file: str, line: str
) -> None:
    """Not what it has: a file that somebody broke would refuse the very candidate that takes it away."""
    target = tmp_path / file
    target.parent.mkdir(parents=True)
    target.write_text(rendering().get_template(f"{file}.j2").render() + "\n")
    script = rendering().from_string(variables()[f"__hardening_{name}_trial"])
    text = script.render({"hardening_ssh_keep": [], "hardening_sudo_keep": []})
    assert f"{program} " in text
    text = text.replace(program, "/bin/cat").replace(program.split()[0], "/bin/cat")
    argv = ["/bin/sh", "-ec", text, "trial", str(tmp_path)]
    tried = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    included = [each for each in tried.splitlines() if each.lower().startswith(("include", "@include"))]
    assert included == [line.replace("{root}", str(tmp_path))]


def test_the_kernels_settings_are_read_after_debians_own() -> None:
    (step,) = yaml.safe_load((ROLE / "tasks" / "kernel.yml").read_text())
    paths = [Path(file["path"]) for file in step["wardnet_candidate"]["files"]]
    (name,) = [path.name for path in paths if path.name.endswith("-hardening.conf")]
    assert name > "99-protect-links.conf", "of procps in Debian 12: fs.protected_fifos = 1"


@pytest.mark.parametrize("minutes", [15, 60, 720])
def test_updates_of_a_workplace_end_in_the_window_of_the_inventory(minutes: int) -> None:
    given = yaml.safe_load((ROOT / "playbooks" / "group_vars" / "all.yml").read_text())
    workplace = {"updates": {"begin": "11:45", "minutes": minutes}}
    spread, length = (
        rendering().from_string(given[f"hardening_upgrade_{name}"]).render(wardnet_workplace=workplace)
        for name in ("spread", "minutes")
    )
    assert spread.endswith("min")
    assert int(spread.removesuffix("min")) > 0
    assert int(spread.removesuffix("min")) + int(length) == minutes


def test_updates_of_all_other_hosts_are_the_roles_own() -> None:
    given = yaml.safe_load((ROOT / "playbooks" / "group_vars" / "all.yml").read_text())
    own = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    for name in ("hardening_upgrade_at", "hardening_upgrade_spread", "hardening_upgrade_minutes"):
        assert rendering().from_string(given[name]).render() == str(own[name]), name


@pytest.mark.parametrize(
    ("host", "given", "blocked"),
    [
        ("buoi-gw", {"wardnet_gateway": {}}, True),
        ("usb-gw", {"wardnet_gateway": {}}, False),
        ("buoi-sw-1", {"wardnet_switch": {}}, True),
        ("buoi-pc-1", {}, False),
    ],
)
def test_what_starts_from_usb_keeps_the_modules_for_it(host: str, given: dict[str, Any], blocked: bool) -> None:
    names = yaml.safe_load((ROOT / "playbooks" / "group_vars" / "all.yml").read_text())["hardening_modules_blocked"]
    found = rendering().from_string(names).render(given, inventory_hostname=host, wardnet_usb_roots=["usb-gw"])
    assert "cramfs" in found
    assert ("usb-storage" in found) is ("uas" in found) is blocked
