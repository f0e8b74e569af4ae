"""`ip -j` listings to links, routes and rules, from what a real iproute2 printed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collectors.parsers.artefact import Artefact, ParseError
from collectors.parsers.iproute import parse_addresses, parse_links, parse_routes, parse_rules
from tests.unit.gateway_support import FIXTURES, fixture
from wardnet.model.device import KernelRoute, PolicyRule, RouteType, RuleAction
from wardnet.model.packet import All, Field, InPort, InRanges, Masked, Not, Open, OutPort, equals


def everything(name: str) -> Artefact:
    return Artefact("gw", name, (FIXTURES / "everything" / name).read_bytes())


def routes(*records: dict[str, Any], family: int = 4) -> tuple[KernelRoute, ...]:
    return parse_routes(Artefact("gw", "ip-route.json", json.dumps(list(records)).encode()), family)


def rules(*records: dict[str, Any]) -> tuple[PolicyRule, ...]:
    return parse_rules(Artefact("gw", "ip-rule.json", json.dumps(list(records)).encode()), 4)


def test_links_have_state_kind_and_master() -> None:
    links = {
        link.name: link for link in parse_links(Artefact("gw", "ip-link.json", fixture("buoi-gw")["ip-link.json"]))
    }
    assert list(links) == ["lo", "wan0", "inet0", "clerks0", "mgmt0", "citizen0", "wifi0"]
    assert links["lo"].loopback
    assert (links["wan0"].up, links["wan0"].carrier, links["wan0"].kind, links["wan0"].master) == (
        True,
        True,
        "veth",
        None,
    )


def test_addresses_are_by_interface() -> None:
    found = parse_addresses(Artefact("gw", "ip-addr.json", fixture("buoi-gw")["ip-addr.json"]))
    assert {"10.20.1.1/24", "fd20:20:1::1/64"} <= {str(address) for address in found["clerks0"]}


def test_routes_of_every_type_are_read() -> None:
    found = {str(route.destination): route for route in parse_routes(everything("ip-route.json"), 4)}
    assert {route.type for route in found.values()} == {
        RouteType.UNICAST, RouteType.UNREACHABLE, RouteType.BLACKHOLE, RouteType.THROW, RouteType.PROHIBIT,
        RouteType.LOCAL, RouteType.BROADCAST,
    }  # fmt: skip
    assert found["0.0.0.0/0"].metric == 4000000
    assert [hop.port for hop in found["1.2.6.0/24"].next_hops] == ["wan0", "clerks0"]
    assert str(found["10.16.0.0/12"].next_hops[0].via) == "10.31.1.1"
    assert all(route.open is None for route in found.values())


@pytest.mark.parametrize("name", ["main", "254", 254])
def test_a_table_has_one_name_by_number_and_by_word(name: str | int) -> None:
    (route,) = routes({"type": "unicast", "dst": "10.0.0.0/8", "dev": "a", "table": name, "flags": []})
    assert route.table == "254"
    (rule,) = rules({"priority": 5, "src": "all", "table": str(name)})
    assert rule.table == "254"


def test_a_table_with_a_name_of_its_own_is_the_same_in_rules_and_routes() -> None:
    (route,) = routes({"type": "unicast", "dst": "10.0.0.0/8", "dev": "a", "table": "wan", "flags": []})
    (rule,) = rules({"priority": 5, "src": "all", "table": "wan"})
    assert route.table == rule.table == "wan"


NEXT_HOP = {"id": 5, "gateway": "10.9.9.9", "dev": "a", "scope": "link", "protocol": "zebra", "flags": []}
BY_OBJECT = {"type": "unicast", "dst": "10.0.0.0/8", "nhid": 5, "gateway": "10.9.9.9", "dev": "a", "flags": []}


def test_a_route_by_a_next_hop_object_that_says_the_same_is_as_any_other() -> None:
    """As FRR's zebra installs what BGP has learned."""
    (route,) = routes({**BY_OBJECT, "nh_info": NEXT_HOP, "protocol": "bgp", "metric": 20})
    assert route.open is None
    assert [(hop.port, str(hop.via)) for hop in route.next_hops] == [("a", "10.9.9.9")]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"dst": "10.0.0.0/8", "dev": "a", "encap": "mpls", "flags": []}, "route with encap"),
        ({"dst": "10.0.0.0/8", "flags": []}, "route without a port"),
        ({"dst": "10.0.0.0/8", "dev": "a", "tos": "0x10", "flags": []}, "route with tos"),
        ({**BY_OBJECT, "nh_info": {**NEXT_HOP, "dev": "b"}}, "route with nh_info"),
        ({**BY_OBJECT, "nh_info": {**NEXT_HOP, "id": 6}}, "route with nh_info"),
        ({**BY_OBJECT, "nh_info": {**NEXT_HOP, "gateway": "10.9.9.8"}}, "route with nh_info"),
        ({**BY_OBJECT, "nh_info": {**NEXT_HOP, "group": [{"id": 1}, {"id": 2}]}}, "route with nh_info"),
        ({**BY_OBJECT, "nh_info": {**NEXT_HOP, "encap": "mpls"}}, "route with nh_info"),
        ({**BY_OBJECT, "nh_info": []}, "route with nh_info"),
    ],
)
def test_a_route_that_is_not_modelled_is_open(record: dict[str, Any], reason: str) -> None:
    (route,) = routes(record)
    assert route.open == reason


