# ---------------------------------------------------------------- the same for every gateway from here on
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 022
here=$(cd "$(dirname "$0")" && pwd)
key=/etc/ssh/ssh_host_ed25519_key
changed=0
only_check=no
given=""
mapped=""

# Linux's text console has no letters for Vietnamese: there their marks are left away.
plain() {
    LC_ALL=C.UTF-8 sed 'y/àáảãạăằắẳẵặâầấẩẫậèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵđÀÁẢÃẠĂẰẮẲẴẶÂẦẤẨẪẬÈÉẺẼẸÊỀẾỂỄỆÌÍỈĨỊÒÓỎÕỌÔỒỐỔỖỘƠỜỚỞỠỢÙÚỦŨỤƯỪỨỬỮỰỲÝỶỸỴĐ/aaaaaaaaaaaaaaaaaeeeeeeeeeeeiiiiiooooooooooooooooouuuuuuuuuuuyyyyydAAAAAAAAAAAAAAAAAEEEEEEEEEEEIIIIIOOOOOOOOOOOOOOOOOUUUUUUUUUUUYYYYYD/'
}

vietnamese() {
    if [ "${TERM:-}" = linux ]; then printf '%s\n' "$1" | plain; else printf '%s\n' "$1"; fi
}

# Vietnamese, then English
say() {
    vietnamese "$1"
    printf '    %s\n' "$2"
}

# exit status, Vietnamese, English
refuse() {
    printf '\n'
    say "LỖI: $2" "ERROR: $3"
    exit "$1"
}

# MODE PATH [COMMAND ...]: what the command prints, else the input, becomes the file, whole or not at all. `changed`
# grows where it was another.
put() {
    mode=$1
    path=$2
    new=$2.wardnet-new
    shift 2
    mkdir -p "$(dirname "$path")"
    rm -f "$new"
    (umask 077 && if [ $# -gt 0 ]; then "$@"; else cat; fi >"$new")
    chmod "$mode" "$new"
    if [ -f "$path" ] && [ ! -L "$path" ] && cmp -s "$new" "$path" && [ "$(stat -c %a "$path")" = "$(stat -c %a "$new")" ]; then
        rm -f "$new"
        return 0
    fi
    mv -f "$new" "$path"
    changed=$((changed + 1))
    printf '  + %s\n' "$path"
}

# ---------------------------------------------------------------- what is asked for
while [ $# -gt 0 ]; do
    case $1 in
        --check) only_check=yes ;;
        --port)
            [ $# -gt 1 ] || refuse 2 "sau --port phải có TÊN=CỔNG" "--port needs NAME=PORT"
            shift
            given="$given $1"
            ;;
        --port=*) given="$given ${1#--port=}" ;;
        *) refuse 2 "không hiểu '$1'; cách dùng: sh $0 [--check] [--port TÊN=CỔNG]" "'$1' is not understood; usage: sh $0 [--check] [--port NAME=PORT]" ;;
    esac
    shift
done
for pair in $given; do
    case " $NEEDED $WANTED " in
        *" ${pair%%=*} "*) ;;
        *) refuse 2 "gateway này không có cổng '${pair%%=*}'; các cổng: $NEEDED $WANTED" "this gateway has no port '${pair%%=*}'; its ports: $NEEDED $WANTED" ;;
    esac
    case $pair in
        ?*=?*) ;;
        *) refuse 2 "'$pair' không có dạng TÊN=CỔNG" "'$pair' is not NAME=PORT" ;;
    esac
done

# ---------------------------------------------------------------- the machine
[ "$(id -u)" = 0 ] || refuse 2 "phải chạy với quyền root: đăng nhập bằng root, hoặc sudo sh $0" "this needs root: log in as root, or sudo sh $0"
system=$(. /etc/os-release 2>/dev/null && printf '%s %s' "${ID:-}" "${VERSION_ID:-}") || system=""
case $system in
    "debian 12" | "debian 13") ;;
    *) refuse 2 "máy này không chạy Debian 12 hoặc 13 (mà là '$system')" "this machine does not run Debian 12 or 13 (but '$system')" ;;
esac
[ -d /run/systemd/system ] || refuse 2 "systemd không chạy trên máy này" "systemd does not run on this machine"

