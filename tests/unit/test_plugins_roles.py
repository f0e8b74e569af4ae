"""Roles are what their argument_specs say, documented from them, and the audit's wrapper is the model's list."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from tests.unit.plugins_support import ROOT, load
from wardnet.compile import to_plain
from wardnet.model.snapshot import LINUX

# Groups of hosts that stand at the district's own sites or are switches of those: none of them pulls.
REACHED = {"hubs", "switches", "monitoring_servers", "controllers"}
# Run by other roles, with what those give them.
SHARED = {"channel_ports", "kiosk"}
ROLES = sorted(path.parents[1] for path in (ROOT / "roles").glob("*/tasks/main.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.fixture(params=ROLES, ids=lambda role: role.name)
def role(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def options(role: Path) -> dict[str, Any]:
    found: dict[str, Any] = read(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    return found


def test_every_input_is_specified_with_its_default(role: Path) -> None:
    path = role / "defaults" / "main.yml"
    defaults = read(path) if path.exists() else {}
    specified = options(role)
    assert set(defaults) == {name for name, option in specified.items() if not option.get("required")}
    for name, option in specified.items():
        assert name.startswith(f"{role.name}_")
        assert option["description"], name
        if "default" in option:
            assert option["default"] == defaults[name], name
        elif not option.get("required"):
            assert "{{" in defaults[name], f"{name}: only a computed default need not be in argument_specs"


def test_every_variable_that_a_role_reads_is_its_own(role: Path) -> None:
    text = "\n".join(path.read_text() for path in role.rglob("*") if path.suffix in (".yml", ".j2"))
    others = [other.name for other in ROLES if other != role and other.name not in SHARED]
    used = set(re.findall(r"\b(?:" + "|".join(others) + r")_[a-z_]+\b", text))
    assert not used - set(options(role)) - {role.name}, used
    assert "groups[" not in text


def test_a_template_mirrors_its_target(role: Path) -> None:
    for path in role.glob("templates/**/*.j2"):
        assert path.relative_to(role / "templates").parts[0] in ("etc", "usr"), path


def test_readmes_are_made_from_argument_specs() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "roles" / "document.py", "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def rendered(name: str) -> str:
    """A template of audit_account with Ansible's two filters that it needs."""
    environment = jinja2.Environment(  # noqa: S701 - shell and sudoers, quoted by the templates themselves
        loader=jinja2.FileSystemLoader(ROOT / "roles" / "audit_account" / "templates"), trim_blocks=True
    )
    environment.filters["quote"] = shlex.quote
    environment.filters["regex_replace"] = lambda text, pattern, to: re.sub(pattern, to, text)
    return environment.get_template(name).render(
        audit_account_user="wardnet-audit", audit_account_artefacts=to_plain(LINUX)
    )


def test_the_wrapper_answers_the_models_artefacts_with_their_commands() -> None:
    text = rendered("usr/local/lib/wardnet/audit-read.j2")
    branches = dict(re.findall(r"^(\S+)\)\n\texec (.*)\n\t;;$", text, re.MULTILINE))
    assert list(branches) == [artefact.name for artefact in LINUX]
    for artefact in LINUX:
        words = shlex.split(branches[artefact.name])
        assert words == [*(["sudo", "-n", "--"] if artefact.privileged else []), *artefact.command]


