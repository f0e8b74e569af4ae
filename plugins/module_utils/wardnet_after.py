"""Commands that follow files (`after` of a step), and which of them a host still owes: they are noted before the files
are written, and taken off once they have ended well. So what was cut off, or failed, is seen by the next run, though
its files are in place by then. Standard library only.

In /var/lib/wardnet:
    after.json  tags by the step's key
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ansible.module_utils import wardnet_undo as undo
from ansible.module_utils.wardnet_candidate import Step
from ansible.module_utils.wardnet_host import CommandError, Host

OWED = "after.json"
Tags = dict[str, set[str]]  # by the step's key


def read_owed(host: Host) -> Tags:
    """What is still to be run, whichever candidate brought it."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        record = json.loads((host.state / OWED).read_text())
        return {str(key): set(map(str, tags)) for key, tags in record.items()}
    return {}


def note(host: Host, steps: Sequence[Step], tags: Mapping[str, Iterable[str]]) -> None:
    """That the commands of these tags are to be run; from now on they are owed."""
    owed = read_owed(host)
    wanted = {step.key: {item["tag"] for item in _of(step, tags.get(step.key, ()))} for step in steps}
    more = {key: found | owed.get(key, set()) for key, found in wanted.items() if found - owed.get(key, set())}
    if more:
        _write(host, {**owed, **more})


def words_owed(host: Host, steps: Sequence[Step]) -> list[str]:
    """The commands of these steps that are still to be run, as a person reads them."""
    owed = read_owed(host)
    return [_words(item["command"]) for step in steps for item in _of(step, owed.get(step.key, ()))]


def run_owed(host: Host, steps: Sequence[Step], partial: bool) -> tuple[list[str], list[str]]:
    """Runs all that is owed of these steps, whether or not some of it fails: what was done, and what failed, in words.
    What no step wants any more is forgotten, unless the steps are but a part of the host's (`partial`)."""
    owed = read_owed(host)
    done: list[str] = []
    failed: list[str] = []
    if owed and not partial:
        keys = {step.key for step in steps}
        owed = {key: tags for key, tags in owed.items() if key in keys}
        _write(host, owed)
    for step in steps:
        if step.key not in owed:
            continue
        left = set()
        for item in _of(step, owed[step.key]):
            try:
                host.run([str(word) for word in item["command"]])
                done.append(_words(item["command"]))
            except (CommandError, OSError) as error:
                failed.append(str(error))
                left.add(item["tag"])
        owed[step.key] = left
        _write(host, owed)
    return done, failed


def _of(step: Step, tags: Iterable[str]) -> list[dict[str, Any]]:
    wanted = set(tags)
    return [item for item in step.after if item.get("tag") in wanted]


def _words(command: Iterable[object]) -> str:
    return " ".join(map(str, command))


def _write(host: Host, owed: Tags) -> None:
    record = {key: sorted(tags) for key, tags in owed.items() if tags}
    if not record:
        (host.state / OWED).unlink(missing_ok=True)
        return
    host.state.mkdir(parents=True, exist_ok=True)
    undo.write(host.state / OWED, json.dumps(record, indent=1) + "\n", 0o600)
