"""Exceptions: conduits across the channels, each between two hosts of one site, each with an end."""

from __future__ import annotations

from datetime import date

from wardnet.inventory.checks.context import Context
from wardnet.inventory.problems import Problem
from wardnet.model.intent import District, SiteKind, Source


def exceptions_cross(context: Context) -> None:
    for grant in context.district.exceptions:
        if grant.expires < grant.valid_from:
            context.add(
                grant.source,
                f"exception '{grant.id}' expires on {grant.expires}, before it begins on {grant.valid_from}",
            )
        ends = []
        for host_id in (grant.from_host, grant.to_host):
            if host_id in context.hosts:
                ends.append(context.hosts[host_id])
            elif context.complete:  # else it may be in the file that did not parse
                context.unknown(grant.source, "host", host_id, context.hosts)
        if len(ends) < 2:
            continue
        (from_site, from_host), (to_site, to_host) = ends
        if from_host.channel is to_host.channel:
            context.add(
                grant.source,
                f"exception '{grant.id}' does not cross: both hosts are on channel '{from_host.channel}'",
                "write a conduit instead",
            )
        elif from_site.id != to_site.id:
            context.add(
                grant.source,
                f"exception '{grant.id}' joins sites '{from_site.id}' and '{to_site.id}'",
                "an exception crosses at one gateway, between hosts of its own site",
            )
        elif from_site.kind is SiteKind.SERVER_ROOM:
            context.add(grant.source, f"exception '{grant.id}' crosses in the server room, which has one channel")


def warnings(district: District, day: date) -> tuple[Problem, ...]:
    """What is no error but wants a person: exceptions that ended or end within 30 days, circuits out of date."""
    found = []
    for grant in district.exceptions:
        left = (grant.expires - day).days
        if left < 0:
            found.append(_warning(grant.source, f"exception '{grant.id}' expired on {grant.expires}",
                                  "it is left out; remove it or have it renewed"))  # fmt: skip
        elif left <= 30:
            found.append(_warning(grant.source, f"exception '{grant.id}' expires on {grant.expires}",
                                  f"{left} days are left"))  # fmt: skip
    ended = [c for _, site in district.sites for c in site.circuits if c.valid_to and c.valid_to < day]
    found += [_warning(c.source, f"circuit '{c.id}' ended on {c.valid_to}", "it is left out") for c in ended]
    later = [c for _, site in district.sites for c in site.circuits if c.valid_from and day < c.valid_from]
    found += [
        _warning(c.source, f"circuit '{c.id}' begins on {c.valid_from}", "until then it is left out") for c in later
    ]
    return tuple(sorted(found))


def _warning(source: Source, message: str, suggestion: str) -> Problem:
    return Problem(source.file, source.line, message, suggestion)