@pytest.mark.parametrize(
    "asked", ["", "id", "nft-ruleset.json; id", "nft-ruleset.json x", "$(id)", "*", "../ip-link.json"]
)
def test_the_wrapper_refuses_everything_else(tmp_path: Path, asked: str) -> None:
    wrapper = tmp_path / "audit-read"
    # the journal is the only thing that a refusal touches
    wrapper.write_text(rendered("usr/local/lib/wardnet/audit-read.j2").replace("\nlogger ", "\necho logged "))
    result = subprocess.run(
        ["/bin/sh", wrapper], env={"SSH_ORIGINAL_COMMAND": asked}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "refused: name one artefact of the audit" in result.stderr
    assert result.stdout.startswith("logged ")


def test_sudo_allows_the_privileged_commands_word_for_word(tmp_path: Path) -> None:
    text = rendered("etc/sudoers.d/wardnet-audit.j2")
    allowed = [line.partition("NOSETENV: ")[2] for line in text.splitlines() if "NOPASSWD" in line]
    wanted = [" ".join(artefact.command) for artefact in LINUX if artefact.privileged]
    assert [re.sub(r"\\(.)", r"\1", command) for command in allowed] == wanted
    # a wildcard that kept its meaning would let arguments of the caller's choice in
    assert not [command for command in allowed if re.search(r"(?<!\\)[*?\[\]]", command)]


def configuring(playbook: str) -> set[str]:
    """Roles that a playbook comes to, by its imports and by what roles depend on."""
    found: set[str] = set()
    for play in read(ROOT / "playbooks" / playbook):
        if imported := play.get("ansible.builtin.import_playbook"):
            found |= configuring(imported)
        for role in play.get("roles", []):
            depends = read(ROOT / "roles" / role["role"] / "meta" / "main.yml")["dependencies"]
            found |= {role["role"]} | {other["role"] for other in depends}
    return found


def test_drift_is_read_of_all_that_a_whole_run_configures() -> None:
    assert configuring("drift.yml") == configuring("site.yml")


def test_a_whole_run_and_what_is_published_come_to_every_role() -> None:
    every = configuring("site.yml") | configuring("publish.yml")
    assert every == {path.name for path in (ROOT / "roles").iterdir() if path.is_dir()} - SHARED


def test_no_play_that_connects_comes_to_a_host_that_pulls() -> None:
    """Nothing leads to those; what they are to be is published."""
    plays = [
        (path.name, play["name"], " ".join(play["hosts"].split()))
        for path in sorted((ROOT / "playbooks").glob("*.yml"))
        if path.name not in ("publish.yml", "skipped.yml")  # neither connects
        for play in read(path)
        if "hosts" in play
    ]
    assert plays
    for file, name, hosts in plays:
        wanted = "".join(re.findall(r"'([^']*)'", hosts.partition("default(")[2])) if "{{" in hosts else hosts
        among = set(wanted.split(":"))
        assert among, (file, name)
        assert "!pulled" in among or among <= REACHED, f"{file}, {name}: {wanted} may take in hosts that pull"


def committing() -> list[tuple[str, dict[str, Any], set[str]]]:
    """Playbook, play and the groups that it comes to, of plays that change hosts."""
    found = []
    for path in sorted((ROOT / "playbooks").glob("*.yml")):
        for play in read(path):
            if "commit" in (role["role"] for role in play.get("roles", [])):
                wanted = "".join(re.findall(r"'([^']*)'", play["hosts"].partition("default(")[2]))
                found.append((path.name, play, set(wanted.split(":"))))
    return found


def test_what_carries_others_is_changed_in_the_steps_of_a_rollout_the_hub_alone() -> None:
    """Except where both ends of a line change at once; drift.yml takes its strategy from what it is to do."""
    joining = {"hubs", "gateways", "switches", "all"}
    plays = [(file, play, groups) for file, play, groups in committing() if file not in ("renumber.yml", "drift.yml")]
    there = [(file, play["name"]) for file, play, groups in plays if "gateways" in groups]
    assert there == [("audit.yml", "Audit account"), ("channels.yml", "Gateways"), ("monitoring.yml", "Agents")]
    for file, play, groups in plays:
        if not groups & joining or "!gateways" in groups:
            continue
        where = f"{file}, {play['name']}"
        assert (play.get("strategy"), play.get("any_errors_fatal")) == ("wardnet_rollout", True), where
        if "hubs" in groups:
            assert groups == {"hubs"}, f"{where}: the hub goes first, and alone"
        else:
            assert f"wardnet_resume.serial['{play['name']}']" in str(play.get("serial")), where
            assert "default([1, '25%', '100%'])" in play["serial"], where


def test_the_hub_is_changed_before_the_gateways() -> None:
    order = [(file, next(iter(groups & {"hubs", "gateways"}))) for file, _play, groups in committing()
             if file in ("audit.yml", "channels.yml") and groups & {"hubs", "gateways"}]  # fmt: skip
    assert order == [(file, group) for file in ("audit.yml", "channels.yml") for group in ("hubs", "gateways")]


def test_ports_that_a_pc_does_not_have_are_refused_before_all_others_go_down() -> None:
    argv = read(ROOT / "roles" / "device_policy" / "vars" / "main.yml")["__device_policy_ports_there"]
    assert argv[0] == "/bin/sh"
    for ports, refused in ((["lo"], False), ([], False), (["lo", "nothere0"], True)):
        done = subprocess.run([*argv, *ports], capture_output=True, text=True, check=False)
        assert (done.returncode != 0) is refused, done.stderr
        assert ("this machine has no port nothere0, only " in done.stderr) is refused


def test_a_box_serves_its_scanner_by_our_file_and_not_by_the_packages() -> None:
    step = read(ROOT / "roles" / "scanner" / "tasks" / "main.yml")[0]["wardnet_candidate"]
    assert step["files"][0]["tag"] == step["after"][0]["tag"]
    assert step["after"][0]["command"][1:] == ["try-restart", "ipp-usb.service"]


def test_packages_that_came_without_their_vietnamese_texts_come_again(tmp_path: Path) -> None:
    """As on a PC whose installation left texts out; what has its texts, or has none, is left alone."""
    text = read(ROOT / "roles" / "vietnamese" / "vars" / "main.yml")["__vietnamese_texts"]
    info, locale = tmp_path / "var/lib/dpkg/info", tmp_path / "usr/share/locale/vi/LC_MESSAGES"
    info.mkdir(parents=True)
    locale.mkdir(parents=True)
    (locale / "there.mo").touch()
    for name, files in (("thunar:amd64", ["gone.mo", "other.mo"]), ("apt", ["there.mo"]), ("plain", [])):
        (info / f"{name}.list").write_text("".join(f"/.\n{locale}/{file}\n" for file in files))
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    (tmp_path / "apt-get").chmod(0o755)
    words = text.replace("/usr/bin/apt-get", str(tmp_path / "apt-get")).replace("^/usr/share", f"^{tmp_path}/usr/share")
    subprocess.run(
        ["/bin/sh", "-ec", words.replace("/var/lib/dpkg", f"{tmp_path}/var/lib/dpkg")], check=True, timeout=60
    )
    update, again = (tmp_path / "asked").read_text().splitlines()
    assert update.endswith(" update")
    assert again.endswith(" install thunar:amd64")
    assert "--reinstall" in again
    (locale / "gone.mo").touch()
    (locale / "other.mo").touch()
    (tmp_path / "asked").unlink()
    subprocess.run(
        ["/bin/sh", "-ec", words.replace("/var/lib/dpkg", f"{tmp_path}/var/lib/dpkg")], check=True, timeout=60
    )
    assert not (tmp_path / "asked").exists(), "nothing is asked where nothing is missing"


def test_texts_are_let_in_before_packages_are_installed() -> None:
    first = read(ROOT / "roles" / "vietnamese" / "tasks" / "main.yml")[0]["wardnet_candidate"]
    assert first["early"] is True
    assert first["directories"][0]["tag"] == first["after"][0]["tag"]


def test_what_the_controllers_timers_start_is_a_playbook_with_the_sites_files(tmp_path: Path) -> None:
    """And systemd takes it; both are held by the drift run as by the play that makes them."""
    for name, playbook in (("drift", "drift.yml"), ("publish", "publish.yml")):
        folder = ROOT / "roles" / f"{name}_timer" / "templates" / "etc" / "systemd" / "system"
        environment = jinja2.Environment(  # noqa: S701 - units
            loader=jinja2.FileSystemLoader(folder), trim_blocks=True, keep_trailing_newline=True
        )
        (tmp_path / "srv/.venv/bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / "srv/.venv/bin/ansible-playbook").write_text("#!/bin/sh\n")
        (tmp_path / "srv/.venv/bin/ansible-playbook").chmod(0o755)
        given = {
            "checkout": str(tmp_path / "srv"), "user": "root", "inventory": "", "at": "*-*-* 05:00",
            "variables": ["/etc/wardnet/site.yml"],
        }  # fmt: skip
        given = {f"{name}_timer_{key}": value for key, value in given.items()}
        unit = environment.get_template(f"wardnet-{name}.service.j2").render(**given)
        wanted = f"ExecStart={tmp_path}/srv/.venv/bin/ansible-playbook playbooks/{playbook} -e @/etc/wardnet/site.yml\n"
        assert wanted in unit
        assert "OnCalendar=*-*-* 05:00\n" in environment.get_template(f"wardnet-{name}.timer.j2").render(**given)
        for plays in ("site.yml", "drift.yml"):
            roles = [role["role"] for play in read(ROOT / "playbooks" / plays) for role in play.get("roles", [])]
            assert roles.count(f"{name}_timer") == 1, plays


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks" / "group_vars").glob("*.yml")), ids=lambda path: path.stem)
def test_no_variable_of_a_group_is_given_twice(path: Path) -> None:
    """YAML takes the last one, without a word."""
    names = [str(key.value) for key, _ in yaml.compose(path.read_text()).value]
    assert [name for name in names if names.count(name) > 1] == []


def test_what_a_site_says_of_the_mirror_reaches_the_role_that_tells_hosts(tmp_path: Path) -> None:
    given = read(ROOT / "playbooks" / "group_vars" / "pulled.yml")
    assert given["pull_url"] == "{{ wardnet_pull_url }}"
    assert "wardnet_pull_ca_file" in given["pull_ca"]
    assert set(given) >= {"wardnet_publish_folder", "wardnet_pull_url", "wardnet_pull_ca_file"}
    template = ROOT / "roles" / "pull" / "templates" / "etc" / "wardnet" / "pull-mirror.json.j2"
    environment = jinja2.Environment()  # noqa: S701 - JSON
    environment.filters["to_json"] = json.dumps
    told = tmp_path / "told.json"
    told.write_text(environment.from_string(template.read_text()).render(pull_url="https://new/bundles/", pull_ca="x"))
    mirror = load("module_utils", "wardnet_pull_mirrors").read(told)
    assert (mirror.url, str(mirror.ca)) == ("https://new/bundles/", "/etc/wardnet/pull-mirror.pem")
