"""How an attempt of wardnet-pull came out, in words for the journal and for whoever started it. Standard library
only."""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils import wardnet_pull_state as state

SHOWN = 12  # lines of what was changed


def say(level: int, text: str) -> None:
    """To the journal with its level, which it reads in front; to a person without."""
    print(f"<{level}>{text}" if "JOURNAL_STREAM" in os.environ else text)


def tell(record: dict[str, Any], checked: bool = False) -> None:
    """How it came out, in a line, and what was changed."""
    rollback = record.get("last_rollback")
    if rollback:
        say(4, f"this host had gone back by itself at {rollback.get('when')}: {rollback.get('why')}")
    if record.get("mirror_failed"):
        say(4, f"taken from {record.get('mirror')}, since the mirror that this host is told of gave nothing: "
               f"{record['mirror_failed']}")  # fmt: skip
    for item in (record.get("drift") or [])[:SHOWN]:
        say(5, f"changed by hand: {item['part']}: {item['what']}")
    result, why = record["result"], record.get("why")
    serial = f"serial {record['serial']}" if record.get("serial") else "no serial yet"
    if result == state.CONVERGED:
        say(6, f"{record['host']} is as published ({serial}, of {record.get('as_of')})")
    elif result == state.CHANGED:
        parts = record.get("changed") or {}
        words = [f"{name}: {_count(part)}" for name, part in sorted(parts.items())]
        doing = "would be changed" if checked else "was changed"
        say(6, f"{record['host']} {doing} to what is published ({serial}): {'; '.join(words) or 'its record'}")
        for action in (record.get("actions") or [])[:SHOWN]:
            say(6, f"  {action}")
    else:
        level = 4 if state.CODES[result] == 75 else 3
        say(level, f"{result.replace('_', ' ')}: {why}")


def _count(part: dict[str, Any]) -> str:
    paths = part.get("changed_paths") or []
    others = [*(part.get("missing") or []), *(part.get("foreign") or []), *(part.get("needs") or [])]
    found = [*paths[:SHOWN], *map(str, others[:SHOWN])]
    more = len(paths) + len(others) - len(found)
    return ", ".join(found) + (f" and {more} more" if more else "")
