"""The image of guests: the lab's Debian with a kernel of its own, and a disk made from it. Nothing is mounted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lab import image
from lab.commands import capture
from lab.errors import LabError
from lab.hosts import HostFile, lay_files
from wardnet.locale import _

# On top of what every host of the lab has. Debian's kernel for clouds would be smaller, and has no PPP. What both ends
# of a dialled line run on is in the same image, so that there is one.
PACKAGES = ("initramfs-tools", "linux-image-amd64", "ppp", "pppoe", "udev", "zstd")
DISK_MB = 2048

# Modules of hardware that no guest has take three quarters of the image and of the time to read it; an initial RAM disk
# with all of them takes an emulated processor half a minute to unpack.
CUSTOMIZE = """
cd /lib/modules/*/kernel
rm -rf sound arch/x86/kvm
for kept in block net virtio; do mkdir -p "/tmp/kept/$kept"; done
cp -a drivers/block/virtio_blk.ko* /tmp/kept/block/
cp -a drivers/virtio/. /tmp/kept/virtio/
for name in ppp slip dummy ifb net_failover tun veth virtio_net vrf; do
    for path in drivers/net/$name drivers/net/$name.ko*; do
        if [ -e "$path" ]; then cp -a "$path" /tmp/kept/net/; fi
    done
done
mkdir /tmp/core && cp -a net/core/failover.ko* /tmp/core/ 2>/dev/null || true
rm -rf drivers && mv /tmp/kept drivers
for path in fs/*; do
    case $path in fs/ext4 | fs/jbd2 | fs/mbcache.ko* | fs/nls) ;; *) rm -rf "$path" ;; esac
done
rm -rf net/bluetooth net/mac80211 net/wireless net/sunrpc net/ceph net/can net/atm net/ax25 net/batman-adv /tmp/core
depmod -a "$(basename /lib/modules/*)"
sed -i 's/^MODULES=.*/MODULES=list/' /etc/initramfs-tools/initramfs.conf
printf '%s\\n' virtio_pci virtio_blk ext4 >> /etc/initramfs-tools/modules
update-initramfs -u -k all
systemctl mask dev-hvc0.device getty@tty1.service serial-getty@ttyS0.service systemd-random-seed.service
systemctl mask e2scrub_reap.service ldconfig.service ifupdown-pre.service networking.service
apt-get clean
"""


@dataclass(frozen=True, slots=True)
class Base:
    """`root` is the image's tree; guests boot `kernel` with `initrd`."""

    root: Path
    kernel: Path
    initrd: Path


def recipe() -> image.Recipe:
    plain = image.read_recipe()
    return image.Recipe(plain.sources, (*plain.packages, *PACKAGES), plain.customize + CUSTOMIZE)


def ensure(say: Callable[[str], None]) -> Base:
    """The image of all guests, made first if the cache has none. LabError when it cannot be made."""
    root = image.ensure(recipe(), say)
    return Base(root, _only(root, "vmlinuz-*"), _only(root, "initrd.img-*"))


def _only(root: Path, pattern: str) -> Path:
    found = sorted((root / "boot").glob(pattern))
    if len(found) != 1:
        raise LabError(
            _("the image of guests has {count} files boot/{pattern}").format(count=len(found), pattern=pattern)
        )
    return found[0]


def make_disk(base: Base, files: Iterable[HostFile], disk: Path) -> None:
    """Write a disk with the image's tree and `files` over it. Takes the room of the tree once more while it is made."""
    tree = disk.with_suffix(".tree")
    shutil.rmtree(tree, ignore_errors=True)
    try:
        # Hard links would carry a chmod back into the image.
        capture(["cp", "-a", "--reflink=auto", base.root, tree])
        shutil.rmtree(tree / "boot")
        (tree / "boot").mkdir()
        lay_files(tree, base.root, files)
        making = disk.with_suffix(".making")
        capture(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, making, f"{DISK_MB}M"])
        making.replace(disk)
    finally:
        shutil.rmtree(tree, ignore_errors=True)
