"""An audit's result for people, in a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from wardnet.audit.records import AuditResult, Crossing, DeviceResult, Hop, OpenPoint, Packet, Verdict
from wardnet.audit.report import matrix, protocol_name
from wardnet.cli.audit_replay import print_replay
from wardnet.cli.console import out
from wardnet.locale import _

# Words, a sign and a colour: never the colour alone.
_SIGNS = {Verdict.PROVED: ("●", "green"), Verdict.VIOLATED: ("✖", "red"), Verdict.UNKNOWN: ("○", "magenta")}
_SHOWN = 12  # unknowns of a device that are printed; the JSON has all


def _word(verdict: Verdict) -> str:
    return {Verdict.PROVED: _("proved"), Verdict.VIOLATED: _("violated"), Verdict.UNKNOWN: _("unknown")}[verdict]


def _shown(verdict: Verdict) -> Text:
    sign, colour = _SIGNS[verdict]
    return Text(f"{sign} {_word(verdict)}", style=colour)


def print_report(result: AuditResult) -> None:
    _line(
        _("Separation of the channels in {district}, as of {time}").format(district=result.district, time=result.as_of)
    )
    if result.wards:
        _line(_("only of: {wards}").format(wards=", ".join(result.wards)))
    _matrix(result)
    for device in result.devices:
        for crossing in device.crossings:
            if not crossing.follows:
                _crossing(crossing)
        _following(device)
    for device in result.devices:
        _problems(device)
        _disagreements(device)
    if result.replay is not None:
        print_replay(result.replay)
    _grants(result)
    _assumptions(result)
    _coverage(result)
    out.print(Text.assemble(_("Verdict: "), _shown(result.verdict)))


def _matrix(result: AuditResult) -> None:
    table = Table(show_edge=False, pad_edge=False)
    for title in (_("ward"), _("from"), _("to"), "IPv4", "IPv6"):
        table.add_column(title)
    rows: dict[tuple[str, str, str], dict[str, Verdict]] = {}
    for entry in matrix(result):
        key = entry["ward"], entry["from"], entry["to"]
        rows.setdefault(key, {})[entry["family"]] = Verdict(entry["verdict"])
    for (ward, source, destination), families in rows.items():
        cells = [_shown(families[family]) if family in families else Text("-") for family in ("ipv4", "ipv6")]
        table.add_row(ward, _(source), _(destination), *cells)
    if rows:
        out.print(table)
    single = [device.device for device in result.devices if device.collected and not device.pairs]
    if single:
        _line(_("on one channel only, checked for unexpected ports: {names}").format(names=", ".join(single)))


def _crossing(crossing: Crossing) -> None:
    out.print()
    title = _("{id}: from {source} ({from_channel}) to {destination} ({to_channel}), IPv{family}").format(
        id=crossing.id,
        source=crossing.from_port,
        from_channel=crossing.from_channel,
        destination=crossing.to_port,
        to_channel=crossing.to_channel,
        family=crossing.family,
    )
    out.print(Text.assemble(_shown(crossing.verdict), " ", (title, "bold")))
    _line("  " + _("packet: {packet}").format(packet=packet_text(crossing.packet)))
    if crossing.needs is not None:
        _line("  " + _("after a flow that starts with: {packet}").format(packet=packet_text(crossing.needs)))
    if crossing.needs_rule is not None:
        _line("  " + _("which is let through by: {rule}").format(rule=hop_text(crossing.needs_rule)))
    if crossing.needs_down:
        _line("  " + _("which starts while down: {ports}").format(ports=", ".join(crossing.needs_down)))
    if crossing.failed:
        _line("  " + _("while down: {ports}").format(ports=", ".join(crossing.failed)))
    if crossing.gone:
        _line("  " + _("and gone, with their addresses: {ports}").format(ports=", ".join(crossing.gone)))
    for hop in crossing.path:
        _line(f"    {hop_text(hop)}")
    if crossing.rule is not None:
        _line("  " + _("let through by: {rule}").format(rule=hop_text(crossing.rule)))
    for point in crossing.open_points:
        _line("  " + _point(point))
    _line("  " + _("to close it: {suggestion}").format(suggestion=crossing.suggestion))


def _following(device: DeviceResult) -> None:
    """What opens with a crossing that was told of already: the answers to its flows, one line each."""
    for crossing in device.crossings:
        if crossing.follows:
            text = _("{id} follows from {cause}: {packet}, out through {port}").format(
                id=crossing.id, cause=crossing.follows, packet=packet_text(crossing.packet), port=crossing.to_port
            )
            out.print(Text.assemble(_shown(crossing.verdict), " ", text), soft_wrap=True)


def packet_text(packet: Packet) -> str:
    """`tcp 172.20.1.11:40000 -> 10.20.1.10:443, new, in through citizen0`"""
    brackets = "[{}]" if packet.family == 6 else "{}"
    ends = []
    for address, port in ((packet.source, packet.source_port), (packet.destination, packet.destination_port)):
        ends.append(address if port is None else f"{brackets.format(address)}:{port}")
    words = [f"{protocol_name(packet.protocol)} {ends[0]} -> {ends[1]}"]
    if packet.icmp_type is not None:
        words.append(_("type {number}").format(number=packet.icmp_type))
    if packet.fragment:
        words.append(_("a later fragment"))
    words.append(packet.state)
    words.append(_("in through {port}").format(port=packet.incoming))
    return ", ".join(words)


def hop_text(hop: Hop) -> str:
    parts = [f"{hop.stage}: {hop.text}"]
    if hop.span is not None:
        parts.append(f"[{hop.span.artefact} {hop.span.place}]")
    if hop.comment:
        parts.append(f'"{hop.comment}"')
    return " ".join(parts)


def _point(point: OpenPoint) -> str:
    return _("unknown: {span}: {reason}; to settle it: {settle}").format(
        span=point.span, reason=point.reason, settle=point.settle
    )


def _problems(device: DeviceResult) -> None:
    if not device.problems:
        return
    out.print()
    out.print(Text.assemble(_shown(Verdict.UNKNOWN), " ", (device.device, "bold")))
    for point in device.problems[:_SHOWN]:
        _line("  " + _point(point))
    if len(device.problems) > _SHOWN:
        _line("  " + _("and {count} more, see --json").format(count=len(device.problems) - _SHOWN))


def _disagreements(device: DeviceResult) -> None:
    """Where the audit itself failed: one of its engines is wrong, or came to no verdict."""
    if not device.disagreements:
        return
    out.print()
    title = _("{device}: the audit failed here").format(device=device.device)
    out.print(Text.assemble(_shown(Verdict.UNKNOWN), " ", (title, "bold")))
    for found in device.disagreements:
        _line(
            _("  {source} -> {destination}, IPv{family}: {reason}; to settle it: {settle}").format(
                source=found.from_port,
                destination=found.to_port,
                family=found.family,
                reason=found.reason,
                settle=found.settle,
            )
        )


def _grants(result: AuditResult) -> None:
    if not result.grants:
        return
    out.print()
    _line(_("Exceptions in force:"))
    for grant in result.grants:
        _line(
            _("  {id}: {sender} -> {receiver} {allow} at {device}; {document}, {owner}, until {expires}").format(
                id=grant.id,
                sender=grant.sender,
                receiver=grant.receiver,
                allow=", ".join(grant.allow),
                device=grant.device,
                document=grant.document,
                owner=grant.owner,
                expires=grant.expires.isoformat(),
            )
        )


def _assumptions(result: AuditResult) -> None:
    if not result.assumptions:
        return
    out.print()
    _line(_("Not looked into, and so assumed to keep the channels apart:"))
    reasons: dict[str, list[str]] = {}
    for assumption in result.assumptions:
        reasons.setdefault(assumption.reason, []).append(assumption.subject)
    for reason, subjects in reasons.items():
        _line(_("  {reason}: {subjects}").format(reason=_(reason), subjects=", ".join(subjects)))


def _coverage(result: AuditResult) -> None:
    modelled = irrelevant = unknown = 0
    for device in result.devices:
        for coverage in device.coverage:
            modelled += coverage.modelled
            irrelevant += coverage.irrelevant
            unknown += coverage.unknown
    out.print()
    _line(
        _("Read: {modelled} items modelled, {irrelevant} irrelevant, {unknown} unknown").format(
            modelled=modelled, irrelevant=irrelevant, unknown=unknown
        )
    )
    _line(_("Each with its place, and the reason why it is irrelevant or unknown: --json"))


def _line(text: str) -> None:
    out.print(text, markup=False, soft_wrap=True)
