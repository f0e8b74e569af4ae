"""A kiosk's session with its windows, keys and clock played to it: what is seen there, and what the browser hears."""

from __future__ import annotations

import importlib
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.plugins_support import ROOT

FILES = ROOT / "roles" / "kiosk" / "files"
CONFIGURATION = {
    "idle_seconds": 180, "warning_seconds": 30, "change_waits_seconds": 3600, "offline_after_seconds": 25, "reads": [],
    "refresh_seconds": 0, "scanners": [{"id": "desk", "name": "Máy quét"}], "page": "https://portal.example/",
}  # fmt: skip


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The program, which finds its parts beside it."""
    beside = [path.stem for path in FILES.glob("*.py")]
    former = {name: sys.modules.pop(name) for name in beside if name in sys.modules}
    monkeypatch.syspath_prepend(str(FILES))
    yield importlib.import_module("session")
    for name in beside:
        sys.modules.pop(name, None)
    sys.modules.update(former)
    sys.path[:] = [path for path in sys.path if path != str(FILES)]


class Played:
    """A kiosk that begins at second 1000; `now` is what its clocks say, `touched` when its screen was touched last."""

    def __init__(self, session: ModuleType, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        (home / "Ban-quet").mkdir()
        monkeypatch.setenv("HOME", str(home))
        self.now, self.slept, self.touched = 1000.0, 0.0, 990.0
        self.seen: Any = None  # the page that is drawn
        self.drawn = 0
        self.pressed: list[str] = []
        self.ended: list[str] = []
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "clock_gettime", lambda _: self.now + self.slept)
        monkeypatch.setattr(session, "idle_seconds", lambda: self.now - self.touched)
        monkeypatch.setattr(session, "ran", self._ran)
        monkeypatch.setattr(session, "log", lambda _: None)
        self.kiosk = session.Kiosk(dict(CONFIGURATION), session.digest([]))
        self.kiosk.pages = session.Pages(self._draw)
        monkeypatch.setattr(self.kiosk, "end", lambda why, **_: self.ended.append(why))
        monkeypatch.setattr(self.kiosk, "scan", lambda _: None)
        self.connected = True

    def _ran(self, *argv: str) -> bool:
        self.pressed.append(argv[-1])
        return True

    def _draw(self, page: Any) -> None:
        self.seen = page
        self.drawn += 1

    @property
    def shows(self) -> str | None:
        return None if self.seen is None else self.seen.kind

    def at(self, seconds: float, *, touched: bool = False) -> None:
        """The clock's next tick, at this time."""
        self.now = seconds
        if touched:
            self.touched = seconds
        if self.connected:
            self.kiosk.line.heard(seconds)
        self.kiosk.tick()

    def push(self, text: str) -> None:
        (pressed,) = [action for label, action, _ in self.seen.buttons if label == text]
        pressed()


