"""A clerk's PC scans through each path over the lab's network: by eSCL, and by SANE from a box. Whoever may not
is kept out by real packets, and what is wrong is said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.roles.pictures import is_the_sheet, pdf_says, read_png
from tests.roles.roles_support import Probe, Run, answered, eventually, inside, play
from tests.roles.test_roles_scanners import ail, states

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PC, GLASS, BOX = "tay-ho-pc-1", "tay-ho-scanner-1", "tay-ho-scanner-2"
SANE = f"{BOX}-sane"
BOX_ADDRESS = "10.20.0.21"
# SANE's own test scanner stands for one that needs a driver.
PLAY = ("scanners.yml", "--limit", f"{PC},{BOX}", "-e", '{"scanner_backends": ["test"]}')
A4 = {"pages": 1, "points": (595, 841), "pixels": (2480, 3508), "colour": True}


@pytest.fixture(scope="module")
def scanning(converged: Lab) -> Iterator[Lab]:
    """The box has a second scanner, for these tests alone, which it shares by SANE."""
    inventory = converged.state / "inventory" / "district.yml"
    written = inventory.read_text()
    assert written.count("paths: [usb]}") == 1
    inventory.write_text(written.replace("paths: [usb]}", "paths: [usb, sane]}"))
    try:
        done = play(converged, *PLAY)
        assert done.status == 0, done.tail
        yield converged
    finally:
        inventory.write_text(written)


@pytest.fixture
def again(scanning: Lab) -> Run:
    return play(scanning, *PLAY)


@pytest.fixture
def well(scanning: Lab) -> Iterator[Lab]:
    ail(scanning, GLASS)
    yield scanning
    ail(scanning, GLASS)


def check(lab: Lab, *words: str) -> tuple[int, str]:
    """wardnet-scan-check on the clerk's PC: its exit code, and all that it says."""
    done = lab.shell(PC, ["env", "LANG=C.UTF-8", "HOME=/root", "wardnet-scan-check", *words])
    return done.returncode, (done.stdout + done.stderr).decode()


def scanned(lab: Lab, scanner: str, name: str) -> bytes:
    code, said = check(lab, scanner, "--scan", f"/tmp/{name}")
    assert code == 0, said
    return lab.shell(PC, ["cat", f"/tmp/{name}"]).stdout


def test_a_second_run_finds_nothing_to_do(again: Run) -> None:
    assert (again.status, again.changed) == (0, {}), again.tail


@pytest.mark.parametrize("scanner", [GLASS, BOX])
def test_a_page_of_a4_comes_whole_straight_and_in_colour_as_png_and_as_pdf(well: Lab, scanner: str) -> None:
    page = read_png(scanned(well, scanner, "page.png"))
    assert is_the_sheet(page) == []
    assert pdf_says(scanned(well, scanner, "page.pdf")) == A4


def test_the_pc_knows_its_own_offices_scanners_and_no_other(well: Lab) -> None:
    def listed() -> list[str]:
        return inside(well, PC, "scanimage", "--formatted-device-list=%d%n").splitlines()

    def driverless() -> list[str]:
        return [each for each in listed() if each.startswith("airscan:")]

    assert eventually(lambda: len(driverless()) == 2), listed()  # one that answers late is left out of the list
    assert all(each.startswith((f"net:{BOX_ADDRESS}:test:", "airscan:")) for each in listed())
    assert eventually(lambda: check(well)[1].count("READY") == 3), check(well)
    assert check(well)[0] == 0


def test_a_scanner_with_a_driver_is_shared_by_sane(well: Lab) -> None:
    page = read_png(scanned(well, SANE, "sane.png"))
    assert page.size == (2362, 2362)  # SANE's test scanner ends at 200 mm
    assert pdf_says(scanned(well, SANE, "sane.pdf"))["pixels"] == (2362, 2362)
    argv = ["scanimage", "-d", f"net:{BOX_ADDRESS}:test:0", "--mode", "Color", "--resolution", "300", "--format=png"]
    argv += ["-x", "200", "-y", "200"]
    coloured = read_png(well.shell(PC, [*argv, "--test-picture", "Color pattern"]).stdout)
    places = range(0, 2362, 47)
    assert len({coloured.at(x, y) for x in places for y in places}) > 50
    jammed = well.shell(PC, [*argv, "--read-return-value", "SANE_STATUS_JAMMED"])
    assert b"Document feeder jammed" in jammed.stderr


