"""A PC out of its box, installed from a stick that `wardnet install-media` made, and set up by the roles: BIOS, GRUB,
kernel and disk are real, the processor is emulated.

WARDNET_LAB_KEEP=1 leaves the lab running, WARDNET_LAB_KEPT=1 takes one that was left so and has no machine yet. What
was made of packages stays in the lab's cache.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from lab.layout import CACHE_ROOT
from lab.qemu.bare import DOWN, ENTER, BareMachine, unpack
from tests.lab.lab_support import CHECKOUT, LABS, own_lab
from tests.qemu.district import SAMPLE
from tests.qemu.guests import SLOWLY
from tests.roles.roles_support import Run, eventually, play

# The first test has the stick made and the PC installed; the roles bring a PC's packages to an emulated processor.
pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(14400)]

NAME = f"{LABS}-install"
PC, MAC, STRANGE = "buoi-pc-1", "02:5e:10:00:01:11", "02:5e:10:00:01:99"
ADDRESS = "10.20.1.11"
WARDNET = Path(sys.executable).with_name("wardnet")
PATIENCE = 1800.0
ROLES = 5400.0  # seconds for one run of the roles


def write_inventory(folder: Path) -> Path:
    """The sample, with the address of the card that the new PC has."""
    subprocess.run(["cp", "-r", SAMPLE, folder], check=True)
    path = folder / "wards/buoi.yml"
    text = path.read_text(encoding="utf-8")
    changed = text.replace('ipv6: "fd20:20:1::11"}', f'ipv6: "fd20:20:1::11", mac: "{MAC}"}}')
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    return folder


@pytest.fixture(scope="module", name="lab")
def with_a_ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One ward, whose gateway lets management and its PCs through."""
    inventory = write_inventory(tmp_path_factory.mktemp("district") / "tay-ho")
    with own_lab(NAME, _channels, "--wards", "1", "--inventory", str(inventory)) as lab:
        yield lab


def _channels(lab: Lab) -> None:
    done = play(lab, "channels.yml", "--limit", "tay-ho-hub:buoi-gw")
    assert done.status == 0, done.tail


