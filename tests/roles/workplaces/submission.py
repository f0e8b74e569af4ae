"""A resident hands in a scan at the citizen point: signs in, fills in a form, and chooses the page that was scanned."""

from __future__ import annotations

import hashlib
import json
import shlex

from lab import Lab
from tests.roles.roles_support import eventually, inside
from tests.roles.workplaces.kiosks_support import CITIZEN, PATIENCE, at_screen, overlaid, press, shows, tap

HOME, SIGN_IN, FORM = "Thủ tục hành chính", "Đăng nhập", "Chứng thực bản sao từ bản chính"
# Where things lie: the link and the field of signing in, the form's link, first field and buttons, and the page that
# the kiosk's own chooser offers.
LINK, USER, PROCEDURE, NAME, CHOOSE, SCANNED, SEND = (
    (675, 101), (482, 226), (300, 500), (440, 243), (521, 370), (577, 427), (218, 415),
)  # fmt: skip
TAB, ENTER = 23, 36
STORED = """import hashlib, json, sqlite3
rows = sqlite3.connect("/var/lib/wardnet-portal/portal.sqlite").execute(
    "SELECT fields, scan FROM submission ORDER BY rowid DESC LIMIT 1")
print(json.dumps([[json.loads(fields), hashlib.sha256(scan).hexdigest()] for fields, scan in rows]))
"""


def typed(lab: Lab, text: str) -> None:
    at_screen(lab, CITIZEN, f"xdotool type --delay 120 {shlex.quote(text)}")


def close_scan(lab: Lab) -> None:
    """Closes what says that a page was scanned."""
    tap(lab, CITIZEN, 640, 428)
    assert eventually(lambda: overlaid(lab, CITIZEN) == 2, PATIENCE)


def hand_in(lab: Lab, password: str) -> None:
    """From the portal's first page to the one that says that the papers were received."""
    tap(lab, CITIZEN, *LINK)
    assert shows(lab, CITIZEN, SIGN_IN)
    tap(lab, CITIZEN, *USER)
    typed(lab, "canbo")
    press(lab, CITIZEN, TAB)
    typed(lab, password)
    press(lab, CITIZEN, ENTER)
    assert shows(lab, CITIZEN, HOME)
    assert eventually(lambda: tapped_form(lab), PATIENCE)
    tap(lab, CITIZEN, *NAME)
    for word in ("Lan", "001199000001", "2"):
        typed(lab, word)
        press(lab, CITIZEN, TAB)
    tap(lab, CITIZEN, *CHOOSE)
    assert eventually(lambda: overlaid(lab, CITIZEN) == 3, PATIENCE), "what was scanned is not offered"
    tap(lab, CITIZEN, *SCANNED)
    assert eventually(lambda: overlaid(lab, CITIZEN) == 2, PATIENCE)
    tap(lab, CITIZEN, *SEND)


def tapped_form(lab: Lab) -> bool:
    """Whether the form is seen after a tap at its link, which the page may not have had yet."""
    tap(lab, CITIZEN, *PROCEDURE)
    return shows(lab, CITIZEN, FORM, 10)


def received(lab: Lab, portal: str, scan: bytes) -> list[dict[str, str]]:
    """The fields of what the portal has received last, where this scan came with them."""
    sha256 = hashlib.sha256(scan).hexdigest()
    return [fields for fields, found in json.loads(inside(lab, portal, "python3", "-c", STORED)) if found == sha256]
