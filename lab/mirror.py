"""The APT mirror inside the lab: packages fetched once through this machine's apt, indexed and signed with a key
of the lab's own. One folder on this machine, which the mirror's host sees read-only, so that a package
published while the lab runs is there at once."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from lab import cgroups
from lab.commands import capture
from lab.errors import LabError
from lab.image import Recipe, locked
from lab.layout import CACHE_ROOT, FABRIC, FABRIC_MEMORY_BYTES, FABRIC_TASKS, Layout
from lab.preflight import parse_packages
from wardnet.locale import _

ALONE = ("systemd-timesyncd",)  # of PCs and servers; it and the chrony of gateways exclude each other
PACKAGES_FILE = Path(__file__).with_name("mirror-packages.txt")
WORKPLACES_FILE = Path(__file__).with_name("mirror-packages-workplaces.txt")
COMPONENT = "main"
KEY_FILE = "mirror-key.asc"


def read_packages(*, workplaces: bool = False) -> tuple[str, ...]:
    """What the mirror brings; what PCs are made of where it is asked for."""
    files = [PACKAGES_FILE, WORKPLACES_FILE] if workplaces else [PACKAGES_FILE]
    return tuple(dict.fromkeys(name for file in files for name in parse_packages(file.read_text())))


def installable(packages: Sequence[str]) -> list[list[str]]:
    """In groups that one host can have together, as APT wants them."""
    return [
        group
        for group in ([name for name in packages if name not in ALONE], *([name] for name in packages if name in ALONE))
        if group
    ]


def _key(recipe: Recipe, packages: Sequence[str]) -> str:
    return hashlib.sha256("\0".join((recipe.key, *packages)).encode()).hexdigest()[:16]


def fetch(recipe: Recipe, root: Path, packages: Sequence[str], say: Callable[[str], None]) -> Path:
    """The folder with the .deb files that `packages` need beyond the base image `root`, fetched unless cached.

    LabError when apt cannot find or fetch them.
    """
    folder = CACHE_ROOT / "packages" / _key(recipe, packages)
    with locked(CACHE_ROOT / "packages" / f"{folder.name}.lock"):
        if folder.is_dir():
            return folder
        say(_("fetching packages for the lab's mirror: {packages} (once)").format(packages=", ".join(packages)))
        making = folder.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        for name in ("lists/partial", "cache/archives/partial"):
            (making / name).mkdir(parents=True)
        sources = making / "debian.sources"
        sources.write_text(recipe.sources.stanzas)
        options = {
            "Dir::State::status": root / "var/lib/dpkg/status",
            "Dir::State::lists": making / "lists",
            "Dir::State::extended_states": making / "extended_states",
            "Dir::Cache": making / "cache",
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        words = [f"-o{key}={value}" for key, value in options.items()]
        try:
            capture(["apt-get", *words, "--quiet", "update"], timeout=600)
            for wanted in installable(packages):
                capture(["apt-get", *words, "--quiet", "--yes", "--download-only", "install", *wanted], timeout=3600)
            made = making / "debs"
            made.mkdir()
            for path in sorted((making / "cache/archives").glob("*.deb")):
                path.rename(made / path.name.replace("%3a", ":"))
        except LabError as error:
            shutil.rmtree(making, ignore_errors=True)
            raise LabError(
                _("packages for the lab's mirror could not be fetched: {error}").format(error=error)
            ) from error
        made.rename(folder)
        shutil.rmtree(making)
    return folder


def make(layout: Layout, recipe: Recipe, debs: Path, extra: Sequence[Path]) -> None:
    """Build the mirror's folder from the fetched packages and `extra` .deb files, and sign it with a new key."""
    pool = layout.mirror / "pool" / COMPONENT
    pool.mkdir(parents=True)
    for path in sorted(debs.iterdir()):
        _place(path, pool / path.name)
    for path in extra:
        _place(path, pool / path.name)
    home = layout.certificates / "gnupg"
    home.mkdir(mode=0o700, parents=True)
    _gpg(layout, ["--quick-generate-key", f"wardnet lab {layout.name} mirror", "ed25519", "sign", "30d"])
    key = _gpg(layout, ["--armor", "--export"])
    (layout.mirror / KEY_FILE).write_text(key)
    index(layout, recipe.sources.suite)


def _place(source: Path, target: Path) -> None:
    """A copy that another process never sees half-written; a hard link where that is possible."""
    making = target.with_name(f".{target.name}.new")
    making.unlink(missing_ok=True)
    try:
        os.link(source, making)
    except OSError:
        shutil.copyfile(source, making)
    making.chmod(0o644)
    making.replace(target)


def _gpg(layout: Layout, words: Sequence[str]) -> str:
    """Run gpg on the lab's key ring. Its agent is started inside the lab's control group and ended again."""
    home = layout.certificates / "gnupg"
    joins = cgroups.create(layout.host_cgroup(FABRIC), memory_bytes=FABRIC_MEMORY_BYTES, tasks=FABRIC_TASKS)
    gpg = [
        "gpg",
        "--homedir",
        str(home),
        "--batch",
        "--yes",
        "--no-tty",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
        *words,
    ]
    try:
        return capture(cgroups.join_argv(joins, gpg))
    finally:
        capture(["gpgconf", "--homedir", home, "--kill", "gpg-agent"])


def index(layout: Layout, suite: str) -> None:
    """Write Packages, Release and InRelease of what the pool holds, each replaced in one step."""
    architecture = capture(["dpkg", "--print-architecture"]).strip()
    binary = layout.mirror / "dists" / suite / COMPONENT / f"binary-{architecture}"
    binary.mkdir(parents=True, exist_ok=True)
    packages = capture(["apt-ftparchive", "packages", f"pool/{COMPONENT}"], cwd=layout.mirror)
    _replace(binary / "Packages", packages.encode())
    _replace(binary / "Packages.gz", gzip.compress(packages.encode(), mtime=0))
    release = capture(
        ["apt-ftparchive", "-oAPT::FTPArchive::Release::Origin=wardnet lab",
         "-oAPT::FTPArchive::Release::Label=wardnet lab",
         f"-oAPT::FTPArchive::Release::Suite={suite}",
         f"-oAPT::FTPArchive::Release::Codename={suite}",
         f"-oAPT::FTPArchive::Release::Architectures={architecture}",
         f"-oAPT::FTPArchive::Release::Components={COMPONENT}",
         "release", f"dists/{suite}"],
        cwd=layout.mirror,
    )  # fmt: skip
    dists = layout.mirror / "dists" / suite
    _replace(dists / "Release", release.encode())
    signed = dists / ".InRelease.new"
    _gpg(layout, ["--clearsign", "--output", str(signed), str(dists / "Release")])
    signed.replace(dists / "InRelease")


def _replace(path: Path, content: bytes) -> None:
    making = path.with_name(f".{path.name}.new")
    making.write_bytes(content)
    making.replace(path)


def publish(layout: Layout, suite: str, package: Path) -> str:
    """Add one .deb to a running lab's mirror; returns `name version`. LabError if it is no package."""
    if not package.is_file():
        raise LabError(_("{package}: no such file").format(package=package))
    described = capture(["dpkg-deb", "--show", "--showformat=${Package} ${Version}", package])
    _place(package, layout.mirror / "pool" / COMPONENT / package.name)
    index(layout, suite)
    return described
