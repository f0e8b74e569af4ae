"""Verdicts, packets, steps and unknowns of an audit, in words."""

from __future__ import annotations

from rich.text import Text

from wardnet.audit.records import Hop, OpenPoint, Packet, Verdict
from wardnet.audit.report import protocol_name
from wardnet.cli.console import out
from wardnet.locale import _

# Words, a sign and a colour: never the colour alone.
_SIGNS = {Verdict.PROVED: ("●", "green"), Verdict.VIOLATED: ("✖", "red"), Verdict.UNKNOWN: ("○", "magenta")}


def _word(verdict: Verdict) -> str:
    return {Verdict.PROVED: _("proved"), Verdict.VIOLATED: _("violated"), Verdict.UNKNOWN: _("unknown")}[verdict]


def shown(verdict: Verdict) -> Text:
    sign, colour = _SIGNS[verdict]
    return Text(f"{sign} {_word(verdict)}", style=colour)


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


def point_text(point: OpenPoint) -> str:
    return _("unknown: {span}: {reason}; to settle it: {settle}").format(
        span=point.span, reason=point.reason, settle=point.settle
    )


def line(text: str) -> None:
    out.print(text, markup=False, soft_wrap=True)
