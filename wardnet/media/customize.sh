# Run in the new system's tree while it is made, as its root: what every PC has in common, and what the medium boots.
set -eu
export LC_ALL=C.UTF-8

# ---------------------------------------------------------------- every PC
useradd --create-home --uid 1000 --shell /bin/bash "$ACCOUNT"
usermod --password '*' "$ACCOUNT" # by key alone
install -d -m 0700 -o "$ACCOUNT" -g "$ACCOUNT" "/home/$ACCOUNT/.ssh"
printf '%s ALL=(ALL) NOPASSWD: ALL\n' "$ACCOUNT" >"/etc/sudoers.d/$ACCOUNT"
chmod 0440 "/etc/sudoers.d/$ACCOUNT"
visudo --quiet --check --file="/etc/sudoers.d/$ACCOUNT"
printf '%s\n' '# Until the roles come: keys alone let in.' 'PasswordAuthentication no' 'KbdInteractiveAuthentication no' \
    'PermitRootLogin no' 'X11Forwarding no' >/etc/ssh/sshd_config.d/10-wardnet.conf
# Of each machine its own: made where it is installed.
rm -f /etc/ssh/ssh_host_* /etc/hostname /etc/resolv.conf /var/lib/dbus/machine-id
: >/etc/machine-id
# Where packages come from is for the roles to say; till then from nowhere.
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/99mmdebstrap /var/lib/apt/lists/*
# What is left out is left out of this system alone: of what the roles install, Vietnamese texts are wanted.
rm -f /etc/dpkg/dpkg.cfg.d/99mmdebstrap
mkdir -p /var/lib/apt/lists/partial /etc/wardnet
systemctl --quiet enable systemd-networkd.service ssh.service

# ---------------------------------------------------------------- the initial RAM disk that the medium boots
medium=/wardnet-medium
mkdir -p "$medium" /tmp/conf/hooks
cp /etc/initramfs-tools/initramfs.conf /tmp/conf/
printf 'MODULES=most\nCOMPRESS=zstd\nRESUME=none\n' >>/tmp/conf/initramfs.conf
printf '%s\n' ext4 vfat nls_ascii nls_cp437 nls_utf8 >/tmp/conf/modules
cat >/tmp/conf/hooks/wardnet <<'HOOK'
#!/bin/sh
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
# Beside busybox, which has programs of the same names that can less.
mkdir -p "$DESTDIR/wardnet/bin" "$DESTDIR/etc"
for program in /sbin/sfdisk /sbin/wipefs /sbin/blkid /sbin/mke2fs /sbin/mkfs.fat /bin/tar /usr/bin/zstd /usr/bin/sha256sum; do
    copy_exec "$program" /wardnet/bin/ || exit 1
done
cp /etc/mke2fs.conf "$DESTDIR/etc/"
HOOK
chmod 0755 /tmp/conf/hooks/wardnet
version=$(basename /lib/modules/*)
mkinitramfs -d /tmp/conf -o "$medium/initrd" "$version"
cp "/boot/vmlinuz-$version" "$medium/linux"
rm -rf /tmp/conf
update-initramfs -c -k "$version" # of the PCs, of which an installation makes none: it would take each of them minutes

# ---------------------------------------------------------------- what starts it: BIOS, and UEFI with Debian's signatures
grub-mkimage -O i386-pc-eltorito -p /boot/grub -o "$medium/bios.img" \
    biosdisk iso9660 part_gpt part_msdos normal configfile search search_fs_file linux echo test sleep reboot halt serial terminal
cp /usr/lib/grub/i386-pc/boot_hybrid.img "$medium/mbr.img"
cp /usr/lib/shim/shimx64.efi.signed "$medium/shim.efi"
cp /usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed "$medium/grub.efi"
cp /usr/lib/shim/mmx64.efi "$medium/mm.efi" 2>/dev/null || cp /usr/lib/shim/mmx64.efi.signed "$medium/mm.efi"
