"""The base system: a Debian made once with mmdebstrap from the sources that the person names, kept under the hash of
its recipe, and unpacked onto every PC. With it comes what a medium boots, all of it from the same packages."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

from wardnet.locale import _
from wardnet.media.archive import Entry, write_archive
from wardnet.media.contents import ACCOUNT
from wardnet.media.errors import MediaError

SUITES = ("bookworm", "trixie")
OLD = timedelta(days=30)
KERNEL = "linux-image-amd64"

# What the roles find on a machine that they come to, what it starts by, and nothing else.
PACKAGES = (
    "auditd",
    "busybox",
    "ca-certificates",
    "dbus",
    "dosfstools",
    "e2fsprogs",
    "efibootmgr",
    "fdisk",
    "grub-efi-amd64-signed",
    "grub-pc-bin",
    "grub2-common",
    "initramfs-tools",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "libpam-systemd",
    "netbase",
    "nftables",
    "openssh-client",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "shim-signed",
    "sudo",
    "systemd-sysv",
    "systemd-timesyncd",
    "tzdata",
    "udev",
    "unattended-upgrades",
    "zstd",
)
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
_MEDIUM = "/wardnet-medium"  # in the tree while it is made
_QUICKLY = {"INITRD": "No"}  # the initial RAM disk is made once, at the end
_NOTE = "base.json"
_PARTS = ("linux", "initrd", "base.cpio", "bios.img", "mbr.img", "shim.efi", "grub.efi", "mm.efi")


@dataclass(frozen=True, slots=True)
class Recipe:
    """`sources` is the text of an APT sources file, deb822 where its name ends in .sources."""

    suite: str
    sources: str
    deb822: bool
    more: tuple[str, ...] = ()
    kernel: str = KERNEL

    @property
    def packages(self) -> tuple[str, ...]:
        return tuple(sorted({*PACKAGES, self.kernel, *self.more}))

    @property
    def key(self) -> str:
        text = "\0".join((self.suite, self.sources, *self.packages, customization()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Base:
    """A base system in a folder. `checksum` is the SHA-256 of the packed system inside base.cpio."""

    folder: Path
    checksum: str
    made: datetime

    def part(self, name: str) -> Path:
        return self.folder / name

    @property
    def old(self) -> bool:
        """Whether it lacks a month of security updates, which PCs would have to fetch first of all."""
        return datetime.now(UTC) - self.made > OLD


def customization() -> str:
    return (files("wardnet.media") / "customize.sh").read_text(encoding="utf-8")


def read_base(folder: Path) -> Base | None:
    """The base system in the folder; None where there is none, or not all of it."""
    try:
        note = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        made = datetime.fromisoformat(note["made"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not all((folder / name).is_file() for name in _PARTS):
        return None
    return Base(folder, str(note["sha256"]), made)


def ensure_base(recipe: Recipe, cache: Path, say: Callable[[str], None], *, anew: bool = False) -> Base:
    """The base system of the recipe, made first where the cache has none or `anew` is wanted. MediaError where it
    cannot be made."""
    folder = cache / f"{recipe.suite}-{recipe.key}"
    found = None if anew else read_base(folder)
    if found is not None:
        return found
    if shutil.which("mmdebstrap") is None or shutil.which("zstd") is None:
        raise MediaError(_("the base system is made by mmdebstrap: apt-get install mmdebstrap zstd"))
    say(_("making the base system ({suite}): some minutes, once").format(suite=recipe.suite))
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="making-", dir=cache) as scratch:
            made = Path(scratch) / "base"
            made.mkdir()
            _make(recipe, made, Path(scratch))
            # Another run may have put its own there meanwhile, of the same recipe.
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
    except OSError as error:
        raise MediaError(f"{error.filename or cache}: {error.strerror}") from error
    base = read_base(folder)
    if base is None:
        raise MediaError(_("{folder} lacks parts of the base system: --renew makes it anew").format(folder=folder))
    return base


def mmdebstrap_argv(recipe: Recipe, made: Path, sources: Path, hook: Path) -> list[str]:
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(recipe.packages)}",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        f'--customize-hook=ACCOUNT={ACCOUNT} chroot "$1" /bin/sh < {hook}',
        f"--customize-hook=sync-out {_MEDIUM} {made}",
        f'--customize-hook=rm -rf "$1{_MEDIUM}"',
        recipe.suite,
        str(made / "base.tar.zst"),
        str(sources),
    ]


def _make(recipe: Recipe, made: Path, scratch: Path) -> None:
    sources = scratch / ("apt.sources" if recipe.deb822 else "apt.list")
    sources.write_text(recipe.sources, encoding="utf-8")
    hook = scratch / "customize"
    hook.write_text(customization(), encoding="utf-8")
    scratch.chmod(0o755)  # whoever builds without being root does so as another user
    run(mmdebstrap_argv(recipe, made, sources, hook), _("the base system could not be made"))
    packed = made / "base.tar.zst"
    with packed.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    with (made / "base.cpio").open("wb") as out:
        write_archive(out, {"/wardnet/base.tar.zst": Entry(packed)})
    packed.unlink()
    note = {"sha256": checksum, "made": datetime.now(UTC).isoformat(timespec="seconds"), "suite": recipe.suite}
    (made / _NOTE).write_text(json.dumps(note) + "\n", encoding="utf-8")


def run(argv: list[str], failed: str) -> None:
    """MediaError, with the last lines that the program said, where it does not end well."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env={**os.environ, **_QUICKLY}
        )
    except OSError as error:
        raise MediaError(f"{failed}: {argv[0]}: {error.strerror}") from error
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-12:])
        raise MediaError(f"{failed}:\n{said}")
