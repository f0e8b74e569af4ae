"""Which file goes into a form: asked by the browser over the session's bus, as a desktop's portal is (the interface
org.freedesktop.portal.FileChooser). Only what was scanned in this sitting is offered; nothing is ever saved.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gi.repository import Gio, GLib

NAME, OBJECT = "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop"
CHOSEN, CANCELLED = 0, 1
INTERFACES = """
<node>
  <interface name="org.freedesktop.portal.FileChooser">
    <method name="OpenFile">
      <arg type="s" direction="in"/><arg type="s" direction="in"/>
      <arg type="a{sv}" direction="in"/><arg type="o" direction="out"/>
    </method>
    <method name="SaveFile">
      <arg type="s" direction="in"/><arg type="s" direction="in"/>
      <arg type="a{sv}" direction="in"/><arg type="o" direction="out"/>
    </method>
    <property name="version" type="u" access="read"/>
  </interface>
</node>
"""

Answer = Callable[[Path | None], None]


class Chooser:
    """`ask` is called with a function that takes the file that the guest has chosen, or None. Its first answer counts;
    until there is one the page's form opens no other."""

    def __init__(self, ask: Callable[[Answer], None]) -> None:
        self._ask = ask
        Gio.bus_own_name(Gio.BusType.SESSION, NAME, Gio.BusNameOwnerFlags.NONE, self._serve, None, None)

    def _serve(self, bus: Any, _name: str) -> None:
        (interface,) = Gio.DBusNodeInfo.new_for_xml(INTERFACES).interfaces
        bus.register_object(OBJECT, interface, self._called, lambda *_: GLib.Variant("u", 4), None)

    def _called(self, bus: Any, sender: str, _path: str, _face: str, method: str, given: Any, call: Any) -> None:
        options = given.unpack()[2]
        token = str(options.get("handle_token", "wardnet"))
        handle = f"{OBJECT}/request/{sender.lstrip(':').replace('.', '_')}/{token}"
        call.return_value(GLib.Variant("(o)", (handle,)))

        answered = False

        def answer(file: Path | None) -> None:
            nonlocal answered
            if answered:
                return
            answered = True
            found = {"uris": GLib.Variant("as", [file.as_uri()])} if file else {}
            bus.emit_signal(
                sender, handle, "org.freedesktop.portal.Request", "Response",
                GLib.Variant("(ua{sv})", (CHOSEN if file else CANCELLED, found)),
            )  # fmt: skip

        if method == "OpenFile":
            GLib.idle_add(lambda: self._ask(answer))
        else:
            GLib.idle_add(lambda: answer(None))
