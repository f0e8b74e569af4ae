"""An Ansible result to what a journal keeps of it. Files' contents are never kept, only their names.

`parts` is what a run changed, or would change in check mode, by part of the host:
    {"filter": {"missing": [line, ...], "foreign": [line, ...], "paths": [path, ...]}}
`missing` is intended and does not run, `foreign` runs and is not intended, in the words of ip and nft.
`drift` is what somebody changed by hand: {part: [line, ...]}.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wardnet.runs.withheld import WITHHELD, Withholder

MOST_LINES = 60  # of one list; a table that is gone has hundreds
LONGEST = 400  # characters of one line
LONGEST_MESSAGE = 3000
FILES = "files"


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
        "earlier_rollback": _earlier(result, bad),
    }
    if result.get("changed") and not parts:
        kept["changes"] = _headers(result.get("diff"))
    if bad:
        kept["message"] = str(result.get("msg") or result.get("stderr") or "").strip()[:LONGEST_MESSAGE]
    clean: dict[str, Any] = withholder.tree({key: value for key, value in kept.items() if value})
    return clean


def _parts(result: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    given = result.get("parts")
    if not isinstance(given, Mapping):
        return {}
    found: dict[str, dict[str, list[str]]] = {}
    for name, part in given.items():
        if not isinstance(part, Mapping):
            continue
        paths = part.get("changed_paths") or part.get("paths") or []
        # Of plain files the lines are their contents.
        lists = {"paths": _lines(paths)}
        if name != FILES:
            lists |= {"missing": _lines(part.get("missing")), "foreign": _lines(part.get("foreign"))}
        elif not paths:
            lists["paths"] = _lines(part.get("missing")) + _lines(part.get("foreign"))
        lists = {key: value for key, value in lists.items() if value}
        if lists:
            found[str(name)] = lists
    return found


def _drift(given: Any) -> dict[str, list[str]]:
    if not given or isinstance(given, bool):
        return {}
    if isinstance(given, Mapping):
        return {str(part): lines for part, value in given.items() if (lines := _lines(value))}
    found: dict[str, list[str]] = {}
    for item in given if isinstance(given, Sequence) and not isinstance(given, str) else [given]:
        part = str(item.get("part", "")) if isinstance(item, Mapping) else ""
        rest = {key: value for key, value in item.items() if key != "part"} if part else item
        found.setdefault(part or "other", []).extend(_lines(rest))
    return {part: _bounded(lines) for part, lines in found.items()}


def _lines(value: Any) -> list[str]:
    """Any plain value as lines: a mapping's lists under their names, since shapes grow."""
    if value in (None, "", [], {}, False):
        return []
    if isinstance(value, str):
        return _bounded([line for line in value.splitlines() if line.strip()])
    if isinstance(value, Mapping):
        lines: list[str] = []
        for key, item in value.items():
            sign = {"missing": "+", "foreign": "-"}.get(str(key))
            if sign is None and key in ("content", "before", "after", "diff"):
                continue
            inner = _lines(item)
            lines += [f"{sign}{line.lstrip('+-')}" for line in inner] if sign else _named(str(key), inner)
        return _bounded(lines)
    if isinstance(value, Sequence | set | frozenset):
        return _bounded([line for item in value for line in _lines(item)])
    return [str(value)]


def _named(name: str, lines: list[str]) -> list[str]:
    return lines if name in ("changed_paths", "paths", "lines", "what", "items") else [f"{name}: {x}" for x in lines]


def _bounded(lines: list[str]) -> list[str]:
    shown = [line if len(line) <= LONGEST else line[: LONGEST - 1] + "…" for line in lines[:MOST_LINES]]
    return [*shown, f"… {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else shown


def _rolled_back(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """When and why the host went back by itself in this run; only a result that failed tells of this run."""
    given = result.get("rolled_back")
    if not given:
        return None
    details = dict(given) if isinstance(given, Mapping) else {}
    return _story(details, str(result.get("msg") or ""))


def _earlier(result: Mapping[str, Any], bad: bool) -> dict[str, Any] | None:
    """A way back that happened after an earlier run had given up; the next run that gets through tells of it."""
    given = result.get("earlier_rollback") or result.get("last_rollback")
    if not given and not bad:
        given = result.get("rolled_back")
    return _story(dict(given), "") if isinstance(given, Mapping) and given else None


def _story(details: Mapping[str, Any], message: str) -> dict[str, Any]:
    parts = details.get("parts") or []
    return {
        "when": _moment(details.get("when")),
        "why": str(details.get("why") or message).strip()[:LONGEST_MESSAGE],
        "parts": sorted(map(str, parts)) if not isinstance(parts, str) else [parts],
        "failed_steps": _lines(details.get("failed_steps") or details.get("failed")),
    }


def _moment(value: Any) -> str:
    """ISO 8601 in UTC, of a text or of seconds since 1970."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
    return str(value or "")


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
