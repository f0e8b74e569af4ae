"""A clerk's PC as it runs: what is seen at it, not what its files say."""

from __future__ import annotations

import json

import pytest

from lab import Lab
from tests.roles.roles_support import Probe, answered, inside
from tests.roles.workplaces.workplaces_support import CLERK, PC, as_clerk, as_root, converge

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(3600)]

PORTAL = "https://dvctt.tayho.example/"
POLICIES = "/etc/chromium/policies/managed/wardnet.json"
BLOCKED = "https://www.congcong.example/"
VIETNAMESE = "phường"  # of the keys phuwowngf, in Telex


def test_a_second_run_changes_nothing(pc: Lab) -> None:
    again = converge(pc)
    assert again.status == 0, again.tail
    assert again.changed == {}, again.tail


def test_a_login_speaks_vietnamese_on_a4(pc: Lab) -> None:
    assert "LANG=vi_VN.UTF-8" in as_clerk(pc, "locale")
    assert as_clerk(pc, "LC_ALL=$LANG date -d 2026-11-30 +%A").lower() == "thứ hai"
    assert as_clerk(pc, "paperconf 2>/dev/null || paper --name") == "a4"
    assert as_clerk(pc, "date +%Z") == "+07"


def test_times_new_roman_is_one_family_of_its_metrics(pc: Lab) -> None:
    assert as_clerk(pc, "fc-match 'Times New Roman' family") == "Liberation Serif"
    assert as_clerk(pc, "fc-match 'Times New Roman:bold:italic' family") == "Liberation Serif"


def test_a_document_becomes_a_vietnamese_page_of_a4_in_the_right_font(pc: Lab) -> None:
    page = (
        "<html><body><p style=\"font-family:'Times New Roman';font-size:14pt\">"
        "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM. Giấy khai sinh, phường Bưởi, quận Tây Hồ.</p></body></html>"
    )
    as_clerk(pc, f"rm -rf ~/d && mkdir ~/d && cat > ~/d/a.html <<'X'\n{page}\nX")
    as_clerk(
        pc,
        "cd ~/d && soffice --headless --convert-to odt:writer8 --infilter=HTML\\ \\(StarWriter\\) a.html",
        timeout=600,
    )
    as_clerk(pc, "cd ~/d && soffice --headless --convert-to pdf a.odt", timeout=600)
    assert "(A4)" in as_clerk(pc, "pdfinfo ~/d/a.pdf")
    assert "LiberationSerif" in as_clerk(pc, "pdffonts ~/d/a.pdf")
    assert "quận Tây Hồ" in " ".join(as_clerk(pc, "pdftotext ~/d/a.pdf -").split())


def browsed(lab: Lab, words: str) -> str:
    """What Chromium without a window says, at the clerk's. It works by the developer tools, which the policy takes
    away; for this process alone all other policies hold without that one."""
    leave_out = "import json, sys; p = json.load(sys.stdin); del p['DeveloperToolsAvailability']; print(json.dumps(p))"
    as_root(lab, f'python3 -c "{leave_out}" < {POLICIES} > /run/policies.json && chmod 0644 /run/policies.json')
    script = f'mount --bind /run/policies.json {POLICIES} && exec su - {CLERK} -c "$1"'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", f"chromium --headless {words}"]
    done = lab.shell(PC, argv, timeout=300)
    return done.stdout.decode() + done.stderr.decode()


def test_the_browser_opens_the_portal_and_refuses_the_rest(pc: Lab) -> None:
    as_clerk(pc, "rm -f ~/p.png")
    said = browsed(pc, f"--window-size=1000,700 --screenshot=$HOME/p.png {PORTAL}")
    assert int(as_clerk(pc, "stat -c %s ~/p.png")) > 5000, said
    assert "ERR_BLOCKED_BY_ADMINISTRATOR" in browsed(pc, f"--dump-dom {BLOCKED}")
    said = browsed(pc, "--dump-dom file:///etc/passwd")
    assert "ERR_BLOCKED" in said
    assert "root:x:0:0" not in said


def test_policies_are_what_the_inventory_says(pc: Lab) -> None:
    chromium = json.loads(inside(pc, PC, "cat", POLICIES))
    assert chromium["DeveloperToolsAvailability"] == 2
    assert (chromium["URLBlocklist"], chromium["HomepageLocation"]) == (["*"], PORTAL)
    firefox = json.loads(inside(pc, PC, "cat", "/etc/firefox/policies/policies.json"))["policies"]
    assert firefox["WebsiteFilter"]["Exceptions"] == ["*://*.tayho.example/*", "*://dvctt.tayho.example/*"]


def test_a_token_is_there_for_everything_by_p11_kit(pc: Lab) -> None:
    assert "opensc-pkcs11" in as_clerk(pc, "p11-kit list-modules")
    library = as_root(pc, "find /usr/lib -name libsofthsm2.so | head -1")
    as_clerk(
        pc,
        "mkdir -p ~/hsm && printf 'directories.tokendir = %s\\n' ~/hsm > ~/hsm.conf && SOFTHSM2_CONF=~/hsm.conf "
        "softhsm2-util --init-token --free --label ky-so --so-pin 1234 --pin 1234",
    )
    as_root(pc, f"printf 'module: {library}\\ncritical: no\\n' > /etc/pkcs11/modules/test.module")
    try:
        assert "ky-so" in as_clerk(pc, "SOFTHSM2_CONF=~/hsm.conf p11tool --list-token-urls 2>/dev/null || "
                                       "SOFTHSM2_CONF=~/hsm.conf p11-kit list-modules")  # fmt: skip
        as_clerk(pc, "/usr/local/lib/wardnet/token-store")
        assert "ky-so" in as_clerk(pc, "SOFTHSM2_CONF=~/hsm.conf modutil -dbdir sql:$HOME/.pki/nssdb -list")
    finally:
        as_root(pc, "rm /etc/pkcs11/modules/test.module")


