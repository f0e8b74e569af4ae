"""Each item of each artefact is modelled, irrelevant for a reason, or unknown: none is left out, none counts twice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from collectors.parsers.coverage import Tally
from collectors.parsers.linux import parse_device
from tests.unit.audit_support import GATEWAY, gateway
from wardnet.model.span import Coverage, Treatment

LISTENERS = b"""udp UNCONN 0 0 10.20.1.1:53 0.0.0.0:* users:(("dnsmasq",pid=7,fd=4))
tcp LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=10,fd=3))
icmp6 UNCONN 0 0 *:58 *:* users:(("chronyd",pid=8,fd=5))
"""
SERVICES = b"""/etc/wardnet/zones/clerks.names.conf:# asks the district
/etc/wardnet/zones/clerks.names.conf:no-resolv
/etc/wardnet/zones/clerks.names.conf:server=10.0.0.1@wan0
/etc/wardnet/zones/clerks.names.conf:addn-hosts=/tmp/x
"""
POLICIES = b"""src 10.0.0.0/8 dst 10.0.0.0/8
\tdir out priority 0
"""
FULL = {
    **gateway(),
    "listeners.txt": LISTENERS,
    "services.txt": SERVICES,
    "xfrm-policy.txt": POLICIES,
    "legacy-tables.txt": b"filter\nnat\n",
}


def _lines(content: bytes) -> int:
    return sum(bool(line.strip()) for line in content.splitlines())


def _records(content: bytes) -> int:
    return len(json.loads(content))


ITEMS: dict[str, Callable[[bytes], int]] = {
    "nft-ruleset.json": lambda content: len(json.loads(content)["nftables"]),
    "ip-addr.json": lambda content: sum(len(record["addr_info"]) for record in json.loads(content)),
}


def covered(name: str) -> Coverage:
    return next(found for found in parse_device(GATEWAY, FULL).coverage if found.artefact == name)


def test_every_artefact_is_covered_once() -> None:
    found = [coverage.artefact for coverage in parse_device(GATEWAY, FULL).coverage]
    assert sorted(found) == sorted(FULL)


@pytest.mark.parametrize("name", sorted(FULL))
def test_the_sum_of_the_coverage_is_the_number_of_items(name: str) -> None:
    coverage = covered(name)
    count = ITEMS.get(name) or (_records if name.endswith(".json") else _lines)
    assert coverage.modelled + coverage.irrelevant + coverage.unknown == count(FULL[name])
    for treatment, number in zip(Treatment, (coverage.modelled, coverage.irrelevant, coverage.unknown), strict=True):
        found = [treated for treated in coverage.treated if treated.treatment is treatment]
        assert sum(treated.count for treated in found) == number
        assert all(bool(treated.reason) is (treatment is not Treatment.MODELLED) for treated in found)


@pytest.mark.parametrize("name", ["sysctl.txt", "services.txt", "listeners.txt", "xfrm-policy.txt", "ip-link.json"])
def test_no_place_stands_twice(name: str) -> None:
    """By the places themselves, ranges unfolded."""
    places = []
    for treated in covered(name).treated:
        for place in treated.places:
            if (match := re.fullmatch(r"(line )([0-9,-]+)", place)) is None:
                places.append(place)
                continue
            for run in match[2].split(","):
                low, _, high = run.partition("-")
                places += [f"line {number}" for number in range(int(low), int(high or low) + 1)]
    assert len(set(places)) == len(places)
    coverage = covered(name)
    assert len(places) == coverage.modelled + coverage.irrelevant + coverage.unknown


def test_the_lines_of_a_programs_configuration_are_told_apart() -> None:
    found = {place: treated.treatment for treated in covered("services.txt").treated for place in treated.places}
    assert found == {
        "line 1": Treatment.IRRELEVANT,
        "line 2": Treatment.IRRELEVANT,
        "line 3": Treatment.MODELLED,
        "line 4": Treatment.UNKNOWN,
    }


def test_places_are_folded() -> None:
    tally = Tally("x")
    for place in ("line 1", "line 2", "line 4", "wan0", "chain handle 9", "chain handle 10"):
        tally.modelled(place)
    (found,) = tally.coverage().treated
    assert found.places == ("line 1-2,4", "wan0", "chain handle 9-10")
    assert found.count == 6
