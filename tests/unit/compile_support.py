"""The sample district, whole or changed, for the tests of what it compiles to."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path

from wardnet.compile import compile_plan
from wardnet.inventory import parse_district
from wardnet.model.intent import District, IPAddress
from wardnet.model.plan import Plan, Route, RoutingTable

INVENTORY = Path(__file__).parents[2] / "inventory" / "tay-ho"
DAY = date(2026, 11, 24)


def files() -> dict[str, bytes]:
    paths = [INVENTORY / "district.yml", *sorted((INVENTORY / "wards").glob("*.yml"))]
    return {path.relative_to(INVENTORY).as_posix(): path.read_bytes() for path in paths}


def changed(name: str, *replacements: tuple[str, str]) -> District:
    """The district with texts of one file replaced; each must be there exactly once."""
    content = files()
    text = content[name].decode()
    for find, put in replacements:
        assert text.count(find) == 1, find
        text = text.replace(find, put)
    return parse_district({**content, name: text.encode()})


@cache
def sample() -> District:
    return parse_district(files())


@cache
def sample_plan(day: date = DAY) -> Plan:
    return compile_plan(sample(), day)


def look_up(table: RoutingTable, address: IPAddress) -> Route:
    """The route that a kernel picks: the longest prefix, then the lowest metric."""
    found = [route for route in table.routes if address in route.destination]
    return min(found, key=lambda route: (-route.destination.prefixlen, route.metric))
