"""What differs on a host from its candidate: files, packages, units and all guarded parts, read once and compared three
ways: what runs, what is on disk, what is intended. Changes nothing. Standard library only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible.module_utils import wardnet_after as after
from ansible.module_utils import wardnet_drop_ins as drop_ins
from ansible.module_utils import wardnet_packages as packages
from ansible.module_utils import wardnet_taken_up as taken_up
from ansible.module_utils import wardnet_units as units
from ansible.module_utils.wardnet_bundle import Bundle, Change, read_bundle
from ansible.module_utils.wardnet_bundle_entries import BundleError
from ansible.module_utils.wardnet_candidate import GUARDED, UNGUARDED, CandidateError, Step, read_step
from ansible.module_utils.wardnet_confirmed import hash_of, paths_of_others, read_confirmed, write_confirmed
from ansible.module_utils.wardnet_host import CommandError, Host
from ansible.module_utils.wardnet_lost import Lost, read_lost
from ansible.module_utils.wardnet_part import Difference, Part, PartError, RefusedError
from ansible.module_utils.wardnet_parts import PARTS
from ansible.module_utils.wardnet_written import read_written

# A candidate of an earlier wardnet may have another shape.
UNREADABLE = (
    *(RefusedError, PartError, CommandError, BundleError, CandidateError),
    *(OSError, LookupError, ValueError, TypeError, AttributeError),
)
SHOWN = 20  # items of drift a part; the rest are counted


@dataclass
class Survey:
    """`changes` by the step's key, `differences` by the part's name; units as (verb, unit). `partial` where the
    candidate is not all that the host is made of: what other roles brought before is no foreign thing to it."""

    host: Host
    steps: tuple[Step, ...]
    partial: bool = False
    bundles: dict[str, Bundle] = field(default_factory=dict)
    changes: dict[str, list[Change]] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    differences: dict[str, Difference] = field(default_factory=dict)
    due_packages: list[str] = field(default_factory=list)
    due_units: list[tuple[str, str]] = field(default_factory=list)
    owed: list[str] = field(default_factory=list)  # commands after files that an earlier run left
    conditional: frozenset[str] = frozenset()  # units whose own conditions may leave them out here
    lost: dict[str, Lost] = field(default_factory=dict)  # by the part's name

    @property
    def guarded(self) -> tuple[Part, ...]:
        """Guarded parts that differ, in the order in which they are applied."""
        return tuple(part for part in self.parts if part.files or self.differences.get(part.name))

    @property
    def differs(self) -> bool:
        return bool(any(self.changes.values()) or self.guarded or self.due_packages or self.due_units or self.owed)

    def all_changes(self, part: str | None = None) -> list[Change]:
        return [
            change
            for step in self.steps
            if part is None or step.part == part
            for change in self.changes.get(step.key, [])
        ]

    def read_files(self, beside: frozenset[Path] = frozenset()) -> None:
        """Compares all files. Owners need not exist yet. No purge takes away what is `beside` them."""
        if self.partial:
            beside |= paths_of_others(self.host, {step.role for step in self.steps})
        contents: dict[str, Any] = {}
        for step in self.steps:
            for item in step.files:
                known = contents.setdefault(item["path"], (item.get("content"), item.get("link"), str(step)))
                if known[:2] != (item.get("content"), item.get("link")):
                    raise CandidateError(f"{item['path']} is given differently by {known[2]} and {step}")
        every = frozenset(Path(item["path"]) for step in self.steps for item in step.files) | beside
        of_parts = [
            (step.key, part((step,), self.host)) for step in self.steps for part in PARTS if part.name == step.part
        ]
        lent = drop_ins.lent(self.steps, {key: part.services() for key, part in of_parts})
        for step in self.steps:
            folders = (*step.directories, *lent.get(step.key, ()))
            bundle = read_bundle(step.files, folders, lenient=True, beside=every)
            self.bundles[step.key] = bundle
            self.changes[step.key] = bundle.changes()

    def read_owed(self) -> None:
        self.owed = after.words_owed(self.host, self.steps)

    def read_packages(self) -> None:
        self.due_packages = packages.read_due(self.host, [name for step in self.steps for name in step.packages])

    def make_parts(self) -> None:
        by_name = {part.name: part for part in PARTS}
        wanted = [name for name in GUARDED if any(step.part == name for step in self.steps)]
        unknown = [name for name in wanted if name not in by_name]
        if unknown:
            raise CandidateError(f"there is no part {', '.join(unknown)}")
        self.parts = tuple(
            by_name[name](tuple(step for step in self.steps if step.part == name), self.host) for name in wanted
        )
        for part in self.parts:
            part.files = self.all_changes(part.name)

    def read_units(self) -> None:
        names = [unit["name"] for step in self.steps for unit in step.units]
        names += [name for part in self.parts for name in part.services()]
        self.host.shown = units.show(self.host, list(dict.fromkeys(names)))
        written = read_written(self.host)
        wanted = units.resolve(self.host, (unit for step in self.steps for unit in self._units(step, written)))
        self.conditional = frozenset(unit["name"] for unit in wanted if unit["conditional"])
        self.due_units = units.plan(wanted, self.host.shown)

    @staticmethod
    def _units(step: Step, written: dict[str, float]) -> Iterator[dict[str, Any]]:
        """Those of guarded steps that have lost a file are started again within the change."""
        for unit in step.units:
            held = step.part == UNGUARDED and (unit.get("state") or "running") == "running"
            more = {"removed": drop_ins.removed_at(unit["name"])} if held else {}
            yield {**unit, **more, "written": written}

    def read_parts(self) -> None:
        changes = self.all_changes()
        for part in self.parts:
            part.read()
            found, lost = part.difference(), read_lost(self.host, part, changes)
            self.lost[part.name] = lost
            self.differences[part.name] = replace(found, needs=(*found.needs, *lost.needs))

    # ---- judging ----

    @contextmanager
    def candidate(self) -> Iterator[Path]:
        """A folder with all files of the candidate under their final paths, for their owner alone."""
        with tempfile.TemporaryDirectory(prefix="wardnet-candidate-") as root:
            for bundle in self.bundles.values():
                bundle.candidate(Path(root))
            yield Path(root)

    def judge(self) -> None:
        """RefusedError where a validator or a part does not take the candidate, or a part the way back."""
        if not any(self.changes.values()) and not self.guarded:
            return
        with self.candidate() as root:
            if any(taken_up.SSHD in word for step in self.steps for argv in step.validate for word in argv):
                taken_up.separate()
            for step in self.steps:
                if self.changes[step.key]:
                    for argv in step.validate:
                        self._validate([word.replace("{root}", str(root)) for word in argv], str(root))
            for part in self.guarded:
                part.judge(root)

    def _validate(self, argv: list[str], root: str) -> None:
        if self.host.check_mode and not Path(argv[0]).exists():
            self.host.warn(f"{argv[0]} is not installed yet: its validation waits for the converge")
            return
        code, out, err = self.host.attempt(argv)
        if code != 0:
            said = (err or out).strip().replace(root, "")
            raise RefusedError(f"{argv[0]} refuses it, nothing was touched: {said}")

    # ---- three ways ----

    def drift(self) -> list[dict[str, str]]:
        """What differs from the candidate, though it is not as it was confirmed last either: somebody changed the host.
        Where the candidate is another one by now, the host is compared with the confirmed one as well."""
        record = read_confirmed(self.host)
        if all(record["steps"].get(step.key) == step.sha256 for step in self.steps):
            return list(self._drift_from(self))
        steps, secrets = [], {}
        try:
            for step in self.steps:
                item = record["candidates"].get(step.key)
                if record["steps"].get(step.key) == step.sha256:
                    steps.append(step)
                elif item:
                    steps.append(read_step(item["step"], step.key))
                    secrets.update(item["secrets"])
            past = Survey(self.host, tuple(steps), self.partial)
            past.read_again(secrets)
        except UNREADABLE as error:
            self.host.warn(f"whether somebody changed the host since its last change cannot be told: {error!r}")
            return []
        return list(self._drift_from(past))

    def read_again(self, secrets: dict[str, str]) -> None:
        """Reads all for a candidate that was confirmed before; of its secret files, only their hashes are known."""
        shown, warnings = self.host.shown, list(self.host.warnings)
        try:
            self.read_files(frozenset(map(Path, secrets)))
            self.read_packages()
            self.make_parts()
            self.read_units()
            self.read_parts()
        finally:
            self.host.shown, self.host.warnings = shown, warnings
        for path, known in secrets.items():
            if hash_of(Path(path)) != known:
                self.changes.setdefault("secrets", []).append(Change(Path(path), "write", None, secret=True))

    def _drift_from(self, past: Survey) -> Iterator[dict[str, str]]:
        """What a candidate that was confirmed before misses, as far as this one does not find it in order."""
        paths = {change.path for change in self.all_changes()}
        of_steps = {step.key: step.part for step in past.steps}
        for key, changes in past.changes.items():
            for change in changes:
                if change.path in paths:
                    part = of_steps.get(key, UNGUARDED)
                    yield {"part": part, "what": f"{change.path} ({change.kind})", "where": "disk"}
        for part in past.parts:
            if self.differences.get(part.name):
                yield from _in_words(part.name, past.differences.get(part.name, Difference()))
        for due in past.due_units:
            if due in self.due_units:
                yield {"part": UNGUARDED, "what": " ".join(due), "where": "running"}
        for name in past.due_packages:
            if name in self.due_packages:
                yield {"part": UNGUARDED, "what": f"package {name}", "where": "disk"}

    def remember(self, run: str, token: str = "") -> None:
        """That the host is now as this candidate wants it. With a token, which change has brought it there: only its
        guarded steps, since the others come after it."""
        done = [step for step in self.steps if not token or step.part != UNGUARDED]
        write_confirmed(self.host, done, run, token)

    # ---- in words ----

    def as_result(self) -> dict[str, Any]:
        """What the module says of it: changed_paths, packages, actions, parts, drift, diff."""
        parts: dict[str, Any] = {}
        for part in self.guarded:
            difference = self.differences.get(part.name, Difference())
            parts[part.name] = {
                "missing": list(difference.missing),
                "foreign": list(difference.foreign),
                "needs": list(difference.needs),
                "changed_paths": [str(change.path) for change in part.files],
                **difference.facts,
            }
        plain = self.all_changes(UNGUARDED)
        actions = [*self.owed, *(f"{verb} {name}" for verb, name in self.due_units)]
        if plain or actions or self.due_packages:
            needs = [*actions, *(f"install {name}" for name in self.due_packages)]
            paths = [str(change.path) for change in plain]
            parts[UNGUARDED] = {"missing": [], "foreign": [], "needs": needs, "changed_paths": paths}
        changes = self.all_changes()
        return {
            "changed": self.differs,
            "parts": parts,
            "changed_paths": list(dict.fromkeys(str(change.path) for change in changes)),
            "packages": list(self.due_packages),
            "actions": actions,
            "drift": self.drift(),
            "diff": [*(change.as_diff() for change in changes), *self._diffs()],
        }

    def _diffs(self) -> Iterator[dict[str, str]]:
        due = [f"package {name} installed" for name in self.due_packages]
        due += [f"command run that did not end well before: {words}" for words in self.owed]
        due += [f"unit {name} {units.WORDS[verb]}" for verb, name in self.due_units]
        if due:
            headers = {"before_header": "packages and units", "after_header": "packages and units"}
            yield {**headers, "before": "", "after": _lines(tuple(due))}
        for part in self.guarded:
            difference = self.differences.get(part.name, Difference())
            if not difference:
                continue
            before, after = difference.before, difference.after
            if before is None and after is None:
                before, after = _lines(difference.foreign), _lines((*difference.missing, *difference.needs))
            yield {
                "before_header": f"running {part.name}",
                "after_header": f"intended {part.name}",
                "before": before or "",
                "after": after or "",
            }


def _lines(items: tuple[str, ...]) -> str:
    return "".join(f"{item}\n" for item in items)


def _in_words(part: str, difference: Difference) -> list[dict[str, str]]:
    words = [f"missing: {item}" for item in difference.missing]
    words += [f"foreign: {item}" for item in difference.foreign]
    words += list(difference.needs)
    if len(words) > SHOWN:
        words = [*words[:SHOWN], f"and {len(words) - SHOWN} more"]
    return [{"part": part, "what": item, "where": "running"} for item in words]
