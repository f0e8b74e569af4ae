"""A page in the kiosk's own browser that does what a test tells it to, and what became of it: what the page itself
sees, and what is on the machine. The developer tools, which drive browsers otherwise, are what is to be refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import Lab
from tests.roles.roles_support import eventually, inside
from tests.roles.workplaces.kiosks_support import (
    CITIZEN,
    PATIENCE,
    SIZE,
    as_root,
    at_screen,
    press,
    program,
    tap,
    title,
    windows,
)

PORTAL = "portal-public"  # whose pages residents see
PROGRAM, FOLDER = "/usr/local/lib/wardnet-lab/trap_portal.py", "/run/wardnet-portal"
DROP_IN = "/run/systemd/system/lab-portal.service.d"
POLICY = "/etc/chromium/policies/managed/wardnet.json"
LATELY = 6.0  # seconds within which a page that is open has said so, seen or not


class Trap:
    """The page that a kiosk which has been begun anew shows first."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        before = {line["page"] for line in self.opened()}
        inside(lab, CITIZEN, "systemctl", "restart", "wardnet-kiosk.service")
        assert eventually(lambda: self._seen() not in {None, *before}, PATIENCE), "the browser opens the first page"
        self.page = str(self._seen())
        assert eventually(lambda: self.page in self.open(), PATIENCE)

    def _seen(self) -> str | None:
        word, _, number = title(self.lab, CITIZEN).partition(" ")
        return number if word == "Bẫy" and number.isdigit() else None

    def heard(self) -> list[dict[str, Any]]:
        lines = as_root(self.lab, PORTAL, f"cat {FOLDER}/heard 2>/dev/null || true")
        return [json.loads(line) for line in lines.splitlines()]

    def opened(self) -> list[dict[str, Any]]:
        """Pages that any browser has opened, since the trap was set."""
        return [line for line in self.heard() if "opened" in line]

    def open(self) -> dict[str, dict[str, str]]:
        """What the pages say that are open, and to whom one sees them."""
        read = f"import json, time; p = json.load(open('{FOLDER}/pages.json')); n = time.monotonic(); "
        read += f"print(json.dumps({{k: v for k, v in p.items() if n - v.pop('at') < {LATELY}}}))"
        found: dict[str, dict[str, str]] = json.loads(
            as_root(self.lab, PORTAL, f'test ! -e {FOLDER}/pages.json && echo "{{}}" || python3 -c "{read}"')
        )
        return found

    def tell(self, script: str, *, by_tap: bool = False) -> int:
        """Has the page run it, at once or as what a tap does; its number."""
        number = 1 + max((line.get("id", 0) for line in self.heard()), default=0)
        told = json.dumps({"id": number, "page": self.page, "script": script, "tap": by_tap})
        write = f"cat > {FOLDER}/told.new && mv {FOLDER}/told.new {FOLDER}/told.json"
        done = self.lab.shell(PORTAL, ["sh", "-c", write], stdin=told.encode())
        assert done.returncode == 0, done.stderr.decode()
        if by_tap:
            assert eventually(lambda: self._said(number, "armed") is not None, PATIENCE), script
            tap(self.lab, CITIZEN, SIZE[0] // 2, SIZE[1] // 3)
        assert eventually(lambda: self._said(number, "begun") is not None, PATIENCE), script
        return number

    def found(self, number: int) -> str | None:
        """What the script has come to; None where it has not come to its end."""
        text = self._said(number, "found")
        return None if text is None else str(text)

    def _said(self, number: int, what: str) -> Any:
        return next((line[what] for line in self.heard() if line.get("id") == number and what in line), None)


@contextmanager
def trapped(lab: Lab) -> Iterator[Lab]:
    """The portal's first page for residents is the trap, for the time of the block."""
    program_text = Path(__file__).with_name("trap_portal.py").read_bytes()
    drop_in = f"[Service]\\nExecStart=\\nExecStart=/usr/bin/python3 {PROGRAM}\\n"
    script = f"cat > {PROGRAM} && mkdir -p {DROP_IN} && printf '{drop_in}' > {DROP_IN}/trap.conf"
    script += " && systemctl daemon-reload && systemctl restart lab-portal.service"
    done = lab.shell(PORTAL, ["sh", "-c", script], stdin=program_text)
    assert done.returncode == 0, done.stderr.decode()
    try:
        yield lab
    finally:
        back = f"rm -r {DROP_IN} {PROGRAM}; systemctl daemon-reload; systemctl restart lab-portal.service"
        as_root(lab, PORTAL, back)


@contextmanager
def without_policies(lab: Lab) -> Iterator[None]:
    """For the time of the block Chromium is allowed what a page may ask for."""
    more = "import json; p = json.load(open('/run/kept.json')); "  # whom it trusts is no matter of escapes
    more += "p = {'CACertificates': p['CACertificates'], 'DefaultPopupsSetting': 1}; "
    more += "print(json.dumps(p))"
    as_root(lab, CITIZEN, f'cp -p {POLICY} /run/kept.json; python3 -c "{more}" > {POLICY}')
    try:
        yield
    finally:
        as_root(lab, CITIZEN, f"cp -p /run/kept.json {POLICY}; systemctl restart wardnet-kiosk.service")


@contextmanager
def keyboard_of_all_keys(lab: Lab) -> Iterator[None]:
    """For the time of the block the screen takes the keyboard for one that has Control, Alt and function keys."""
    at_screen(lab, CITIZEN, "setxkbmap us")
    try:
        yield
    finally:
        at_screen(lab, CITIZEN, "setxkbmap wardnet")


# Each does what leads out, and gives what tells whether it has.


def download(trap: Trap) -> Callable[[], bool]:
    trap.tell("location.href = '/bay/tep'", by_tap=True)
    assert eventually(lambda: any("fetched" in line for line in trap.heard()), PATIENCE)
    root = f"/proc/{program(trap.lab, CITIZEN, 'chromium')}/root"
    look = f"find {root}/home {root}/tmp -name '*bay-tep*' -o -name '*.crdownload'"
    return lambda: as_root(trap.lab, CITIZEN, look) != ""


def printing(trap: Trap) -> Callable[[], bool]:
    """A preview holds the page up until it is closed."""
    number = trap.tell("window.print()")
    eventually(lambda: trap.found(number) is not None, 20)
    return lambda: trap.found(number) is None


def developer_tools(trap: Trap) -> Callable[[], bool]:
    """A browser that fills its screen refuses them in this way by itself, so that no policy can be seen to."""
    before = trap.open()[trap.page]
    with keyboard_of_all_keys(trap.lab):
        press(trap.lab, CITIZEN, 37, 50, 31)
        at_screen(trap.lab, CITIZEN, "sleep 1")
    return lambda: len(windows(trap.lab, CITIZEN)) > 1 or trap.open().get(trap.page, before) != before


def incognito(trap: Trap) -> Callable[[], bool]:
    with keyboard_of_all_keys(trap.lab):
        press(trap.lab, CITIZEN, 37, 50, 57)
        at_screen(trap.lab, CITIZEN, "sleep 1")
    return lambda: len(windows(trap.lab, CITIZEN)) > 1


def popup(trap: Trap) -> Callable[[], bool]:
    trap.tell("window.open('/bay/khac')")
    return lambda: len(trap.open()) > 1


ESCAPES = {each.__name__: each for each in (download, printing, incognito, popup)}
