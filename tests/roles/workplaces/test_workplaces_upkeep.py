"""What happens to a clerk's PC over time: updates, passwords, what is plugged in."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from lab import Lab
from tests.lab.lab_support import lab_command
from tests.roles.roles_support import inside
from tests.roles.workplaces.workplaces_support import PC, as_clerk, as_root, converge

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(3600)]

RENEWED = "fonts-dejavu-core"  # stands for any package of the PC's


def test_an_upgrade_of_locales_changes_nothing(pc: Lab) -> None:
    as_root(pc, "DEBIAN_FRONTEND=noninteractive apt-get -qq -y --reinstall install locales", timeout=900)
    assert "LANG=vi_VN.UTF-8" in as_clerk(pc, "locale")
    assert as_clerk(pc, "LC_ALL=$LANG date -d 2026-11-30 +%A").lower() == "thứ hai"
    again = converge(pc)
    assert (again.status, again.changed) == (0, {}), again.tail


def newer(lab: Lab, folder: Path) -> str:
    """A package of the PC's with a version above the mirror's, published there; the version."""
    (packaged,) = list((lab.layout.mirror / "pool" / "main").glob(f"{RENEWED}_*[0-9]_all.deb"))[:1]
    version = inside(lab, PC, "dpkg-query", "--show", "--showformat=${Version}", RENEWED) + f"+{int(time.time())}"
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", packaged, tree], check=True)
    control = (tree / "DEBIAN" / "control").read_text().splitlines()
    lines = [f"Version: {version}" if line.startswith("Version: ") else line for line in control]
    (tree / "DEBIAN" / "control").write_text("\n".join(lines) + "\n")
    made = folder / f"{RENEWED}_{version}_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, made], check=True, capture_output=True)
    assert lab_command("publish", "--name", lab.name, str(made)).returncode == 0
    return version


def test_security_updates_come_from_the_mirror(pc: Lab, tmp_path: Path) -> None:
    version = newer(pc, tmp_path)
    as_root(pc, "apt-get -qq update", timeout=600)
    would = as_root(pc, "unattended-upgrade --dry-run --verbose 2>&1", timeout=900)
    assert RENEWED in would
    assert version not in as_root(pc, f"dpkg-query --show {RENEWED}")
    inside(pc, PC, "systemctl", "start", "wardnet-upgrade.service")
    said = as_root(pc, "journalctl -u wardnet-upgrade --no-pager")
    assert version in as_root(pc, f"dpkg-query --show {RENEWED}"), said
    again = converge(pc)
    assert (again.status, again.changed) == (0, {}), again.tail


def test_passwords_of_the_installation_open_nothing_any_more(pc: Lab) -> None:
    as_root(pc, "printf 'root:demo\\nwardnet:demo\\n' | chpasswd")
    found = converge(pc, "--check", "--diff")
    assert "password of root" in found.said
    healed = converge(pc)
    assert healed.status == 0, healed.tail
    for name in ("root", "wardnet"):
        assert as_root(pc, f"passwd --status {name}").split()[1] == "L"
    assert converge(pc).changed == {}  # management still comes in
    assert as_root(pc, "passwd --status ky-thuat").split()[1] == "P"


def test_what_is_plugged_in_is_held_to_the_inventory(pc: Lab) -> None:
    """There is no USB here: what is looked at is what the kernel's tools and udev would do."""
    read = as_root(pc, "modprobe --showconfig; cat /etc/udev/rules.d/90-wardnet-devices.rules")
    assert "--setro" in read
    assert "install usb_storage /bin/false" not in read
    for radio in ("cfg80211", "mac80211", "bluetooth", "rndis_host", "cdc_ncm", "ipheth"):
        assert f"install {radio} /bin/false" in read
    deny = json.dumps({"device_policy_usb_storage": "deny", "workstation_usb_storage": "deny"})
    denied = converge(pc, "-e", deny)
    assert denied.status == 0, denied.tail
    try:
        read = as_root(pc, "modprobe --showconfig; cat /etc/udev/rules.d/90-wardnet-devices.rules")
        assert "install usb_storage /bin/false" in read
        assert "install uas /bin/false" in read
        assert 'ATTR{authorized}="0"' in read
    finally:
        assert converge(pc).status == 0


def test_a_port_that_the_inventory_does_not_name_stays_down(pc: Lab) -> None:
    """As of a telephone that somebody plugs in."""
    as_root(pc, "ip tuntap add dev usb0 mode tap; ip link set usb0 up; networkctl reconfigure usb0")
    try:
        as_root(pc, "for i in $(seq 120); do ip -o link show usb0 | grep -q 'UP' || exit 0; sleep 1; done; exit 1")
        assert as_root(pc, "ip -o address show dev usb0") == ""
    finally:
        as_root(pc, "ip link delete usb0")
    assert as_root(pc, "ls -d /sys/class/net/*/wireless /sys/class/ieee80211/* 2>/dev/null; true") == ""
    states = as_root(
        pc, "systemctl is-enabled NetworkManager.service wpa_supplicant.service ModemManager.service; true"
    )
    assert states.split() == ["masked"] * 3
