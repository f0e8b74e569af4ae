"""Whose keys let the administrator in: a run that would take its own away is refused on the controller."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.unit.plugins_support import ROOT, ansible

pytestmark = pytest.mark.long

SHOWN = {"ansible.builtin.debug": {"msg": "{{ __hardening_keys }}"}}


def made(folder: Path, name: str, passphrase: str = "") -> tuple[Path, str]:
    """A private key, and its public half without a comment."""
    path = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", f"{name}@office", "-f", path], check=True
    )
    return path, " ".join(path.with_name(f"{name}.pub").read_text().split()[:2])


def play(folder: Path, key: Path | str, keys: list[str]) -> tuple[int, str]:
    """What comes of the role's part about logins, which adds steps and reaches no host."""
    role = {"ansible.builtin.include_role": {"name": "hardening", "tasks_from": "logins", "public": True}}
    variables = {
        **dict.fromkeys(("hardening_administrator", "ansible_user"), "wardnet"),
        "hardening_administrator_keys": keys,
        "hardening_controller_key_file": str(key),
    }
    written = [{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": [role, SHOWN]}]
    (folder / "play.yml").write_text(yaml.safe_dump(written))
    done = ansible(
        "ansible-playbook", "-i", "buoi-gw,", folder / "play.yml", ANSIBLE_ROLES_PATH=str(ROOT / "roles"),
        WARDNET_RUNS=str(folder / "runs"), ANSIBLE_CALLBACK_RESULT_FORMAT="json",
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_run_that_would_lock_itself_out_is_refused(tmp_path: Path) -> None:
    own, public = made(tmp_path, "controller")
    _, other = made(tmp_path, "operator")
    status, said = play(tmp_path, own, [other])
    assert status != 0
    assert "nothing was sent: this run comes in by the key" in said
    assert str(own) in said
    assert "wardnet_administrator_keys" in said
    assert public in said, "what to add"


def test_keys_are_told_by_themselves_and_not_by_their_comments(tmp_path: Path) -> None:
    own, public = made(tmp_path, "controller")
    keys = [
        f"{public} of the controller",
        f"{public} the same again",
        f'from="10.0.0.0/8" {made(tmp_path, "other")[1]}',
    ]
    status, said = play(tmp_path, own, keys)
    assert status == 0, said
    assert f"{public} of the controller" in said
    assert "the same again" not in said
    assert 'from=\\"10.0.0.0/8\\"' in said


def test_of_a_key_with_a_passphrase_its_public_half_counts(tmp_path: Path) -> None:
    own, _ = made(tmp_path, "controller", "a passphrase")
    _, other = made(tmp_path, "operator")
    assert play(tmp_path, own, [other])[0] != 0
    assert play(tmp_path, own.with_suffix(".pub"), [other])[0] != 0, "an agent has the private one"


def test_a_key_of_which_nothing_is_known_is_left_to_the_confirmation(tmp_path: Path) -> None:
    _, other = made(tmp_path, "operator")
    status, said = play(tmp_path, tmp_path / "nowhere", [other])
    assert status == 0, said
    status, said = play(tmp_path, "", [other])
    assert status == 0, said
