"""A clerk before the screen: logs in, sees a desktop, types Vietnamese, prints from the browser, leaves, comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.roles.pictures import Page
from tests.roles.roles_support import eventually, inside
from tests.roles.workplaces import printer
from tests.roles.workplaces.screens import PATIENCE, SIZE, Screen, colours, screen
from tests.roles.workplaces.workplaces_support import PASSWORD, PC, as_root

CORNER = (1340, 600)  # of the page in the browser, where nothing stands
WHITE, BAR = (255, 255, 255), (189, 229, 248)  # of a page of Writer's, and of a bar of LibreOffice's above it

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def desktop(workplaces: Lab) -> Iterator[Screen]:
    """Somebody has logged in at the greeter."""
    with screen(workplaces) as shown:
        shown.log_in()
        yield shown


def test_a_desktop_is_shown_with_its_panel(desktop: Screen) -> None:
    assert eventually(lambda: desktop.runs("xfce4-panel"), PATIENCE)
    assert eventually(lambda: colours(desktop.picture("desktop")) > 100, PATIENCE)
    assert desktop.picture("desktop").size == SIZE
    assert "vi_VN.UTF-8" in desktop.clerk("locale | head -1")


def test_vietnamese_is_typed_without_anything_being_set(desktop: Screen) -> None:
    """The session itself has started the input method, by im-config."""
    assert eventually(lambda: desktop.runs("fcitx5"), PATIENCE)
    desktop.clerk("rm -f ~/typed")
    desktop.start("sh -c 'zenity --entry --title=thu --text=ten > ~/typed'")
    assert desktop.shows("^thu$")
    desktop.type("phuwowngf Buwowir")
    desktop.picture("typing")
    desktop.key("Return")
    assert eventually(lambda: desktop.clerk("cat ~/typed") == "phường Bưởi", PATIENCE), desktop.clerk("cat ~/typed")


def test_the_screen_locks_by_itself_and_only_the_password_opens_it(desktop: Screen) -> None:
    assert "timeout:  600    cycle:  600" in desktop.clerk("xset q")
    desktop.clerk("xset s 2 2")
    try:
        assert eventually(lambda: desktop.runs("xsecurelock"), PATIENCE)
    finally:
        desktop.clerk("xset s 600 600")
    assert eventually(lambda: colours(desktop.picture("locked")) < 50, PATIENCE), "the desktop is still seen"
    desktop.key("Escape")
    desktop.type("sai")
    desktop.picture("lock")
    desktop.key("Return")
    assert desktop.runs("xsecurelock")
    desktop.type(PASSWORD)
    desktop.key("Return")
    assert eventually(lambda: not desktop.runs("xsecurelock"), PATIENCE)
    assert eventually(lambda: colours(desktop.picture("unlocked")) > 100, PATIENCE)


def test_a_page_of_the_portal_is_looked_at_and_printed(desktop: Screen) -> None:
    """What blocks all other addresses must not block the browser's own for its preview."""
    lab = desktop.lab
    printer.install(lab)
    with printer.switched_on(lab):
        inside(lab, PC, "systemctl", "start", "wardnet-printers.service")
        desktop.start("chromium --start-maximized")
        assert desktop.shows("^Thủ tục hành chính")
        assert eventually(lambda: colours(desktop.picture("chromium")) > 100, PATIENCE)
        shown = desktop.picture("chromium").at(*CORNER)
        desktop.key("ctrl+p")
        assert eventually(lambda: desktop.picture("preview").at(*CORNER) != shown, PATIENCE)  # behind the dialog
        desktop.key("Return")
        assert eventually(lambda: printer.arrived(lab), PATIENCE), as_root(lab, "lpstat -W all -o -l")
        page = printer.page(lab)
    desktop.key("ctrl+q")
    assert "Thủ tục hành chính" in lab.shell(PC, ["pdftotext", "-", "-"], stdin=page).stdout.decode()
    assert "(A4)" in lab.shell(PC, ["pdfinfo", "-"], stdin=page).stdout.decode()


def test_a_document_is_begun_without_anything_standing_before_it(desktop: Screen) -> None:
    desktop.clerk("rm -rf ~/.config/libreoffice")  # somebody's first time
    desktop.start("soffice --norestore --writer")
    assert desktop.shows("^Không tên 1 .*LibreOffice Writer$")
    try:
        assert eventually(lambda: points(desktop.picture("writer"), WHITE) > 5000, PATIENCE), "the page"
        desktop.type("Kinhs guwir")
        assert points(desktop.picture("writer"), BAR) < 100, "a bar above the page"
        assert not desktop.window("(Tip of the Day|Mẹo trong ngày)")
    finally:
        desktop.clerk("pkill soffice.bin; true")


def points(page: Page, colour: tuple[int, int, int]) -> int:
    """How many of every fourth point have the colour."""
    width, height = page.size
    return sum(page.at(x, y) == colour for y in range(0, height, 4) for x in range(0, width, 4))


def test_firefox_trusts_the_districts_authority_and_refuses_other_sites(desktop: Screen) -> None:
    desktop.start("firefox-esr")
    assert desktop.shows("^Thủ tục hành chính.*Firefox"), "the portal is the start page, over HTTPS"
    desktop.picture("firefox")
    desktop.start("firefox-esr https://www.congcong.example/")
    assert desktop.shows("^Trang bị chặn.*Firefox"), "it speaks Vietnamese"
    desktop.picture("firefox-refused")
    desktop.clerk("pkill firefox; true")
