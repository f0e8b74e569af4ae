"""What a provider or a neighbour gives is not known beforehand: it is no drift, and what stands beside it is."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.plugins_support import load

intents = load("module_utils", "wardnet_intent")
kernel = load("module_utils", "wardnet_kernel")

NOTHING: list[dict[str, Any]] = []


def gateway(**more: Any) -> dict[str, Any]:
    port = {"name": "inet0", "channel": "internet", "addressing": "dhcp", "ipv4": None, "ipv6": None}
    leased = [
        {"destination": destination, "kind": "leased", "via": None, "port": "inet0", "metric": 100}
        for destination in ("0.0.0.0/0", "::/0")
    ]
    table = {"number": 200, "channel": "internet", "routes": leased}
    return {"ports": [port], "tables": [table], "rules": [], **more}


def neighbour() -> dict[str, Any]:
    port = {"name": "wan0", "channel": "wan", "addressing": "static", "ipv4": None, "ipv6": None}
    learned = {"destination": "10.16.0.0/12", "kind": "learned", "via": "10.31.1.1", "port": "wan0", "metric": 100}
    table = {"number": 100, "channel": "wan", "routes": [learned]}
    peer = {"channel": "wan", "port": "wan0", "accept": ["10.16.0.0/12", "fd20::/16"]}
    return {"ports": [port], "tables": [table], "rules": [], "bgp": [peer]}


ADDRESS = {"local": "198.51.100.6", "prefixlen": 30, "dynamic": True, "noprefixroute": True}
ADDRESS6 = {"local": "2001:db8:ff:1::2", "prefixlen": 128, "dynamic": True, "noprefixroute": True}
WAY = {"dst": "default", "gateway": "198.51.100.5", "dev": "inet0", "table": "200", "protocol": "16", "metric": 100}
ON_LINK = {"dst": "198.51.100.4/30", "dev": "inet0", "table": "200", "protocol": "16", "metric": 100}
# As iproute2 prints what networkd makes of a router advertisement.
WAY6 = {"dst": "default", "gateway": "fe80::1", "dev": "inet0", "table": "200", "protocol": "9", "metric": 100,
        "expires": 1799, "metrics": [{"mtu": 1500}], "pref": "medium", "flags": []}  # fmt: skip


def running(addresses: list[dict[str, Any]], routes: list[dict[str, Any]], routes6: list[dict[str, Any]]) -> Any:
    links = json.dumps([{"ifname": port, "flags": ["LOWER_UP"], "addr_info": addresses} for port in ("inet0", "wan0")])
    found, tentative = kernel.parse_addresses(links)
    found = frozenset(address for address in found if address.port == "inet0")
    given = kernel.parse_routes(json.dumps(routes), 4) | kernel.parse_routes(json.dumps(routes6), 6)
    return kernel.Running(found, tentative, given, frozenset(), kernel.parse_carrier(links))


def compare(record: dict[str, Any], channel: str, *given: Any) -> Any:
    return intents.compare(running(*given), intents.read_intent(record, channel, True))


def test_a_lease_is_no_drift_in_either_family() -> None:
    assert not compare(gateway(), "internet", [ADDRESS, ADDRESS6], [WAY, ON_LINK], [WAY6])


def test_a_provider_that_gives_nothing_is_not_missed() -> None:
    assert not compare(gateway(), "internet", NOTHING, NOTHING, NOTHING)


def test_an_address_without_its_way_is_missed() -> None:
    difference = compare(gateway(), "internet", [ADDRESS], [ON_LINK], NOTHING)
    assert list(map(str, difference.missing)) == ["route 0.0.0.0/0 dev inet0 metric 100 table 200"]


def session() -> dict[str, Any]:
    record = gateway()
    record["ports"][0]["addressing"] = "pppoe"
    return record


# As iproute2 prints what pppd and networkd make of a session.
PEER = {"local": "198.51.100.130", "address": "198.51.100.129", "prefixlen": 32}
OUT = {"dst": "default", "dev": "inet0", "table": "200", "protocol": "4", "scope": "253", "metric": 100, "flags": []}
OUT6 = {"dst": "default", "dev": "inet0", "table": "200", "protocol": "4", "metric": 100, "flags": [], "pref": "medium"}


def test_a_sessions_own_ways_are_no_drift_whether_it_is_up_or_not() -> None:
    assert not compare(session(), "internet", [PEER], [OUT], [OUT6, WAY6])
    assert not compare(session(), "internet", NOTHING, NOTHING, NOTHING)


def test_a_session_without_its_way_is_missed_and_one_by_another_way_is_foreign() -> None:
    difference = compare(session(), "internet", [PEER], [{**OUT, "metric": 5}], [OUT6])
    assert list(map(str, difference.missing)) == ["route 0.0.0.0/0 dev inet0 metric 100 table 200"]
    assert list(map(str, difference.foreign)) == ["route 0.0.0.0/0 dev inet0 metric 5 table 200"]


def test_a_lease_is_not_held_to_a_way_of_ones_own() -> None:
    difference = compare(gateway(), "internet", [ADDRESS], [WAY, OUT], NOTHING)
    assert [item.via for item in difference.foreign] == [""]


def test_an_address_that_somebody_added_is_foreign() -> None:
    mine = {"local": "198.51.100.9", "prefixlen": 30, "noprefixroute": True}
    difference = compare(gateway(), "internet", [ADDRESS, mine], [WAY], NOTHING)
    assert list(map(str, difference.foreign)) == ["address 198.51.100.9/30 on inet0"]


def test_a_route_that_somebody_added_is_foreign() -> None:
    mine = {"dst": "10.20.1.0/24", "dev": "inet0", "table": "200", "protocol": "3", "metric": 5}
    difference = compare(gateway(), "internet", [ADDRESS], [WAY, mine], NOTHING)
    assert list(map(str, difference.foreign)) == ["route 10.20.1.0/24 dev inet0 metric 5 table 200"]


def test_a_lease_has_no_say_about_the_main_table() -> None:
    main = {key: value for key, value in WAY.items() if key != "table"}
    difference = compare(gateway(), "internet", [ADDRESS], [WAY, main], NOTHING)
    assert [item.table for item in difference.foreign] == [254]


def test_another_ports_route_is_not_the_leases() -> None:
    other = {**WAY, "dev": "wan0"}
    difference = compare(gateway(), "internet", [ADDRESS], [WAY, other], NOTHING)
    assert [item.port for item in difference.foreign] == ["wan0"]


def test_what_a_neighbour_may_announce_is_no_drift() -> None:
    route = {"dst": "10.20.2.0/24", "gateway": "10.31.1.1", "dev": "wan0", "table": "100", "protocol": "186",
             "metric": 20, "nhid": 39}  # fmt: skip
    assert not compare(neighbour(), "wan", NOTHING, [route], NOTHING)


def test_a_lease_has_no_say_about_another_channels_table() -> None:
    wan = {"number": 100, "channel": "wan", "routes": []}
    record = gateway()
    record["tables"].append(wan)
    record["ports"].append({**record["ports"][0], "name": "wan0", "channel": "wan", "addressing": "static"})
    other = {**WAY, "dst": "10.0.0.0/8", "table": "100"}
    difference = compare(record, "wan", [], [other], NOTHING)
    assert [(item.table, item.port) for item in difference.foreign] == [(100, "inet0")]


def test_a_neighbours_route_by_another_port_is_foreign() -> None:
    route = {"dst": "10.20.2.0/24", "gateway": "203.0.113.1", "dev": "inet0", "table": "100", "protocol": "186"}
    record = neighbour()
    record["ports"].append({**record["ports"][0], "name": "inet0", "channel": "internet"})
    assert [item.port for item in compare(record, "wan", NOTHING, [route], NOTHING).foreign] == ["inet0"]


def test_what_a_neighbour_must_not_announce_is_foreign() -> None:
    for destination in ("default", "198.51.100.0/24", "10.0.0.0/8"):
        route = {"dst": destination, "gateway": "10.31.1.1", "dev": "wan0", "table": "100", "protocol": "186"}
        assert len(compare(neighbour(), "wan", NOTHING, [route], NOTHING).foreign) == 1


def test_a_learned_route_that_is_not_there_is_not_missed() -> None:
    assert not compare(neighbour(), "wan", NOTHING, NOTHING, NOTHING)
