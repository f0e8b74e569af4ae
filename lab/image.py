"""The base image of all hosts: a Debian made once with mmdebstrap and kept under a name that is the hash of
its recipe, so that a changed recipe makes a new image and an unchanged one is never made twice."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import mounts
from lab.commands import capture
from lab.errors import LabError
from lab.layout import CACHE_ROOT
from lab.sources import DebianSources, of_suite, read_debian_sources
from wardnet.locale import _

log = logging.getLogger(__name__)

# What a technician's installation leaves on every host, and what the lab's own services run on. Open vSwitch is started
# on switches alone.
PACKAGES = (
    "adduser",
    "auditd",
    "ca-certificates",
    "curl",
    "dbus",
    "dnsmasq-base",
    "iproute2",
    "iputils-ping",
    "kmod",
    "netbase",
    "nftables",
    "openssh-server",
    "openssl",
    "openvswitch-switch",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tzdata",
    "unattended-upgrades",
)

ADMINISTRATOR = "wardnet"
ADMINISTRATOR_UID = 1000

# Run in the new root by mmdebstrap. Host keys and machine ids are made for each host, never shared.
CUSTOMIZE = f"""set -eu
useradd --create-home --uid {ADMINISTRATOR_UID} --shell /bin/bash {ADMINISTRATOR}
install -d -m 0700 -o {ADMINISTRATOR} -g {ADMINISTRATOR} /home/{ADMINISTRATOR}/.ssh
echo '{ADMINISTRATOR} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{ADMINISTRATOR}
chmod 0440 /etc/sudoers.d/{ADMINISTRATOR}
rm -f /etc/ssh/ssh_host_* /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/hostname /etc/resolv.conf
: > /etc/machine-id
systemctl enable systemd-networkd.service ssh.service
systemctl disable openvswitch-switch.service uuidd.socket auditd.service unattended-upgrades.service
systemctl mask console-getty.service apt-daily.timer apt-daily-upgrade.timer fstrim.timer e2scrub_all.timer
mkdir -p /etc/systemd/journald.conf.d /etc/apt/apt.conf.d /etc/apt/sources.list.d
printf '[Journal]\\nStorage=volatile\\nRuntimeMaxUse=16M\\n' > /etc/systemd/journald.conf.d/05-lab.conf
printf 'Acquire::Languages "none";\\nAPT::Install-Recommends "false";\\n' > /etc/apt/apt.conf.d/05-lab
rm -f /etc/apt/apt.conf.d/99mmdebstrap
rm -rf /var/log/journal /var/cache/apt/*.bin /var/lib/apt/lists/*
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    sources: DebianSources
    packages: tuple[str, ...] = PACKAGES
    customize: str = CUSTOMIZE

    @property
    def key(self) -> str:
        text = "\0".join((self.sources.suite, self.sources.stanzas, *self.packages, self.customize))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def folder(self, cache: Path = CACHE_ROOT) -> Path:
        return cache / "images" / self.key


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock for the time of the block; the kernel drops it if the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def clear(folder: Path) -> None:
    """Delete what a killed run left half-made. LabError if anything is mounted in it, which would be deleted too."""
    if mounts.below(folder):
        raise LabError(_("something is mounted in {folder}: umount it, then try again").format(folder=folder))
    shutil.rmtree(folder, ignore_errors=True)


def read_recipe(suite: str = "") -> Recipe:
    """Of the machine's own Debian, or of `suite`. LabError where its sources are not to be had."""
    own = read_debian_sources()
    return Recipe(of_suite(own, suite) if suite else own)


def _proxies() -> list[str]:
    """This machine's way to Debian's archive, for mmdebstrap's apt; the image forgets it again."""
    found = []
    for key in ("Acquire::http::Proxy", "Acquire::https::Proxy"):
        value = capture(["apt-config", "dump", "--format=%v", key]).strip()
        if value:
            found.append(f'--aptopt={key} "{value}"')
    return found


def ensure(recipe: Recipe, say: Callable[[str], None], cache: Path = CACHE_ROOT) -> Path:
    """The root folder of the image, made first if the cache has none. LabError when mmdebstrap fails."""
    folder = recipe.folder(cache)
    root = folder / "root"
    with locked(cache / "images" / f"{recipe.key}.lock"):
        if root.is_dir():
            return root
        say(_("making the base image ({suite}, about a minute, once)").format(suite=recipe.sources.suite))
        making = folder.with_suffix(".making")
        clear(making)
        making.mkdir(parents=True)
        sources = making / "debian.sources"
        sources.write_text(recipe.sources.stanzas)
        hook = making / "customize"
        hook.write_text(recipe.customize)
        try:
            capture(
                [
                    # What it mounts in the new root goes with it, however it ends.
                    *("unshare", "--mount", "--propagation", "slave", "--"),
                    "mmdebstrap",
                    *_proxies(),
                    "--mode=root",
                    "--variant=minbase",
                    f"--include={','.join(recipe.packages)}",
                    '--aptopt=Acquire::Languages "none"',
                    "--dpkgopt=path-exclude=/usr/share/doc/*",
                    "--dpkgopt=path-exclude=/usr/share/man/*",
                    "--dpkgopt=path-exclude=/usr/share/locale/*",
                    f'--customize-hook=chroot "$1" /bin/sh < {hook}',
                    recipe.sources.suite,
                    making / "root",
                    sources,
                ],
                timeout=1200,
            )
        except LabError as error:
            clear(making)
            raise LabError(
                _("the base image could not be made (is Debian's archive reachable?): {error}").format(error=error)
            ) from error
        making.rename(folder)
        log.info("made the base image %s", folder)
    return root