def test_a_box_whose_scanner_somebody_scans_with_is_busy_not_unplugged(well: Lab) -> None:
    """Most drivers hide it from others meanwhile; SANE's test scanner does not, and is made slow here."""
    scan = f"scanimage -d net:{BOX_ADDRESS}:test:0 --read-delay=yes --read-delay-duration=200000 --resolution=300"
    scan += " --mode=Color -x 200 -y 200 --format=png --output-file=/tmp/slow.png"
    page_after_page = f"while :; do {scan}; sleep 1; done"
    inside(well, PC, "systemd-run", "--quiet", "--collect", "--unit=somebody", "sh", "-c", page_after_page)
    try:
        assert eventually(lambda: "BUSY" in check(well, SANE)[1], 120), check(well, SANE)
    finally:
        inside(well, PC, "systemctl", "stop", "somebody.service")
    assert eventually(lambda: "READY" in check(well, SANE)[1], 120), check(well, SANE)


def test_what_somebody_did_by_hand_on_the_box_is_taken_back(well: Lab) -> None:
    inside(well, BOX, "sh", "-c", "echo 0.0.0.0/0 >> /etc/sane.d/saned.conf")
    healed = play(well, *PLAY)
    assert (healed.status, list(healed.changed)) == (0, [BOX]), healed.tail
    assert "0.0.0.0/0" not in inside(well, BOX, "cat", "/etc/sane.d/saned.conf")


@pytest.mark.parametrize(
    ("control", "words"),
    [({"fault": "jam"}, "PAPER JAM"), ({"fault": "open"}, "A COVER IS OPEN"), ({"fault": "busy"}, "BUSY"),
     ({"fault": "garbage"}, "ANSWERS RUBBISH"), ({"fault": "refusing"}, "ERROR")],
)  # fmt: skip
def test_what_is_wrong_is_said_and_no_half_page_is_left(well: Lab, control: dict[str, str], words: str) -> None:
    ail(well, GLASS, **control)
    code, said = check(well, GLASS)
    assert words in said
    assert code == (0 if control["fault"] == "busy" else 1)
    code, said = check(well, GLASS, "--scan", "/tmp/none.pdf")
    assert (code, words in said) == (1, True), said
    assert inside(well, PC, "sh", "-c", "ls -A /tmp | grep none || true") == ""


def test_an_empty_feeder_and_one_with_paper(well: Lab) -> None:
    code, said = check(well, GLASS, "--scan", "/tmp/fed.pdf", "--source", "ADF")
    assert (code, "NO PAPER" in said) == (1, True), said
    ail(well, GLASS, feeder=1)
    code, said = check(well, GLASS, "--scan", "/tmp/fed.pdf", "--source", "ADF")
    assert code == 0, said


def test_one_that_is_switched_off_is_silent_and_scans_again_when_it_is_on(well: Lab) -> None:
    well.power(GLASS, "off")
    try:
        code, said = check(well, GLASS)
        assert (code, "SILENT" in said) == (1, True), said
        assert check(well, BOX)[0] == 0
    finally:
        well.power(GLASS, "on")
    assert eventually(lambda: check(well, GLASS)[0] == 0, 180)


def test_the_box_lets_in_its_zone_for_scanning_and_nobody_else(well: Lab) -> None:
    usb, scan, page, other, ssh = (Probe("tcp", BOX_ADDRESS, port) for port in (60000, 6566, 6567, 8080, 22))
    wanted = {
        "tay-ho-pc-2": {usb: True, scan: True, page: True, other: False, ssh: False},
        "controller": {ssh: True, usb: False, scan: False, page: False},
        "buoi-pc-1": {usb: False, scan: False},  # of the same zone, at another office
        "tay-ho-citizen-1": {usb: False, scan: False},
        "tay-ho-wifi-1": {usb: False},
    }
    for host, probes in wanted.items():
        found = answered(well, host, list(probes))
        assert found == {str(probe): said for probe, said in probes.items()}, host
    agent = "http://10.30.0.1:9808"
    assert eventually(lambda: states(well, agent).get(BOX) == "ready", 180), states(well, agent)


def test_nothing_announces_itself_on_the_box(well: Lab) -> None:
    assert inside(well, BOX, "systemctl", "is-active", "saned.socket") == "active"
    masked = well.shell(BOX, ["systemctl", "is-enabled", "avahi-daemon.service", "avahi-daemon.socket"]).stdout.decode()
    assert masked.split() == ["masked", "masked"]
    assert inside(well, BOX, "/sbin/ipp-usb", "check").startswith("Configuration files: OK")
    listening = inside(well, BOX, "ss", "-Hlun")
    assert "5353" not in listening
