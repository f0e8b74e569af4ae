"""`wardnet inventory replace-pc`: one value in one line, and the former machine's key is no longer trusted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from collectors.transport.known_hosts import archive_of
from tests.unit.compile_support import INVENTORY
from wardnet.cli.main import build
from wardnet.inventory import read_district
from wardnet.inventory.writing.edit import set_key

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzDhJoeTPqMaZwaAVx80rML0wUry7csQxZ5YJsNtlhc"
OTHER = f"buoi-gw,10.30.1.1 {KEY}\n"


@pytest.fixture(name="folder")
def a_copy(tmp_path: Path) -> Path:
    (tmp_path / "known_hosts").write_text(f"{OTHER}# buoi-pc-1 taken in by x\nbuoi-pc-1,10.20.1.11 {KEY}\n")
    return Path(shutil.copytree(INVENTORY, tmp_path / "inventory"))


def replace_pc(folder: Path, *words: str) -> Result:
    arguments = [
        "inventory",
        "replace-pc",
        *words,
        "-i",
        str(folder),
        "--known-hosts",
        str(folder.parent / "known_hosts"),
    ]
    return CliRunner().invoke(build(arguments), arguments)


def lines(folder: Path) -> list[str]:
    return (folder / "wards" / "buoi.yml").read_text().splitlines()


@pytest.mark.parametrize(
    ("host", "mac", "old", "now"),
    [
        ("buoi-pc-1", "52-54-00-12-34-5A", '"fd20:20:1::11"}]', '"fd20:20:1::11", mac: "52:54:00:12:34:5a"}]'),
        ("buoi-scanner-1", "02:20:01:00:00:99", '"02:20:01:00:00:20"', '"02:20:01:00:00:99"'),
    ],
)
def test_one_value_is_written_and_every_other_byte_stays(folder: Path, host: str, mac: str, old: str, now: str) -> None:
    before = lines(folder)
    result = replace_pc(folder, host, "--mac", mac, "--yes")
    assert result.exit_code == 0, result.output
    changed = [(was, line) for was, line in zip(before, lines(folder), strict=True) if was != line]
    assert changed == [(changed[0][0], changed[0][0].replace(old, now))]
    hosts = {host.id: host for _ward, site in read_district(folder).sites for host in site.hosts}
    assert hosts[host].interfaces[0].mac == mac.lower().replace("-", ":")


def test_the_former_key_is_archived_and_the_others_stay(folder: Path) -> None:
    result = replace_pc(folder, "buoi-pc-1", "--mac", "52:54:00:12:34:5a", "--yes")
    assert result.exit_code == 0, result.output
    known = folder.parent / "known_hosts"
    assert known.read_text() == OTHER
    archived = archive_of(known).read_text().splitlines()
    assert archived[0].startswith("# buoi-pc-1: retired by ")
    assert archived[1:] == ["# buoi-pc-1 taken in by x", f"buoi-pc-1,10.20.1.11 {KEY}"]
    assert "wardnet trust buoi-pc-1" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("host", "said", "never"),
    [
        ("buoi-pc-1", "next: wardnet trust buoi-pc-1", "publish"),
        ("buoi-citizen-1", "next: ansible-playbook playbooks/publish.yml --limit buoi-citizen-1", "trust"),
        ("buoi-scanner-1", "next: by hand, since wardnet does not log in to buoi-scanner-1: ", "trust"),
    ],
)
def test_what_comes_next_is_what_the_host_is_set_up_by(folder: Path, host: str, said: str, never: str) -> None:
    result = replace_pc(folder, host, "--mac", "52:54:00:12:34:5a", "--yes")
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    assert said in shown
    assert never not in shown.partition("next: ")[2]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["buoi-pc-9", "--mac", "52:54:00:12:34:5a"], 2, "no PC buoi-pc-9 in the inventory (did you mean 'buoi-pc-"),
        (["buoi-gw", "--mac", "52:54:00:12:34:5a"], 2, "no PC buoi-gw in the inventory"),
        (["buoi-pc-1", "--mac", "52:54"], 1, "is not a hardware address"),
        (["buoi-pc-1", "--mac", "02:20:01:00:00:20"], 1, "02:20:01:00:00:20"),  # the scanner's
        (["buoi-pc-1", "--mac", "52:54:00:12:34:5a", "--port", "eth7"], 2, "buoi-pc-1 has no port 'eth7'"),
        (["buoi-pc-1"], 2, "there is no terminal to ask at"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(folder: Path, words: list[str], status: int, said: str) -> None:
    before, known = lines(folder), (folder.parent / "known_hosts").read_text()
    result = replace_pc(folder, *words, "--yes")
    assert result.exit_code == status, result.output
    assert said in " ".join((result.stdout + result.stderr).split())
    assert (lines(folder), (folder.parent / "known_hosts").read_text()) == (before, known)


def test_without_a_terminal_it_shows_and_does_not_write(folder: Path) -> None:
    before = lines(folder)
    result = replace_pc(folder, "buoi-pc-1", "--mac", "52:54:00:12:34:5a")
    assert result.exit_code == 1
    assert "+        interfaces: [{network: clerks, ipv4: 10.20.1.11" in result.stdout
    assert lines(folder) == before
    assert not archive_of(folder.parent / "known_hosts").exists()


def test_a_key_goes_into_mappings_of_either_style() -> None:
    block = "a:\n  x: 1  # one\n  # behind\nb: 2\n"
    assert set_key(block, ("a",), "y", "z") == "a:\n  x: 1  # one\n  y: z\n  # behind\nb: 2\n"
    assert set_key(block, ("a",), "x", "z") == block.replace("1  #", "z  #")
