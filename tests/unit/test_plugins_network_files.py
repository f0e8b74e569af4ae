"""Files of systemd-networkd in other folders than /etc, which would configure a port before the candidate's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import load

bundle = load("module_utils", "wardnet_bundle")
files = load("module_utils", "wardnet_network_files")
network = load("module_utils", "wardnet_part_network")
parts = load("module_utils", "wardnet_part")

OWN = ("10-wardnet-wan-mgmt0.network", "10-wardnet-lo.network", "10-wardnet-lo.network.d/wan.conf")
PORTS = ("mgmt0", "wan0", "lo")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("etc", "run", "lib"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(files, "ETC", tmp_path / "etc")
    monkeypatch.setattr(files, "OTHERS", (tmp_path / "run", tmp_path / "lib"))
    return tmp_path


def found(folders: Path) -> dict[str, str]:
    """Files by what masks them, both within the folder."""
    own = [str(folders / "etc" / name) for name in OWN]
    masks = files.overriding([*own, "/etc/hosts"], PORTS)
    return {str(mask.relative_to(folders)): str(path.relative_to(folders)) for mask, path in masks.items()}


def test_the_first_file_by_name_counts_whatever_folder_it_is_in(folders: Path) -> None:
    (folders / "lib" / "05-other.network").write_text("[Match]\nName=mgmt0\n[Network]\nAddress=10.30.1.78/24\n")
    (folders / "run" / "06-other.network").write_text("[Match]\nMACAddress=02:00:00:00:00:01\n")
    (folders / "lib" / "06-other.network").write_text("[Match]\nName=elsewhere\n")
    assert found(folders) == {
        "etc/05-other.network": "lib/05-other.network",
        "etc/06-other.network": "run/06-other.network",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("05-x.network", "[Match]\nName=ve-* spare?\n"),
        ("05-x.network", "[Match]\nName=!mgmt0 wan0 lo\n"),
        ("80-x.network", "[Match]\nName=*\n"),
        ("05-x.network", ""),
        ("05-x.link", "[Match]\nName=mgmt0\n"),
        ("10-wardnet-wan-mgmt0.network", "[Match]\nName=mgmt0\n"),
        ("10-wardnet-lo.network.d/wan.conf", "[Network]\nAddress=192.0.2.1/32\n"),
        ("80-x.network.d/x.conf", "[Network]\nAddress=192.0.2.1/32\n"),
    ],
)
def test_what_configures_no_port_of_ours_counts_for_nothing(folders: Path, name: str, text: str) -> None:
    path = folders / "lib" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert found(folders) == {}


@pytest.mark.parametrize("text", ["[Match]\nName=wan*\n", "[Match]\nName=!spare*\n", "[Match]\nType=ether\n"])
def test_what_may_match_counts(folders: Path, text: str) -> None:
    (folders / "run" / "00-x.network").write_text(text)
    assert found(folders) == {"etc/00-x.network": "run/00-x.network"}


def test_a_mask_hides_it_and_is_purged_by_nothing(folders: Path) -> None:
    (folders / "lib" / "05-other.network").write_text("[Match]\nName=mgmt0\n")
    added = folders / "run" / "10-wardnet-lo.network.d" / "x.conf"
    added.parent.mkdir()
    added.write_text("[Network]\nAddress=192.0.2.1/32\n")
    (folders / "etc" / "05-other.network").write_text("[Match]\nName=mgmt0\n")  # it is purged, and hides it no longer
    masks = [folders / mask for mask in found(folders)]
    assert len(masks) == 2
    for mask in (*masks, *masks):
        files.mask_over(mask)
    assert found(folders) == {}
    foreign = folders / "etc" / "06-mine.network"
    foreign.symlink_to("/etc/hosts")
    owner, group = foreign.owner(), foreign.group()
    whose = {"owner": owner, "group": group, "mode": f"{(folders / 'etc').stat().st_mode & 0o777:o}"}
    owned = [{"path": str(folders / "etc"), "purge": ["*.network", "*.network.d/"], **whose}]
    changes = bundle.read_bundle([], owned).changes()
    assert [change.path for change in changes] == [foreign]


def test_part_network_names_it_masks_it_and_takes_the_mask_back(folders: Path) -> None:
    from tests.unit.test_plugins_part_network import Host, made, right

    host = Host()
    (folders / "lib" / "05-other.network").write_text("[Match]\nName=mgmt0\n")
    own = {"path": str(folders / "etc" / OWN[0]), "content": "[Match]\nName=mgmt0\n"}

    def again() -> Any:
        part = made(host, right(), files=[own])
        part.read()
        return part

    part = again()
    assert part.difference().foreign == (
        f"file {folders}/lib/05-other.network, which systemd-networkd.service takes before wardnet's",
    )
    mask = folders / "etc" / "05-other.network"
    kept = [entry for entry in part.undo() if isinstance(entry, parts.UndoFile)]
    assert parts.UndoFile(str(mask)) in kept
    part.prepare()
    assert str(mask.readlink()) == os.devnull
    assert not again().difference()
