"""`status`: hosts, circuits and faults of a lab, as the system has them now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Column, Table

from lab import cgroups, hosts, verify
from lab.circuit import control
from lab.layout import Layout
from lab.record import Record
from wardnet.locale import _

# Ids and addresses are copied into commands: they stay whole in a terminal of 80 columns, and what is prose wraps.
NARROW: dict[str, Any] = {"box": None, "padding": (0, 1, 0, 0), "header_style": "bold underline"}


def in_short(remains: Sequence[str]) -> str:
    """What is left of a lab (`teardown.remains`): a count of each kind of thing, or the thing where there is one."""
    kinds = Counter(one.partition(" ")[0] for one in remains)
    return ", ".join(
        next(one for one in remains if one.startswith(f"{kind} ")) if count == 1 else f"{kind} x {count}"
        for kind, count in kinds.items()
    )


def hosts_table(layout: Layout, record: Record) -> Table:
    table = Table(
        *(Column(name, no_wrap=True) for name in (_("host"), _("ward"))),
        _("is"),
        Column(_("address"), no_wrap=True),
        _("state"),
        Column(_("MB"), no_wrap=True, justify="right"),
        title=_("Hosts of the lab {name}").format(name=record.name),
        **NARROW,
    )
    for host in record.hosts:
        runs = hosts.leader(layout, host.id) is not None
        memory = cgroups.memory_in_use(layout.host_cgroup(host.id))
        table.add_row(
            host.id,
            host.ward or _("outside"),
            _(host.kind),
            host.addresses[0] if host.addresses else "",
            f"[green]{_('runs')}[/]" if runs else f"[red]{_('does not run')}[/]",
            f"{memory / 1e6:.0f}" if memory is not None else "",
        )
    return table


def circuits_table(layout: Layout, record: Record) -> Table:
    lines = control.read_all(layout)
    names = (Column(name, no_wrap=True) for name in (_("circuit"), _("channel")))
    numbers = (_("down Mbit/s"), _("up Mbit/s"), _("added RTT ms"), _("loss %"), _("dropped"))
    columns = (*names, *(Column(number, justify="right") for number in numbers))
    table = Table(*columns, title=_("Circuits"), **NARROW)
    for circuit in record.circuits:
        line = lines.get(circuit.id)
        if line is None:
            table.add_row(circuit.id, circuit.channel, f"[red]{_('dead')}[/]", "", "", "", "")
            continue
        down, up = line["down"], line["up"]
        dropped = sum(one["dropped_full"] + one["dropped_loss"] for one in (down, up))
        table.add_row(
            circuit.id,
            circuit.channel,
            f"{down['rate_bps'] / 1e6:g}",
            f"{up['rate_bps'] / 1e6:g}",
            f"{(down['delay'] + up['delay']) * 1000:g}",
            f"{down['loss'] * 100:g}",
            str(dropped),
        )
    return table


def faults_table(record: Record) -> Table:
    table = Table(_("fault"), _("ward"), _("channel"), _("must be found as"), title=_("Faults that hold now"))
    for fault in record.faults:
        table.add_row(fault.fault, fault.ward, fault.channel, fault.verdict)
    return table


def show(layout: Layout, record: Record) -> Iterator[RenderableType]:
    """The tables, and a line for each part of the lab that is broken."""
    yield hosts_table(layout, record)
    for host_id, reason in record.not_booted:
        yield _("  not booted: {host} ({reason})").format(host=host_id, reason=_(reason))
    yield circuits_table(layout, record)
    yield faults_table(record) if record.faults else _("No faults hold.")
    total = cgroups.memory_in_use(layout.cgroup)
    if total is not None:
        yield _("Memory charged to the lab, file cache included: {megabytes:.0f} MB").format(megabytes=total / 1e6)
    if record.window is not None:
        yield _("Prometheus, once it is set up: http://127.0.0.1:{port}/").format(port=record.window)
    for broken in verify.faults_of(layout, record):
        yield f"[red]{_('broken:')}[/] {broken}"
