"""The sample district with what only a guest can be: a gateway whose LANs and internet line are tagged, one with VRFs,
and one that dials its internet line."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.lab.lab_support import CHECKOUT

SAMPLE = CHECKOUT / "inventory" / "tay-ho"
TAGGED, ROUTED_APART, DIALLING = "buoi-gw", "nhat-tan-gw", "tay-ho-gw"
LINE_TAG = 35
USER, SECRET = "tay-ho@provider.example", "tay_ho_line"


def write(folder: Path) -> Path:
    """The inventory's folder."""
    shutil.copytree(SAMPLE, folder)
    for name, change in (
        ("wards/buoi.yml", tagged),
        ("wards/nhat-tan.yml", with_vrfs),
        ("district.yml", dialling),
    ):
        path = folder / name
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def _once(text: str, pattern: str, put: str) -> str:
    changed, count = re.subn(pattern, put, text, count=1, flags=re.MULTILINE)
    assert count == 1, f"the sample has no longer {pattern}"
    return changed


def tagged(text: str) -> str:
    """Three LANs are VLANs of one port, and the internet line is one of another. No switch that expects four ports."""
    text = _once(text, r"^    switch:\n(?:      .*\n)+(?=    hosts:)", "")
    for network in ("clerks0", "citizen0", "wifi0"):
        text = _once(text, rf"interface: {network},", rf"interface: {network}, parent: lan0,")
    return _once(text, r"^( +)interface: inet0$", rf"\1interface: inet0\n\1parent: up0\n\1vlan: {LINE_TAG}")


def with_vrfs(text: str) -> str:
    """Each channel in a VRF; such a gateway serves nothing."""
    for network in ("citizens", "wifi"):
        text = _once(text, rf"(id: {network}, .*?), dhcp: (?:.*,\n)?.*\}}$", r"\1}")
    return _once(text, r"(id: nhat-tan-gw, .*)\}$", r"\1, vrf: true}")


def dialling(text: str) -> str:
    """The office's internet line is a session over the port dsl0."""
    return _once(
        text,
        r"^( +)interface: inet0\n +ipv4: .*\n +ipv4_peer: .*\n +ipv6: .*\n +ipv6_peer: .*$",
        r"\1interface: inet0\n\1addressing: pppoe\n\1parent: dsl0\n"
        rf'\1pppoe: {{user: {USER}, password: "vault:{SECRET}"}}',
    )
