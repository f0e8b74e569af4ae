# Run once, inside the installed system while the installer's kernel still runs: $1 is its disk.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

ssh-keygen -q -t ed25519 -N '' -C "root@$(cat /etc/hostname)" -f /etc/ssh/ssh_host_ed25519_key
chown -R @ACCOUNT@:@ACCOUNT@ /home/@ACCOUNT@
for package in /usr/local/lib/wardnet-install/*.deb; do
    [ ! -f "$package" ] || dpkg --install "$package"
done
if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then update-ca-certificates; fi

# Its own fingerprint, for the person at the controller: on the screen now, and above the login until it is known.
mkdir -p /etc/issue.d
python3 - >/etc/issue.d/wardnet.issue <<'PYTHON'
import base64, hashlib
with open("/etc/ssh/ssh_host_ed25519_key.pub", encoding="ascii") as file:
    key = hashlib.sha256(base64.b64decode(file.read().split()[1])).digest()
digits = f"{int.from_bytes(key, 'big') % 10**30:030}"
with open("/etc/hostname", encoding="utf-8") as file:
    print(f"{file.read().strip()}: khoa SSH cua may / this PC's SSH host key:")
print("    " + " ".join(digits[at : at + 5] for at in range(0, 30, 5)))
print("    SHA256:" + base64.b64encode(key).decode().rstrip("="))
PYTHON

# The ports' names hold from the initial RAM disk on: they are one more archive at its end, until it is made anew.
for image in /boot/initrd.img-*; do
    truncate --size=%4 "$image"
    (cd / && ls etc/systemd/network/*.link | busybox cpio -o -H newc) >>"$image"
done
grub-install --target=i386-pc "$1"
grub-install --target=x86_64-efi --efi-directory=/boot/efi --no-nvram --force-extra-removable
if [ -d /sys/firmware/efi/efivars ]; then
    # A firmware that keeps no entry starts what is at the place for removable media.
    grub-install --target=x86_64-efi --efi-directory=/boot/efi --force-extra-removable || true
fi
update-grub
