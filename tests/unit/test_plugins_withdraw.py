"""What was published for hosts that pull no more is taken back: what this key has signed, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import load

withdrawing = load("action", "wardnet_withdraw")
published = load("module_utils", "wardnet_published")
signature = load("module_utils", "wardnet_signature")

NOW = 1_800_000_000


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("own", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    return folder


def put(folder: Path, name: str, key: Path, host: str = "") -> None:
    bundle = published.Published(
        host=host or name, serial=1, published=NOW, valid_until=NOW + 9, as_of="2026-11-30", model_sha256="a" * 64,
        arguments={}, steps=[],
    )  # fmt: skip
    data = published.write_bundle(bundle)
    (folder / f"{name}.bundle").write_bytes(data)
    (folder / f"{name}.bundle.sig").write_bytes(signature.sign(data, key))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def both(*hosts: str) -> set[str]:
    return {f"{host}{suffix}" for host in hosts for suffix in (".bundle", ".bundle.sig")}


def withdraw(folder: Path, keys: Path, *keep: str, check: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = withdrawing.withdraw(folder, keys / "own", keep, check)
    return made


def test_a_host_that_has_left_loses_its_bundle_and_others_keep_theirs(tmp_path: Path, keys: Path) -> None:
    for host in ("pc-1", "pc-2", "gone-1", "gone-2"):
        put(tmp_path, host, keys / "own")
    made = withdraw(tmp_path, keys, "pc-1", "pc-2", "pc-3")
    assert names(tmp_path) == both("pc-1", "pc-2")
    assert made["changed"]
    assert set(made["withdrawn"]) == both("gone-1", "gone-2")
    assert "gone-1.bundle.sig" in made["diff"]["before"]
    again = withdraw(tmp_path, keys, "pc-1", "pc-2", "pc-3")
    assert (again["changed"], again["told"], "diff" in again) == (False, [], False)


def test_a_check_says_what_would_go_and_removes_nothing(tmp_path: Path, keys: Path) -> None:
    put(tmp_path, "gone-1", keys / "own")
    made = withdraw(tmp_path, keys, check=True)
    assert (made["changed"], names(tmp_path)) == (True, both("gone-1"))
    (told,) = made["told"]
    assert told.startswith("would be removed: ")


def test_what_this_key_has_not_signed_stays_and_is_named(tmp_path: Path, keys: Path) -> None:
    put(tmp_path, "strange-1", keys / "other")
    put(tmp_path, "mixed-1", keys / "own", host="pc-9")  # a copy under another name
    put(tmp_path, "torn-1", keys / "own")
    (tmp_path / "torn-1.bundle.sig").unlink()
    put(tmp_path, "damaged-1", keys / "own")
    (tmp_path / "damaged-1.bundle").write_bytes(b"{}")
    for name in ("README", "Packages.bundle", ".hidden.bundle", "notes.bundle.txt"):
        (tmp_path / name).write_text("x")
    before = names(tmp_path)
    made = withdraw(tmp_path, keys)
    assert (made["changed"], names(tmp_path)) == (False, before)
    assert sorted(text.split(": ")[1].split()[0] for text in made["told"]) == [
        "damaged-1",
        "mixed-1",
        "strange-1",
        "torn-1",
    ]


def test_a_folder_that_is_not_there_yet_holds_nothing(tmp_path: Path, keys: Path) -> None:
    assert withdraw(tmp_path / "none", keys)["changed"] is False


def test_without_the_public_half_nothing_is_removed(tmp_path: Path, keys: Path) -> None:
    put(tmp_path, "gone-1", keys / "own")
    lonely = tmp_path / "lonely"
    lonely.write_bytes((keys / "own").read_bytes())
    with pytest.raises(signature.SignatureError, match="public half"):
        withdrawing.withdraw(tmp_path, lonely, [], False)
    assert both("gone-1") <= names(tmp_path)
