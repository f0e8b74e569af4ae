"""Exceptions: conduits across the channels, each between two hosts of one site, each with an end."""

from __future__ import annotations

from datetime import date

from wardnet.inventory.checks.context import Context
from wardnet.inventory.checks.days import is_there, warnings_on
from wardnet.inventory.checks.probes import unanswered
from wardnet.inventory.problems import Problem
from wardnet.locale import _, ngettext
from wardnet.model.intent import District, ExceptionGrant, Platform, SiteKind, Source


def exceptions_cross(context: Context) -> None:
    for grant in context.district.exceptions:
        if grant.expires < grant.valid_from:
            context.add(
                grant.source,
                _("exception '{grant}' expires on {expires}, before it begins on {valid_from}").format(
                    grant=grant.id, expires=grant.expires, valid_from=grant.valid_from
                ),
            )
        ends = []
        for host_id in (grant.from_host, grant.to_host):
            if host_id in context.hosts:
                ends.append(context.hosts[host_id])
            elif context.complete:  # else it may be in the file that did not parse
                context.unknown(grant.source, _("host"), host_id, context.hosts)
        if len(ends) < 2:
            continue
        (from_site, from_host), (to_site, to_host) = ends
        if from_host.channel is to_host.channel:
            context.add(
                grant.source,
                _("exception '{grant}' does not cross: both hosts are on channel '{channel}'").format(
                    grant=grant.id, channel=from_host.channel
                ),
                _("write a conduit instead"),
            )
        elif from_site.id != to_site.id:
            context.add(
                grant.source,
                _("exception '{grant}' joins sites '{from_site}' and '{to_site}'").format(
                    grant=grant.id, from_site=from_site.id, to_site=to_site.id
                ),
                _("an exception crosses at one gateway, between hosts of its own site"),
            )
        elif from_site.kind is SiteKind.SERVER_ROOM:
            context.add(
                grant.source,
                _("exception '{grant}' crosses in the server room, which has one channel").format(grant=grant.id),
            )


def warnings(district: District, day: date) -> tuple[Problem, ...]:
    """What is no error but wants a person: exceptions and circuits that ended, end within 30 days or
    have not begun, rates that all begin later, exceptions whose end a gateway's clock may not tell;
    and lines beyond which nobody is asked."""
    found = []
    for grant in district.exceptions:
        left = (grant.expires - day).days
        if left < 0:
            message = _("exception '{grant}' expired on {expires}").format(grant=grant.id, expires=grant.expires)
            found.append(_warning(grant.source, message, _("it is left out; remove it or have it renewed")))
        elif left <= 30:
            message = _("exception '{grant}' expires on {expires}").format(grant=grant.id, expires=grant.expires)
            days = ngettext("{left} day is left", "{left} days are left", left).format(left=left)
            found.append(_warning(grant.source, message, days))
        if left >= 0 and not _is_told_the_time(district, grant, day):
            message = _("exception '{grant}' ends by its gateway's clock, which follows no time source").format(
                grant=grant.id
            )
            found.append(_warning(grant.source, message, _("add 'time_sources' to a channel that has one line there")))
    ended = [c for _ward, site in district.sites for c in site.circuits if c.valid_to and c.valid_to < day]
    found += [
        _warning(
            c.source, _("circuit '{circuit}' ended on {day}").format(circuit=c.id, day=c.valid_to), _("it is left out")
        )
        for c in ended
    ]
    later = [c for _ward, site in district.sites for c in site.circuits if c.valid_from and day < c.valid_from]
    found += [
        _warning(
            c.source,
            _("circuit '{circuit}' begins on {day}").format(circuit=c.id, day=c.valid_from),
            _("until then it is left out"),
        )
        for c in later
    ]
    return tuple(sorted([*found, *warnings_on(district, day), *unanswered(district, day)]))


def _is_told_the_time(district: District, grant: ExceptionGrant, day: date) -> bool:
    """Whether the gateway that the exception crosses has a channel with time sources, and one line by which to ask."""
    for _ward, site in district.sites:
        if site.gateway.platform is Platform.LINUX and any(host.id == grant.from_host for host in site.hosts):
            lines = [circuit.channel for circuit in site.circuits if is_there(circuit, day)]
            return any(plan.time_sources and lines.count(plan.id) == 1 for plan in district.channels)
    return True  # nobody here sets the clock of a gateway that is not configured


def _warning(source: Source, message: str, suggestion: str) -> Problem:
    return Problem(source.file, source.line, message, suggestion)
