"""The demo's table: one row a ward and channel, with the line, the software and the separation side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from wardnet.cli.status import state_text
from wardnet.live.status import PARTS, ChannelStatus

VERDICT_STYLE = {"proved": ("● proved", "green"), "violated": ("✖ violated", "bold red")}
PART_LETTERS = {"dns": "D", "connect": "C", "tls": "T", "line": "L", "server": "S", "transfer": "X"}
UNKNOWN = ("○ unknown", "magenta")


def table(title: str, statuses: Sequence[ChannelStatus], separation: Mapping[str, str]) -> Table:
    """`separation` is the audit's verdict by gateway; a gateway that is not in it was not audited yet."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    made.add_column("ward", no_wrap=True)
    made.add_column("channel", no_wrap=True)
    made.add_column("Mbit/s", justify="right", no_wrap=True)
    made.add_column("RTT", justify="right", no_wrap=True)
    made.add_column("loss", justify="right", no_wrap=True)
    made.add_column("software " + "+".join(PART_LETTERS[part] for part in PARTS), justify="right", no_wrap=True)
    made.add_column("state", no_wrap=True)
    made.add_column("separation", no_wrap=True)
    before = None
    for status in statuses:
        first = status.gateway != before
        before = status.gateway
        made.add_row(
            status.ward_name if first else "",
            status.channel or "-",
            f"{_megabits(status.peak_down_bps or status.rate_down_bps)}/{_megabits(status.contracted_down_bps)}",
            _milliseconds(status.round_trip_seconds),
            "-" if status.loss_ratio is None else f"{status.loss_ratio:.0%}",
            _software(status),
            state_text(status.state),
            _separation(separation.get(status.gateway)) if first else "",
        )
    legend = ", ".join(f"{PART_LETTERS[part]} {part}" for part in PARTS)
    made.caption = f"Mbit/s: the most the line carried down so far / contracted. RTT and software in ms: {legend}."
    made.caption_justify = "left"
    return made


def _software(status: ChannelStatus) -> str:
    """The first service of the channel: on the WAN the portal, on the internet its public face."""
    measured = [service for service in status.services if service.parts]
    if not measured:
        return "-"
    service = measured[0]
    parts = "+".join(_whole(service.parts.get(part)) for part in PARTS)
    return f"{parts}={_whole(service.total_seconds)}"


def _whole(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def _separation(verdict: str | None) -> Text:
    if verdict is None:
        return Text("-")
    words, style = VERDICT_STYLE.get(verdict, UNKNOWN)
    return Text(words, style=style)


def _megabits(bps: float | None) -> str:
    return "-" if bps is None else f"{bps / 1e6:.1f}".removesuffix(".0")


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f}" if seconds < 0.1 else f"{seconds * 1000:.0f}"
