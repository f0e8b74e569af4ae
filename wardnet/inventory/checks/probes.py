"""Lines beyond which a gateway knows nobody who answers: no change there is told to have cut the line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from wardnet.inventory.checks.days import is_there
from wardnet.inventory.problems import Problem
from wardnet.locale import _
from wardnet.model.intent import Channel, District, Platform


def unanswered(district: District, day: date) -> Iterator[Problem]:
    """Circuits on a channel without a reflector, but for lines to the district's own hub, whose far end is pinged: the
    provider's end of an internet line is a neighbour, who answers whatever a change does to the ways beyond it."""
    measured = {reflector.channel for reflector in district.reflectors}
    for _ward, site in district.sites:
        for circuit in site.circuits if site.gateway.platform is Platform.LINUX else ():
            pinged = circuit.peers and circuit.channel is Channel.WAN
            if pinged or circuit.channel in measured or not is_there(circuit, day):
                continue
            message = _(
                "nobody is known who answers beyond circuit '{circuit}': that a change cuts it would not be seen"
            )
            suggestion = _("add a reflector of channel '{channel}' to district.yml")
            yield Problem(
                circuit.source.file,
                circuit.source.line,
                message.format(circuit=circuit.id),
                suggestion.format(channel=circuit.channel),
            )
