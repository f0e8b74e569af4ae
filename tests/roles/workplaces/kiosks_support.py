"""A lab of one ward with a touch screen and a citizen point, each with a screen in memory in the place of Xorg: that
and nothing else is not as at a real one. What is seen and pressed there is seen and pressed by X clients of root's.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lab import Lab, screens
from tests.lab.lab_support import LABS
from tests.roles.roles_support import Run, eventually, inside, play

NAME = f"{LABS}-kiosks"
TOUCH, CITIZEN = "buoi-touch-1", "buoi-citizen-1"
SIZE = screens.SIZE
PATIENCE = 300  # seconds that a browser may take on a machine with other work


def as_root(lab: Lab, host: str, command: str, *, timeout: float = 600) -> str:
    done = lab.shell(host, ["sh", "-c", command], timeout=timeout)
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, f"{host}: {command}: {said}"
    return said.strip()


def at_screen(lab: Lab, host: str, command: str) -> str:
    """Output of a shell command with the kiosk's screen."""
    return screens.at_screen(lab, host, command)


def windows(lab: Lab, host: str) -> list[tuple[str, tuple[int, int, int, int]]]:
    """Title and place (width, height, x, y) of each window of Chromium that is there to be seen."""
    look = "for w in $(xdotool search --onlyvisible --class chromium 2>/dev/null); do "
    look += 'xdotool getwindowgeometry --shell $w; echo "NAME=$(xdotool getwindowname $w)"; done'
    done = lab.shell(host, ["sh", "-c", f"export DISPLAY=:0 XAUTHORITY=/run/wardnet-screen/authority; {look}"])
    found = re.findall(
        r"X=(-?\d+)\nY=(-?\d+)\nWIDTH=(\d+)\nHEIGHT=(\d+)\nSCREEN=\d+\nNAME=(.*)\n", done.stdout.decode()
    )
    return [
        (name, (int(width), int(height), int(x), int(y)))
        for x, y, width, height, name in found
        if int(width) > 300 and int(height) > 300
    ]


def title(lab: Lab, host: str) -> str:
    """Of the page that is seen; empty where there is none, or more than one window."""
    found = windows(lab, host)
    return found[0][0].removesuffix(" - Chromium") if len(found) == 1 else ""


def shows(lab: Lab, host: str, start: str, seconds: float = PATIENCE) -> bool:
    """Whether the page whose title begins so comes to be seen."""
    return eventually(lambda: title(lab, host).startswith(start), seconds)


def sitting(lab: Lab, host: str) -> str:
    """What tells one sitting from another."""
    return inside(lab, host, "systemctl", "show", "--property", "InvocationID", "--value", "wardnet-kiosk.service")


def program(lab: Lab, host: str, name: str, user: str = "wardnet-kiosk") -> str:
    """Number of the oldest process of the kiosk's with that name."""
    return as_root(lab, host, f"pgrep -o -u {user} -f {name}")


def tap(lab: Lab, host: str, x: int, y: int) -> None:
    at_screen(lab, host, f"xdotool mousemove {x} {y} click 1")


def press(lab: Lab, host: str, *codes: int) -> None:
    """Keys held together, by the numbers that a keyboard sends: what they mean is the kiosk's to say."""
    down = " ".join(f"keydown 0{code}" if code < 10 else f"keydown {code}" for code in codes)
    up = " ".join(f"keyup 0{code}" if code < 10 else f"keyup {code}" for code in reversed(codes))
    at_screen(lab, host, f"xdotool {down} {up}")


def leave_alone(lab: Lab, host: str) -> None:
    """Until the last key is so long ago that another one is somebody's touch; and until the kiosk's own has just been,
    so that its next one, which reads the page anew, does not come between somebody's."""
    assert eventually(lambda: 3000 < int(at_screen(lab, host, "xprintidle")) < 30000, PATIENCE)


def let_come(lab: Lab, host: str) -> None:
    """Until what was tapped has been typed: the keyboard on the screen presses its keys when it comes to it."""
    assert eventually(lambda: int(at_screen(lab, host, "xprintidle")) > 3000, PATIENCE)


def finish(lab: Lab, host: str) -> None:
    """As a guest does: the button in the bar, and of the two that are then offered the one that ends."""
    tap(lab, host, SIZE[0] - 120, 40)
    assert eventually(lambda: overlaid(lab, host) == 3, PATIENCE)
    tap(lab, host, 545, 441)


