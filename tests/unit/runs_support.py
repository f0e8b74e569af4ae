"""Journals as the callback writes them, made by hand: what a run of four gateways and a hub says line by line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from wardnet.runs.journal import parse_run
from wardnet.runs.records import Run

GATEWAYS = ("g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8")
WARDS = {"hub": "district", **{gateway: f"ward-{gateway[1]}" for gateway in GATEWAYS}}
ID = "20261129T080000Z-0a0b"


def header(**more: Any) -> dict[str, Any]:
    return {
        "event": "run", "format": 1, "run": ID, "at": "2026-11-29T08:00:00.000+00:00", "user": "lan",
        "machine": "controller",
        "playbook": "playbooks/channels.yml", "program": "ansible-playbook", "argv": ["playbooks/channels.yml"],
        "playbooks": ["playbooks/channels.yml"], "cwd": "/srv/wardnet", "environment": {}, "inventory": [],
        "model_sha256": "5f" * 32, "district": "tay-ho", "as_of": "2026-11-29", "check": False, "limit": "",
        "resumes": "", "withheld": 0, "wards": WARDS,
        "plays": [
            {"name": "Skipped", "hosts": [], "serial": [], "stops": False},
            {"name": "Hub", "hosts": ["hub"], "serial": [], "stops": True},
            {"name": "Gateways", "hosts": list(GATEWAYS), "serial": [1, "25%", "100%"], "stops": True},
        ],
        **more,
    }  # fmt: skip


def play(index: int, batch: Sequence[str], minute: int = 1, **more: Any) -> dict[str, Any]:
    name = ("Skipped", "Hub", "Gateways")[index]
    hosts = {0: [], 1: ["hub"], 2: list(GATEWAYS)}[index]
    at = f"2026-11-29T08:{minute:02}:00.000+00:00"
    return {"event": "play", "at": at, "play": index, "name": name, "hosts": hosts, "batch": list(batch), **more}


def result(index: int, host: str, status: str = "ok", minute: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "event": "result", "at": f"2026-11-29T08:{minute:02}:30.000+00:00", "play": index, "host": host,
        "role": "commit", "task": "Commit the candidate", "action": "wardnet_commit", "status": status, **more,
    }  # fmt: skip


def end(minute: int = 9) -> dict[str, Any]:
    return {"event": "end", "at": f"2026-11-29T08:{minute:02}:00.000+00:00", "stats": {}}


def text(records: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def journal(*records: dict[str, Any], **head: Any) -> Run:
    return parse_run(text([header(**head), *records]), Path(f"/runs/{ID}.jsonl"))


def canary_done() -> list[dict[str, Any]]:
    """The hub and the canary have been changed, and the quarter has begun."""
    return [
        play(0, []),
        play(1, ["hub"]),
        result(1, "hub", "changed"),
        play(2, ["g1"]),
        result(2, "g1", "changed"),
        play(2, ["g2", "g3"], 3),
    ]


ROLLED_BACK = {
    "message": "g1 (ward ward-1) was rolled back by itself after 60 s: no new connection came through in that time",
    "rolled_back": {
        "when": "2026-11-29T08:03:00Z",
        "why": "no new connection came through in that time",
        "run": ID,
        "parts": ["filter"],
        "failed_steps": [],
    },
}
