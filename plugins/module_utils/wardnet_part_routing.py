"""Part `routing`: what FRR runs, as far as its configuration says it.

    routing: {path: /etc/frr/frr.conf, daemons: /etc/frr/daemons}
    routing: {off: true}      # nothing is learned: FRR is stopped, now and for the next boot

The running configuration of all daemons is compared with the candidate's file, line by line with the section that a
line stands in. FRR writes lines in an order of its own, and says some that nobody wrote; neither is a difference.
A change goes in by FRR's own reload, which leaves sessions alone that it does not concern; a change of which daemons
run, by a restart. The way back is the same with the former files, or with what ran where they said something else.
Whether neighbours answer is the probes' business.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path

from ansible.module_utils.wardnet_host import SYSTEMCTL, CommandError
from ansible.module_utils.wardnet_part import (
    RUNNING,
    Difference,
    Part,
    PartError,
    RefusedError,
    Undo,
    UndoCommand,
    UndoFile,
)
from ansible.module_utils.wardnet_units import Times, decide, is_started, unmask
from ansible.module_utils.wardnet_way_back import keep_masks

# Before the secret itself, in a line of FRR's.
SECRET = re.compile(r"\b((?:area-|domain-)?password(?: clear| md5| \d+)?|key-string|authentication-key|md5) \S.*")
VTYSH = "/usr/bin/vtysh"
RELOAD = "/usr/lib/frr/frr-reload.py"  # what the service's own reload runs
FORMER = Path("/var/lib/wardnet/former-frr.conf")
FRR = "frr.service"
NEVER = Times(0, 0, 0, 0)
# Said by every daemon, or about the program and not about what it does.
SAID = ("Building configuration", "Current configuration", "frr version", "frr defaults", "hostname ", "end",
        "service integrated-vtysh-config", "exit", "log ")  # fmt: skip


def parse_lines(text: str) -> frozenset[str]:
    """The lines of a configuration, each behind the sections it stands in: 'router bgp 64512 / timers bgp 10 30'."""
    found, sections = set(), []
    for line in text.splitlines():
        words = line.strip()
        if not words or words.startswith(("!", "#", *SAID)):
            continue
        depth = len(line) - len(line.lstrip())
        sections = [(at, name) for at, name in sections if at < depth]
        found.add(" / ".join([*(name for _, name in sections), words]))
        sections.append((depth, words))
    return frozenset(found)


def in_words(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines as they are told, without secrets."""
    return tuple(sorted(SECRET.sub(r"\1 ...", line) for line in lines))


def read_text(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""


class Routing(Part):
    name = "routing"

    def services(self) -> tuple[str, ...]:
        return (FRR,)

    @property
    def _off(self) -> bool:
        return any(step.arguments.get("off") for step in self.steps)

    def read(self) -> None:
        arguments = [step.arguments for step in self.steps]
        self._was_active = self.host.unit(FRR).get("ActiveState") == "active"
        if self._off:
            return
        self._path = str(next((each["path"] for each in arguments if each.get("path")), "/etc/frr/frr.conf"))
        self._daemons = str(next((each["daemons"] for each in arguments if each.get("daemons")), "/etc/frr/daemons"))
        self._intended = parse_lines(self.content(self._path))
        self._ran = ""
        self._running = self._look() if self._was_active else None

    def _look(self) -> frozenset[str] | None:
        """None where FRR does not answer."""
        code, out, _ = self.host.attempt([VTYSH, "-c", "show running-config"])
        if code != 0:
            return None
        said = (line for line in out.splitlines() if not line.startswith(("Building conf", "Current conf")))
        self._ran = self._ran or "\n".join([*said, ""])
        return parse_lines(out)

    def difference(self) -> Difference:
        if self._off:
            return Difference(needs=tuple(f"{verb} {FRR}" for verb in self._verbs_to_end()))
        running = self._running or frozenset()
        return Difference(
            missing=in_words(self._intended - running),
            foreign=in_words(running - self._intended),
            needs=() if self._running is not None and is_started(self.host.unit(FRR)) else (f"start {FRR}",),
        )

    def _verbs_to_end(self) -> list[str]:
        """As state 'off' of a unit has them."""
        return decide({"name": FRR, "state": "off"}, self.host.unit(FRR), NEVER)

    def judge(self, root: Path) -> None:
        if self._off:
            return
        if not Path(VTYSH).exists():
            if self.host.check_mode:
                return
            raise RefusedError(f"{VTYSH} is not installed: the candidate's package frr brings it")
        candidate = str(root / self._path.lstrip("/"))
        code, out, err = self.host.attempt([VTYSH, "-C", "-f", candidate])
        if code != 0:
            raise RefusedError(f"FRR refuses {self._path}: {(out + err).strip()}")

    def undo(self) -> list[Undo]:
        if self._off:
            return [UndoCommand((SYSTEMCTL, "start", FRR))] if self._was_active else []
        if not self._was_active:
            return [*keep_masks(FRR), UndoCommand((SYSTEMCTL, "stop", FRR), harmless=("not loaded",))]
        back: list[Undo] = []
        if self._ran and parse_lines(read_text(self._path)) != self._running:
            # Somebody has edited the file, or typed what is not in it: what ran is brought, not the file.
            back = [UndoFile(str(FORMER), self._ran.encode(), mode=0o600, when=RUNNING)]
            back.append(UndoCommand(("/bin/sh", "-ec", f"{RELOAD} --reload {FORMER}; rm -f {FORMER}")))
        if back and self._verb() == "reload":
            return back
        return [UndoCommand((SYSTEMCTL, self._verb(), FRR)), *back]

    def _verb(self) -> str:
        restart = self._running is None or any(
            str(change.path) == self._daemons and not change.quiet for change in self.files
        )
        return "restart" if restart else "reload"

    def apply(self) -> None:
        try:
            if not self._off:
                unmask(self.host, FRR)
            self.host.run([SYSTEMCTL, "stop" if self._off else self._verb(), FRR])
        except CommandError as error:
            raise PartError(f"routing: {error}") from error
        if self._off:
            return
        begun = time.monotonic()
        while self._look() != self._intended:
            if time.monotonic() > begun + self.host.settle:
                running = self._look() or frozenset()
                raise PartError(
                    "FRR does not come to what is intended: see missing and foreign",
                    missing=list(in_words(self._intended - running)),
                    foreign=list(in_words(running - self._intended)),
                )
            time.sleep(0.5)

    def confirmed(self) -> None:
        self.host.run([SYSTEMCTL, "disable" if self._off else "enable", "--quiet", FRR])
