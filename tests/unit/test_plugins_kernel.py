"""What ip(8) and nft(8) print becomes sets, and the sets tell drift from intent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.plugins_support import gateway, load

intents = load("module_utils", "wardnet_intent")
kernel = load("module_utils", "wardnet_kernel")

RULES_4 = """[{"priority":0,"src":"all","table":"255"},
{"priority":50,"src":"10.0.0.0","srclen":8,"fwmark":"0x1","table":"100"},
{"priority":1010,"src":"all","iif":"clerks0","table":"100"},
{"priority":1100,"src":"all","oif":"wan0","oif_detached":null,"table":"100"},
{"priority":1200,"src":"10.31.1.2","table":"100"},
{"priority":32766,"src":"all","table":"254"},{"priority":32767,"src":"all","table":"253"}]"""
RULES_6 = """[{"priority":0,"src":"all","table":"255"},
{"priority":900,"src":"all","dst":"fe80::","dstlen":10,"table":"254"},{"priority":32766,"src":"all","table":"254"}]"""
ROUTES_4 = """[{"dst":"default","gateway":"10.31.1.1","dev":"wan0","table":"100","metric":100,"flags":["onlink"]},
{"type":"7","dst":"default","table":"100","metric":4000000,"flags":[]},
{"dst":"10.8.8.8","dev":"clerks0","table":"100","scope":"253","flags":[]},
{"dst":"10.9.0.0/16","table":"100","nexthops":[{"gateway":"10.31.1.1","dev":"wan0","weight":1}],"flags":[]},
{"type":"2","dst":"10.31.1.2","dev":"wan0","table":"255","protocol":"2","scope":"254","flags":[]}]"""
ROUTES_6 = """[{"dst":"fd20:31:1::/64","dev":"wan0","table":"100","metric":1024,"flags":[],"pref":"medium"},
{"type":"7","dst":"default","dev":"lo","table":"100","metric":4000000,"flags":[],"pref":"medium"},
{"dst":"fe80::/64","dev":"wan0","protocol":"2","metric":256,"flags":[],"pref":"medium"},
{"dst":"2001:db8::/32","dev":"wan0","metric":256,"flags":[],"pref":"medium"},
{"type":"5","dst":"ff00::/8","dev":"wan0","table":"255","protocol":"2","metric":256,"flags":[]}]"""
LINKS = """[{"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"addr_info":[
{"family":"inet","local":"127.0.0.1","prefixlen":8}]},
{"ifname":"wan0","flags":["BROADCAST","UP","LOWER_UP"],"addr_info":[
{"family":"inet","local":"10.31.1.2","prefixlen":30,"noprefixroute":true},
{"family":"inet6","local":"fd20:31:1::2","prefixlen":64,"noprefixroute":true,"tentative":true},
{"family":"inet6","local":"fe80::1","prefixlen":64}]},
{"ifname":"mgmt0","flags":["BROADCAST","UP"],"addr_info":[{"family":"inet","local":"10.30.1.1","prefixlen":24}]}]"""


def test_kernel_rules_are_left_out_and_selectors_kept() -> None:
    assert kernel.parse_rules(RULES_4, 4) == {
        kernel.Rule(4, 50, 100, source="10.0.0.0/8", other='{"fwmark": "0x1"}'),
        kernel.Rule(4, 1010, 100, incoming="clerks0"),
        kernel.Rule(4, 1100, 100, outgoing="wan0"),
        kernel.Rule(4, 1200, 100, source="10.31.1.2/32"),
    }
    assert kernel.parse_rules(RULES_6, 6) == {kernel.Rule(6, 900, 254, destination="fe80::/10")}


def test_a_catch_all_rule_by_hand_is_not_taken_for_the_kernels_own() -> None:
    text = '[{"priority":100,"src":"all","table":"254"},{"priority":32766,"src":"all","table":"200"}]'
    assert {str(rule) for rule in kernel.parse_rules(text, 4)} == {
        "rule 100 IPv4: all lookup 254",
        "rule 32766 IPv4: all lookup 200",
    }


def test_local_and_link_local_routes_are_left_out() -> None:
    assert {str(route) for route in kernel.parse_routes(ROUTES_4, 4) | kernel.parse_routes(ROUTES_6, 6)} == {
        "route 0.0.0.0/0 via 10.31.1.1 dev wan0 metric 100 table 100",
        "route unreachable 0.0.0.0/0 metric 4000000 table 100",
        "route 10.8.8.8/32 dev clerks0 metric 0 table 100",
        'route 10.9.0.0/16 {"nexthops": [{"dev": "wan0", "gateway": "10.31.1.1", "weight": 1}]} metric 0 table 100',
        "route fd20:31:1::/64 dev wan0 metric 1024 table 100",
        "route unreachable ::/0 metric 4000000 table 100",
        "route 2001:db8::/32 dev wan0 metric 256 table 254",
    }


def test_addresses_know_their_route_and_whether_they_can_be_used() -> None:
    addresses, tentative = kernel.parse_addresses(LINKS)
    assert addresses == {
        kernel.Address("wan0", "10.31.1.2/30"),
        kernel.Address("wan0", "fd20:31:1::2/64"),
        kernel.Address("mgmt0", "10.30.1.1/24", own_route=True),
    }
    assert tentative == {kernel.Address("wan0", "fd20:31:1::2/64")}
    assert kernel.parse_carrier(LINKS) == {"lo", "wan0"}


def running_as_intended(record: dict[str, Any]) -> Any:
    parts = [intents.read_intent(record, channel, channel == "wan") for channel in ("wan", "internet")]
    return kernel.Running(
        addresses=frozenset().union(*(part.addresses for part in parts)),
        tentative=frozenset(),
        routes=parts[0].known_routes,
        rules=parts[0].known_rules,
        carrier=frozenset(port["name"] for port in record["ports"]) | {"lo"},
    )


@pytest.fixture(scope="module")
def buoi() -> dict[str, Any]:
    return gateway("buoi-gw")


@pytest.mark.parametrize("channel", ["wan", "internet"])
def test_what_runs_as_intended_has_no_difference(buoi: dict[str, Any], channel: str) -> None:
    intent = intents.read_intent(buoi, channel, channel == "wan")
    assert intent.routes
    assert intent.rules
    assert not intents.compare(running_as_intended(buoi), intent)


def test_every_rule_and_route_has_one_role_that_holds_it(buoi: dict[str, Any]) -> None:
    wan, internet = (intents.read_intent(buoi, channel, channel == "wan") for channel in ("wan", "internet"))
    assert wan.routes | internet.routes == wan.known_routes
    assert wan.rules | internet.rules == wan.known_rules
    assert not wan.routes & internet.routes
    assert not wan.rules & internet.rules


def test_the_wan_does_not_wait_for_ports_of_the_internet(buoi: dict[str, Any]) -> None:
    """An exception's route stands in the WAN's table and leaves by a port that the other role brings up."""
    intent = intents.read_intent(buoi, "wan", True)
    assert not [route for route in intent.routes if route.port == "citizen0"]
    assert [route for route in intent.known_routes if route.port == "citizen0" and route.table == 100]


def drift(name: str) -> Any:
    return {
        "rule": kernel.Rule(4, 500, 200, source="10.20.1.11/32"),
        "marked": kernel.Rule(4, 1010, 100, incoming="clerks0", other='{"fwmark": "0x7"}'),
        "route": kernel.Route(4, 100, "172.20.1.12/32", 0, "citizen0", "", False),
        "default": kernel.Route(6, 254, "::/0", 1024, "wan0", "fd20:31:1::1", False),
        "address": kernel.Address("clerks0", "10.20.1.99/24", own_route=True),
    }[name]


@pytest.mark.parametrize("name", ["rule", "marked", "route", "default", "address"])
def test_what_was_added_by_hand_is_foreign(buoi: dict[str, Any], name: str) -> None:
    item = drift(name)
    running = running_as_intended(buoi)
    field = {"Rule": "rules", "Route": "routes", "Address": "addresses"}[type(item).__name__]
    running = replace(running, **{field: getattr(running, field) | {item}})
    difference = intents.compare(running, intents.read_intent(buoi, "wan", True))
    assert difference.foreign == (item,)
    assert not difference.missing


@pytest.mark.parametrize(
    "item",
    [
        kernel.Address("lo", "10.77.0.5/32"),
        kernel.Address("spare0", "10.20.1.99/24", own_route=True),
        kernel.Route(4, 255, "10.0.0.0/8", 0, "wan0", "10.31.1.1", False),
    ],
)
def test_what_belongs_to_no_channel_is_foreign_once(buoi: dict[str, Any], item: Any) -> None:
    running = running_as_intended(buoi)
    field = {"Route": "routes", "Address": "addresses"}[type(item).__name__]
    running = replace(running, **{field: getattr(running, field) | {item}})
    assert intents.compare(running, intents.read_intent(buoi, "wan", True)).foreign == (item,)
    assert not intents.compare(running, intents.read_intent(buoi, "internet", False))


def test_what_was_deleted_by_hand_is_missing(buoi: dict[str, Any]) -> None:
    running = running_as_intended(buoi)
    running = replace(
        running,
        rules=frozenset(rule for rule in running.rules if rule.priority != 1900),
        routes=frozenset(route for route in running.routes if not (route.table == 200 and route.unreachable)),
    )
    wan = intents.compare(running, intents.read_intent(buoi, "wan", True))
    internet = intents.compare(running, intents.read_intent(buoi, "internet", False))
    assert [str(item) for item in wan.missing] == [
        "rule 1900 IPv4: iif lo lookup 100",
        "rule 1900 IPv6: iif lo lookup 100",
    ]
    assert {item.destination for item in internet.missing} >= {"0.0.0.0/0", "::/0"}


def test_a_port_without_a_link_is_not_missed(buoi: dict[str, Any]) -> None:
    running = running_as_intended(buoi)
    running = replace(
        running,
        carrier=running.carrier - {"wan0"},
        routes=frozenset(route for route in running.routes if route.port != "wan0"),
        addresses=frozenset(address for address in running.addresses if address.port != "wan0"),
    )
    assert not intents.compare(running, intents.read_intent(buoi, "wan", True))


def test_an_address_with_a_route_of_its_own_is_in_the_way(buoi: dict[str, Any]) -> None:
    running = running_as_intended(buoi)
    plain = kernel.Address("wan0", "10.31.1.2/30")
    running = replace(running, addresses=running.addresses - {plain} | {replace(plain, own_route=True)})
    difference = intents.compare(running, intents.read_intent(buoi, "wan", True))
    assert difference.missing == (plain,)
    assert difference.in_the_way == (replace(plain, own_route=True),)


def ruleset(*rules: dict[str, Any]) -> str:
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *({"rule": rule} for rule in rules)]})


def test_counters_and_handles_make_no_difference_but_order_does() -> None:
    one = {"chain": "forward", "handle": 3, "expr": [{"counter": {"packets": 5, "bytes": 9}}, {"accept": None}]}
    same = {"chain": "forward", "handle": 9, "expr": [{"counter": {"packets": 0, "bytes": 0}}, {"accept": None}]}
    other = {"chain": "forward", "handle": 4, "expr": [{"drop": None}]}
    assert kernel.parse_ruleset(ruleset(one)) == kernel.parse_ruleset(ruleset(same))
    assert kernel.parse_ruleset(ruleset(one, other)) != kernel.parse_ruleset(ruleset(other, one))


def test_commands_undo_each_other() -> None:
    command_for = load("module_utils", "wardnet_part_network").command_for
    rule = kernel.Rule(6, 500, 200, source="fd20:20:1::11/128", incoming="clerks0")
    assert command_for(rule, "del") == [
        "/usr/sbin/ip", "-6", "rule", "del", "priority", "500", "table", "200",
        "from", "fd20:20:1::11/128", "iif", "clerks0",
    ]  # fmt: skip
    route = kernel.Route(4, 200, "0.0.0.0/0", 5, "wan0", "10.31.1.1", False)
    assert command_for(route, "add") == [
        "/usr/sbin/ip", "-4", "route", "add", "0.0.0.0/0", "table", "200", "metric", "5",
        "onlink", "protocol", "static", "via", "10.31.1.1", "dev", "wan0",
    ]  # fmt: skip
