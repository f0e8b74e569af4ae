"""District -> Prometheus rules that say when what was compiled stops being right.

A configuration leaves out what is not valid on its day. When an exception or a circuit ends or begins after it,
or a new contracted rate starts, gateways go on as before until somebody compiles and provisions again. Each such
day is a constant recording rule, so that an alert can hold it against the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from wardnet.model.intent import Circuit, District, ExceptionGrant, Site, Ward
from wardnet.model.plan import Plan

RECORD = "wardnet:configuration_changes_timestamp_seconds"


def compile_validity(district: District, plan: Plan) -> dict[str, Any]:
    """A rule file as Prometheus reads it: one rule a change to come, in seconds since 1970. A day begins at
    midnight in the district's time zone."""
    zone = ZoneInfo(district.timezone)
    managed = {gateway.id for gateway in plan.gateways if gateway.managed}
    rules = []
    for ward, site in district.sites:
        if site.gateway.id not in managed:
            continue
        for channel, what, item, change, day in _changes(district, site, plan.as_of):
            midnight = datetime.combine(day, time(), zone)
            labels = _labels(ward, site) | {"channel": channel, "what": what, "item": item, "change": change}
            rules.append({"record": RECORD, "expr": f"vector({int(midnight.timestamp())})", "labels": labels})
    return {"groups": [{"name": "wardnet_validity", "rules": rules}]}


def _labels(ward: Ward, site: Site) -> dict[str, str]:
    return {"ward": ward.id, "ward_name": ward.name, "site": site.id, "gateway": site.gateway.id}


_Change = tuple[str, str, str, str, date]  # channel, what, item, change, the first day that is different


def _changes(district: District, site: Site, as_of: date) -> Iterator[_Change]:
    for circuit in site.circuits:
        yield from _circuit(circuit, as_of)
    hosts = {host.id for host in site.hosts}
    for grant in district.exceptions:
        if grant.from_host in hosts or grant.to_host in hosts:
            yield from _grant(grant, as_of)


def _circuit(circuit: Circuit, as_of: date) -> Iterator[_Change]:
    channel = circuit.channel.value
    if circuit.valid_from and circuit.valid_from > as_of:
        yield channel, "circuit", circuit.id, "begins", circuit.valid_from
    if circuit.valid_to and circuit.valid_to >= as_of:
        yield channel, "circuit", circuit.id, "ends", circuit.valid_to + timedelta(days=1)
    for rate in circuit.contracted:
        if rate.valid_from > as_of:
            yield channel, "rate", f"{circuit.id} {rate.valid_from.isoformat()}", "begins", rate.valid_from


def _grant(grant: ExceptionGrant, as_of: date) -> Iterator[_Change]:
    if grant.valid_from > as_of:
        yield "all", "exception", grant.id, "begins", grant.valid_from
    if grant.expires >= as_of:
        yield "all", "exception", grant.id, "ends", grant.expires + timedelta(days=1)
