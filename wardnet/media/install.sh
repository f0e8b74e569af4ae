#!/bin/sh
# The installer: run by the initial RAM disk of the medium, on a PC that was started from it. It installs the host whose
# hardware address the PC has onto the PC's own disk, and nothing else onto nothing else. Every text is in Vietnamese,
# without its marks, which the console cannot show, and in English.
set -u
PATH=/wardnet/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C
here=/wardnet
target=/target
log=/wardnet.log
smallest=8000000000 # bytes
patience=30         # seconds, for cards and disks whose drivers are late
words=" $(cat /proc/cmdline) "
: >"$log"

say() {
    printf '%s\n    %s\n' "$1" "$2"
}

# seconds after which the PC goes off by itself
off() {
    say "Nhan Enter de tat may." "Press Enter to switch off."
    # shellcheck disable=SC3045 # the RAM disk's shell has it
    read -r -t "$1" _ || sleep 1
    sync
    poweroff -f
    sleep 60
    exit 1
}

# Vietnamese, English
refuse() {
    printf '\n############################################################\n'
    say "KHONG CAI DAT: $1" "NOT INSTALLED: $2"
    printf '############################################################\n'
    off 600
}

# what, command: its last words are shown where it fails
must() {
    what=$1
    shift
    "$@" >>"$log" 2>&1 && return 0
    printf '\n'
    tail -n 12 "$log"
    refuse "loi khi $what. O dia da bi xoa dang do: lam lai, chon muc xoa o dia (ERASE)" \
        "failed: $*. The disk is half written: start again, with the entry ERASE"
}

# ---------------------------------------------------------------- which host this is
# Cards whose driver is late are waited for.
cards() {
    for path in /sys/class/net/*; do
        [ -e "$path/device" ] && cat "$path/address"
    done
    return 0
}

found() {
    for address in $(cards); do
        folder=$here/hosts/$(printf '%s' "$address" | tr ':' '-')
        [ ! -d "$folder" ] || printf '%s ' "$folder"
    done
}

printf '\n'
say "wardnet: tim may nay trong ban ke..." "wardnet: looking for this PC in the inventory..."
tries=0
while folders=$(found) && [ -z "$folders" ] && [ "$tries" -lt $patience ]; do
    sleep 1
    tries=$((tries + 1))
done
hosts=$(for folder in $folders; do cat "$folder/name"; done | sort -u | tr '\n' ' ')
hosts=${hosts% }
case $hosts in
    "")
        printf '\n'
        say "Cac may trong bo cai dat nay:" "This medium is for:"
        for folder in "$here"/hosts/*; do
            printf '        %s  %s\n' "$(printf '%s' "${folder##*/}" | tr '-' ':')" "$(cat "$folder/name")"
        done
        refuse "dia chi MAC cua may nay ($(cards | tr '\n' ' ')) khong co trong bo cai dat. Ghi dia chi vao ban ke (mac:) roi tao bo cai dat moi" \
            "this PC's MAC address ($(cards | tr '\n' ' ')) is not on this medium. Write it into the inventory (mac:) and make the medium anew"
        ;;
    *" "*)
        refuse "may nay co dia chi MAC cua nhieu may ($hosts)" "this PC has the MAC addresses of more than one host ($hosts)"
        ;;
esac
host=$hosts
folder=${folders%% *}
say "May nay la $host." "This PC is $host."

# ---------------------------------------------------------------- onto which disk
# Fixed disks that are large enough. Nothing that hangs on USB, this medium included.
disks() {
    for path in /sys/block/*; do
        name=${path##*/}
        case $name in
            loop* | ram* | zram* | sr* | fd* | dm-* | md* | nbd* | mmcblk*boot? | nvme*c*n*) continue ;;
        esac
        case $(readlink -f "$path") in
            */usb*) continue ;;
        esac
        [ "$(cat "$path/removable")" = 0 ] && [ "$(cat "$path/ro")" = 0 ] || continue
        [ $(($(cat "$path/size") * 512)) -ge $smallest ] || continue
        printf '%s\n' "$name"
    done
}

describe() {
    for name in "$@"; do
        printf '        %-10s %6d GB  %s\n' "$name" $(($(cat "/sys/block/$name/size") / 1953125)) \
            "$(cat "/sys/block/$name/device/model" 2>/dev/null || true)"
    done
}

tries=0
while there=$(disks) && [ -z "$there" ] && [ "$tries" -lt $patience ]; do
    sleep 1
    tries=$((tries + 1))
done
named=$(cat "$here/disk" 2>/dev/null || true)
if [ -z "$there" ]; then
    refuse "khong thay o dia trong tu 8 GB tro len" "there is no fixed disk of 8 GB or more"
elif [ -n "$named" ]; then
    case " $(printf '%s' "$there" | tr '\n' ' ') " in
        *" $named "*) disk=$named ;;
        *)
            # shellcheck disable=SC2086 # one word a disk
            describe $there
            refuse "khong co o dia $named (--disk)" "there is no disk $named (--disk)"
            ;;
    esac
