"""What is wrong with lines on one day: an office whose circuit has ended, or soon will, and no other follows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from wardnet.inventory.checks.context import days_of
from wardnet.inventory.checks.sites import CIRCUITS
from wardnet.inventory.problems import Problem
from wardnet.locale import _, ngettext
from wardnet.model.intent import Circuit, District, Site

SOON = 30  # days before its end in which a person is told


def errors_on(district: District, day: date) -> tuple[Problem, ...]:
    """Offices that have lost a channel: a circuit of it has ended, and none is there on the day. One whose circuits all
    begin later is being prepared, and none of these."""
    found = []
    for site, circuits in _needed(district):
        ended = [circuit for circuit in circuits if circuit.valid_to and circuit.valid_to < day]
        if not ended or any(is_there(circuit, day) for circuit in circuits):
            continue
        last = max(ended, key=lambda circuit: days_of(circuit)[1])
        message = _(
            "{kind} '{site}' has no circuit on channel '{channel}' any more: '{circuit}' ended on {day}"
        ).format(kind=site.kind, site=site.id, channel=last.channel, circuit=last.id, day=last.valid_to)
        found.append(_problem(last, message, _("correct 'valid_to', or add the circuit that follows it")))
    return tuple(sorted(found))


def warnings_on(district: District, day: date) -> Iterator[Problem]:
    """Circuits that end within 30 days with none after them, and those that have no rate on the day yet."""
    for _site, circuits in _needed(district):
        for circuit in circuits:
            if not is_there(circuit, day):
                continue  # said elsewhere
            if circuit.valid_to is not None and (circuit.valid_to - day).days <= SOON:
                left = (circuit.valid_to - day).days
                if not any(is_there(other, circuit.valid_to + timedelta(days=1)) for other in circuits):
                    message = _("circuit '{circuit}' ends on {day}, and none follows it").format(
                        circuit=circuit.id, day=circuit.valid_to
                    )
                    days = ngettext("{left} day is left", "{left} days are left", left).format(left=left)
                    yield _problem(circuit, message, days)
            first = circuit.contracted[0]
            if first.valid_from > day:
                message = _("circuit '{circuit}' has no rate before {first}").format(
                    circuit=circuit.id, first=first.valid_from
                )
                yield _problem(
                    circuit, message, _("that one is taken for today's; add the rate that is contracted now")
                )


def _needed(district: District) -> Iterator[tuple[Site, list[Circuit]]]:
    """Each site with its circuits on each channel that it has to have."""
    for _ward, site in district.sites:
        for channel in CIRCUITS[site.kind]:
            yield site, [circuit for circuit in site.circuits if circuit.channel is channel]


def is_there(circuit: Circuit, day: date) -> bool:
    first, last = days_of(circuit)
    return first <= day <= last


def _problem(circuit: Circuit, message: str, suggestion: str) -> Problem:
    return Problem(circuit.source.file, circuit.source.line, message, suggestion)
