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

# Words, a sign and a colour: never the colour alone.
_OK, _WARN, _BAD, _BLIND = ("●", "green"), ("▲", "yellow"), ("✖", "red"), ("○", "magenta")


def _states() -> dict[State, tuple[str, tuple[str, str]]]:
    return {
        State.OK: (_("OK"), _OK),
        State.NO_DATA: (_("no data"), _BLIND),
        State.CIRCUIT_DOWN: (_("line down"), _BAD),
        State.AGENT_LATE: (_("agent overloaded, no judgement"), _BLIND),
        State.LINE_LOSSY: (_("line lossy"), _WARN),
        State.LINE_FULL: (_("line full"), _WARN),
        State.LINE_SLOW: (_("line slow"), _WARN),
        State.SERVICE_DOWN: (_("service down"), _BAD),
        State.DNS_SLOW: (_("name service slow"), _WARN),
        State.TLS_SLOW: (_("TLS slow"), _WARN),
        State.SERVER_SLOW: (_("server slow"), _WARN),
        State.SOFTWARE_UNMEASURED: (_("line OK, software not measured"), _BLIND),
        State.UNKNOWN: (_("unknown state"), _BLIND),
    }


def _parts() -> dict[str, str]:
    return {
        "dns": _("DNS"),
        "connect": _("connect"),
        "tls": "TLS",
        "line": _("line"),
        "server": _("server"),
        "transfer": _("transfer"),
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
    out.print(lines_table(statuses))
    if any(s.services for s in statuses):
        out.print(software_table(statuses))
    for ward, alert in firing(statuses):
        sign, colour = _BAD if alert.severity == "critical" else _WARN
        since = alert.since.astimezone().strftime("%H:%M:%S")
        summary = alert.summary.get(chosen_language(), alert.summary["en"])
        text = Text.assemble((f"{sign} ", colour), summary, " ", (_("(since {time})").format(time=since), "dim"))
        if ward and not summary.startswith(ward):
            text = Text.assemble(f"{ward}: ", text)
        out.print(text)


def lines_table(statuses: Sequence[ChannelStatus]) -> Table:
    """One row a ward and channel: speed, round trip, loss, state, age of the data."""
    table = Table(title=_("Lines"), title_justify="left", title_style="bold")
    for heading, justify in (
        (_("ward"), "left"),
        (_("channel"), "left"),
        (_("contracted ↓/↑ Mbit/s"), "right"),
        (_("now ↓/↑"), "right"),
        (_("peak 1 h ↓/↑"), "right"),
        (_("round trip ms"), "right"),
        (_("base"), "right"),
        (_("loss"), "right"),
        (_("state"), "left"),
        (_("age"), "right"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # rich wants its literal type
    for s in statuses:
        table.add_row(
            Text(s.ward_name),
            Text(s.channel or "-"),
            _pair(s.contracted_down_bps, s.contracted_up_bps, 0),
            _pair(s.rate_down_bps, s.rate_up_bps, 2),
            _pair(s.peak_down_bps, s.peak_up_bps, 1),
            _milliseconds(s.round_trip_seconds, 1),
            _milliseconds(s.base_round_trip_seconds, 1),
            "-" if s.loss_ratio is None else f"{s.loss_ratio:.1%}",
            state_text(s.state),
            _age(s.age_seconds),
        )
    return table


def software_table(statuses: Sequence[ChannelStatus]) -> Table:
    """One row a ward, channel and service: where the time goes, in milliseconds that add up."""
    table = Table(title=_("Software, ms by phase"), title_justify="left", title_style="bold")
    table.add_column(_("ward"))
    table.add_column(_("channel"))
    table.add_column(_("service"))
    names = _parts()
    for part in PARTS:
        table.add_column(names[part], justify="right")
    table.add_column(_("total"), justify="right")
    table.add_column(_("age"), justify="right")
    for s in statuses:
        for service in s.services:
            table.add_row(
                Text(s.ward_name),
                Text(s.channel or "-"),
                _service_text(service),
                *(_milliseconds(service.parts.get(part), 0) for part in PARTS),
                _milliseconds(service.total_seconds, 0),
                _age(service.age_seconds),
            )
    return table


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


def _service_text(service: ServiceStatus) -> Text:
    if service.up is False:
        sign, colour = _BAD
        return Text(f"{service.service} {sign} {_('down')}", style=colour)
    return Text(service.service)


def _pair(down: float | None, up: float | None, digits: int) -> str:
    if down is None and up is None:
        return "-"
    return "/".join("-" if bps is None else f"{bps / 1e6:.{digits}f}" for bps in (down, up))


def _milliseconds(seconds: float | None, digits: int) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.{digits}f}"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