@pytest.fixture
def kiosk(session: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    return Played(session, monkeypatch, tmp_path)


def test_the_browser_hears_of_a_file_that_is_not_chosen_whatever_takes_the_pages_place(kiosk: Played) -> None:
    answers: list[Path | None] = []
    kiosk.kiosk.ask_for_file(answers.append)
    assert kiosk.shows == "choose"
    kiosk.kiosk.ask_to_scan()  # as the text says that one should, where there is no scan yet
    assert answers == [None]
    kiosk.kiosk.ask_for_file(answers.append)
    kiosk.push("Đóng")
    assert answers == [None, None]
    kiosk.kiosk.ask_for_file(answers.append)
    kiosk.kiosk.go("XF86HomePage")
    assert answers == [None] * 3
    assert kiosk.shows is None
    kiosk.kiosk.ask_for_file(answers.append)
    kiosk.kiosk.ask_for_file(answers.append)  # of another page
    assert answers == [None] * 4
    assert kiosk.shows == "choose"


def test_what_the_line_or_the_clock_has_to_say_leaves_the_choice_of_a_file_open(kiosk: Played) -> None:
    kiosk.at(1001, touched=True)
    (kiosk.kiosk.home / "Ban-quet" / "trang-1.pdf").touch()
    answers: list[Path | None] = []
    kiosk.kiosk.ask_for_file(answers.append)
    kiosk.connected = False
    kiosk.at(1100)
    assert kiosk.shows == "choose"
    kiosk.at(1190)
    assert kiosk.shows == "warning"
    kiosk.at(1192, touched=True)
    assert kiosk.shows == "choose"
    kiosk.push("trang-1.pdf")
    assert answers[0] == kiosk.kiosk.home / "Ban-quet" / "trang-1.pdf"
    kiosk.at(1193)
    assert kiosk.shows == "offline"


def test_a_guest_is_warned_while_the_line_is_down(kiosk: Played) -> None:
    kiosk.at(1001, touched=True)
    kiosk.connected = False
    kiosk.at(1060)
    assert kiosk.shows == "offline"
    kiosk.at(1182)
    assert kiosk.shows == "warning"
    kiosk.at(1190, touched=True)
    assert kiosk.shows == "offline"
    assert kiosk.ended == []
    kiosk.at(1401)
    assert kiosk.ended == ["nobody has touched the screen"]


def test_a_guest_ends_the_sitting_while_the_line_is_down(kiosk: Played) -> None:
    kiosk.connected = False
    kiosk.at(1060, touched=True)
    kiosk.kiosk.ask_to_finish()
    kiosk.at(1061)
    assert kiosk.shows == "finish"
    kiosk.push("Tiếp tục làm")
    assert kiosk.shows == "offline"
    kiosk.kiosk.ask_to_finish()
    kiosk.push("Kết thúc, xóa dữ liệu")
    assert kiosk.ended == ["the guest has finished"]


def test_the_seconds_of_a_warning_are_told_in_the_page_that_is_there(kiosk: Played, session: ModuleType) -> None:
    kiosk.at(1001, touched=True)
    kiosk.at(1190)
    first = kiosk.seen
    kiosk.at(1195)
    assert (first.text, kiosk.seen.text) == tuple(session.words.WARN_TEXT.format(seconds=left) for left in (21, 16))
    assert kiosk.seen.only_text_differs(first)
    offline = session.Page("offline", "", "")
    assert not offline.only_text_differs(first)


def test_one_choice_of_a_file_is_drawn_anew_in_the_place_of_another(kiosk: Played) -> None:
    kiosk.kiosk.ask_for_file(lambda _: None)
    first = kiosk.seen
    kiosk.kiosk.ask_for_file(lambda _: None)
    assert not kiosk.seen.only_text_differs(first), "its buttons would answer the first"


def test_a_tap_on_the_bar_is_a_touch_although_the_kiosk_presses_the_key(kiosk: Played) -> None:
    kiosk.at(1001, touched=True)
    kiosk.at(1201)
    assert kiosk.shows == "warning"
    kiosk.now = kiosk.touched = 1202
    kiosk.kiosk.go("XF86HomePage")
    kiosk.at(1203)
    assert kiosk.pressed == ["XF86HomePage"]
    assert kiosk.shows is None
    kiosk.at(1222)
    assert kiosk.ended == []


def test_whoever_wakes_a_machine_does_not_find_the_sitting_of_the_one_before(kiosk: Played) -> None:
    kiosk.at(1001, touched=True)
    kiosk.at(1002)
    assert kiosk.ended == []
    kiosk.slept = 3600  # of which the clock of the screen and of the sitting knows nothing
    kiosk.at(1003)
    assert kiosk.ended == ["the machine has been asleep"]


class Bus:
    """The session's bus, as far as a chooser is there for it: keeps what it sends."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []

    def emit_signal(self, to: str, handle: str, _face: str, name: str, content: Any) -> None:
        assert name == "Response"
        self.sent.append((to, handle, content))


@pytest.fixture
def chooser(session: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with D-Bus played to it: a variant is what it is made of, and what is for later is done at once."""
    made = types.SimpleNamespace(Variant=lambda _, content: content, idle_add=lambda do: do())
    bus = types.SimpleNamespace(
        BusType=types.SimpleNamespace(SESSION=None), BusNameOwnerFlags=types.SimpleNamespace(NONE=None),
        bus_own_name=lambda *_: None,
    )  # fmt: skip
    repository = types.ModuleType("gi.repository")
    repository.GLib, repository.Gio = made, bus  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gi", types.ModuleType("gi"))
    monkeypatch.setitem(sys.modules, "gi.repository", repository)
    return importlib.import_module("chooser")


def call(one: Any, bus: Bus, method: str) -> str:
    """The browser calls; the handle that it is given."""
    handles: list[str] = []
    made = types.SimpleNamespace(return_value=lambda content: handles.append(content[0]))
    given = types.SimpleNamespace(unpack=lambda: ("", "", {"handle_token": "t1"}))
    one._called(bus, ":1.7", "", "", method, given, made)
    return handles[0]


def test_each_request_for_a_file_is_answered_once(chooser: ModuleType, kiosk: Played) -> None:
    bus, one = Bus(), chooser.Chooser(kiosk.kiosk.ask_for_file)
    (kiosk.kiosk.home / "Ban-quet" / "trang-1.pdf").touch()
    handle = call(one, bus, "OpenFile")
    assert handle == "/org/freedesktop/portal/desktop/request/1_7/t1"
    assert bus.sent == []
    kiosk.push("trang-1.pdf")
    uri = (kiosk.kiosk.home / "Ban-quet" / "trang-1.pdf").as_uri()
    assert bus.sent == [(":1.7", handle, (0, {"uris": [uri]}))]
    call(one, bus, "OpenFile")
    kiosk.kiosk.ask_to_finish()
    assert bus.sent[1:] == [(":1.7", handle, (1, {}))]
    call(one, bus, "SaveFile")
    assert bus.sent[2:] == [(":1.7", handle, (1, {}))]
    assert kiosk.shows == "finish", "nothing is ever saved, nor asked about it"
