"""A screen in memory where a kiosk's Xorg would be: hosts of the lab have no graphics card, and need none for it."""

from __future__ import annotations

from lab.errors import LabError
from lab.handle import Lab
from wardnet.locale import _

PACKAGES = ("scrot", "xvfb")  # of the lab's mirror; no role wants them
SIZE = (1280, 1024)
UNITS = ("wardnet-screen.service", "wardnet-kiosk.service")

_PUT_UP = f"""set -eu
apt-get -qq -y --no-install-recommends install {" ".join(PACKAGES)} >/dev/null
for unit in {" ".join(UNITS)}; do
  mkdir -p /usr/lib/systemd/system/$unit.d
  printf '[Unit]\\nConditionPathExistsGlob=\\n' > /usr/lib/systemd/system/$unit.d/lab.conf
done
cat >> /usr/lib/systemd/system/{UNITS[0]}.d/lab.conf <<'EOF'
[Service]
ExecStart=
ExecStart=/usr/bin/Xvfb :0 -screen 0 {SIZE[0]}x{SIZE[1]}x24 -nolisten tcp -auth /run/wardnet-screen/authority
EOF
systemctl daemon-reload
systemctl restart {" ".join(UNITS)}
"""


def put_up(lab: Lab, host: str, *, timeout: float = 1200) -> None:
    """The host's kiosk begins a sitting at a screen in memory, as at each later boot. LabError where it does not."""
    _shell(lab, host, _PUT_UP, timeout)


def at_screen(lab: Lab, host: str, command: str, *, timeout: float = 600) -> str:
    """Output of a shell command that draws, looks or presses keys there, as root. LabError where it fails."""
    return _shell(lab, host, f"export DISPLAY=:0 XAUTHORITY=/run/wardnet-screen/authority; {command}", timeout)


def picture(lab: Lab, host: str) -> bytes:
    """A PNG of all that is seen. LabError where there is none."""
    at_screen(lab, host, "scrot -o /run/lab-screen.png")
    return lab.shell(host, ["cat", "/run/lab-screen.png"]).stdout


def _shell(lab: Lab, host: str, script: str, timeout: float) -> str:
    done = lab.shell(host, ["sh", "-c", script], timeout=timeout)
    said = (done.stdout + done.stderr).decode(errors="replace").strip()
    if done.returncode != 0:
        raise LabError(_("{host}, its screen: {said}").format(host=host, said=said))
    return said
