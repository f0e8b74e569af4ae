"""What an audit says of the network as a whole, for people: counts, and what is not proved."""

from __future__ import annotations

from rich.text import Text

from wardnet.audit.records import AuditResult, Verdict, Way
from wardnet.cli.audit_words import hop_text, line, packet_text, point_text, shown
from wardnet.cli.console import out
from wardnet.locale import _

_SHOWN = 12  # ways that are printed; the JSON has all


def print_network(result: AuditResult) -> None:
    network = result.network
    if network is None:
        return
    out.print()
    proved = [cell for cell in network.cells if cell.verdict is Verdict.PROVED]
    assumed = [cell for cell in proved if cell.assumed]
    line(
        _(
            "Over the whole network, from each zone of each site to each other: {proved} of {all} directions proved"
        ).format(proved=len(proved), all=len(network.cells))
    )
    if assumed:
        line("  " + _("{count} of them if what is not looked into keeps to its part").format(count=len(assumed)))
    for way in network.ways[:_SHOWN]:
        _way(way)
    if len(network.ways) > _SHOWN:
        line("  " + _("and {count} more, see --json").format(count=len(network.ways) - _SHOWN))
    for host in network.relays:
        line("  " + _("{host} is on several networks, and taken to pass nothing on").format(host=host))


def _way(way: Way) -> None:
    cell = way.cell
    title = _("from {source} to {destination}, IPv{family}").format(
        source=_place(cell.from_zone, cell.from_site),
        destination=_place(cell.to_zone, cell.to_site),
        family=cell.family,
    )
    out.print(Text.assemble("  ", shown(cell.verdict), " ", (title, "bold")), soft_wrap=True)
    line("    " + _("packet: {packet}").format(packet=packet_text(way.packet)))
    for hop in way.path:
        line(f"      {hop_text(hop)}")
    for point in way.open_points:
        line("    " + point_text(point))


def _place(zone: str, site: str) -> str:
    return f"{zone} ({site})" if site else zone
