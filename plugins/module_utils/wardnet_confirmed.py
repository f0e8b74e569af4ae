"""What a host keeps of the candidate that was confirmed last. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.wardnet_host import Host

CONFIRMED = "confirmed.json"


def read_confirmed(host: Host) -> dict[str, Any]:
    """What was confirmed last, by the steps' keys: their hashes (`steps`), and themselves (`candidates`) with hashes of
    their secret files; and the `token` of the change."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((host.state / CONFIRMED).read_text())
        candidates = dict(record.get("candidates") or {})
        return {"steps": dict(record["steps"]), "candidates": candidates, "token": str(record["token"])}
    return {"steps": {}, "candidates": {}, "token": ""}


def confirmed_files(host: Host, part: str) -> dict[str, str]:
    """Content by path of the part's files as they were confirmed last, but for secrets."""
    found: dict[str, str] = {}
    with suppress(LookupError, TypeError, AttributeError):  # as an earlier wardnet may have written it
        for each in read_confirmed(host)["candidates"].values():
            files = each["step"].get("files") if each["step"].get("part") == part else None
            found.update(
                {str(item["path"]): item["content"] for item in files or [] if item.get("content") is not None}
            )
    return found


def paths_of_others(host: Host, roles: Collection[str]) -> frozenset[Path]:
    """Files and directories that steps of other roles than these brought, secret ones too."""
    found: set[Path] = set()
    for each in read_confirmed(host)["candidates"].values():
        with suppress(LookupError, TypeError, AttributeError):  # as an earlier wardnet may have written it
            step = each["step"]
            if step["role"] not in roles:
                found |= {Path(item["path"]) for name in ("files", "directories") for item in step.get(name) or []}
                found |= set(map(Path, each["secrets"]))
    return frozenset(found)
