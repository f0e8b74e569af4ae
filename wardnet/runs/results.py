"""An Ansible result to what a journal keeps of it. Files' contents are never kept, only their names.

`parts` is what a run changed, or would change in check mode, by part of the host:
    {"filter": {"missing": [line, ...], "foreign": [line, ...], "paths": [path, ...]}}
`missing` is intended and does not run, `foreign` runs and is not intended, in the words of ip and nft; `needs` is what
else is to be done. `drift` is what somebody changed by hand, by part, each line behind where it was changed:
    {"filter": ["running: foreign: table ip helpful"], "files": ["disk: /etc/timezone (write)"]}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from wardnet.runs.withheld import WITHHELD, Withholder

MOST_LINES = 60  # of one list; a table that is gone has hundreds
LONGEST = 400  # characters of one line
LONGEST_MESSAGE = 3000
LISTS = {"missing": "missing", "foreign": "foreign", "needs": "needs", "paths": "changed_paths"}


def keep(result: Mapping[str, Any], bad: bool, withholder: Withholder) -> dict[str, Any]:
    """The fields of a result that a journal holds; empty ones are left out. `bad`: failed, or not reached."""
    if result.get("_ansible_no_log") or result.get("censored"):
        return {"message": WITHHELD} if bad else {}
    parts = _parts(result)
    kept: dict[str, Any] = {
        "parts": parts,
        "drift": _drift(result.get("drift")),
        "rolled_back": _rolled_back(result) if bad else None,
        "armed": bool(result.get("armed")) or None,
        "confirmed": bool(result.get("confirmed")) or None,
        "partial": bool(result.get("partial")) or None,
        "earlier_rollback": None if bad and result.get("rolled_back") else _earlier(result),
    }
    if isinstance(result.get("updates_at"), int):
        kept["updates_at"] = result["updates_at"]
    held = None if bad else result.get("held")
    if isinstance(held, Mapping) and held:
        # What is read while somebody's change waits is neither what was there nor what will stay: nobody's drift.
        kept |= {"parts": {}, "drift": {}, "partial": True, "changes": [_holder(held)]}
    elif result.get("changed") and not parts:
        kept["changes"] = _headers(result.get("diff"))
    if bad:
        kept["message"] = str(result.get("msg") or result.get("stderr") or "").strip()[:LONGEST_MESSAGE]
    clean: dict[str, Any] = withholder.tree({key: value for key, value in kept.items() if value})
    return clean


def _holder(held: Mapping[str, Any]) -> str:
    """Who holds a host that was only read; as the engine says it to whoever would change it."""
    who, since, run = (held.get(key) or "?" for key in ("who", "since", "run"))
    return f"not read: {who} is at work here, or has made a change that waits, since {since} (run {run}): read it again"


def _parts(result: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    given = result.get("parts")
    found: dict[str, dict[str, list[str]]] = {}
    for name, part in given.items() if isinstance(given, Mapping) else ():
        if isinstance(part, Mapping):
            lists = {key: _lines(part.get(source)) for key, source in LISTS.items()}
            found[str(name)] = {key: lines for key, lines in lists.items() if lines}
    return found


def _drift(given: Any) -> dict[str, list[str]]:
    """Of the module's list of {part, what, where}."""
    found: dict[str, list[str]] = {}
    for item in given if isinstance(given, list) else []:
        if isinstance(item, Mapping):
            line = f"{item.get('where') or 'running'}: {item.get('what') or '?'}"
            found.setdefault(str(item.get("part") or "files"), []).append(line)
    return {part: _bounded(lines) for part, lines in found.items()}


def _lines(value: Any) -> list[str]:
    if isinstance(value, str):
        return _bounded([line for line in value.splitlines() if line.strip()])
    if isinstance(value, Sequence | set | frozenset):
        return _bounded([str(item) for item in value])
    return []


def _bounded(lines: list[str]) -> list[str]:
    shown = [line if len(line) <= LONGEST else line[: LONGEST - 1] + "…" for line in lines[:MOST_LINES]]
    return [*shown, f"… {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else shown


def _rolled_back(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Why the host went back by itself in this run."""
    if not result.get("rolled_back"):
        return None
    told = result.get("last_rollback")
    told = told if isinstance(told, Mapping) else {}
    return _story(
        {
            "when": told.get("when"),
            "why": result.get("why") or told.get("why") or result.get("msg"),
            "run": told.get("run"),
            "parts": told.get("parts") or result.get("rolled_back_parts"),
            "failed": told.get("failed") or result.get("way_back_failed"),
        }
    )


def _earlier(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """A way back after an earlier run had given up, or had died; the next run that gets through tells of it."""
    given = result.get("last_rollback")
    return _story(given) if isinstance(given, Mapping) and given else None


def _story(details: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "when": str(details.get("when") or ""),
        "why": str(details.get("why") or "").strip()[:LONGEST_MESSAGE],
        "run": str(details.get("run") or ""),
        "parts": sorted(_lines(details.get("parts"))),
        "failed_steps": _lines(details.get("failed")),
    }


def _headers(diff: Any) -> list[str]:
    """What a diff is about, without what stands in it."""
    found: list[str] = []
    for one in diff if isinstance(diff, list) else [diff]:
        if not isinstance(one, Mapping):
            continue
        header = str(one.get("after_header") or one.get("before_header") or "")
        if header and header not in found:
            found.append(header)
        if not header and isinstance(one.get("prepared"), str):
            # Only the names in it: "--- before: /etc/x" and "+++ after: /etc/x (write)".
            found += [m for m in re.findall(r"^\+\+\+ (?:after: )?(.+)$", one["prepared"], re.MULTILINE) if m]
    return _bounded(found)
