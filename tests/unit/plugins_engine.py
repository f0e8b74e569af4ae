"""A host for tests of the engine: real files below a folder, a part whose running state is a file, and systemd played
by a record of what it was told. Also run as a program, to be killed in the middle of a change.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.unit.plugins_support import load

engine = load("module_utils", "wardnet_engine")
candidate = load("module_utils", "wardnet_candidate")
host_module = load("module_utils", "wardnet_host")
parts = load("module_utils", "wardnet_part")
survey = load("module_utils", "wardnet_survey")
transaction = load("module_utils", "wardnet_transaction")
undo = load("module_utils", "wardnet_undo")
way_back = load("module_utils", "wardnet_way_back")


class FakeSystemd(host_module.Host):  # type: ignore[misc]
    """Everything is done but what systemctl and systemd-run are asked for."""

    def attempt(self, argv: Sequence[str], stdin: str | bytes | None = None) -> tuple[int, str, str]:
        if not argv[0].startswith("/usr/bin/system"):
            answer: tuple[int, str, str] = super().attempt(argv, stdin)
            return answer
        record = self.state.parent / "systemd.json"
        timers = set(json.loads(record.read_text())) if record.exists() else set()
        if argv[0] == transaction.SYSTEMD_RUN:
            timers.add(next(word.removeprefix("--unit=") for word in argv if word.startswith("--unit=")))
        elif argv[1] == "stop":
            timers.discard(argv[2].removesuffix(".timer"))
        elif argv[1] == "is-active":
            return (0 if timers & {word.removesuffix(".timer") for word in argv} else 3), "", ""
        record.write_text(json.dumps(sorted(timers)))
        return 0, "", ""

    def timers(self) -> list[str]:
        record = self.state.parent / "systemd.json"
        found: list[str] = json.loads(record.read_text()) if record.exists() else []
        return found


class Plain(parts.Part):  # type: ignore[misc]
    """What runs is the text of a file `running`; `trouble` names the call that goes wrong."""

    name = "shaping"
    files_when: ClassVar[str] = "apply"

    def read(self) -> None:
        given = self.steps[-1].arguments
        self._path, self._wanted, self._trouble = Path(given["running"]), given["wanted"], given.get("trouble", "")
        self._present = self._path.read_text()

    def difference(self) -> Any:
        if self._present == self._wanted:
            return parts.Difference()
        return parts.Difference(missing=(self._wanted,), foreign=(self._present,))

    def judge(self, _root: Path) -> None:
        if self._trouble == "judge":
            raise parts.RefusedError("the way back is refused")

    def undo(self) -> list[Any]:
        back = [parts.UndoCommand(("/usr/bin/tee", str(self._path)), stdin=self._present.encode(), when=parts.ALWAYS)]
        return [parts.UndoCommand(("/bin/false",)), *back] if self._trouble == "back" else back

    def apply(self) -> None:
        self._path.write_text(self._wanted)
        if self._trouble == "hang":
            self.host.run(["/bin/sh", "-c", self.steps[-1].arguments["words"]])
        if self._trouble == "die":
            os._exit(9)
        if self._trouble in ("apply", "back"):
            raise parts.PartError("it does not take", missing=["it"])

    def verify(self) -> None:
        if self._trouble == "verify":
            raise parts.PartError("something else changes it")

    def confirmed(self) -> None:
        if self.steps[-1].arguments.get("trouble") == "confirmed":
            raise parts.PartError("the disk gave up")


class Late(Plain):
    """Its files are written once the change is confirmed."""

    name = "filter"
    files_when = "persist"


def make_host(folder: Path) -> FakeSystemd:
    survey.PARTS = (Plain, Late)
    return FakeSystemd(
        state=folder / "state", library=folder / "library", units=folder / "units", lock=folder / "lock", settle=1.0
    )


def options(run: str = "run-1", **more: Any) -> Any:
    given = {
        "who": "anh@office",
        "run": run,
        "host": "gw",
        "confirm_within": 60,
        "probes": (),
        "min_free": 0,
    }
    return engine.Options(**{**given, **more})


def step(folder: Path, part: str = "shaping", wanted: str = "new", **more: Any) -> dict[str, Any]:
    running = folder / f"running-{part}"
    if not running.exists():
        running.write_text("old")
    arguments = {"running": str(running), "wanted": wanted, **more.pop("arguments", {})}
    return {"role": "a_role", "part": part, part: arguments, **more}


def file(path: Path, content: str, **more: Any) -> dict[str, Any]:
    """A file of the one who runs the tests."""
    import grp
    import pwd

    owner, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    return {"path": str(path), "content": content, "owner": owner, "group": group, **more}


def commit(host: FakeSystemd, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A run of the module that is not confirmed yet."""
    result: dict[str, Any] = engine.commit(host, candidate.read_steps(list(items)), options(**more))
    return result


def confirm(host: FakeSystemd, token: str, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    result: dict[str, Any] = engine.confirm(host, candidate.read_steps(list(items)), options(**more), token)
    return result


if __name__ == "__main__":
    where = Path(sys.argv[1])
    engine.commit(make_host(where), candidate.read_steps(json.loads(sys.argv[2])), options("run-dead"))
