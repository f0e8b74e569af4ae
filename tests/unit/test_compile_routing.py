"""Each channel has a table of its own at a gateway, and no packet of one finds its way into the other."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.compile_support import look_up, sample, sample_plan
from wardnet.model.intent import Channel, IPAddress
from wardnet.model.plan import GatewayPlan, PortKind, RouteKind

GATEWAYS = sample_plan().gateways
EACH_GATEWAY = pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda gateway: gateway.id)
ADDRESSES = st.builds(IPv4Address, st.integers(0, 2**32 - 1)) | st.builds(IPv6Address, st.integers(0, 2**128 - 1))
PREFIXES = [prefix for plan in sample().channels for prefix in plan.prefixes]


def granted(gateway: GatewayPlan) -> set[IPAddress]:
    """The hosts at the ends of exceptions, which both tables know the way to."""
    ends = [end for flow in gateway.flows if flow.crosses for end in (flow.sender, flow.receiver)]
    return {prefix.network_address for end in ends for prefix in end.prefixes}


@EACH_GATEWAY
def test_every_table_ends_in_an_unreachable_default_in_both_families(gateway: GatewayPlan) -> None:
    assert gateway.tables
    for table in gateway.tables:
        for everything in (ip_network("0.0.0.0/0"), ip_network("::/0")):
            last = max((route for route in table.routes if route.destination == everything), key=lambda r: r.metric)
            assert last.kind is RouteKind.UNREACHABLE


@st.composite
def addresses_of_the_district(draw: st.DrawFn) -> IPAddress:
    prefix = draw(st.sampled_from(PREFIXES))
    return prefix[draw(st.integers(0, prefix.num_addresses - 1))]


@given(st.sampled_from(GATEWAYS), ADDRESSES | addresses_of_the_district())
def test_no_route_leads_out_of_its_channel_but_to_the_ends_of_exceptions(
    gateway: GatewayPlan, address: IPAddress
) -> None:
    for table in gateway.tables:
        route = look_up(table, address)
        if route.port is not None and gateway.port(route.port).channel is not table.channel:
            assert address in granted(gateway)


@given(st.sampled_from(GATEWAYS), addresses_of_the_district())
def test_addresses_of_one_channel_never_leave_by_the_circuit_of_the_other(
    gateway: GatewayPlan, address: IPAddress
) -> None:
    home = next(
        p.id for p in sample().channels if any(address in x for x in p.prefixes if x.version == address.version)
    )
    for table in gateway.tables:
        route = look_up(table, address)
        if route.port and gateway.port(route.port).kind is PortKind.CIRCUIT:
            assert table.channel is home


@EACH_GATEWAY
def test_with_a_circuit_down_its_table_reaches_nothing_beyond_it(gateway: GatewayPlan) -> None:
    for table in gateway.tables:
        up = [route for route in table.routes if not route.port or gateway.port(route.port).kind is PortKind.NETWORK]
        left = type(table)(table.number, table.channel, tuple(up))
        for far in ("203.0.113.80", "10.20.77.1", "2001:db8:cafe::80", "fd20:20:77::1"):
            assert look_up(left, ip_address(far)).kind is RouteKind.UNREACHABLE


@EACH_GATEWAY
def test_rules_send_every_port_to_the_table_of_its_channel(gateway: GatewayPlan) -> None:
    numbers = {table.channel: table.number for table in gateway.tables}
    for port in gateway.ports:
        for rules in (
            [rule for rule in gateway.rules if rule.incoming == port.name],
            [rule for rule in gateway.rules if rule.outgoing == port.name],
            [rule for rule in gateway.rules if rule.source and port.ipv4.ip in rule.source and rule.family == 4],
            [rule for rule in gateway.rules if rule.source and port.ipv6.ip in rule.source and rule.family == 6],
        ):
            assert [rule.table for rule in rules] == [numbers[port.channel]]


@EACH_GATEWAY
def test_only_neighbours_are_looked_up_in_the_main_table(gateway: GatewayPlan) -> None:
    main = [rule for rule in gateway.rules if rule.table not in {table.number for table in gateway.tables}]
    assert [(rule.table, rule.family, str(rule.destination)) for rule in main] == [(254, 6, "fe80::/10")]


def test_an_office_reaches_the_district_over_the_wan_and_the_world_over_the_internet() -> None:
    wan, internet = sample_plan().gateway("buoi-gw").tables
    for portal in ("10.20.200.10", "fd20:20:200::10"):
        assert look_up(wan, ip_address(portal)).port == "wan0"
        assert look_up(internet, ip_address(portal)).kind is RouteKind.UNREACHABLE
    for public in ("203.0.113.80", "2001:db8:cafe::80"):
        assert look_up(internet, ip_address(public)).port == "inet0"
        assert look_up(wan, ip_address(public)).kind is RouteKind.UNREACHABLE


def test_the_hub_knows_every_circuit_by_the_name_of_its_port() -> None:
    hub = sample_plan().gateway("tay-ho-hub")
    circuits = [c for _, site in sample().sites for c in site.circuits if c.channel is Channel.WAN]
    assert {port.name for port in hub.ports if port.kind is PortKind.CIRCUIT} == {circuit.id for circuit in circuits}
    (table,) = hub.tables
    assert look_up(table, ip_address("10.20.1.11")).port == "buoi-wan"
    assert look_up(table, ip_address("fd20:30:8::1")).port == "yen-phu-wan"
    assert look_up(table, ip_address("10.20.77.1")).kind is RouteKind.UNREACHABLE
    assert look_up(table, ip_address("203.0.113.80")).kind is RouteKind.UNREACHABLE


def test_a_building_has_the_internet_table_alone() -> None:
    gateway = sample_plan().gateway("buoi-building-gw")
    (table,) = gateway.tables
    assert table.channel is Channel.INTERNET
    assert look_up(table, ip_address("10.20.200.10")).kind is RouteKind.UNREACHABLE
    assert gateway.masquerade == ("inet0",)
