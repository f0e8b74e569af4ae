"""wardnet status: how each ward's two lines and its software are doing, from what Prometheus holds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from wardnet.cli.console import Exit, fail, out
from wardnet.live.errors import LiveError
from wardnet.live.status import PARTS, ChannelStatus, FiringAlert, ServiceStatus, State, read_status
from wardnet.locale import _, chosen_language

DEFAULT_PROMETHEUS = "http://127.0.0.1:9090"
WIDE = 100  # columns of a terminal

# Words, a sign and a colour: never the colour alone.
_OK, _WARN, _BAD, _BLIND = ("●", "green"), ("▲", "yellow"), ("✖", "red"), ("○", "magenta")


def _states() -> dict[State, tuple[str, tuple[str, str]]]:
    return {
        State.OK: (_("OK"), _OK),
        State.NO_DATA: (_("no data"), _BLIND),
        State.CIRCUIT_DOWN: (_("line down"), _BAD),
        State.AGENT_LATE: (_("agent overloaded"), _BLIND),
        State.LINE_LOSSY: (_("line lossy"), _WARN),
        State.LINE_FULL: (_("line full"), _WARN),
        State.LINE_SLOW: (_("line slow"), _WARN),
        State.SERVICE_DOWN: (_("service down"), _BAD),
        State.DNS_SLOW: (_("name service slow"), _WARN),
        State.TLS_SLOW: (_("TLS slow"), _WARN),
        State.SERVER_SLOW: (_("server slow"), _WARN),
        State.SOFTWARE_UNMEASURED: (_("software not measured"), _BLIND),
        State.UNKNOWN: (_("unknown state"), _BLIND),
    }


def _parts() -> dict[str, str]:
    return {
        "dns": "DNS",
        "connect": "TCP",
        "tls": "TLS",
        "line": _("line"),
        "server": _("server"),
        "transfer": _("data"),
    }


def status(
    prometheus: Annotated[
        str, typer.Option("--prometheus", "-p", envvar="WARDNET_PROMETHEUS", help=_("Prometheus's address"))
    ] = DEFAULT_PROMETHEUS,
    ward: Annotated[str, typer.Option("--ward", "-w", help=_("only this ward"))] = "",
    as_json: Annotated[bool, typer.Option("--json", help=_("print records for programs"))] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help=_("seconds to wait for each answer"))] = 5.0,
) -> None:
    """Show the state of every ward and channel. Ends with 0 when all is well, 1 when something is wrong,
    2 when nothing can be told."""
    try:
        statuses = read_status(prometheus, timeout)
    except LiveError as error:
        fail(str(error), Exit.USAGE)
    if not statuses:
        fail(
            _("{url} knows no ward: nothing is discovered yet, or wardnet's rules are not loaded there").format(
                url=prometheus
            ),
            Exit.USAGE,
        )
    if ward:
        known = sorted({s.ward for s in statuses})
        statuses = tuple(s for s in statuses if s.ward == ward)
        if not statuses:
            fail(_("no ward '{ward}'; known: {known}").format(ward=ward, known=", ".join(known)), Exit.USAGE)
    if as_json:
        typer.echo(to_json(statuses))
    else:
        show(statuses)
    raise typer.Exit(Exit.OK if all(s.well for s in statuses) else Exit.FAILED)


def to_json(statuses: Sequence[ChannelStatus]) -> str:
    """The records as a JSON list; times in seconds, rates in bits a second, null where not measured."""

    def plain(value: Any) -> str:
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat()
        raise TypeError(type(value).__name__)

    records = [dataclasses.asdict(s) | {"well": s.well} for s in statuses]
    return json.dumps(records, ensure_ascii=False, indent=2, default=plain)


def show(statuses: Sequence[ChannelStatus]) -> None:
    """Print both tables and what fires."""
    out.print(lines_table(statuses, out.width))
    out.print()
    if any(s.services for s in statuses):
        out.print(software_table(statuses, out.width))
        out.print()
    for ward, alert in firing(statuses):
        sign, colour = _BAD if alert.severity == "critical" else _WARN
        since = alert.since.astimezone().strftime("%H:%M:%S")
        summary = alert.summary.get(chosen_language(), alert.summary["en"])
        text = Text.assemble((f"{sign} ", colour), summary, " ", (_("(since {time})").format(time=since), "dim"))
        if ward and not summary.startswith(ward):
            text = Text.assemble(f"{ward}: ", text)
        out.print(text)


def lines_table(statuses: Sequence[ChannelStatus], width: int = 80) -> Table:
    """One row a ward and channel: speed, round trip, loss, state, age of the data. Below 100 columns of
    `width` the peak is left out."""
    wide = width >= WIDE
    table = _table(_("Lines (Mbit/s down/up, ms)"))
    table.add_column(_("ward"))
    table.add_column(_("channel"), no_wrap=True)
    table.add_column(_("contract"), justify="right", no_wrap=True)
    table.add_column(_("now"), justify="right", no_wrap=True)
    if wide:
        table.add_column(_("peak 1 h"), justify="right", no_wrap=True)
    table.add_column(_("RTT (base)"), justify="right", no_wrap=True)
    table.add_column(_("loss"), justify="right", no_wrap=True)
    table.add_column(_("state"))
    table.add_column(_("age"), justify="right", no_wrap=True)
    for name, s in _named_once(statuses):
        peak = [_pair(s.peak_down_bps, s.peak_up_bps)] if wide else []
        table.add_row(
            Text(name),
            Text(s.channel or "-"),
            _pair(s.contracted_down_bps, s.contracted_up_bps),
            _pair(s.rate_down_bps, s.rate_up_bps),
            *peak,
            f"{_milliseconds(s.round_trip_seconds)} ({_milliseconds(s.base_round_trip_seconds)})",
            "-" if s.loss_ratio is None else f"{s.loss_ratio:.1%}",
            state_text(s.state),
            _age(s.age_seconds),
        )
    return table


def software_table(statuses: Sequence[ChannelStatus], width: int = 80) -> Table:
    """One row a ward, channel and service: where the time goes, in milliseconds that add up. Below 100
    columns of `width` channel and age are left out."""
    wide = width >= WIDE
    table = _table(_("Software (ms by phase)"))
    table.add_column(_("ward"))
    table.add_column(_("service"), no_wrap=True)
    names = _parts()
    for part in PARTS:
        table.add_column(names[part], justify="right", no_wrap=True)
    table.add_column(_("total"), justify="right", no_wrap=True)
    if wide:
        table.add_column(_("age"), justify="right", no_wrap=True)
    for name, s in _named_once([s for s in statuses if s.services]):
        for number, service in enumerate(s.services):
            table.add_row(
                Text("" if number else name),
                _service_text(service, s.channel if wide else None),
                *(_milliseconds(service.parts.get(part)) for part in PARTS),
                _milliseconds(service.total_seconds),
                *([_age(service.age_seconds)] if wide else []),
            )
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))


def _named_once(statuses: Sequence[ChannelStatus]) -> list[tuple[str, ChannelStatus]]:
    """Each status with its ward's name, which is left out where it repeats the row above."""
    before = [None, *(s.gateway for s in statuses)]
    return [("" if s.gateway == last else s.ward_name, s) for s, last in zip(statuses, before, strict=False)]


