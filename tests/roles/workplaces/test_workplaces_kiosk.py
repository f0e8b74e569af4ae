"""A touch screen and a citizen point as they run, on screens in memory: what is seen there, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, screens
from tests.roles.pictures import pdf_says
from tests.roles.roles_support import Probe, answered, eventually, inside
from tests.roles.test_roles_pull import pulled
from tests.roles.workplaces.kiosks_support import (
    CITIZEN,
    NAME,
    PATIENCE,
    SIZE,
    TOUCH,
    as_root,
    at_screen,
    converge,
    finish,
    leave_alone,
    let_come,
    locked_keys,
    overlaid,
    policed,
    press,
    program,
    publish,
    said_by_kiosk,
    selected,
    shows,
    sitting,
    somebody_sits,
    tap,
    tap_key,
    title,
    told,
    windows,
)
from tests.roles.workplaces.labs import made, must_play
from tests.roles.workplaces.submission import close_scan, hand_in, received
from tests.roles.workplaces.trap_support import (
    ESCAPES,
    PORTAL,
    Trap,
    developer_tools,
    trapped,
    without_policies,
)

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(5400)]

BOARD, HOME, LOOK_UP = "Bảng kết quả", "Thủ tục hành chính", "Tra cứu hồ sơ"
# Where buttons lie: of the bar, and of pages of the kiosk's own.
SCAN, SCANNER = (356, 38), (577, 427)
# What grub-mkconfig makes of the settings and of the scripts, as far as they are the role's.
GRUB = """#!/bin/sh
. /etc/default/grub.d/50-wardnet.cfg
/etc/grub.d/01_wardnet > "$2"
cat >> "$2" <<END
menuentry Debian \\$menuentry_id_option one {
  linux /vmlinuz root=x ro $GRUB_CMDLINE_LINUX quiet
}
END
"""
# What a browser's keyboard has: numbers of keys, held together. 37 Control, 50 Shift, 64 Alt, 133 Super.
CHORDS = {
    "a window": (37, 57), "a tab": (37, 28), "an address": (37, 46), "a file": (37, 32), "saving": (37, 39),
    "printing": (37, 33), "an incognito window": (37, 50, 57), "tools": (37, 50, 31), "tools by F12": (96,),
    "the source": (37, 30), "history": (37, 43), "downloads": (37, 44), "closing": (37, 25), "the end": (64, 70),
    "the whole screen": (95,), "help": (67,), "the first page": (64, 110), "another window": (64, 23),
    "its own tasks": (50, 9), "a menu": (135,), "the desktop": (133,), "another terminal": (37, 64, 68),
    "the end of all": (37, 64, 119), "the end of the screen": (37, 64, 22), "a terminal": (37, 64, 28),
}  # fmt: skip


def _set_up(lab: Lab) -> None:
    for host in (TOUCH, CITIZEN):  # no power will be cut here
        as_root(lab, host, "echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/lab")
    must_play(lab, "wards.yml", TOUCH)
    must_play(lab, "publish.yml", CITIZEN)
    status = pulled(lab, CITIZEN)
    assert status["result"] in ("changed", "converged"), status
    for host in (TOUCH, CITIZEN):
        screens.put_up(lab, host)


@pytest.fixture(scope="module")
def kiosks() -> Iterator[Lab]:
    """The lab, with its gateway, the touch screen and the citizen point come to what they are to be."""
    with made(NAME, _set_up) as lab:
        yield lab


@pytest.fixture
def touch(kiosks: Lab) -> Lab:
    """The touch screen shows its board."""
    assert shows(kiosks, TOUCH, BOARD), as_root(kiosks, TOUCH, "journalctl -u wardnet-kiosk -n 30 -o cat")
    return kiosks


@pytest.fixture
def citizen(kiosks: Lab) -> Lab:
    """The citizen point shows the portal's first page, to nobody."""
    begin_anew(kiosks, CITIZEN)
    assert shows(kiosks, CITIZEN, HOME), as_root(kiosks, CITIZEN, "journalctl -u wardnet-kiosk -n 30 -o cat")
    return kiosks


def begin_anew(lab: Lab, host: str) -> None:
    inside(lab, host, "systemctl", "restart", "wardnet-kiosk.service")


def pull(lab: Lab, variables: dict[str, object] | None = None) -> str:
    """The citizen point fetches what is published with these variables; how that came out."""
    run = publish(lab, "-e", json.dumps(variables or {}))
    assert run.status == 0, run.tail
    return str(pulled(lab, CITIZEN)["result"])


