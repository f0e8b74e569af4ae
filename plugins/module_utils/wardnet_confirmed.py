"""What a host keeps of the candidate that was confirmed last. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from ansible.module_utils import wardnet_undo as undo
from ansible.module_utils.wardnet_candidate import LISTS, UNGUARDED, Step
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


def write_confirmed(host: Host, steps: Sequence[Step], run: str, token: str = "") -> None:
    """That the host is now as these steps want it. What others wanted stays, and so does the token where none is given;
    where nothing would be said anew, nothing is written."""
    former = read_confirmed(host)
    record = {
        "run": run,
        "token": token or former["token"],
        "steps": {**former["steps"], **{step.key: step.sha256 for step in steps}},
        "candidates": {**former["candidates"], **{step.key: _without_secrets(step) for step in steps}},
    }
    if any(record[key] != former[key] for key in ("steps", "candidates")) or token:
        host.state.mkdir(parents=True, exist_ok=True)
        undo.write(host.state / CONFIRMED, json.dumps(record, indent=1, sort_keys=True) + "\n", 0o600)


def was_confirmed(host: Host, token: str) -> bool:
    """Whether the change that the token names is the one that was confirmed last."""
    return bool(token) and read_confirmed(host)["token"] == token


def _without_secrets(step: Step) -> dict[str, Any]:
    """A step as read_step() takes it, and of its secret files only hashes."""
    item = {"role": step.role, "part": step.part, "early": step.early, "start": step.start}
    lists = {name: list(getattr(step, name)) for name in LISTS}
    lists["files"] = [item for item in step.files if not item.get("secret")]
    own = {} if step.part == UNGUARDED else {step.part: step.arguments}
    secrets = {
        item["path"]: sha256((item.get("content") or "").encode()).hexdigest()
        for item in step.files
        if item.get("secret")
    }
    return {"step": json.loads(json.dumps({**item, **lists, **own}, default=str)), "secrets": secrets}


def hash_of(path: Path) -> str:
    """Of a file, as it is kept of secret ones; empty where it cannot be read."""
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


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
