"""A dashboard as text, the same bytes for the same dashboard; and the queries in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def render(dashboard: Dashboard) -> str:
    return json.dumps(dashboard, cls=JSONEncoder, ensure_ascii=False, sort_keys=True, indent=2) + "\n"


def queries(text: str) -> Iterator[tuple[str, str]]:
    """(panel's title, PromQL) of a rendered dashboard, in order."""
    yield from _queries(json.loads(text)["panels"])


def _queries(panels: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for panel in panels:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
        yield from _queries(panel.get("panels", []))
