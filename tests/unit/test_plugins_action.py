"""A bundle from a play's task to files, through Ansible itself, on this machine and in a folder of the test's own."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from tests.unit.plugins_support import ansible

PLAY = """
- hosts: localhost
  connection: local
  vars:
    root: "{root}"
  tasks:
    - wardnet_files:
        files:
          - {{path: "{root}/motd", template: motd.j2, owner: {owner}, group: {group}, tag: motd}}
          - path: "{root}/ports/{{name}}.conf"
            template: port.j2
            each: [{{name: wan0, kind: circuit}}, {{name: clerks0, kind: network}}]
            owner: {owner}
            group: {group}
        directories:
          - {{path: "{root}/ports", owner: {owner}, group: {group}, purge: ["*.conf"]}}
        validate:
          - [/bin/grep, --quiet, Hello, "{{root}}{root}/motd"]
      register: done
    - debug:
        msg: "tags={{{{ done.tags }}}} paths={{{{ done.changed_paths | length }}}}"
"""


@pytest.fixture
def play(tmp_path: Path) -> Path:
    owner, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "motd.j2").write_text("Hello {{ inventory_hostname }}\n{# gone #}\n")
    (tmp_path / "templates" / "port.j2").write_text(
        "{% if item.kind == 'circuit' %}\nline {{ item.name }}\n{% endif %}\nend\n"
    )
    (tmp_path / "target").mkdir()
    path = tmp_path / "play.yml"
    path.write_text(PLAY.format(root=tmp_path / "target", owner=owner, group=group))
    return path


def run(play: Path, *more: str) -> str:
    result = ansible("ansible-playbook", "-i", "localhost,", play, *more)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_check_converge_idempotence_and_drift(play: Path) -> None:
    target = play.parent / "target"
    checked = run(play, "--check", "--diff")
    assert "+Hello localhost" in checked
    assert "changed=1" in checked
    assert list(target.iterdir()) == []

    assert "tags=['motd'] paths=4" in run(play)
    assert (target / "motd").read_text() == "Hello localhost\n"
    assert (target / "ports" / "wan0.conf").read_text() == "line wan0\nend\n"
    assert (target / "ports" / "clerks0.conf").read_text() == "end\n"
    assert "changed=0" in run(play)

    (target / "ports" / "old.conf").touch()
    (target / "motd").write_text("Goodbye\n")
    assert "changed=1" in run(play, "--check")
    assert "tags=['motd'] paths=2" in run(play)
    assert sorted(path.name for path in (target / "ports").iterdir()) == ["clerks0.conf", "wan0.conf"]


def test_what_a_validator_refuses_is_not_installed(play: Path) -> None:
    (play.parent / "templates" / "motd.j2").write_text("Nothing of the sort\n")
    for mode in ([], ["--check"]):
        result = ansible("ansible-playbook", "-i", "localhost,", play, *mode)
        assert result.returncode != 0
        assert "/bin/grep refuses it, nothing was installed" in result.stdout + result.stderr
    assert list((play.parent / "target").iterdir()) == []


def test_an_error_in_a_template_names_it(play: Path) -> None:
    (play.parent / "templates" / "motd.j2").write_text("{{ no_such_variable }}\n")
    result = ansible("ansible-playbook", "-i", "localhost,", play)
    assert result.returncode != 0
    assert "motd.j2" in result.stdout + result.stderr
    assert "no_such_variable" in result.stdout + result.stderr