fingerprint() {
    [ -f "$key.pub" ] || return 0
    printf '\n'
    say "Đọc 6 nhóm số này qua điện thoại cho người ở máy điều khiển:" \
        "Read these 6 groups of digits over the phone to the person at the controller:"
    python3 - "$key.pub" "${TERM:-}" <<'PYTHON'
import base64, hashlib, sys, unicodedata
name, terminal = sys.argv[1:]
with open(name, encoding="ascii") as file:
    key = hashlib.sha256(base64.b64decode(file.read().split()[1])).digest()
digits = f"{int.from_bytes(key, 'big') % 10**30:030}"
words = {"0": ("không", "zero"), "1": ("một", "one"), "2": ("hai", "two"), "3": ("ba", "three"), "4": ("bốn", "four"),
         "5": ("năm", "five"), "6": ("sáu", "six"), "7": ("bảy", "seven"), "8": ("tám", "eight"), "9": ("chín", "nine")}
lines = [""]
for at in range(0, 30, 5):
    group = digits[at : at + 5]
    spelled = ["  ".join(words[digit][language] for digit in group) for language in (0, 1)]
    lines.append(f"  {at // 5 + 1}:   {group}    {' '.join(spelled[0].split()):32}  {' '.join(spelled[1].split())}")
lines += ["", "  SHA256:" + base64.b64encode(key).decode().rstrip("="), ""]
text = "\n".join(lines) + "\n"
if terminal == "linux":  # the console has no letters for Vietnamese
    text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)).replace("đ", "d")
sys.stdout.buffer.write(text.encode())
PYTHON
}

named=$(cat /etc/hostname 2>/dev/null || true)
if ls /etc/systemd/network/10-wardnet-* >/dev/null 2>&1; then
    [ "$named" = "$HOST" ] || refuse 2 "máy này đã được thiết lập là '$named', không phải $HOST: không thay đổi gì; hãy cài lại Debian trước" \
        "this machine is set up already, as '$named' and not as $HOST: nothing was changed; install Debian anew first"
    say "Máy này đã được máy điều khiển thiết lập: không thay đổi gì." \
        "The controller has set this machine up already: nothing was changed."
    fingerprint
    exit 0
fi

lacking_packages() {
    for pair in python3:python3 sshd:openssh-server sudo:sudo nft:nftables ip:iproute2 networkctl:systemd ssh-keygen:openssh-client; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || printf ' %s' "${pair#*:}"
    done
}
missing=$(lacking_packages)
if [ -n "$missing" ] && [ "$only_check" = no ] && ls "$here"/packages/*.deb >/dev/null 2>&1; then
    say "Cài đặt các gói từ thư mục packages" "Installing what is in the folder packages"
    dpkg --install "$here"/packages/*.deb
    missing=$(lacking_packages)
fi
[ -z "$missing" ] || refuse 3 "thiếu gói:$missing. Cài từ đĩa cài đặt Debian (apt-cdrom add; apt install$missing), hoặc chép các tệp .deb vào thư mục packages cạnh tệp này" \
    "packages are missing:$missing. Install them from Debian's own medium (apt-cdrom add; apt install$missing), or put the .deb files into a folder packages beside this file"

# ---------------------------------------------------------------- its ports
# NAME or hardware address -> the port's present name; nothing where there is none
find_port() {
    wanted=$(printf '%s' "$1" | tr 'A-F-' 'a-f:')
    for path in /sys/class/net/*; do
        [ -e "$path/address" ] || continue
        port=${path##*/}
        # A VLAN has the hardware address of the port that carries it.
        if [ "$port" = "$1" ] || { [ "$(cat "$path/address")" = "$wanted" ] && [ ! -e "/proc/net/vlan/$port" ]; }; then
            printf '%s' "$port"
            return 0
        fi
    done
}

cable() {
    case $(cat "/sys/class/net/$1/carrier" 2>/dev/null || true) in
        1) printf 'có cáp / cable' ;;
        0) printf 'không có cáp / no cable' ;;
        *) printf '?' ;;
    esac
}

# Every port up for a moment, without any address of its own, to see where a cable is.
list_ports() {
    raised=""
    for path in /sys/class/net/*; do
        port=${path##*/}
        [ "$port" != lo ] && [ -e "$path/address" ] || continue
        if [ ! -r "$path/carrier" ] || ! cat "$path/carrier" >/dev/null 2>&1; then
            ip link set dev "$port" addrgenmode none 2>/dev/null || true
            ip link set dev "$port" up 2>/dev/null && raised="$raised $port" || true
        fi
    done
    [ -z "$raised" ] || sleep 4
    for path in /sys/class/net/*; do
        port=${path##*/}
        [ "$port" != lo ] && [ -e "$path/address" ] || continue
        line=$(printf '    %-16s %s   %s' "$port" "$(cat "$path/address")" "$(cable "$port")")
        vietnamese "$line"
    done
    for port in $raised; do
        ip link set dev "$port" down 2>/dev/null || true
        ip link set dev "$port" addrgenmode eui64 2>/dev/null || true
    done
}