def state_text(state: State) -> Text:
    """The state in words, with a sign, in its colour."""
    words, (sign, colour) = _states()[state]
    return Text(f"{sign} {words}", style=colour)


def firing(statuses: Sequence[ChannelStatus]) -> list[tuple[str, FiringAlert]]:
    """Each firing alert once, with the name of its ward ('' where it concerns several), the gravest first."""
    wards: dict[tuple[str, str], set[str]] = {}
    alerts: dict[tuple[str, str], FiringAlert] = {}
    for s in statuses:
        for alert in s.alerts:
            key = (alert.name, alert.summary["en"])
            alerts[key] = alert
            wards.setdefault(key, set()).add(s.ward_name)
    found = [(next(iter(wards[key])) if len(wards[key]) == 1 else "", alert) for key, alert in alerts.items()]
    return sorted(found, key=lambda item: (item[1].severity != "critical", item[0], item[1].name))


def _service_text(service: ServiceStatus, channel: str | None) -> Text:
    name = f"{service.service} ({channel})" if channel else service.service
    if service.up is False:
        sign, colour = _BAD
        return Text(f"{sign} {name}", style=colour)
    return Text(name)


def _pair(down: float | None, up: float | None) -> str:
    """Down and up in Mbit/s."""
    if down is None and up is None:
        return "-"
    return "/".join("-" if bps is None else _megabits(bps) for bps in (down, up))


def _megabits(bps: float) -> str:
    megabits = bps / 1e6
    return f"{megabits:.0f}" if megabits >= 100 or megabits == round(megabits) else f"{megabits:.1f}"


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.{1 if seconds < 0.0995 else 0}f}"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
