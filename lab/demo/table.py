"""The demo's table: one row a ward and channel, with the line, the software and the separation side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from wardnet.cli.status import state_text
from wardnet.live.status import PARTS, ChannelStatus

VERDICT_STYLE = {"proved": ("● proved separate", "green"), "violated": ("✖ NOT separate", "bold red")}
UNKNOWN = ("○ unknown", "magenta")


def table(title: str, statuses: Sequence[ChannelStatus], separation: Mapping[str, str]) -> Table:
    """`separation` is the audit's verdict by gateway; a gateway that is not in it was not audited yet."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    made.add_column("ward")
    made.add_column("channel")
    made.add_column("contract", justify="right")
    made.add_column("seen", justify="right")
    made.add_column("RTT ms", justify="right")
    made.add_column("loss", justify="right")
    for part in PARTS:
        made.add_column(part, justify="right")
    made.add_column("total ms", justify="right")
    made.add_column("state")
    made.add_column("separation")
    before = None
    for status in statuses:
        first = status.gateway != before
        before = status.gateway
        made.add_row(
            status.ward_name if first else "",
            status.channel or "-",
            _megabits(status.contracted_down_bps),
            _megabits(status.peak_down_bps or status.rate_down_bps),
            _milliseconds(status.round_trip_seconds),
            "-" if status.loss_ratio is None else f"{status.loss_ratio:.0%}",
            *_software(status),
            state_text(status.state),
            _separation(separation.get(status.gateway)) if first else "",
        )
    made.caption = "contract and seen in Mbit/s down (seen: the most the line carried so far); software in ms by phase"
    made.caption_justify = "left"
    return made


def _software(status: ChannelStatus) -> list[str]:
    """The first service of the channel: on the WAN the portal, on the internet its public face."""
    measured = [service for service in status.services if service.parts]
    if not measured:
        return ["-"] * (len(PARTS) + 1)
    service = measured[0]
    return [*(_milliseconds(service.parts.get(part)) for part in PARTS), _milliseconds(service.total_seconds)]


def _separation(verdict: str | None) -> Text:
    if verdict is None:
        return Text("-")
    words, style = VERDICT_STYLE.get(verdict, UNKNOWN)
    return Text(words, style=style)


def _megabits(bps: float | None) -> str:
    return "-" if bps is None else f"{bps / 1e6:.1f}".removesuffix(".0")


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f}" if seconds < 0.1 else f"{seconds * 1000:.0f}"