# Where letters lie on the keyboard on the screen: row, and widths of a key from the left to its middle.
KEYS = {"p": (1, 10.5), "h": (2, 7), "o": (1, 9.5), "s": (2, 3), "@": (1, 12), "7": (0, 6.5), "shift": (3, 1)}
KEYS_TOP, ROWS, WIDTHS = 0.68, 5, 13  # of the screen's height; as roles/kiosk/vars/main.yml


def tap_key(lab: Lab, host: str, key: str) -> None:
    """As a finger does on the keyboard on the screen."""
    row, widths = KEYS[key]
    height = SIZE[1] * (1 - KEYS_TOP) / ROWS
    tap(lab, host, int(SIZE[0] * widths / WIDTHS), int(SIZE[1] * KEYS_TOP + height * (row + 0.5)))
    at_screen(lab, host, "sleep 0.5")


@contextmanager
def somebody_sits(lab: Lab, host: str) -> Iterator[None]:
    """Somebody touches a key that says nothing, again and again, for the time of the block."""
    gone = threading.Event()

    def touch() -> None:
        while not gone.wait(5):
            press(lab, host, 50)

    press(lab, host, 50)
    toucher = threading.Thread(target=touch)
    toucher.start()
    try:
        yield
    finally:
        gone.set()
        toucher.join()


def told(lab: Lab, host: str) -> str:
    """What the sitting says in its status."""
    return inside(lab, host, "systemctl", "show", "--property", "StatusText", "--value", "wardnet-kiosk.service")


def selected(lab: Lab, host: str) -> str:
    """The text that is selected in the page."""
    look = "import gi; gi.require_version('Gtk', '3.0'); from gi.repository import Gtk, Gdk; "
    look += "print(Gtk.Clipboard.get(Gdk.SELECTION_PRIMARY).wait_for_text() or '')"
    return at_screen(lab, host, f'LANG=C.UTF-8 python3 -c "{look}" 2>/dev/null')


def locked_keys(lab: Lab, host: str) -> int:
    """Modifiers that count, as X numbers them: 1 Shift, 2 Caps Lock."""
    look = "import gi; gi.require_version('Gdk', '3.0'); from gi.repository import Gdk; "
    look += "print(int(Gdk.Keymap.get_for_display(Gdk.Display.get_default()).get_modifier_state()))"
    return int(at_screen(lab, host, f'LANG=C.UTF-8 python3 -c "{look}" 2>/dev/null'))


def overlaid(lab: Lab, host: str) -> int:
    """How many windows of the kiosk's own there are: bar, hint, and what lies over pages."""
    look = "xdotool search --onlyvisible --name '^wardnet kiosk$' 2>/dev/null | wc -l"
    done = lab.shell(host, ["sh", "-c", f"export DISPLAY=:0 XAUTHORITY=/run/wardnet-screen/authority; {look}"])
    return int(done.stdout or b"0")


def said_by_kiosk(lab: Lab, host: str, since: str) -> str:
    """What the sitting with that id, and none other, has told the journal."""
    return as_root(lab, host, f"journalctl -q -o cat _SYSTEMD_INVOCATION_ID={since}")


def policed(lab: Lab, host: str, words: str) -> str:
    """What Chromium without a window says, as the kiosk's account. It works by the developer tools, which the policy
    takes away; for this process alone all other policies hold without that one."""
    policy = "/etc/chromium/policies/managed/wardnet.json"
    leave_out = "import json, sys; p = json.load(sys.stdin); del p['DeveloperToolsAvailability']; print(json.dumps(p))"
    as_root(lab, host, f'python3 -c "{leave_out}" < {policy} > /run/policies.json && chmod 0644 /run/policies.json')
    script = (
        f"mount --bind /run/policies.json {policy} && mount -t tmpfs -o mode=1777 tmpfs /mnt && cd /mnt && "
        'HOME=/mnt exec setpriv --reuid=wardnet-kiosk --regid=wardnet-kiosk --clear-groups sh -c "$1"'
    )
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", f"chromium --headless {words}"]
    done = lab.shell(host, argv, timeout=600)
    return done.stdout.decode() + done.stderr.decode()


def converge(lab: Lab, *more: str) -> Run:
    return play(lab, "wards.yml", "--limit", TOUCH, *more)


def publish(lab: Lab, *more: str) -> Run:
    return play(lab, "publish.yml", "--limit", CITIZEN, *more)
