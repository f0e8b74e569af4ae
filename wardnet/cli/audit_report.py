"""An audit's result for people, in a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from wardnet.audit.records import CHANNELS, AuditResult, Crossing, DeviceResult, Verdict
from wardnet.audit.report import matrix, zones
from wardnet.cli.audit_network import print_network
from wardnet.cli.audit_replay import print_replay
from wardnet.cli.audit_words import hop_text, line, packet_text, point_text, shown
from wardnet.cli.console import out
from wardnet.locale import _

_SHOWN = 12  # unknowns of a device, and directions, that are printed; the JSON has all


def print_report(result: AuditResult) -> None:
    line(
        _("Separation of the channels in {district}, as of {time}").format(district=result.district, time=result.as_of)
    )
    if result.wards:
        line(_("only of: {wards}").format(wards=", ".join(result.wards)))
    _matrix(result)
    _zones(result)
    for device in result.devices:
        for crossing in device.crossings:
            if not crossing.follows:
                _crossing(crossing)
        _following(device)
    for device in result.devices:
        _problems(device)
        _disagreements(device)
    print_network(result)
    if result.replay is not None:
        print_replay(result.replay)
    _grants(result)
    _assumptions(result)
    _coverage(result)
    out.print(Text.assemble(_("Verdict: "), shown(result.verdict)))


def _matrix(result: AuditResult) -> None:
    table = Table(show_edge=False, pad_edge=False)
    for title in (_("ward"), _("from"), _("to"), "IPv4", "IPv6"):
        table.add_column(title)
    rows: dict[tuple[str, str, str], dict[str, Verdict]] = {}
    for entry in matrix(result):
        key = entry["ward"], entry["from"], entry["to"]
        rows.setdefault(key, {})[entry["family"]] = Verdict(entry["verdict"])
    for (ward, source, destination), families in rows.items():
        cells = [shown(families[family]) if family in families else Text("-") for family in ("ipv4", "ipv6")]
        table.add_row(ward, _(source), _(destination), *cells)
    if rows:
        out.print(table)
    single = [device.device for device in result.devices if device.collected and not device.pairs]
    if single:
        line(_("of one zone only, checked for unexpected ports: {names}").format(names=", ".join(single)))


def _zones(result: AuditResult) -> None:
    """Within the channels: how many directions are proved, and which are not."""
    entries = zones(result)
    left = [entry for entry in entries if entry["verdict"] != Verdict.PROVED]
    if entries:
        text = _("Between zones of one channel, at each device: {proved} of {all} directions proved")
        line(text.format(proved=len(entries) - len(left), all=len(entries)))
    for entry in left[:_SHOWN]:
        words = _("{device}: from {source} to {destination}, IPv{family}").format(
            device=entry["device"], source=entry["from"], destination=entry["to"], family=entry["family"][-1]
        )
        out.print(Text.assemble("  ", shown(Verdict(entry["verdict"])), " ", words), soft_wrap=True)
    if len(left) > _SHOWN:
        line("  " + _("and {count} more, see --json").format(count=len(left) - _SHOWN))


def _crossing(crossing: Crossing) -> None:
    out.print()
    if crossing.crosses == CHANNELS:
        text = _("{id}: from {source} ({from_channel}) to {destination} ({to_channel}), IPv{family}")
    else:
        text = _(
            "{id}: within channel {from_channel}, from {source} (zone {from_zone}) to {destination} (zone {to_zone}), "
            "IPv{family}"
        )
    title = text.format(
        id=crossing.id,
        source=crossing.from_port,
        from_channel=crossing.from_channel,
        from_zone=crossing.from_zone,
        destination=crossing.to_port,
        to_channel=crossing.to_channel,
        to_zone=crossing.to_zone,
        family=crossing.family,
    )
    out.print(Text.assemble(shown(crossing.verdict), " ", (title, "bold")), soft_wrap=True)
    line("  " + _("packet: {packet}").format(packet=packet_text(crossing.packet)))
    if crossing.needs is not None:
        line("  " + _("after a flow that starts with: {packet}").format(packet=packet_text(crossing.needs)))
    if crossing.needs_rule is not None:
        line("  " + _("which is let through by: {rule}").format(rule=hop_text(crossing.needs_rule)))
    if crossing.needs_down:
        line("  " + _("which starts while down: {ports}").format(ports=", ".join(crossing.needs_down)))
    if crossing.failed:
        line("  " + _("while down: {ports}").format(ports=", ".join(crossing.failed)))
    if crossing.gone:
        line("  " + _("and gone, with their addresses: {ports}").format(ports=", ".join(crossing.gone)))
    for hop in crossing.path:
        line(f"    {hop_text(hop)}")
    if crossing.rule is not None:
        line("  " + _("let through by: {rule}").format(rule=hop_text(crossing.rule)))
    for point in crossing.open_points:
        line("  " + point_text(point))
    line("  " + _("to close it: {suggestion}").format(suggestion=crossing.suggestion))


def _following(device: DeviceResult) -> None:
    """What opens with a crossing that was told of already: the answers to its flows, one line each."""
    for crossing in device.crossings:
        if crossing.follows:
            text = _("{id} follows from {cause}: {packet}, out through {port}").format(
                id=crossing.id, cause=crossing.follows, packet=packet_text(crossing.packet), port=crossing.to_port
            )
            out.print(Text.assemble(shown(crossing.verdict), " ", text), soft_wrap=True)


def _problems(device: DeviceResult) -> None:
    if not device.problems:
        return
    out.print()
    out.print(Text.assemble(shown(Verdict.UNKNOWN), " ", (device.device, "bold")))
    for point in device.problems[:_SHOWN]:
        line("  " + point_text(point))
    if len(device.problems) > _SHOWN:
        line("  " + _("and {count} more, see --json").format(count=len(device.problems) - _SHOWN))


def _disagreements(device: DeviceResult) -> None:
    """Where the audit itself failed: one of its engines is wrong, or came to no verdict."""
    if not device.disagreements:
        return
    out.print()
    title = _("{device}: the audit failed here").format(device=device.device)
    out.print(Text.assemble(shown(Verdict.UNKNOWN), " ", (title, "bold")), soft_wrap=True)
    for found in device.disagreements:
        line(
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
    line(_("Exceptions in force:"))
    for grant in result.grants:
        line(
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
    line(_("Not looked into, and so assumed to keep the channels apart:"))
    reasons: dict[str, list[str]] = {}
    for assumption in result.assumptions:
        reasons.setdefault(assumption.reason, []).append(assumption.subject)
    for reason, subjects in reasons.items():
        line(_("  {reason}: {subjects}").format(reason=_(reason), subjects=", ".join(subjects)))


def _coverage(result: AuditResult) -> None:
    modelled = irrelevant = unknown = 0
    for device in result.devices:
        for coverage in device.coverage:
            modelled += coverage.modelled
            irrelevant += coverage.irrelevant
            unknown += coverage.unknown
    out.print()
    line(
        _("Read: {modelled} items modelled, {irrelevant} irrelevant, {unknown} unknown").format(
            modelled=modelled, irrelevant=irrelevant, unknown=unknown
        )
    )
    line(_("Each with its place, and the reason why it is irrelevant or unknown: --json"))
    alike = sum(1 for device in result.devices if device.like)
    if alike:
        text = _(
            "Proved as another device that differs in addresses alone: {count} of {all} devices (`like` in --json)"
        )
        line(text.format(count=alike, all=len(result.devices)))
