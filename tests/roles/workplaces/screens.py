"""A screen in memory in place of the PC's, at which LightDM shows its greeter and somebody logs in, types and prints as
at a real one. What it takes is laid onto the PC, and taken away again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import Lab
from tests.roles.pictures import Page, read_png
from tests.roles.roles_support import eventually
from tests.roles.workplaces.workplaces_support import CLERK, PASSWORD, PC, as_root

SIZE = (1366, 768)  # of what stands in wards
PATIENCE = 300  # seconds that something on the screen may take
SEAT = """#!/bin/sh
# LightDM asks for an X server at a seat's graphics card; this is one without.
display=$1
while [ $# -gt 0 ]; do [ "$1" != -auth ] || auth=$2; shift; done
exec Xvfb "$display" -screen 0 %dx%dx24 -auth "$auth" -nolisten tcp
"""
FILES = {
    "/usr/local/bin/seat-in-memory": SEAT % SIZE,
    # A container may not keep memory from being paged out, and has no virtual terminals.
    "/usr/share/lightdm/lightdm.conf.d/99-test.conf": (
        "[LightDM]\nlogind-check-graphical=false\nlock-memory=false\n[Seat:*]\nxserver-command=/usr/local/bin/seat-in-memory\n"
    ),
    "/etc/security/no-terminals.conf": "XDG_VTNR DEFAULT= OVERRIDE=\n",
    "/run/systemd/system/lightdm.service.d/zz-test.conf": "[Unit]\nConditionPathExistsGlob=\n",
}
PAM = "session optional pam_env.so conffile=/etc/security/no-terminals.conf"
# A command in the clerk's session, with what the session gave its programs.
INSIDE = f"""
pid=$(pgrep -u {CLERK} -x xfce4-session | head -n 1); [ -n "$pid" ] || exit 9
exec xargs -0 -a /proc/$pid/environ sh -c 'exec runuser -u {CLERK} -- env -i "$@" sh -c "$WORDS"' sh
"""


class Screen:
    """What is on it, and hands at its keyboard."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.pictures = lab.state / "pictures"
        self.pictures.mkdir(exist_ok=True)

    def root(self, command: str, *, timeout: float = 180) -> str:
        """Output of a command at the screen that needs nobody's session."""
        return as_root(
            self.lab, f"export DISPLAY=:0 XAUTHORITY=/run/lightdm/root/:0; cd /tmp; {command}", timeout=timeout
        )

    def clerk(self, command: str, *, timeout: float = 180) -> str:
        """Output of a command in the clerk's session."""
        return as_root(self.lab, f"export WORDS={shlex.quote(command)}; {INSIDE}", timeout=timeout)

    def start(self, command: str) -> None:
        """A program of the clerk's that stays."""
        self.clerk(f"setsid {command} >/dev/null 2>&1 </dev/null & :")

    def type(self, text: str) -> None:
        self.root(f"xdotool type --delay 120 {shlex.quote(text)}")

    def key(self, *names: str) -> None:
        self.root(f"xdotool key --delay 120 {' '.join(names)}")

    def window(self, name: str) -> bool:
        """Whether a window with such a name is shown, as a regular expression; it has the keyboard then."""
        found = f"xdotool search --onlyvisible --name {shlex.quote(name)} 2>/dev/null | tail -n 1"
        return bool(self.root(f'w=$({found}); [ -z "$w" ] || {{ xdotool windowfocus "$w" 2>/dev/null; echo "$w"; }}'))

    def shows(self, name: str) -> bool:
        """The same, within some time."""
        return eventually(lambda: self.window(name), PATIENCE)

    def picture(self, name: str) -> Page:
        """What is seen now; also kept as a file in the lab's folder."""
        self.root(f"rm -f /run/{name}.png; scrot --silent --overwrite /run/{name}.png")
        data = self.lab.shell(PC, ["cat", f"/run/{name}.png"]).stdout
        (self.pictures / f"{name}.png").write_bytes(data)
        return read_png(data)

    def runs(self, program: str) -> bool:
        return self.lab.shell(PC, ["pgrep", "-x", program]).returncode == 0

    def log_in(self) -> None:
        """As somebody does who has been told name and password: nobody is listed."""
        assert eventually(lambda: self.runs("lightdm-gtk-gre"), PATIENCE), self.journal()
        assert eventually(lambda: colours(self.picture("greeter")) > 50, PATIENCE), "the greeter shows nothing"
        self.type(CLERK)
        self.key("Return")
        self.type(PASSWORD)
        self.key("Return")
        assert eventually(lambda: self.runs("xfdesktop"), PATIENCE), self.journal()

    def journal(self) -> str:
        return as_root(self.lab, "journalctl -u lightdm --no-pager -n 40; tail -n 40 /var/log/lightdm/*.log")


def colours(page: Page) -> int:
    """How many there are on every eighth point of it."""
    return len({page.at(x, y) for y in range(0, page.size[1], 8) for x in range(0, page.size[0], 8)})


@contextmanager
def screen(lab: Lab) -> Iterator[Screen]:
    """The greeter on a screen in memory; after it, the PC is without a screen again, and nobody is logged in."""
    for path, content in FILES.items():
        as_root(lab, f"mkdir -p {Path(path).parent} && printf %s {shlex.quote(content)} > {path} && chmod 0755 {path}")
    as_root(lab, f"sed -i '1i {PAM}' /etc/pam.d/lightdm; systemctl daemon-reload; systemctl restart lightdm.service")
    try:
        yield Screen(lab)
    finally:
        away = f"systemctl stop lightdm.service; loginctl terminate-user {CLERK}; rm -f {' '.join(FILES)}"
        away += "; sed -i /no-terminals/d /etc/pam.d/lightdm"
        as_root(lab, f"{away}; systemctl daemon-reload; systemctl start lightdm.service; true")