@pytest.fixture(scope="module")
def stick(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by the command, from the machine's own package sources."""
    image = tmp_path_factory.mktemp("stick") / "stick.iso"
    done = subprocess.run(
        [WARDNET, "install-media", PC, "-o", image, "-i", lab.state / "inventory",
         "--key", lab.layout.ssh / "controller.pub", "--append", "console=ttyS0,115200n8",
         "--kernel", "linux-image-cloud-amd64"],
        cwd=CHECKOUT, env={**os.environ, "WARDNET_INSTALL_CACHE": str(CACHE_ROOT / "install")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"wardnet trust {PC}" in " ".join(done.stdout.split())
    return image


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Iterator[BareMachine]:
    made = unpack(lab.layout, PC, "eth0")
    try:
        yield made
    finally:
        made.cut()


def written(machine: BareMachine) -> int:
    """Blocks of the disk that were ever written."""
    return machine.disk.stat().st_blocks


@pytest.fixture(scope="module")
def installed(stick: Path, machine: BareMachine) -> str:
    """What the screen shows of an installation onto an empty disk, without a key being pressed, to its end."""
    machine.start(MAC, stick)
    machine.wait_to_show("INSTALLED:", PATIENCE)
    machine.wait_to_go_off(PATIENCE)
    shown = machine.screen()
    machine.cut()
    return shown


@pytest.fixture(scope="module")
def running(installed: str, machine: BareMachine) -> str:
    """The PC started from its own disk; what its screen shows."""
    machine.start(MAC)
    machine.wait_to_show(f"{PC} login:", PATIENCE)
    return machine.screen()


@pytest.fixture(scope="module")
def trusted(lab: Lab, running: str) -> str:
    """The PC's key is pinned by the digits that are read off its screen; the key of the machine before it goes."""
    digits = re.findall(r"(?m)^    ((?:\d{5} ){5}\d{5})$", running)[-1]
    argv = [str(WARDNET), "trust", PC, "--replaced", "--fingerprint", digits, "-i", str(lab.state / "inventory")]
    argv += ["--timeout", "120", "--known-hosts", str(lab.layout.known_hosts)]
    said = ""

    def pinned() -> bool:  # a login is offered before sshd listens
        nonlocal said
        done = lab.run("controller", argv, timeout=600)
        said = done.stderr.decode()
        return done.returncode == 0

    assert eventually(pinned, PATIENCE), said
    return digits


def set_up(lab: Lab, *more: str) -> Run:
    words = json.dumps({"wardnet_workplaces": False})
    return play(lab, "wards.yml", "--limit", PC, "--timeout", "180", "-e", SLOWLY, "-e", words, *more, timeout=ROLES)


def inside(lab: Lab, *words: str) -> str:
    """Output of a command at the PC, by the controller's key and the pinned one of the PC."""
    argv = ["ssh", "-i", str(lab.layout.ssh / "controller"), "-o", f"UserKnownHostsFile={lab.layout.known_hosts}",
            "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", f"wardnet@{ADDRESS}", *words]  # fmt: skip
    done = lab.run("controller", argv, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_a_pc_that_is_not_on_the_stick_is_left_alone(stick: Path, machine: BareMachine) -> None:
    before = written(machine)
    machine.start(STRANGE, stick)
    machine.wait_to_show("NOT INSTALLED", PATIENCE)
    machine.wait_to_show("Press Enter", PATIENCE)
    shown = machine.screen()
    machine.press(ENTER)
    machine.wait_to_go_off(PATIENCE)
    machine.cut()
    assert f"this PC's MAC address ({STRANGE} )" in shown
    assert f"{MAC}  {PC}" in shown
    assert written(machine) == before


def test_an_empty_disk_is_installed_without_a_key_being_pressed(installed: str) -> None:
    assert f"This PC is {PC}." in installed
    assert re.search(r"SHA256:[A-Za-z0-9+/]{43}", installed)


def test_the_digits_of_the_installer_are_those_of_the_pc(installed: str, running: str, trusted: str) -> None:
    assert trusted in installed
    assert trusted in running


def test_what_comes_up_is_the_host_of_the_inventory(lab: Lab, trusted: str) -> None:
    assert inside(lab, "hostname", "--fqdn").split() == [f"{PC}.tayho.example"]
    addresses = inside(lab, "ip", "-brief", "address", "show", "dev", "eth0")
    assert f"{ADDRESS}/24" in addresses
    assert "fd20:20:1::11/64" in addresses
    assert inside(lab, "sudo", "passwd", "--status", "root").split()[1] == "L"
    assert inside(lab, "sudo", "passwd", "--status", "wardnet").split()[1] == "L"
    assert inside(lab, "systemctl", "--failed", "--plain", "--no-legend") == ""
    assert 'set superusers="wardnet"' in inside(lab, "sudo", "cat", "/boot/grub/grub.cfg")
    assert "/boot/efi" in inside(lab, "findmnt", "--noheadings", "--output", "TARGET")


def test_the_roles_come_to_their_end_and_find_nothing_to_do_then(lab: Lab, trusted: str) -> None:
    first = set_up(lab)
    assert first.status == 0, first.tail
    assert PC in first.changed
    again = set_up(lab)
    assert (again.status, again.changed) == (0, {}), again.tail


def test_a_stick_that_was_left_in_erases_nothing(lab: Lab, stick: Path, machine: BareMachine, trusted: str) -> None:
    """The PC that is installed is switched on with the stick in it: it says so, and is as it was."""
    inside(lab, "sync")
    machine.cut()
    machine.start(MAC, stick)
    machine.wait_to_show("is not empty", PATIENCE)
    machine.wait_to_show("Press Enter", PATIENCE)
    machine.press(ENTER)
    machine.wait_to_go_off(PATIENCE)
    machine.cut()
    machine.start(MAC)
    machine.wait_to_show(f"{PC} login:", PATIENCE)
    assert trusted in machine.screen()


def test_a_disk_is_erased_where_the_technician_chooses_so(stick: Path, machine: BareMachine, trusted: str) -> None:
    machine.cut()
    machine.start(MAC, stick)
    machine.wait_to_show("ERASE the disk", PATIENCE)
    machine.press(f"{DOWN}{ENTER}")
    machine.wait_to_show("Erasing all that is on", PATIENCE)
    machine.wait_to_show("INSTALLED:", PATIENCE)
    machine.wait_to_go_off(PATIENCE)
    assert trusted not in machine.screen()  # a new system has a key of its own
