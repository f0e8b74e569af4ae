"""Part `filter`: the running packet filter, held to a ruleset.

    filter: {path: /etc/nftables.conf, service: nftables.service}

`path` is the file of the step that is the ruleset; it begins with `flush ruleset`. The ruleset is loaded into an empty
network namespace and what the kernel makes of it compared with what it runs, so that a rule added, changed, moved or
deleted by hand is found, and any table beside it. It is loaded in one transaction and written to disk once confirmed;
then those connections are forgotten that only the former rules let begin, so that they end. The way back forgets all.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

from ansible.module_utils import wardnet_undo as undo
from ansible.module_utils.wardnet_allowed import Allowed
from ansible.module_utils.wardnet_connections import forget
from ansible.module_utils.wardnet_host import NFT, PYTHON, SYSTEMCTL, CommandError
from ansible.module_utils.wardnet_kernel import parse_ruleset
from ansible.module_utils.wardnet_part import ALWAYS, Difference, Part, PartError, RefusedError, Undo, UndoCommand
from ansible.module_utils.wardnet_units import is_started, unmask
from ansible.module_utils.wardnet_way_back import keep_masks

FORMER = "former-rules.json"  # beside the lock: what ran before the change. After a reboot there are no connections
OF_A_PROGRAM = re.compile(r"\{ # progname .*$")
PRINT = (NFT, "--stateless", "list", "ruleset")


def scratch(*listing: str) -> tuple[str, ...]:
    """The command that loads a ruleset into an empty network namespace and lists what the kernel makes of it."""
    return ("/usr/bin/unshare", "--net", "/bin/sh", "-c", f"{NFT} -f - && {' '.join(listing)}")


class Filter(Part):
    name = "filter"
    files_when = "persist"

    def services(self) -> tuple[str, ...]:
        return (self._service,)

    @property
    def _service(self) -> str:
        return str(self.steps[-1].arguments.get("service") or "nftables.service")

    def read(self) -> None:
        self._there = Path(NFT).exists()
        if not self._there:
            if not self.host.check_mode:
                raise RefusedError(f"{NFT} is not installed")
            return
        self._ruleset = self.content(str(self.steps[-1].arguments.get("path") or "/etc/nftables.conf"))
        code, out, err = self.host.attempt(scratch(NFT, "-j", "list", "ruleset"), self._ruleset)
        if code != 0:
            raise RefusedError(f"the ruleset is refused: {err.strip()}")
        self._intended = parse_ruleset(out)
        self._running = self._list()

    def _list(self) -> list[str]:
        text = self.host.run([NFT, "-j", "list", "ruleset"])
        try:
            return parse_ruleset(text)
        except ValueError:  # nft 1.0.6 breaks off where a table has flags
            return [
                line for table in self.host.run([NFT, "list", "tables"]).splitlines() for line in self._table(table)
            ]

    def _table(self, words: str) -> list[str]:
        """A table, named as 'table inet x', by its objects; where nft cannot say them, as text."""
        _, family, name = words.split(maxsplit=2)
        with suppress(ValueError):
            return parse_ruleset(self.host.attempt([NFT, "-j", "list", "table", family, name])[1])
        text = self.host.attempt([NFT, "--stateless", "list", "table", family, name])[1]
        return [json.dumps({"table": {"family": family, "name": name, "text": text}})]

    def difference(self) -> Difference:
        if not self._there:
            return Difference(missing=("nftables itself",))
        needs = () if is_started(self.host.unit(self._service)) else (f"start {self._service}",)
        if self._running == self._intended:
            return Difference(needs=needs)
        before, after = settled(self.host.run(PRINT)), self.host.run(scratch(*PRINT), self._ruleset)
        running, intended = phrases(before), phrases(after)
        missing = tuple(phrase for phrase in intended if phrase not in running)
        foreign = tuple(phrase for phrase in running if phrase not in intended)
        return Difference(
            missing=missing if missing or foreign else ("the order of the rules",),
            foreign=foreign,
            needs=needs,
            before=before,
            after=after,
            facts={"foreign_tables": self._foreign_tables()},
        )

    def _foreign_tables(self) -> list[str]:
        return sorted(set(tables(self._running)) - set(tables(self._intended)))

    def judge(self, root: Path) -> None:  # noqa: ARG002 - the ruleset has been loaded elsewhere already
        if not self._there:
            return
        owned = [name for name, text in tables(self._running).items() if "flags owner" in text]
        if owned:
            raise RefusedError(
                f"a program that runs here holds the table {', '.join(owned)} (flags owner), which nobody else can "
                "take away, nothing was touched: end that program (`nft list ruleset` names it), then run again"
            )
        self._former = "flush ruleset\n" + settled(self.host.run(PRINT))
        code, _, err = self.host.attempt([NFT, "--check", "--file", "-"], self._former)
        if code != 0:
            others = ", ".join(self._foreign_tables())
            hint = f" (not of wardnet: {others})" if others else ""
            raise RefusedError(
                "the way back is refused: nft does not take the ruleset that runs now as it prints it"
                f"{hint}. Take away what it complains of, then run again: {err.strip()}"
            )

    def undo(self) -> list[Undo]:
        former = UndoCommand((NFT, "--file", "-"), stdin=self._former.encode(), when=ALWAYS)
        masks = keep_masks(self._service)
        if self._running == self._intended:
            return [*masks, former]
        # What began under the rules that are taken back must not outlive them.
        return [*masks, former, UndoCommand((PYTHON, "-I", str(self.host.library / "undo.py"), "forget"))]

    def apply(self) -> None:
        self.host.lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        undo.write(self.host.lock.with_name(FORMER), json.dumps(self._running), 0o600)
        if self._running == self._intended:
            return
        try:
            self.host.run([NFT, "--file", "-"], self._ruleset)
        except CommandError as error:
            raise PartError(str(error)) from error

    def verify(self) -> None:
        if self._list() != self._intended:
            raise PartError("the packet filter still differs after it was loaded: something else changes it")

    def confirmed(self) -> None:
        if any(str(change.path).startswith("/etc/systemd/") for change in self.files):
            self.host.run([SYSTEMCTL, "daemon-reload"])
        if not is_started(self.host.unit(self._service)):
            unmask(self.host, self._service)
            self.host.run([SYSTEMCTL, "enable", "--quiet", self._service])
            self.host.run([SYSTEMCTL, "restart", self._service])
        error = self._end_connections()
        if error:
            self.host.warn(
                f"connections that the former rules allowed go on until they end by themselves (error {error})"
            )

    def _end_connections(self) -> int:
        """A request that waits for its answer must not lose it, so all others are left alone."""
        try:
            former = json.loads(self.host.lock.with_name(FORMER).read_text())
            allowed = Allowed(former, self._list())
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return forget(lambda _: True)
        return forget(allowed.ends) if allowed else 0


def settled(text: str) -> str:
    """A printed ruleset without what packets put into its dynamic sets: they will again."""
    found: list[str] = []
    dynamic = listing = False
    for line in text.splitlines():
        words = line.split()
        if words[:1] in (["set"], ["map"]):
            dynamic = False
        elif words[:1] == ["flags"]:
            dynamic = "dynamic" in words[1].split(",")
        listing = listing or (dynamic and words[:2] == ["elements", "="])
        if listing:
            listing = words[-1] != "}"
            continue
        found.append(line)
    return "".join(f"{line}\n" for line in found)


def phrases(text: str) -> dict[str, None]:
    """The lines of a printed ruleset in order, each with the table and chain that it stands in."""
    found: dict[str, None] = {}
    around: list[str] = []
    for line in (line.strip() for line in text.splitlines()):
        line = OF_A_PROGRAM.sub("{", line)
        if line.endswith("{"):
            around.append(line.removesuffix("{").strip())
            found[", ".join(around)] = None
        elif line == "}":
            around.pop()
        elif line:
            found[f"{', '.join(around)}: {line}"] = None
    return found


def tables(listing: list[str]) -> dict[str, str]:
    """The tables in a listing by name, as 'inet wardnet'; with their text where nft says them in no other way."""
    items = [json.loads(line)["table"] for line in listing if line.startswith('{"table"')]
    return {f"{item['family']} {item['name']}": item.get("text", "") for item in items}