def test_rules_select_as_they_say() -> None:
    found = {rule.priority: rule for rule in parse_rules(everything("ip-rule.json"), 4)}
    assert found[1010].selector == InPort(("clerks0",))
    assert found[1020].selector == Masked(Field.MARK, 0xFF, 1)
    assert isinstance(found[1030].selector, All)
    assert InRanges(Field.DESTINATION_PORT, ((80, 90),)) in found[1030].selector.terms
    assert equals(Field.PROTOCOL, 6) in found[1030].selector.terms
    assert any(isinstance(term, Open) for term in found[1030].selector.terms)  # tos
    assert found[1040].selector == Not(InRanges(Field.SOURCE, ((10 << 24, (11 << 24) - 1),)))
    assert (found[1040].suppress, found[1040].table) == (0, "200")
    assert found[1050].selector == OutPort(("wan0",))
    assert found[1060].action is RuleAction.UNREACHABLE
    assert (found[1070].action, found[1070].goto) == (RuleAction.GOTO, 32766)
    assert isinstance(found[1070].selector, Open)  # of some users only
    assert found[0].table == "255"


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], "no rule at all"),
        ([{"priority": 5, "src": "all"}], "rule without table, goto or action"),
        ([{"priority": -1, "src": "all", "table": "main"}], "'priority' must be a number"),
        ([{"priority": 9, "src": "all", "table": "1"}, {"priority": 5, "src": "all", "table": "1"}],
         "order of priority"),
        ([{"priority": 5, "src": "10.0.0", "table": "1"}], "does not appear to be"),
        ([{"priority": 5, "src": "10.0.0.1", "srclen": 40, "table": "1"}], "'srclen' must be a number from 0 to 32"),
        ([{"priority": 5, "src": "fd00::", "srclen": 16, "table": "1"}], "fd00:: in a list of IPv4"),
        ([{"priority": 5, "src": "all", "action": "fly"}], "action 'fly'"),
        ([{"priority": 5, "src": "all", "fwmark": 7, "table": "1"}], "fwmark 7"),
        ([{"priority": 5, "src": "all", "ipproto": "tpc", "table": "1"}], "protocol 'tpc'"),
        ([{"priority": 5, "src": "all", "sport": 70000, "table": "1"}], "port 70000"),
        ([5], "item 0: not a JSON object"),
    ],
)  # fmt: skip
def test_a_damaged_list_of_rules_is_an_error(records: list[Any], said: str) -> None:
    with pytest.raises(ParseError) as raised:
        rules(*records)
    assert str(raised.value).startswith("gw: ip-rule.json: ")
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"type": "odd", "dst": "default"}, "route of type 'odd'"),
        ({"dev": "a"}, "'dst' must be a text"),
        ({"dst": "10.0.0.1/8", "dev": "a"}, "has host bits set"),
        ({"dst": "fd00::/16", "dev": "a"}, "in a list of IPv4"),
        ({"dst": "default", "dev": 5}, "'dev' must be a text"),
        ({"dst": "default", "dev": "a", "flags": "x"}, "'flags' must be a list of texts"),
        ({"dst": "default", "dev": "a", "gateway": "x", "flags": []}, "'x' does not appear to be"),
        ({"dst": "default", "nexthops": [5]}, "'nexthops' must be a list of objects"),
    ],
)
def test_a_damaged_route_is_an_error(record: dict[str, Any], said: str) -> None:
    with pytest.raises(ParseError, match=r"gw: ip-route\.json: item 0") as raised:
        routes(record)
    assert said in str(raised.value)


def test_a_next_hop_on_a_dead_link_is_gone() -> None:
    (route,) = routes({"dst": "10.0.0.0/8", "dev": "a", "flags": ["dead", "linkdown"]})
    assert route.next_hops == ()