lacking=""
later=""
taken=" "
for name in $NEEDED $WANTED; do
    at=$name
    for pair in $given; do
        [ "${pair%%=*}" != "$name" ] || at=${pair#*=}
    done
    found=$(find_port "$at")
    if [ -z "$found" ] && [ "$at" != "$name" ]; then # renamed by an earlier run?
        at=$name
        found=$(find_port "$name")
        [ -n "$found" ] || for pair in $given; do
            [ "${pair%%=*}" != "$name" ] || refuse 3 "máy này không có cổng '${pair#*=}'" "this machine has no port '${pair#*=}'"
        done
    fi
    if [ -n "$found" ]; then
        case $taken in
            *" $found "*) refuse 2 "cổng $found được gọi bằng hai tên" "the port $found is given two names" ;;
        esac
        taken="$taken$found "
        [ "$at" = "$name" ] || mapped="$mapped $name=$found"
        continue
    fi
    case " $NEEDED " in
        *" $name "*) lacking="$lacking $name" ;;
        *) later="$later $name" ;;
    esac
done
say "Các cổng của $HOST theo bản kê:" "The ports of $HOST, as the inventory names them:"
describe_ports
if [ -n "$lacking" ]; then
    printf '\n'
    say "Không thấy cổng:$lacking. Máy này có các cổng:" "No such port:$lacking. This machine has:"
    list_ports
    first=${lacking# }
    refuse 3 "hãy nói cổng nào là cổng nào (cắm từng sợi cáp để nhận ra), ví dụ: sh $0 --port ${first%% *}=TÊN-HIỆN-TẠI; có thể dùng địa chỉ MAC thay cho tên" \
        "say which is which (plug one cable at a time to see), such as: sh $0 --port ${first%% *}=PRESENT-NAME; a MAC address will do in place of the name"
fi
if [ "$only_check" = yes ]; then
    printf '\n'
    [ -z "$later" ] || say "Chưa thấy cổng:$later (cần trước khi máy điều khiển thiết lập)." "Not there yet:$later (needed before the controller sets it up)."
    say "Có thể bắt đầu; chưa thay đổi gì." "It can begin; nothing was changed."
    exit 0
fi

# ---------------------------------------------------------------- first of all, nothing comes in
printf '\n'
say "Thiết lập $HOST ..." "Making $HOST reachable ..."
put 0755 /etc/nftables.conf packet_filter
nft -f /etc/nftables.conf
systemctl --quiet enable nftables.service

# ---------------------------------------------------------------- its name
put 0644 /etc/hostname printf '%s\n' "$HOST"
hostname "$HOST"
hosts() {
    grep -v '^127\.0\.1\.1[[:space:]]' /etc/hosts || true
    printf '127.0.1.1 %s.%s %s\n' "$HOST" "$DOMAIN" "$HOST"
}
put 0644 /etc/hosts hosts

# ---------------------------------------------------------------- who may log in
if ! id "$ACCOUNT" >/dev/null 2>&1; then
    useradd --create-home --shell /bin/bash "$ACCOUNT"
    changed=$((changed + 1))
    printf '  + %s\n' "$ACCOUNT"
fi
usermod --password '*' "$ACCOUNT" # by key alone
home=$(getent passwd "$ACCOUNT" | cut -d: -f6)
install -d -m 0700 -o "$ACCOUNT" -g "$ACCOUNT" "$home" "$home/.ssh"
put 0600 "$home/.ssh/authorized_keys" public_keys
chown "$ACCOUNT:$ACCOUNT" "$home/.ssh/authorized_keys"
put 0440 "/etc/sudoers.d/$ACCOUNT" printf '%s ALL=(ALL) NOPASSWD: ALL\n' "$ACCOUNT"
visudo --quiet --check --file="/etc/sudoers.d/$ACCOUNT"
before=$changed
[ -f "$key" ] || { ssh-keygen -q -t ed25519 -N '' -C "root@$HOST" -f "$key" && changed=$((changed + 1)); }
put 0644 /etc/ssh/sshd_config.d/10-wardnet.conf ssh_server
mkdir -p /run/sshd
sshd -t
systemctl --quiet enable ssh.service
if [ "$changed" != "$before" ] || ! systemctl --quiet is-active ssh.service; then systemctl restart ssh.service; fi

# ---------------------------------------------------------------- one program configures ports, and no other
for unit in networking.service NetworkManager.service dhcpcd.service connman.service; do
    if systemctl --quiet is-enabled "$unit" 2>/dev/null || systemctl --quiet is-active "$unit" 2>/dev/null; then
        systemctl --quiet disable --now "$unit"
        changed=$((changed + 1))
        printf '  - %s\n' "$unit"
    fi
done
if [ -f /etc/network/interfaces ]; then # else each port is brought up again when it is plugged
    systemctl stop 'ifup@*.service' 2>/dev/null || true
    [ -e /etc/network/interfaces.before-wardnet ] || cp -p /etc/network/interfaces /etc/network/interfaces.before-wardnet
    put 0644 /etc/network/interfaces printf 'auto lo\niface lo inet loopback\n'
fi

# ---------------------------------------------------------------- the ports' names, from now on and at every boot
renamed=$changed
for pair in $mapped; do
    name=${pair%%=*}
    put 0644 "/etc/systemd/network/05-port-$name.link" \
        printf '[Match]\nPermanentMACAddress=%s\n\n[Link]\nName=%s\n' "$(cat "/sys/class/net/${pair#*=}/address")" "$name"
done
for pair in $mapped; do # all away from their names first: two of them may have each other's
    [ "${pair#*=}" != "${pair%%=*}" ] || continue
    ip link set dev "${pair#*=}" down
    ip link set dev "${pair#*=}" name "wn.${pair%%=*}"
done
for pair in $mapped; do
    [ "${pair#*=}" != "${pair%%=*}" ] || continue
    ip link set dev "wn.${pair%%=*}" name "${pair%%=*}"
done
if [ "$changed" != "$renamed" ] && command -v update-initramfs >/dev/null 2>&1; then update-initramfs -u >/dev/null; fi

# ---------------------------------------------------------------- addresses, and the way to the controller
before=$changed
network_files
[ -L /etc/resolv.conf ] && rm -f /etc/resolv.conf
put 0644 /etc/resolv.conf names
systemctl --quiet enable systemd-networkd.service
if [ "$changed" != "$before" ] || [ "$changed" != "$renamed" ] || ! systemctl --quiet is-active systemd-networkd.service; then
    systemctl restart systemd-networkd.service
fi

# ---------------------------------------------------------------- does the line answer?
printf '\n'
answers=no
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    for end in $FAR_ENDS; do
        if ! command -v ping >/dev/null 2>&1; then answers=unknown; fi
        if ping -c 1 -W 1 "$end" >/dev/null 2>&1; then answers=yes; fi
    done
    [ "$answers" = no ] && [ -n "$FAR_ENDS" ] || break
    sleep 1
done
case $answers in
    yes) say "Đường truyền trả lời ($FAR_ENDS)." "The line answers ($FAR_ENDS)." ;;
    no)
        if [ -n "$FAR_ENDS" ]; then
            say "Đường truyền KHÔNG trả lời ($FAR_ENDS). Kiểm tra cáp và thiết bị của nhà mạng:" \
                "The line does NOT answer ($FAR_ENDS). Look at the cable and the provider's device:"
            for name in $NEEDED; do vietnamese "    $name: $(cable "$name")"; done
        fi
        ;;
esac
[ -z "$later" ] || say "Chưa thấy cổng:$later. Chạy lại với --port TÊN=CỔNG trước khi máy điều khiển thiết lập." \
    "Not there yet:$later. Run this again with --port NAME=PORT before the controller sets it up."
if [ "$changed" = 0 ]; then
    say "Không có gì phải thay đổi." "Nothing had to be changed."
fi
say "Đồng hồ của máy: $(date '+%H:%M %d/%m/%Y %Z'). Nếu sai: date -s 'NĂM-THÁNG-NGÀY GIỜ:PHÚT', rồi hwclock -w" \
    "This machine's clock: $(date '+%Y-%m-%d %H:%M %Z'). If it is wrong: date -s 'YYYY-MM-DD HH:MM', then hwclock -w"
fingerprint
say "Xong phần của bạn. Đừng tắt máy cho đến khi người ở máy điều khiển báo xong." \
    "Your part is done. Leave the machine on until the person at the controller says that it is set up."
