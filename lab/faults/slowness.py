"""What makes the software slow: the line, or the server."""

from __future__ import annotations

import json
from typing import Any

from lab.circuit import control
from lab.errors import LabError
from lab.faults.target import Target, inside
from lab.layout import Layout
from lab.provide import CONTROL_INSIDE
from wardnet.locale import _

RATE_SHARE = 10  # of what is contracted, one in so many is left
EXTRA_DELAY = 0.080  # seconds each way
SERVER_DELAY = 1.5  # seconds


def slow_line(target: Target) -> dict[str, Any]:
    """The circuit keeps a tenth of its rate and each packet takes longer."""
    wire = target.wire
    settings = {
        direction: {"rate_bps": max(line.rate_bps // RATE_SHARE, 64_000), "delay": line.delay + EXTRA_DELAY}
        for direction, line in (("down", wire.down), ("up", wire.up))
    }
    control.change(target.layout, wire.id, settings)
    return {"circuit": wire.id, "set": settings}


def heal_line(layout: Layout, notes: dict[str, Any]) -> None:
    control.reset(layout, notes["circuit"])


def slow_server(target: Target) -> dict[str, Any]:
    """The portal thinks before it answers; static files stay quick."""
    host = target.service_host()
    before = inside(target.layout, host, ("sh", "-c", f"cat {CONTROL_INSIDE} 2>/dev/null || true"))
    _write_control(target.layout, host, json.dumps({"delay_seconds": SERVER_DELAY}))
    return {"host": host, "before": before}


def heal_server(layout: Layout, notes: dict[str, Any]) -> None:
    _write_control(layout, notes["host"], notes["before"])


def _write_control(layout: Layout, host: str, text: str) -> None:
    """Replace the portal's control file in one step; an empty text removes it."""
    if text:
        script = (
            f"cat > {CONTROL_INSIDE}.new && chmod 0644 {CONTROL_INSIDE}.new && mv {CONTROL_INSIDE}.new {CONTROL_INSIDE}"
        )
        inside(layout, host, ("sh", "-c", script), stdin=text)
    else:
        try:
            inside(layout, host, ("rm", "-f", CONTROL_INSIDE))
        except LabError as error:
            raise LabError(_("the portal's control file is still there: {error}").format(error=error)) from error