def keep(data: bytes, name: str) -> None:
    """A picture for people to look at, where WARDNET_PICTURES names a folder."""
    folder = os.environ.get("WARDNET_PICTURES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(data)


def test_the_board_fills_a_touch_screen(touch: Lab) -> None:
    ((_, place),) = windows(touch, TOUCH)
    assert place == (*SIZE, 0, 0)
    keep(screens.picture(touch, TOUCH), "board")


def test_a_second_run_changes_nothing(touch: Lab) -> None:
    again = converge(touch)
    assert again.status == 0, again.tail
    assert again.changed == {}, again.tail
    again = publish(touch)
    assert again.status == 0, again.tail
    assert again.changed == {}, again.tail
    assert pulled(touch, CITIZEN)["result"] == "converged"


def test_while_the_portal_is_away_a_page_of_its_own_says_so_and_goes_by_itself(touch: Lab) -> None:
    now = sitting(touch, TOUCH)
    inside(touch, "portal", "systemctl", "stop", "lab-portal.service")
    try:
        assert eventually(lambda: "the portal is not reached" in said_by_kiosk(touch, TOUCH, now), PATIENCE)
        keep(screens.picture(touch, TOUCH), "offline")
        assert overlaid(touch, TOUCH) == 1
    finally:
        inside(touch, "portal", "systemctl", "start", "lab-portal.service")
    assert eventually(lambda: "the portal is reached again" in said_by_kiosk(touch, TOUCH, now), PATIENCE)
    assert shows(touch, TOUCH, BOARD)
    assert overlaid(touch, TOUCH) == 0


def test_a_touch_screen_that_somebody_has_used_shows_its_board_again(touch: Lab) -> None:
    now = sitting(touch, TOUCH)
    leave_alone(touch, TOUCH)
    press(touch, TOUCH, 23)  # Tab, to the second link
    press(touch, TOUCH, 23)
    press(touch, TOUCH, 36)
    assert shows(touch, TOUCH, LOOK_UP)
    assert eventually(lambda: sitting(touch, TOUCH) != now, PATIENCE)
    assert "nobody has touched the screen" in said_by_kiosk(touch, TOUCH, now)
    assert shows(touch, TOUCH, BOARD)


@pytest.mark.parametrize("name", ["chromium", "openbox", "Xvfb"])
def test_what_has_crashed_comes_back(touch: Lab, name: str) -> None:
    now = sitting(touch, TOUCH)
    as_root(touch, TOUCH, f"kill -9 $(pgrep -o -f {name})")
    assert eventually(lambda: sitting(touch, TOUCH) != now, PATIENCE)
    assert shows(touch, TOUCH, BOARD)


def test_a_resident_types_vietnamese_by_touch(citizen: Lab) -> None:
    ((_, place),) = windows(citizen, CITIZEN)
    assert (place[0], place[2]) == (SIZE[0], 0)
    assert 0 < place[3] < 100, "below the bar"
    assert place[1] + place[3] < 0.7 * SIZE[1], "above the keyboard"
    for code in (23, 23, 36):  # the link to look-up
        press(citizen, CITIZEN, code)
    assert shows(citizen, CITIZEN, LOOK_UP)
    for _ in range(5):  # to its field
        press(citizen, CITIZEN, 23)

    def typed(keys: str) -> str:
        """What is in the field, all of it selected, so that the next to type writes over it."""
        for key in keys.split():
            tap_key(citizen, CITIZEN, key)
        let_come(citizen, CITIZEN)
        press(citizen, CITIZEN, 50, 110)  # Shift and Home
        return selected(citizen, CITIZEN)

    # Apart: of a word with a digit in it the input method gives back what was typed. It may come late into the field.
    for keys, text in (("shift p h o s", "Phó"), ("7 @", "7@")):
        assert eventually(lambda keys=keys, text=text: typed(keys) == text, PATIENCE), selected(citizen, CITIZEN)
        keep(screens.picture(citizen, CITIZEN), "typed")


def test_a_resident_scans_into_the_upload_form(citizen: Lab) -> None:
    """The scanner is the office's, which an exception of the inventory lets this PC use. At the lab's portal officials
    alone hand papers in, so that the resident signs in as one."""
    scans = f"/proc/{program(citizen, CITIZEN, 'chromium')}/root/home/wardnet-kiosk/Ban-quet"
    tap(citizen, CITIZEN, *SCAN)
    assert eventually(lambda: overlaid(citizen, CITIZEN) == 3, PATIENCE)
    tap(citizen, CITIZEN, *SCANNER)  # the one that is offered
    file = f"{scans}/trang-1.pdf"
    assert eventually(lambda: as_root(citizen, CITIZEN, f"ls -A {scans}") == "trang-1.pdf", PATIENCE)
    keep(screens.picture(citizen, CITIZEN), "scanned")
    scan = citizen.shell(CITIZEN, ["cat", file]).stdout
    said = pdf_says(scan)
    assert (said["pages"], said["colour"]) == (1, True)
    close_scan(citizen)
    hand_in(citizen, (citizen.state / "portal-password").read_text().strip())
    assert eventually(lambda: bool(received(citizen, PORTAL, scan)), PATIENCE)
    keep(screens.picture(citizen, CITIZEN), "received")
    assert received(citizen, PORTAL, scan) == [{"ho_ten": "Lan", "so_dinh_danh": "001199000001", "so_ban": "2"}]


def test_no_chord_leads_out(citizen: Lab) -> None:
    now, before = sitting(citizen, CITIZEN), windows(citizen, CITIZEN)
    for chord, codes in CHORDS.items():
        press(citizen, CITIZEN, *codes)
        at_screen(citizen, CITIZEN, "sleep 0.7")
        assert windows(citizen, CITIZEN) == before, chord
    tap(citizen, CITIZEN, 900, 500)
    at_screen(citizen, CITIZEN, "xdotool click 3; sleep 1")
    keep(screens.picture(citizen, CITIZEN), "refused")
    assert windows(citizen, CITIZEN) == before
    assert sitting(citizen, CITIZEN) == now


@pytest.mark.parametrize("way", ESCAPES)
def test_a_page_that_means_no_good_gets_nowhere(citizen: Lab, way: str) -> None:
    """Nor does whoever has a keyboard of all keys; and each is seen to lead out where no policy is in its way."""
    with trapped(citizen):
        here = Trap(citizen)
        out = ESCAPES[way](here)
        assert not eventually(out, 10)
        assert here.page in here.open()
        with without_policies(citizen):
            assert eventually(ESCAPES[way](Trap(citizen)), PATIENCE)
            keep(screens.picture(citizen, CITIZEN), f"without-policies-{way}")


def test_developer_tools_do_not_open(citizen: Lab) -> None:
    with trapped(citizen):
        assert not eventually(developer_tools(Trap(citizen)), 10)


def test_a_resident_ends_the_sitting_while_the_line_is_down(citizen: Lab) -> None:
    now = sitting(citizen, CITIZEN)
    press(citizen, CITIZEN, 50)
    inside(citizen, PORTAL, "systemctl", "stop", "lab-portal.service")
    try:
        assert eventually(lambda: "the portal is not reached" in said_by_kiosk(citizen, CITIZEN, now), PATIENCE)
        assert eventually(lambda: overlaid(citizen, CITIZEN) == 3, PATIENCE)
        tap(citizen, CITIZEN, SIZE[0] - 120, 40)
        at_screen(citizen, CITIZEN, "sleep 4")  # ticks of the clock that watches the line
        keep(screens.picture(citizen, CITIZEN), "finish-offline")
        tap(citizen, CITIZEN, 545, 441)
        assert eventually(lambda: sitting(citizen, CITIZEN) != now, PATIENCE)
        assert "the guest has finished" in said_by_kiosk(citizen, CITIZEN, now)
    finally:
        inside(citizen, PORTAL, "systemctl", "start", "lab-portal.service")


def test_nothing_puts_a_kiosk_to_sleep(citizen: Lab) -> None:
    for unit in ("sleep", "suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate"):
        assert as_root(citizen, CITIZEN, f"systemctl is-enabled {unit}.target || true") == "masked"
    assert citizen.shell(CITIZEN, ["systemctl", "start", "suspend.target"]).returncode != 0
    settings = inside(citizen, CITIZEN, "systemd-analyze", "cat-config", "systemd/logind.conf").splitlines()
    for key in ("HandleSuspendKey", "HandleHibernateKey", "HandleLidSwitch", "IdleAction"):
        assert [line for line in settings if line.startswith(f"{key}=")] == [f"{key}=ignore"]


def test_the_start_menu_is_closed_where_grub_starts_the_host(touch: Lab) -> None:
    """GRUB itself, which a container has not, is played; the menu, what the role brings, and the unit are real."""
    unit, menu, maker = "wardnet-boot-menu.service", "/boot/grub/grub.cfg", "/usr/local/sbin/grub-mkconfig"
    assert inside(touch, TOUCH, "systemctl", "show", "--property=ConditionResult", "--value", unit) == "no"
    done = touch.shell(TOUCH, ["sh", "-c", f"cat > {maker} && chmod 0755 {maker}"], stdin=GRUB.encode())
    assert done.returncode == 0, done.stderr.decode()
    try:
        as_root(
            touch, TOUCH, f"mkdir -p /boot/grub && echo 'menuentry Debian {{ }}' > {menu} && systemctl start {unit}"
        )
        made = as_root(touch, TOUCH, f"cat {menu}").splitlines()
        assert {'set superusers="wardnet"', 'menuentry_id_option="--unrestricted $menuentry_id_option"'} <= set(made)
        assert converge(touch).changed == {}
    finally:
        as_root(touch, TOUCH, f"rm -r /boot/grub {maker}; systemctl restart {unit}")


def test_policies_refuse_what_no_key_reaches(citizen: Lab) -> None:
    policies = json.loads(inside(citizen, CITIZEN, "cat", "/etc/chromium/policies/managed/wardnet.json"))
    assert policies["URLBlocklist"] == ["*"]
    assert policies["URLAllowlist"] == [".dichvucong.tayho.example", ".www.congcong.example"]
    assert policies["BrowserGuestModeEnabled"] is False
    for url in ("file:///etc/passwd", "https://dvctt.tayho.example/"):
        said = policed(citizen, CITIZEN, f"--dump-dom {url}")
        assert "ERR_BLOCKED_BY_ADMINISTRATOR" in said, (url, said)
    assert HOME in policed(citizen, CITIZEN, "--dump-dom https://dichvucong.tayho.example/")


def test_nothing_of_a_sitting_is_left(citizen: Lab) -> None:
    now, browser = sitting(citizen, CITIZEN), program(citizen, CITIZEN, "chromium")
    home = f"/proc/{browser}/root/home/wardnet-kiosk"
    as_root(citizen, CITIZEN, f"touch {home}/left-behind && test -d {home}/browser")
    press(citizen, CITIZEN, 66)  # Caps Lock
    tap_key(citizen, CITIZEN, "shift")
    assert eventually(lambda: locked_keys(citizen, CITIZEN) & 3 == 3, PATIENCE)
    finish(citizen, CITIZEN)
    assert eventually(lambda: sitting(citizen, CITIZEN) != now, PATIENCE)
    assert "the guest has finished" in said_by_kiosk(citizen, CITIZEN, now)
    assert shows(citizen, CITIZEN, HOME)
    keep(screens.picture(citizen, CITIZEN), "wiped")
    assert selected(citizen, CITIZEN) == ""
    assert locked_keys(citizen, CITIZEN) == 0
    fresh = f"/proc/{program(citizen, CITIZEN, 'chromium')}/root/home/wardnet-kiosk"
    assert "left-behind" not in as_root(citizen, CITIZEN, f"ls -A {fresh}")
    assert as_root(citizen, CITIZEN, "find / -xdev -user wardnet-kiosk -not -path '/proc/*'") == ""
    assert not as_root(citizen, CITIZEN, "ls -A /home").splitlines().count("wardnet-kiosk")


def test_a_resident_who_has_left_is_warned_and_forgotten(citizen: Lab) -> None:
    short = {"citizen_point_idle_seconds": 20, "citizen_point_warning_seconds": 20}
    try:
        before = sitting(citizen, CITIZEN)
        assert pull(citizen, short) == "changed"
        assert eventually(lambda: sitting(citizen, CITIZEN) != before, PATIENCE), "nobody sat there"
        assert shows(citizen, CITIZEN, HOME)
        now = sitting(citizen, CITIZEN)
        press(citizen, CITIZEN, 23)
        assert eventually(lambda: overlaid(citizen, CITIZEN) == 3, PATIENCE)  # bar, hint, and the warning
        keep(screens.picture(citizen, CITIZEN), "warned")
        assert eventually(lambda: sitting(citizen, CITIZEN) != now, PATIENCE)
        assert "nobody has touched the screen" in said_by_kiosk(citizen, CITIZEN, now)
        assert shows(citizen, CITIZEN, HOME)
    finally:
        assert pull(citizen) in ("changed", "converged")


def test_a_published_change_waits_for_whoever_sits_there_but_not_for_ever(citizen: Lab) -> None:
    now = sitting(citizen, CITIZEN)
    bound = {"kiosk_change_waits_seconds": 60}
    try:
        with somebody_sits(citizen, CITIZEN):
            assert pull(citizen, bound) == "changed"
            assert eventually(lambda: "a change waits until nobody sits here" in told(citizen, CITIZEN), PATIENCE)
            assert sitting(citizen, CITIZEN) == now
            assert overlaid(citizen, CITIZEN) == 2, "bar and hint: whoever sits there is left alone"
        finish(citizen, CITIZEN)
        assert eventually(lambda: sitting(citizen, CITIZEN) != now, PATIENCE)
        assert "the guest has finished" in said_by_kiosk(citizen, CITIZEN, now)
        assert shows(citizen, CITIZEN, HOME)
        now = sitting(citizen, CITIZEN)
        with somebody_sits(citizen, CITIZEN):
            assert pull(citizen, {**bound, "citizen_point_title": "Một cửa"}) == "changed"
            assert eventually(lambda: overlaid(citizen, CITIZEN) == 3 or sitting(citizen, CITIZEN) != now, PATIENCE)
            keep(screens.picture(citizen, CITIZEN), "changes-soon")
            assert eventually(lambda: sitting(citizen, CITIZEN) != now, PATIENCE)
        assert "what it shows has changed, 60 s ago" in said_by_kiosk(citizen, CITIZEN, now)
        assert shows(citizen, CITIZEN, HOME)
        keep(screens.picture(citizen, CITIZEN), "changed")
    finally:
        assert pull(citizen) in ("changed", "converged")


def test_what_the_screen_itself_reads_is_taken_up_between_two_sittings(touch: Lab) -> None:
    now, screen = sitting(touch, TOUCH), program(touch, TOUCH, "Xvfb", "root")
    as_root(touch, TOUCH, "sleep 2; echo '# by hand' >> /etc/X11/xorg.conf.d/50-wardnet-kiosk.conf")
    assert eventually(lambda: sitting(touch, TOUCH) != now, PATIENCE), "nobody sat there"
    assert shows(touch, TOUCH, BOARD)
    assert program(touch, TOUCH, "Xvfb", "root") != screen
    healed = converge(touch)
    assert healed.status == 0, healed.tail


def test_a_citizen_point_opens_public_services_and_lets_nobody_in(citizen: Lab) -> None:
    assert answered(citizen, CITIZEN, [Probe("tcp", "203.0.113.10", 443)]) == {"tcp 203.0.113.10 port 443": True}
    refused = [Probe("tcp", "203.0.113.10", 22), Probe("tcp", "10.20.200.10", 443), Probe("tcp", "172.20.1.1", 443)]
    assert not any(answered(citizen, CITIZEN, refused).values())
    inward = [Probe("tcp", "172.20.1.11", 22), Probe("ping", "172.20.1.11")]
    assert not any(answered(citizen, "buoi-gw", inward).values())


def test_what_somebody_changes_by_hand_is_found_and_healed(touch: Lab) -> None:
    as_root(
        touch,
        TOUCH,
        "sed -i 's/<menu>/<menu><file>menu.xml<\\/file>/' /etc/wardnet/kiosk/openbox.xml; "
        "sed -i '/LCTL/d' /usr/share/X11/xkb/symbols/wardnet; systemctl unmask getty@tty1.service; "
        "systemctl stop wardnet-kiosk.service; usermod -s /bin/bash wardnet-kiosk",
    )
    found = converge(touch, "--check", "--diff")
    assert found.status == 0, found.tail
    wanted = ("openbox.xml", "symbols/wardnet", "account wardnet-kiosk", "unit getty@tty1.service masked",
              "unit wardnet-kiosk.service started")  # fmt: skip
    for what in wanted:
        assert what in found.said, what
    healed = converge(touch)
    assert healed.status == 0, healed.tail
    assert shows(touch, TOUCH, BOARD)
    assert "nologin" in as_root(touch, TOUCH, "getent passwd wardnet-kiosk")
    assert as_root(touch, TOUCH, "systemctl is-enabled getty@tty1.service || true") == "masked"
    assert title(touch, TOUCH).startswith(BOARD)
    assert converge(touch).changed == {}