def test_a_new_clerk_types_vietnamese_at_once(pc: Lab) -> None:
    """A screen in memory, the session's input method as im-config starts it, and keys."""
    script = r"""
export DISPLAY=:7 XDG_RUNTIME_DIR=$HOME/run GTK_IM_MODULE=fcitx XMODIFIERS=@im=fcitx; mkdir -p -m 0700 $HOME/run
rm -f ~/typed; Xvfb :7 -screen 0 800x600x24 >/dev/null 2>&1 & screen=$!
for i in $(seq 60); do xdotool getmouselocation >/dev/null 2>&1 && break; sleep 1; done
dbus-run-session -- sh -c '
fcitx5 >/dev/null 2>&1 &
for i in $(seq 60); do fcitx5-remote >/dev/null 2>&1 && break; sleep 1; done
zenity --entry --title go --text ten > $HOME/typed &
entry=$!
for i in $(seq 90); do xdotool search --name "^go$" windowfocus >/dev/null 2>&1 && break; sleep 1; done
for i in $(seq 5); do xdotool key --clearmodifiers BackSpace; sleep 1; done
xdotool type --delay 300 "phuwowngf"; sleep 3; xdotool key Return; wait $entry'
kill $screen; cat ~/typed
"""
    as_clerk(pc, f"cat > ~/type.sh <<'X'\n{script}\nX")
    assert as_clerk(pc, "sh ~/type.sh 2>/dev/null", timeout=600) == VIETNAMESE


def test_the_filter_lets_in_management_and_nobody_else(pc: Lab) -> None:
    v4, v6 = "10.20.1.11", "fd20:20:1::11"
    ssh = [Probe("tcp", v4, 22), Probe("tcp", v6, 22)]
    assert all(answered(pc, "controller", ssh).values())
    neighbour = answered(pc, "buoi-pc-2", [*ssh, Probe("ping", v4), Probe("ping", v6), Probe("tcp", v4, 631)])
    assert not any(neighbour.values()), neighbour
    citizen = answered(pc, "buoi-citizen-1", [*ssh, Probe("ping", v4)])
    assert not any(citizen.values()), citizen


def test_it_opens_nothing_to_the_other_channel(pc: Lab) -> None:
    away = [Probe("ping", "172.20.1.11"), Probe("tcp", "203.0.113.80", 443), Probe("ping", "2001:db8:20:1::11")]
    assert not any(answered(pc, PC, away).values())
    home = [Probe("tcp", "10.20.200.10", 443), Probe("tcp", "fd20:20:200::10", 443)]
    assert all(answered(pc, PC, home).values())
    assert inside(pc, PC, "cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding") == "0\n0"


def test_what_somebody_changes_by_hand_is_found_and_healed(pc: Lab) -> None:
    as_root(
        pc,
        "echo '{}' > /etc/chromium/policies/managed/wardnet.json; "
        f"usermod -aG sudo {CLERK}; userdel -r khach 2>/dev/null; useradd -m -s /bin/bash khach; "
        "systemctl mask --now cups.service; "
        "nft add rule inet wardnet input tcp dport 8080 accept",
    )
    found = converge(pc, "--check", "--diff")
    assert found.status == 0, found.tail
    shown = ("wardnet.json", f"account {CLERK} in group sudo", "account khach, open", "8080", "cups.service unmasked")
    for what in shown:
        assert what in found.said, what
    healed = converge(pc)
    assert healed.status == 0, healed.tail
    assert "sudo" not in as_root(pc, f"id -nG {CLERK}").split()
    assert "URLBlocklist" in inside(pc, PC, "cat", "/etc/chromium/policies/managed/wardnet.json")
    assert inside(pc, PC, "systemctl", "is-active", "cups.service") == "active"
    assert "8080" not in inside(pc, PC, "nft", "list", "ruleset")
    assert "nologin" in as_root(pc, "getent passwd khach")
    assert inside(pc, PC, "test", "-d", "/home/khach") == ""
    assert converge(pc).changed == {}


def test_a_key_of_the_inventory_lets_in_and_one_in_a_home_does_not(pc: Lab) -> None:
    key = pc.state / "ssh" / "auditor"
    public = key.with_suffix(".pub").read_text().strip()
    ssh = ["ssh", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=60",
           "-o", f"UserKnownHostsFile={pc.state / 'known_hosts'}", f"{CLERK}@10.20.1.11", "id", "-un"]  # fmt: skip
    as_clerk(pc, f"mkdir -p -m 0700 ~/.ssh && echo '{public}' > ~/.ssh/authorized_keys")
    assert pc.run("controller", ssh).returncode != 0
    account = {"id": CLERK, "name": "Cán bộ một cửa", "ssh_keys": [public], "password": "vault:mot_cua"}
    run = converge(pc, "-e", json.dumps({"people_accounts": [account]}))
    assert run.status == 0, run.tail
    assert pc.run("controller", ssh).stdout.decode().strip() == CLERK
    run = converge(pc)  # the inventory has no key, and all its accounts
    assert run.status == 0, run.tail
    assert pc.run("controller", ssh).returncode != 0
