"""The start menu that nobody can edit: what is made of it, and when it is put in place."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.install_support import of, wishes
from tests.unit.plugins_support import ROOT
from wardnet.media import host_files

TEMPLATES = ROOT / "roles" / "boot_menu" / "templates"
LAID = {"/etc/default/grub.d/50-wardnet.cfg": 0o644, "/etc/grub.d/01_wardnet": 0o755}
# As Debian's GRUB writes it, where this role has not been.
OPEN = """menuentry_id_option="--id"
export menuentry_id_option
set timeout=5
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-1' {
	linux	/boot/vmlinuz-6.1 root=UUID=1 ro quiet
}
"""
ENTRY = """submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-1' {
	menuentry 'Debian GNU/Linux, with Linux 6.1' --class debian $menuentry_id_option 'gnulinux-6.1-1' {
		linux	/boot/vmlinuz-6.1 root=UUID=1 ro panic=30 quiet
	}
}
"""


def template(path: str) -> str:
    text = (TEMPLATES / f"{path.lstrip('/')}.j2").read_text()
    assert "{{" not in text
    assert "{%" not in text
    return text


@pytest.fixture(name="host")
def with_grub(tmp_path: Path) -> Path:
    """A folder that is a host's /boot/grub, and beside it programs; what grub-mkconfig makes is in `makes`."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "grub-mkconfig"
    program.write_text(f'#!/bin/sh\necho ran >> {tmp_path}/runs\ncat {tmp_path}/makes > "$2"\n')
    program.chmod(0o755)
    lock = subprocess.run(["sh"], input=template("/etc/grub.d/01_wardnet"), text=True, capture_output=True, check=True)
    (tmp_path / "makes").write_text(OPEN.split("menuentry '")[0] + lock.stdout + ENTRY)
    (tmp_path / "grub.cfg").write_text(OPEN)
    return tmp_path


def hold(host: Path) -> subprocess.CompletedProcess[str]:
    script = host / "boot-menu"
    script.write_text(template("/usr/local/lib/wardnet/boot-menu"))
    path = f"{host / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", script, host / "grub.cfg"], env={"PATH": path}, capture_output=True, text=True, check=False
    )


def runs(host: Path) -> int:
    path = host / "runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_menu_that_somebody_could_edit_is_made_anew_once(host: Path) -> None:
    assert hold(host).returncode == 0
    assert (host / "grub.cfg").read_text() == (host / "makes").read_text()
    assert 'set superusers="wardnet"' in (host / "grub.cfg").read_text()
    assert hold(host).returncode == 0
    assert runs(host) == 1
    assert sorted(path.name for path in host.glob("grub.cfg*")) == ["grub.cfg"]


@pytest.mark.parametrize(
    ("there", "by_hand"),
    [
        ('set superusers="wardnet"\n', ""),
        ('set superusers="wardnet"\n', '# set superusers="wardnet"\n'),
        (" panic=30", ""),
        (" panic=30", " init=/bin/sh"),
    ],
)
def test_what_somebody_takes_out_of_the_menu_comes_back(host: Path, there: str, by_hand: str) -> None:
    assert hold(host).returncode == 0
    menu = host / "grub.cfg"
    menu.write_text(menu.read_text().replace(there, by_hand))
    assert hold(host).returncode == 0
    assert runs(host) == 2
    assert menu.read_text() == (host / "makes").read_text()


@pytest.mark.parametrize("made", ["menuentry 'Old' {\n}\n", "\tsubmenu 'Old' --class os {\n}\n"])
def test_a_menu_that_would_ask_for_a_password_at_each_start_is_not_put_in_place(host: Path, made: str) -> None:
    with (host / "makes").open("a") as file:
        file.write(made)
    done = hold(host)
    assert done.returncode == 1
    assert "an entry of it would ask for a password" in done.stderr
    assert (host / "grub.cfg").read_text() == OPEN
    assert not (host / "grub.cfg.wardnet").exists()


def test_kernels_that_are_told_words_of_a_medium_keep_them() -> None:
    text = template("/etc/default/grub.d/50-wardnet.cfg")
    done = subprocess.run(
        ["sh", "-c", f'GRUB_CMDLINE_LINUX="console=ttyS0"\n{text}\necho "$GRUB_CMDLINE_LINUX"'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "console=ttyS0 panic=30\n"


@pytest.mark.parametrize("pc", ["buoi-pc-1", "buoi-building-citizen-1"])
def test_a_pc_out_of_its_box_has_what_the_role_holds(pc: str, tmp_path: Path) -> None:
    (installation,) = of(pc)
    found = host_files(installation, wishes(tmp_path))
    for path, mode in LAID.items():
        content = found[path].content
        assert isinstance(content, bytes)
        assert (content.decode(), found[path].mode) == (template(path), mode)
