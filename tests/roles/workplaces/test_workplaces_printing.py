"""A page from a clerk's PC to a printer that stands in the ward's network."""

from __future__ import annotations

import pytest

from lab import Lab
from tests.roles.roles_support import eventually, inside
from tests.roles.workplaces import printer
from tests.roles.workplaces.workplaces_support import PC, as_clerk, as_root

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(3600)]

SENTENCE = "Giấy khai sinh, phường Bưởi, quận Tây Hồ"


def queues(lab: Lab) -> str:
    """By name, the default one marked."""
    return as_clerk(lab, "lpstat -e 2>/dev/null; lpstat -d 2>/dev/null; true")


def said_on(lab: Lab, page: bytes) -> str:
    """The text of a PDF."""
    return lab.shell(PC, ["pdftotext", "-", "-"], stdin=page).stdout.decode()


def look_for_printers(lab: Lab) -> None:
    """What the timer does every five minutes."""
    inside(lab, PC, "systemctl", "start", "wardnet-printers.service")


def test_a_printer_that_was_off_is_found_later_and_prints(pc: Lab) -> None:
    printer.install(pc)
    as_root(pc, f"lpadmin -x {printer.QUEUE} 2>/dev/null; true")
    look_for_printers(pc)
    assert printer.QUEUE not in queues(pc)
    said = as_root(pc, "journalctl -u wardnet-printers --no-pager -o cat -n 20")
    assert f"asked again later: {printer.QUEUE}" in said
    due = inside(pc, PC, "systemctl", "show", "--property=NextElapseUSecMonotonic", "--value", "wardnet-printers.timer")
    assert due not in ("", "0", "infinity"), "it is not asked again"
    with printer.switched_on(pc):
        look_for_printers(pc)
        assert f"destination: {printer.QUEUE}" in queues(pc), queues(pc)
        as_clerk(
            pc,
            f"printf '%s' '{SENTENCE}' > ~/page.txt && soffice --headless --pt {printer.QUEUE} ~/page.txt",
            timeout=600,
        )
        assert eventually(lambda: printer.arrived(pc), 300), as_root(pc, "lpstat -W all -o -l; lpstat -l -p")
        page = printer.page(pc)
    assert SENTENCE in said_on(pc, page)
    assert "(A4)" in pc.shell(PC, ["pdfinfo", "-"], stdin=page).stdout.decode()


def test_a_queue_that_somebody_made_by_hand_goes(pc: Lab) -> None:
    as_root(pc, "lpadmin -p tay-lam -E -v ipp://10.20.1.41/ipp/print -m raw")
    assert "tay-lam" in queues(pc)
    look_for_printers(pc)
    assert "tay-lam" not in queues(pc)
