"""The way back of how one logs in: the SSH server as it ran, whatever somebody has edited and not reloaded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import load

access = load("module_utils", "wardnet_part_access")
candidate = load("module_utils", "wardnet_candidate")
confirmed = load("module_utils", "wardnet_confirmed")
host_module = load("module_utils", "wardnet_host")
listening = load("module_utils", "wardnet_listening")
taken_up = load("module_utils", "wardnet_taken_up")
parts = load("module_utils", "wardnet_part")


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server that has read its files, and tells in `seen` what it reads the next time."""
    folder = tmp_path / "ssh"
    (folder / "sshd_config.d").mkdir(parents=True)
    for name, path in {"CONFIG": folder / "sshd_config", "MORE": folder / "sshd_config.d"}.items():
        monkeypatch.setattr(taken_up, name, path)
    (folder / "sshd_config").write_text("Include")
    (folder / "sshd_config.d" / "10-wardnet.conf").write_text("confirmed")
    monkeypatch.setattr(taken_up, "PID", tmp_path / "sshd.pid")
    server = tmp_path / "systemctl"
    server.write_text(
        f"#!/bin/sh\n[ $1 != show ] || {{ echo 0; exit; }}\ncd {folder}\nexec > {tmp_path}/seen\n"
        "for one in sshd_config sshd_config.d/*.conf; do echo $one $(cat $one); done\n"
        f"sleep 0.1; touch {tmp_path}/sshd.pid\n"
    )
    server.chmod(0o755)
    for module in (access, listening, taken_up):
        monkeypatch.setattr(module, "SYSTEMCTL", str(server))
    read_again(tmp_path)
    return folder


def read_again(folder: Path) -> None:
    (folder / "sshd.pid").write_text("1")
    newest = max(path.stat().st_ctime_ns for path in (folder / "ssh").rglob("*"))
    os.utime(folder / "sshd.pid", ns=(newest, newest))


def edit(path: Path, text: str | None) -> None:
    """As somebody does after the server has read its files, by the clock of the file system."""
    before = taken_up.PID.stat().st_mtime_ns
    while True:
        if text is None:
            path.touch()
            path.unlink()
        else:
            path.write_text(text)
        if (path.parent if text is None else path).stat().st_ctime_ns > before:
            return


def made(tmp_path: Path, ssh: Path) -> Any:
    own = str(ssh / "sshd_config.d" / "10-wardnet.conf")
    step = {"role": "hardening", "part": "access", "access": {}, "files": [{"path": own, "content": "confirmed"}]}
    host = host_module.Host(state=tmp_path, library=tmp_path / "library")
    record = {"run": "r", "token": "t", "steps": {}, "candidates": {"k": {"step": step, "secrets": {}}}}
    (tmp_path / confirmed.CONFIRMED).write_text(json.dumps(record))
    part = access.Access(candidate.read_steps([step]), host)
    part.read()
    return part


def seen(tmp_path: Path) -> list[str]:
    return (tmp_path / "seen").read_text().splitlines()


def go(part: Any) -> None:
    (command,) = [entry for entry in part.undo() if isinstance(entry, parts.UndoCommand)]
    assert command.argv[-1].endswith("/library/taken_up.py")
    given = json.loads(command.stdin)
    assert given["listened"] is None
    assert taken_up.reload(given["services"], given["files"], None, given["ran"]) == ""


def test_a_server_that_has_read_its_files_reads_them_again(tmp_path: Path, ssh: Path) -> None:
    assert [entry.argv for entry in made(tmp_path, ssh).undo()] == [
        (access.SYSTEMCTL, "try-reload-or-restart", "ssh.service")
    ]


def test_a_file_that_the_server_never_read_is_not_read_on_the_way_back(tmp_path: Path, ssh: Path) -> None:
    mine = ssh / "sshd_config.d" / "00-mine.conf"
    edit(mine, "AllowUsers bob")
    go(made(tmp_path, ssh))
    assert seen(tmp_path) == ["sshd_config Include", "sshd_config.d/10-wardnet.conf confirmed"]
    assert mine.read_text() == "AllowUsers bob", "it is on disk as before"
    assert sorted(path.name for path in mine.parent.iterdir()) == ["00-mine.conf", "10-wardnet.conf"]


@pytest.mark.parametrize("text", ["AllowUsers bob", None])
def test_a_file_that_was_edited_since_is_read_as_it_was_confirmed(tmp_path: Path, ssh: Path, text: str | None) -> None:
    own = ssh / "sshd_config.d" / "10-wardnet.conf"
    edit(own, text)
    go(made(tmp_path, ssh))
    assert seen(tmp_path) == ["sshd_config Include", "sshd_config.d/10-wardnet.conf confirmed"]
    assert (own.read_text() if own.exists() else None) == text


def test_a_file_of_which_nothing_is_known_is_read_as_it_is(tmp_path: Path, ssh: Path) -> None:
    edit(ssh / "sshd_config", "Include by hand")
    assert [entry.argv[0] for entry in made(tmp_path, ssh).undo()] == [access.SYSTEMCTL]


def test_under_a_clock_that_was_set_right_since_nothing_is_known(tmp_path: Path, ssh: Path) -> None:
    """The server had started under an old one: every file looks later than it, and the server had read them."""
    edit(ssh / "sshd_config.d" / "00-mine.conf", "AllowUsers bob")
    os.utime(tmp_path / "sshd.pid", (1_000_000, 1_000_000))
    assert [entry.argv[0] for entry in made(tmp_path, ssh).undo()] == [access.SYSTEMCTL]


def test_a_server_that_does_not_read_its_files_is_told(
    tmp_path: Path, ssh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taken_up, "PATIENCE", 0.5)
    monkeypatch.setattr(taken_up, "SYSTEMCTL", "/bin/true")
    assert taken_up.reload(["ssh.service"], {}) == "ssh.service did not read its files again"
    monkeypatch.setattr(taken_up, "SYSTEMCTL", "/bin/false")
    mine = ssh / "sshd_config.d" / "00-mine.conf"
    mine.write_text("x")
    taken_up.reload(["ssh.service"], {str(mine): None})
    assert mine.read_text() == "x"
