"""Who is root beside root, and that locking them can be taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import load

access, candidate, host_module, undo, way_back = (
    load("module_utils", f"wardnet_{name}") for name in ("part_access", "candidate", "host", "undo", "way_back")
)

PASSWD = "root:x:0:0::/root:/bin/bash\ntoor:x:0:0::/:/bin/sh\nadmin:x:0:0::/:/bin/sh\nme:x:1000:1000::/:/bin/sh\n"
LOCKED = "toor:x:0:0::/:/usr/sbin/nologin\n"


class Host(host_module.Host):  # type: ignore[misc]
    def run(self, argv: Any, _stdin: Any = None) -> str:
        self.warnings.append(" ".join(argv))
        return ""


def made(etc: Path, **arguments: Any) -> Any:
    step = {"role": "r", "part": "access", "access": arguments}
    part = access.Access(candidate.read_steps([step]), Host())
    part.etc = etc
    part.read()
    return part


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    for name in access.FILES:
        (tmp_path / name).write_text("")
    (tmp_path / "passwd").write_text(PASSWD)
    return tmp_path


def test_another_root_is_locked_but_never_who_manages_the_host(etc: Path) -> None:
    part = made(etc, root=["admin"])
    assert part.difference().foreign == ("account toor, which is root",)
    assert str(etc / "shadow") in [entry.path for entry in part.undo() if hasattr(entry, "path")]
    part.apply()
    assert part.host.warnings == ["/usr/sbin/usermod --lock --expiredate=1 --shell=/usr/sbin/nologin toor"]


def test_who_is_locked_is_nobody_and_no_role_needs_to_ask(etc: Path) -> None:
    assert not made(etc).difference()
    (etc / "passwd").write_text(LOCKED)
    (etc / "shadow").write_text("toor:!:19000:0:99999:7::1:\n")
    assert not made(etc, root=[]).difference()
    assert [entry for entry in made(etc, root=[]).undo() if hasattr(entry, "path")] == []


def test_a_power_cut_keeps_no_account_that_nobody_has_confirmed(etc: Path) -> None:
    """Early in a boot the files come back; later, when others may have changed theirs, userdel takes this one."""
    part = made(etc, accounts=[{"name": "nobody-yet", "home": "/nonexistent"}])
    entries = [way_back.plain("access", entry) for entry in part.undo()]
    assert ["userdel" in str(each.get("argv")) for each in entries if each["when"] == "running"] == [True, False]
    for name in ("passwd", "shadow", "group"):
        with (etc / name).open("a") as stream:
            stream.write("nobody-yet:x:990:990::/nonexistent:/bin/sh\n")
    assert undo.go_through([each for each in entries if each["kind"] == "file"], "running") == []
    assert "nobody-yet" in (etc / "passwd").read_text()
    assert undo.go_through(entries, "boot") == []
    assert (etc / "passwd").read_text() == PASSWD
    assert [(etc / name).read_text() for name in ("shadow", "group")] == ["", ""]
