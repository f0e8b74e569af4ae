"""Packages of a candidate, with Debian's own dpkg on a tree in a folder: one that was cut off is mended, and none is
cut off by whoever ends us."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.plugins_support import load

packages = load("module_utils", "wardnet_packages")
wardnet_host = load("module_utils", "wardnet_host")

# dpkg itself is killed in the middle of the first configuration, as by a switch.
POSTINST = """#!/bin/sh
[ -e "$DPKG_ROOT/well" ] || { touch "$DPKG_ROOT/well"; kill -9 "$(cat "$DPKG_ROOT/dpkg.pid")"; sleep 1; exit 1; }
"""


class Tree(wardnet_host.Host):  # type: ignore[misc]
    """A host whose packages are below a folder; APT there only says what it was asked."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.apt: list[list[str]] = []

    def dpkg(self, *words: str) -> list[str]:
        forced = ("--force-not-root", "--force-script-chrootless", "--force-bad-path")
        return ["dpkg", f"--root={self.root}", f"--log={self.root / 'log'}", *forced, *words]

    def attempt(self, argv: Sequence[str], stdin: str | bytes | None = None) -> tuple[int, str, str]:
        if wardnet_host.APT in argv:
            self.apt.append([word for word in argv[argv.index(wardnet_host.APT) + 1 :] if "option=" not in word])
            return 0, "", ""
        if packages.DPKG in argv:
            argv = self.dpkg(*argv[argv.index(packages.DPKG) + 1 :])
        elif argv[0] == "/usr/bin/dpkg-query":
            argv = ["dpkg-query", f"--admindir={self.root / 'var/lib/dpkg'}", *argv[1:]]
        made: tuple[int, str, str] = super().attempt(argv, stdin)
        return made

    def states(self) -> str:
        return self.attempt(["/usr/bin/dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n"])[1]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    root = tmp_path / "root"
    for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates"):
        (root / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    monkeypatch.setattr(packages, "POLICY", root / "policy-rc.d")
    monkeypatch.setattr(packages, "UPDATES", root / "var/lib/dpkg/updates")
    return Tree(root)


def cut_off(tree: Tree, folder: Path) -> None:
    """Installs a package, and dpkg is killed in the middle."""
    source = folder / "source"
    (source / "DEBIAN").mkdir(parents=True)
    source.chmod(0o755)
    (source / "DEBIAN").chmod(0o755)
    words = (
        "Package: thing\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: a thing\n"
    )
    (source / "DEBIAN/control").write_text(words)
    (source / "DEBIAN/postinst").write_text(POSTINST)
    (source / "DEBIAN/postinst").chmod(0o755)
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", source, folder / "thing.deb"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    words = 'echo $$ > "$0"; exec "$@"'
    command = ["sh", "-c", words, str(tree.root / "dpkg.pid"), *tree.dpkg("--install", str(folder / "thing.deb"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, (done.stdout, done.stderr)


def test_an_installation_that_was_cut_off_is_brought_to_its_end_first(tree: Tree, tmp_path: Path) -> None:
    cut_off(tree, tmp_path)
    assert packages.was_cut_off(tree), tree.states()
    packages.install(tree, ["other"], start=True)
    assert tree.states() == "thing installed\n"
    assert not packages.was_cut_off(tree)
    assert [words[-1] for words in tree.apt] == ["update", "other"]
    assert len(tree.warnings) == 1


def test_what_dpkg_alone_cannot_mend_apt_is_asked_to_and_takes_nothing_away(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(tree, tmp_path)
    monkeypatch.setattr(tree, "dpkg", lambda *_: ["false"])
    packages.install(tree, ["other"], start=True)
    mending = tree.apt[1]
    assert "--fix-broken" in mending
    assert "--no-remove" in mending
    assert tree.apt[2][-1] == "other"


def test_a_host_whose_packages_are_well_is_asked_for_nothing_more(tree: Tree) -> None:
    packages.install(tree, ["other"], start=True)
    assert [words[-1] for words in tree.apt] == ["update", "other"]
    assert not tree.warnings


def test_whoever_ends_us_waits_for_what_is_unpacked_and_not_for_what_is_fetched(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM comes while APT is at work: it counts once that has ended, and at once where it only fetches."""
    order: list[str] = []
    tree.fetches_first = True
    at_work = Tree.attempt

    def attempt(self: Tree, argv: Sequence[str], stdin: str | bytes | None = None) -> tuple[int, str, str]:
        made = at_work(self, argv, stdin)
        if wardnet_host.APT in argv and "install" in argv:
            kind = "fetched" if "--download-only" in argv else "installed"
            os.kill(os.getpid(), signal.SIGTERM)
            order.append(kind)
        return made

    monkeypatch.setattr(Tree, "attempt", attempt)
    former = signal.signal(signal.SIGTERM, lambda *_: order.append("ended"))
    try:
        packages.install(tree, ["other"], start=True)
    finally:
        signal.signal(signal.SIGTERM, former)
    assert order == ["ended", "fetched", "installed", "ended"]