else
    # shellcheck disable=SC2086
    set -- $there
    if [ $# -gt 1 ]; then
        printf '\n'
        describe "$@"
        refuse "may co nhieu o dia. Thao bot, hoac tao bo cai dat voi --disk TEN" \
            "this PC has more than one disk. Unplug all but one, or make the medium with --disk NAME"
    fi
    disk=$1
fi
device=/dev/$disk
held=$(wipefs --noheadings --output TYPE,LABEL "$device" 2>>"$log"; cd "/sys/block/$disk" && ls -d "$disk"* 2>/dev/null || true)
if [ -n "$held" ]; then
    printf '\n'
    describe "$disk"
    blkid "$device"* 2>/dev/null | sed 's/^/        /'
    case $words in
        *" wardnet.erase=yes "*)
            say "Xoa moi thu tren $device." "Erasing all that is on $device."
            ;;
        *)
            refuse "o dia $device khong trong. Neu may da cai xong: rut USB ra roi bat lai. Neu muon xoa het: khoi dong lai, chon muc xoa o dia (ERASE)" \
                "the disk $device is not empty. If the PC is installed already: take the stick out and switch on. To erase all of it: start again, with the entry ERASE"
            ;;
    esac
fi

# ---------------------------------------------------------------- is the medium whole?
say "1/5 kiem tra bo cai dat" "1/5 checking the medium"
if ! (cd "$here" && sha256sum -c base.sha256) >>"$log" 2>&1; then
    refuse "bo cai dat bi hong hoac thieu: tao lai. O dia chua bi dong den" \
        "the medium is damaged or incomplete: make it anew. The disk was not touched"
fi

# ---------------------------------------------------------------- the disk
say "2/5 chia o dia $device" "2/5 dividing the disk $device"
part() {
    case $disk in
        *[0-9]) printf '%sp%s' "$device" "$1" ;;
        *) printf '%s%s' "$device" "$1" ;;
    esac
}

layout() { # a part for GRUB where the firmware is a BIOS, one for UEFI, and the system
    printf '%s\n' 'label: gpt' 'size=1MiB, type=21686148-6449-6E6F-744E-656564454649' \
        'size=512MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B' \
        'type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=wardnet' | sfdisk --quiet --wipe always --wipe-partitions always "$device"
}

must "chia o dia" wipefs --all --force --quiet "$device"
must "chia o dia" layout
tries=0
until [ -b "$(part 3)" ] || [ "$tries" -ge $patience ]; do
    sleep 1
    tries=$((tries + 1))
done
udevadm settle >>"$log" 2>&1 || true
must "tao he thong tep" mkfs.fat -F 32 -n EFI "$(part 2)"
must "tao he thong tep" mke2fs -q -F -t ext4 -L wardnet "$(part 3)"
mkdir -p $target
must "gan o dia" mount -t ext4 "$(part 3)" $target

# ---------------------------------------------------------------- the system
say "3/5 chep he thong (vai phut)" "3/5 copying the system (some minutes)"
must "chep he thong" tar --extract --use-compress-program=zstd --file="$here/base.tar.zst" --directory=$target \
    --numeric-owner --xattrs "--xattrs-include=*"
rm -f "$here/base.tar.zst"
must "gan o dia" mkdir -p $target/boot/efi
must "gan o dia" mount -t vfat "$(part 2)" $target/boot/efi

say "4/5 dat ten, mang va khoa cua $host" "4/5 name, network and keys of $host"
must "chep tep cua $host" cp -a "$folder/root/." $target/
printf 'UUID=%s / ext4 errors=remount-ro 0 1\nUUID=%s /boot/efi vfat umask=0077 0 1\n' \
    "$(blkid -s UUID -o value "$(part 3)")" "$(blkid -s UUID -o value "$(part 2)")" >$target/etc/fstab
for name in dev proc sys run; do
    must "gan o dia" mount -o bind "/$name" "$target/$name"
done
[ ! -d /sys/firmware/efi/efivars ] || mount -t efivarfs efivarfs $target/sys/firmware/efi/efivars >>"$log" 2>&1 || true

say "5/5 lam cho may tu khoi dong" "5/5 making the PC start by itself"
must "hoan tat" chroot $target /bin/sh /usr/local/lib/wardnet-install/finish "$device"
digits=$(chroot $target /bin/sh -c 'cat /etc/issue.d/wardnet.issue')
rm -rf $target/usr/local/lib/wardnet-install
for name in sys/firmware/efi/efivars run sys proc dev boot/efi; do
    umount "$target/$name" >>"$log" 2>&1 || true
done
sync
must "ghi o dia" umount $target

printf '\n============================================================\n'
say "DA CAI XONG: $host. Rut USB ra, roi bat lai may." "INSTALLED: $host. Take the stick out, then switch on again."
printf '%s\n' "$digits"
printf '============================================================\n'
off 60
