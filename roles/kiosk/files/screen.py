"""The windows of a kiosk beside the browser: the bar at the top, the line above the keyboard, what lies over pages.

None of them takes the keyboard's focus, which stays with the page. The window manager does not see them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gi
from pages import Button, Page

gi.require_version("Gtk", "3.0")
gi.require_version("Gdk", "3.0")

from gi.repository import Gdk, Gtk  # noqa: E402 - the versions must have been said

STYLE = b"""
window { background: #7a1416; color: #ffffff; }
window.over { background: #f6f7f9; color: #222222; }
window.hint { background: #30343a; color: #ffffff; }
label { font-family: 'DejaVu Sans'; }
.title { font-size: 22px; font-weight: bold; }
.line { font-size: 15px; }
.hint button { font-size: 14px; padding: 0 12px; margin: 3px; }
.large { font-size: 40px; font-weight: bold; }
.text { font-size: 22px; }
button { font-family: 'DejaVu Sans'; font-size: 19px; padding: 4px 18px; margin: 6px; color: #222222;
  background: #ffffff; border: 1px solid #c8c8d0; border-radius: 6px; box-shadow: none; text-shadow: none; }
button.finish { background: #ffd54a; font-weight: bold; }
"""


def dress() -> None:
    provider = Gtk.CssProvider()
    provider.load_from_data(STYLE)
    Gtk.StyleContext.add_provider_for_screen(Gdk.Screen.get_default(), provider, 600)


def size() -> tuple[int, int]:
    """Width and height of the screen in pixels."""
    root = Gdk.Screen.get_default().get_root_window()
    return root.get_width(), root.get_height()


def managed() -> bool:
    """Whether a window manager has begun."""
    return bool(Gdk.Screen.get_default().supports_net_wm_hint(Gdk.Atom.intern("_NET_WM_STATE_FULLSCREEN", False)))


def pane(area: tuple[int, int, int, int], look: str) -> Any:
    """A window of its own at (x, y, width, height)."""
    x, y, width, height = area
    window = Gtk.Window(type=Gtk.WindowType.POPUP)
    window.set_title("wardnet kiosk")
    window.get_style_context().add_class(look)
    window.set_accept_focus(False)
    window.set_size_request(width, height)
    window.move(x, y)
    return window


def label(text: str, look: str) -> Any:
    made = Gtk.Label(label=text)
    made.set_line_wrap(True)
    made.set_justify(Gtk.Justification.CENTER)
    made.get_style_context().add_class(look)
    return made


def button(made_of: Button) -> Any:
    text, pressed, look = made_of
    made = Gtk.Button(label=text)
    made.set_can_focus(False)
    if look:
        made.get_style_context().add_class(look)
    made.connect("clicked", lambda _: pressed())
    return made


def bar(area: tuple[int, int, int, int], title: str, left: Sequence[Button], right: Sequence[Button]) -> Any:
    window = pane(area, "bar")
    row = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL)
    for each in left:
        row.pack_start(button(each), False, False, 0)
    row.set_center_widget(label(title, "title"))
    for each in right:
        row.pack_end(button(each), False, False, 0)
    window.add(row)
    window.show_all()
    return window


def hint(area: tuple[int, int, int, int], text: str, switch: Button) -> Any:
    window = pane(area, "hint")
    row = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL)
    row.pack_start(label(text, "line"), True, True, 0)
    row.pack_end(button(switch), False, False, 0)
    window.add(row)
    window.show_all()
    return window


class Over:
    """Draws one page of the kiosk's own over those of the browser; another takes its place, None takes it away."""

    def __init__(self, area: tuple[int, int, int, int]) -> None:
        self._area = area
        self._window: Any = None
        self._text: Any = None
        self._page: Page | None = None

    def show(self, page: Page | None) -> None:
        before, self._page = self._page, page
        if page is not None and before is not None and page.only_text_differs(before):
            self._text.set_text(page.text)
            return
        if self._window is not None:
            self._window.destroy()
        self._window = self._text = None
        if page is None:
            return
        self._window = pane(self._area, "over")
        column = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=24)
        column.set_valign(Gtk.Align.CENTER)
        column.pack_start(label(page.title, "large"), False, False, 0)
        self._text = label(page.text, "text")
        column.pack_start(self._text, False, False, 0)
        row = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL)
        row.set_halign(Gtk.Align.CENTER)
        for each in page.buttons:
            row.pack_start(button(each), False, False, 12)
        column.pack_start(row, False, False, 0)
        self._window.add(column)
        self._window.show_all()
        self._window.get_window().raise_()
