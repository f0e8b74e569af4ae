#!/usr/bin/python3
"""One sitting at a kiosk, from the first page to the end of it: wardnet-kiosk.service runs it anew each time.

It starts the window manager, the keyboard and the browser, watches over them and over the line to the portal, and ends:
when the guest says so, when nobody has touched the screen for some time, or when one of its programs has ended. All
that a sitting leaves lies in memory that the service alone sees, and goes with it: there is nothing to clean up.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import words  # noqa: E402 - beside this file
from machine import Sleep, digest, idle_seconds, outputs, ran, reached, tell_systemd, unlock_keys, wait_for  # noqa: E402
from pages import Button, Page, Pages  # noqa: E402
from sitting import ENDING, OVER, WARNED, Changes, Line, Sitting  # noqa: E402

CONFIGURATION = Path("/etc/wardnet/kiosk/session.json")
LAYOUT = "wardnet"  # of /usr/share/X11/xkb/symbols
WINDOWS = "/etc/wardnet/kiosk/openbox.xml"
KEYBOARD_SETTINGS = "/etc/wardnet/kiosk/onboard.conf"
SCANS = "Ban-quet"
BAR, HINT, KEYS_SHARE = 76, 40, 0.32  # pixels; of the screen's height
NOT_OF_INPUT = "clipboard,unicode,quickphrase,notifications,notificationitem,imselector"


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Kiosk:
    def __init__(self, configuration: dict[str, Any], begun_with: str) -> None:
        self.wanted = configuration
        self.home = Path(os.environ["HOME"])
        now = time.monotonic()
        self.sitting = Sitting(configuration["idle_seconds"], configuration["warning_seconds"], now)
        self.sitting.patience = configuration["change_waits_seconds"]
        self.changes = Changes(begun_with)
        self.told_of_change = False
        self.sleep = Sleep()
        self.line = Line(configuration["offline_after_seconds"], now)
        self.programs: dict[str, subprocess.Popen[bytes]] = {}
        self.was_down = False
        self.refreshed = now
        self.scans = 0

    # What runs

    def run(self, name: str, *argv: str, **variables: str) -> None:
        quiet = subprocess.DEVNULL  # what a browser prints may be a guest's
        self.programs[name] = subprocess.Popen(
            argv, stdin=quiet, stdout=quiet, stderr=quiet, env={**os.environ, **variables}
        )

    def start(self) -> None:
        wait_for("the screen", lambda: ran("xset", "q"))
        import screen  # the first client that stays: a screen without one begins anew, and forgets what it was told

        screen.dress()
        if not ran("setxkbmap", "-layout", LAYOUT):
            raise SystemExit(f"the screen does not take the keyboard's layout {LAYOUT}")
        unlock_keys()
        ran("xset", "s", "off", "-dpms")
        ran("xmodmap", "-e", "pointer = 1 0 0 4 5 6 7 8 9 10")
        ran("xsetroot", "-solid", "#f6f7f9", "-cursor_name", "left_ptr")
        self.width, self.height = screen.size()
        top = BAR if self.wanted["bar"] else 0
        bottom = int(self.height * KEYS_SHARE) if self.wanted["keyboard"] else 0
        hint = HINT if bottom else 0
        pages = (0, top, self.width, self.height - top - hint - bottom)
        if top or bottom:
            # What fills a whole monitor fills this one; the window manager asks once, when it starts.
            x, y, width, height = pages
            place = f"{width}/{width // 4}x{height}/{height // 4}+{x}+{y}"
            ran("xrandr", "--setmonitor", "pages", place, ",".join(outputs()) or "none")
        self.run("windows", "openbox", "--config-file", WINDOWS)
        wait_for("the window manager", lambda: screen.managed())
        if bottom:
            self.run("input", "fcitx5", f"--disable={NOT_OF_INPUT}")
            self.keyboard((0, self.height - bottom, self.width, bottom))
        self.pages = Pages(screen.Over(pages).show)
        if top:
            keys = {words.HOME: "XF86HomePage", words.BACK: "XF86Back"}
            left = [(text, lambda key=key: self.go(key), "") for text, key in keys.items()]
            left += [(words.SCAN, self.ask_to_scan, "")] if self.wanted["scanners"] else []
            finish = [(words.FINISH, self.ask_to_finish, "finish")]
            self.bar = screen.bar((0, 0, self.width, top), self.wanted["title"], left, finish)
        if hint:
            area = (0, self.height - bottom - hint, self.width, hint)
            self.hint = screen.hint(area, words.TELEX, (words.SWITCH, self.switch_input, ""))
        from chooser import Chooser

        self.chooser = Chooser(self.ask_for_file)
        self.browse()
        # Not before: a screen that has been begun anew says that there was an input then.
        self.sitting.began = time.monotonic()

    def keyboard(self, area: tuple[int, int, int, int]) -> None:
        folder = self.home / ".config/glib-2.0/settings"
        folder.mkdir(parents=True, exist_ok=True)
        place = "".join(f"{key}={value}\n" for key, value in zip(("x", "y", "width", "height"), area, strict=True))
        text = Path(KEYBOARD_SETTINGS).read_text() + f"\n[org/onboard/window/landscape]\n{place}"
        (folder / "keyfile").write_text(text)
        self.run("keyboard", "onboard", GSETTINGS_BACKEND="keyfile", GTK_IM_MODULE="gtk-im-context-simple")

    def browse(self) -> None:
        typed = {"GTK_IM_MODULE": "fcitx", "XMODIFIERS": "@im=fcitx"} if self.wanted["keyboard"] else {}
        (self.home / SCANS).mkdir(exist_ok=True)
        self.run(
            "browser", "chromium", "--kiosk", "--no-first-run", "--no-default-browser-check", "--noerrdialogs",
            "--hide-crash-restore-bubble", "--password-store=basic", "--gtk-version=3", "--ozone-platform=x11",
            f"--force-device-scale-factor={self.wanted['scale']}",
            "--overscroll-history-navigation=0", "--disable-pinch", f"--user-data-dir={self.home / 'browser'}",
            self.wanted["page"], **typed,
        )  # fmt: skip

    def press(self, key: str) -> None:
        """A key of the kiosk's own, for the page."""
        begun = time.monotonic()
        ran("xdotool", "key", key)
        self.sitting.pressed_itself(begun, time.monotonic())

    def go(self, key: str) -> None:
        """The guest's finger is on the bar: what is asked there is of the page that is left."""
        self.sitting.touch(time.monotonic())
        self.pages.close()
        self.press(key)

    # What happens

    def tick(self) -> bool:
        """Each second. Ends the sitting by leaving."""
        now = time.monotonic()
        for name, program in self.programs.items():
            if program.poll() is not None:
                self.end(f"{name} has ended with {program.returncode}", status=1)
        if self.sleep.been():
            self.end("the machine has been asleep")  # who knows who has woken it
        idle = idle_seconds()
        if idle is None:
            self.end("the screen does not answer", status=1)
        self.sitting.last_input(now - idle)
        self.look_for_changes(now)
        state = self.sitting.state(now)
        if state == OVER:
            self.end(self.sitting.why(now))
        down = self.line.down(now)
        self.pages.tell(self.told(state, down, now))
        if down != self.was_down:
            log("the portal is not reached" if down else "the portal is reached again")
        if self.was_down and not down and not self.sitting.used:
            self.press("XF86HomePage")
        self.was_down = down
        refresh = self.wanted["refresh_seconds"]
        if refresh and not down and not self.sitting.used and now - self.refreshed >= refresh:
            self.refreshed = now
            self.press("XF86HomePage")  # also from where a touch has led that came with a key of the kiosk's own
        tell_systemd("WATCHDOG=1")
        return True

    def told(self, state: str, down: bool, now: float) -> Page | None:
        """What the guest has to know now, the most urgent first."""
        if state == WARNED and self.wanted["warning_seconds"]:
            text = words.WARN_TEXT.format(seconds=max(1, round(self.sitting.left(now))))
            return Page("warning", words.WARN_TITLE, text, urgent=True)
        if down:
            return Page("offline", words.OFFLINE_TITLE, words.OFFLINE_TEXT)
        if state == ENDING and not self.told_of_change:
            text = words.CHANGE_TEXT.format(seconds=max(1, round(self.sitting.until_change(now))))
            return Page("change", words.CHANGE_TITLE, text, [(words.STAY, self.hear_of_change, "finish")])
        return None

    def look_for_changes(self, now: float) -> None:
        """What this sitting has begun with may be another by now: it waits until nobody sits here."""
        before = self.sitting.changed
        self.sitting.changed = self.changes.look(digest(self.wanted["reads"]), now)
        if (before is None) == (self.sitting.changed is None) or not self.sitting.used:
            return
        waits = ""
        if self.sitting.changed is not None:
            latest = time.strftime("%H:%M", time.localtime(time.time() + self.sitting.until_change(now)))
            waits = f"a change waits until nobody sits here, at {latest} at the latest"
        log(waits or "the change that waited is gone")
        tell_systemd(f"STATUS={waits}")

    def hear_of_change(self) -> None:
        self.told_of_change = True
        self.pages.tell(None)

    def end(self, why: str, status: int = 0) -> None:
        """Nothing is tidied up: the service ends all, and its memory goes with it."""
        log(f"the sitting ends: {why}")
        for program in self.programs.values():
            program.kill()
        sys.stderr.flush()
        os._exit(status)

    def watch(self) -> None:
        """In a thread of its own, since names that are not answered take their time."""
        while True:
            if reached(self.wanted["page"]):
                self.line.heard(time.monotonic())
            time.sleep(self.wanted["watch_seconds"])

    # What the guest asks for

    def close(self) -> Button:
        return words.CLOSE, self.pages.close, ""

    def ask_to_finish(self) -> None:
        finish = (words.FINISH, lambda: self.end("the guest has finished"), "finish")
        stay = (words.STAY, self.pages.close, "")
        self.pages.ask(Page("finish", words.FINISH_TITLE, words.FINISH_TEXT, [finish, stay]))

    def ask_to_scan(self) -> None:
        known = self.wanted["scanners"]
        buttons = [(each["name"], lambda each=each: self.scan(each["id"]), "finish") for each in known]
        self.pages.ask(Page("scan", words.SCAN_TITLE, words.SCAN_CHOOSE, [*buttons, self.close()]))

    def ask_for_file(self, answer: Callable[[Path | None], None]) -> None:
        """The browser wants a file for a form, and asks for no other until it is answered."""

        def chosen(file: Path) -> None:
            answer(file)
            self.pages.close()

        files = sorted((self.home / SCANS).glob("*.pdf"))
        buttons = [(file.name, lambda file=file: chosen(file), "finish") for file in files]
        text = words.CHOOSE_TEXT if files else words.NOTHING_TO_CHOOSE
        page = Page("choose", words.CHOOSE_TITLE, text, [*buttons, self.close()], gone=lambda: answer(None))
        self.pages.ask(page)

    def switch_input(self) -> None:
        ran("fcitx5-remote", "-t")

    def scan(self, scanner: str) -> None:
        self.pages.ask(Page("scanning", words.SCAN_TITLE, words.SCANNING))
        self.scans += 1
        file = self.home / SCANS / f"trang-{self.scans}.pdf"
        threading.Thread(target=self.scan_into, args=(scanner, file, self.scans), daemon=True).start()

    def scan_into(self, scanner: str, file: Path, number: int) -> None:
        from gi.repository import GLib

        argv = ["/usr/local/bin/wardnet-scan-check", scanner, "--scan", str(file)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        well = done.returncode == 0 and file.exists()
        text = words.SCANNED.format(number=number, name=file.name) if well else done.stderr.strip()
        GLib.idle_add(lambda: self.pages.ask(Page("scanned", words.SCAN_TITLE, text, [self.close()])))


def main() -> None:
    for name in ("openbox", "chromium", "xprintidle"):
        if shutil.which(name) is None:
            raise SystemExit(f"{name} is not installed")
    configuration = json.loads(CONFIGURATION.read_text())
    kiosk = Kiosk(configuration, digest(configuration["reads"]))
    signal.signal(signal.SIGTERM, lambda *_: kiosk.end("it is told to"))
    kiosk.start()
    threading.Thread(target=kiosk.watch, daemon=True).start()
    from gi.repository import GLib, Gtk

    GLib.timeout_add(1000, kiosk.tick)
    Gtk.main()


if __name__ == "__main__":
    main()
