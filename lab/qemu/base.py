"""The image of guests: the lab's Debian with a kernel of its own, and a disk made from it. Nothing is mounted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lab import image
from lab.commands import capture
from lab.errors import LabError
from lab.hosts import HostFile, lay_files
from lab.sources import SUITE_VARIABLE
from wardnet.locale import _

# On top of what every host of the lab has. Debian's kernel for clouds would be smaller, and has no PPP. What both ends
# of a dialled line run on is in the same image, so that there is one; so is what the roles would install on a gateway
# (chrony), which takes an emulated processor minutes.
PACKAGES = ("busybox-static", "chrony", "initramfs-tools", "linux-image-amd64", "ppp", "pppoe", "udev", "zstd")
DISK_MB = 2048
INITRD = "initrd.guest"

# Modules of hardware that no guest has take three quarters of the image and of the time to read it. The initial RAM
# disk loads what leads to the disk, in order, and nothing else: Debian's own looks for hardware with udev, which an
# emulated processor has to do once more afterwards.
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
mkdir -p /tmp/ram/bin /tmp/ram/dev /tmp/ram/new /tmp/ram/modules
cp /bin/busybox /tmp/ram/bin/
number=100
for path in $(for name in virtio_pci virtio_blk ext4 virtio_net; do
    modprobe --set-version "$(basename /lib/modules/*)" --show-depends "$name"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'); do
    cp "$path" "/tmp/ram/modules/$number.ko"
    number=$((number + 1))
done
cat > /tmp/ram/init <<'END'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*.ko; do /bin/busybox insmod "$module"; done
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /new
/bin/busybox mount --move /dev /new/dev
exec /bin/busybox switch_root /new /sbin/init
END
chmod 0755 /tmp/ram/init
(cd /tmp/ram && find . | busybox cpio -o -H newc) > /boot/@INITRD@
rm -rf /tmp/ram /boot/initrd.img-*
systemctl mask dev-hvc0.device getty@tty1.service serial-getty@ttyS0.service systemd-random-seed.service
systemctl mask systemd-logind.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
sys-kernel-tracing.mount
systemctl mask modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@fuse.service
systemctl mask modprobe@loop.service modprobe@efi_pstore.service
systemctl mask e2scrub_reap.service ldconfig.service ifupdown-pre.service networking.service
apt-get clean
""".replace("@INITRD@", INITRD)


@dataclass(frozen=True, slots=True)
class Base:
    """`root` is the image's tree; guests boot `kernel` with `initrd`."""

    root: Path
    kernel: Path
    initrd: Path


def recipe() -> image.Recipe:
    plain = image.read_recipe(os.environ.get(SUITE_VARIABLE, ""))
    return image.Recipe(plain.sources, (*plain.packages, *PACKAGES), plain.customize + CUSTOMIZE)


def ensure(say: Callable[[str], None]) -> Base:
    """The image of all guests, made first if the cache has none. LabError when it cannot be made."""
    root = image.ensure(recipe(), say)
    return Base(root, _only(root, "vmlinuz-*"), _only(root, INITRD))


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
