"""What leases, sessions, BGP, VLANs, VRFs, services and switches compile to, in a district that has them all."""

from __future__ import annotations

import json
from datetime import date
from functools import cache
from ipaddress import ip_address, ip_network

import pytest

from exporters.config import Family, parse_config
from tests.golden.inventory_cases import FOLDER
from wardnet.compile import compile_agent, compile_hosts, compile_plan, compile_policy, to_json
from wardnet.inventory import read_district
from wardnet.model.intent import Addressing, Channel, District, PortMode
from wardnet.model.plan import Flow, GatewayPlan, Hook, Plan, RouteKind, ShapeDirection

DAY = date(2026, 11, 24)


@cache
def district() -> District:
    return read_district(FOLDER / "bases" / "every-kind")


@cache
def plan() -> Plan:
    return compile_plan(district(), DAY)


def gateway(name: str) -> GatewayPlan:
    return plan().gateway(name)


def flows(name: str, flow_id: str) -> list[Flow]:
    return [flow for flow in gateway(name).flows if flow.id == flow_id]


def test_a_leased_port_has_no_address_and_its_way_comes_with_the_lease() -> None:
    port = gateway("dong-gw").port("inet0")
    assert (port.addressing, port.own, port.ipv4_peer) == (Addressing.DHCP, (), None)
    (internet,) = (table for table in gateway("dong-gw").tables if table.channel is Channel.INTERNET)
    by_line = [route for route in internet.routes if route.port == "inet0"]
    assert {(route.destination, route.kind, route.via) for route in by_line} == {
        (ip_network("0.0.0.0/0"), RouteKind.LEASED, None),
        (ip_network("::/0"), RouteKind.LEASED, None),
    }


def test_an_address_that_nobody_knows_yet_is_bound_to_its_channel_by_the_prefixes() -> None:
    rules = gateway("dong-gw").rules
    for prefix in district().channel(Channel.INTERNET).prefixes:
        assert [rule.table for rule in rules if rule.source == prefix] == [200]
    static = [rule.source for rule in gateway("tay-building-gw").rules if rule.source]
    assert all(source.prefixlen == source.max_prefixlen for source in static)


def test_the_gateway_speaks_from_an_unknown_address_but_never_from_one_of_the_other_channel() -> None:
    out = [flow for flow in flows("dong-gw", "gateway-web") if flow.hook is Hook.OUTPUT]
    assert {flow.receiver.port for flow in out} == {"inet0"}
    for flow in out:
        assert set(flow.sender.excluded) == set(district().channel(Channel.WAN).prefixes)


def test_leases_pass_by_flows_that_lead_back_to_their_circuit_or_network() -> None:
    lease = flows("dong-gw", "dong-internet-lease")
    assert {(flow.hook, ports.protocol, ports.ports) for flow in lease for ports in flow.allow} == {
        (Hook.OUTPUT, "udp", (67,)),
        (Hook.INPUT, "udp", (68,)),
        (Hook.OUTPUT, "udp", (547,)),
        (Hook.INPUT, "udp", (546,)),
        (Hook.OUTPUT, "router", ()),
        (Hook.INPUT, "router", ()),
    }
    assert {str(flow.source) for flow in lease} == {str(district().wards[1].sites[0].circuits[1].source)}
    served = flows("dong-gw", "citizens-dhcp")
    assert {(flow.hook, ports.protocol, ports.ports) for flow in served for ports in flow.allow} == {
        (Hook.INPUT, "udp", (67,)),
        (Hook.OUTPUT, "udp", (68,)),
        (Hook.INPUT, "udp", (547,)),
        (Hook.OUTPUT, "udp", (546,)),
        (Hook.INPUT, "router", ()),
        (Hook.OUTPUT, "router", ()),
    }
    assert {end.port for flow in served for end in (flow.sender, flow.receiver)} == {None, "citizen0"}


def test_a_session_is_no_dhcp_client() -> None:
    assert not [
        p for flow in flows("tay-gw", "tay-internet-lease") for p in flow.allow if 67 in p.ports or 68 in p.ports
    ]
    port = gateway("tay-gw").port("inet0")
    assert (port.addressing, port.parent, port.tag) == (Addressing.PPPOE, "eth1", 36)
    assert port.dialled is not None
    assert port.dialled.password == "vault:tay_pppoe"


def test_tagged_ports_are_vlans_of_their_parents() -> None:
    assert [(p.name, p.parent, p.tag) for p in gateway("dong-gw").ports if p.parent] == [
        ("clerks0", "lan0", 10),
        ("mgmt0", "lan0", 99),
        ("citizen0", "lan0", 20),
    ]
    assert (gateway("tay-gw").port("wan0").parent, gateway("tay-gw").port("wan0").tag) == ("eth0", 35)
    assert gateway("mau-hub").port("tay-wan").tag is None  # the tag is between the site and its provider


def test_bgp_says_the_same_of_both_ends() -> None:
    (site,), (hub,) = gateway("dong-gw").bgp, gateway("mau-hub").bgp
    assert (site.port, site.local_as, site.peer_as) == ("wan0", 65001, 65000)
    assert (hub.port, hub.local_as, hub.peer_as) == ("dong-wan", 65000, 65001)
    assert (site.announce, site.accept) == (hub.accept, hub.announce)
    assert (site.peer_ipv4, hub.peer_ipv4) == (ip_address("10.31.1.1"), ip_address("10.31.1.2"))
    for name, port in (("dong-gw", "wan0"), ("mau-hub", "dong-wan")):
        learned = [r for table in gateway(name).tables for r in table.routes if r.kind is RouteKind.LEARNED]
        assert learned
        assert {route.port for route in learned} == {port}
        both = {(f.hook, f.sender.port, f.receiver.port) for f in flows(name, "dong-wan-bgp")}
        assert both == {(Hook.INPUT, port, None), (Hook.OUTPUT, None, port)}


def test_services_ask_their_own_channel_alone() -> None:
    clerks, citizens = gateway("dong-gw").services
    assert (clerks.names, clerks.resolvers, clerks.time, clerks.time_sources) == (False, (), False, ())
    assert [(lease.mac, str(lease.ipv4)) for lease in clerks.leases] == [("52:54:00:00:00:01", "10.20.1.11")]
    internet = district().channel(Channel.INTERNET)
    assert (citizens.resolvers, citizens.time_sources) == (internet.resolvers, internet.time_sources)
    assert (str(citizens.dhcp_first), str(citizens.dhcp_last)) == ("172.20.1.100", "172.20.1.199")


def test_hosts_ask_the_gateway_where_it_resolves() -> None:
    assert [str(address) for address in plan().host("dong-citizen-1").resolvers] == ["172.20.1.1", "2001:db8:20:1::1"]
    assert plan().host("dong-pc-1").resolvers == district().channel(Channel.WAN).resolvers


def test_lines_are_shaped_both_ways_and_the_hub_holds_what_it_sends() -> None:
    assert [(s.port, s.direction, s.rate_bps) for s in gateway("dong-gw").shapes] == [
        ("wan0", ShapeDirection.EGRESS, 20_000_000),
        ("wan0", ShapeDirection.INGRESS, 20_000_000),
        ("inet0", ShapeDirection.EGRESS, 25_000_000),
        ("inet0", ShapeDirection.INGRESS, 50_000_000),
    ]
    assert [(s.port, s.direction) for s in gateway("mau-hub").shapes] == [
        ("dong-wan", ShapeDirection.EGRESS),
        ("tay-wan", ShapeDirection.EGRESS),
    ]


def test_the_software_of_a_lines_own_channel_goes_first() -> None:
    for shape in gateway("dong-gw").shapes:
        channel = gateway("dong-gw").port(shape.port).channel
        wanted = {"wan": {"10.20.200.10/32", "fd20:20:200::10/128"}, "internet": {"203.0.113.80/32"}}[channel]
        assert {str(first.prefix) for first in shape.priority} == wanted
        assert {(first.protocol, first.port) for first in shape.priority} == {("tcp", 443)}


@pytest.mark.parametrize(("day", "rate"), [(date(2025, 12, 31), 10_000_000), (date(2026, 1, 1), 20_000_000)])
def test_a_line_is_shaped_to_the_contract_of_the_day(day: date, rate: int) -> None:
    shapes = compile_plan(district(), day).gateway("dong-gw").shapes
    assert {shape.rate_bps for shape in shapes if shape.port == "wan0"} == {rate}


def test_vrfs_hold_the_ports_and_the_table_of_their_channel() -> None:
    building = gateway("tay-building-gw")
    assert [(vrf.name, vrf.table) for vrf in building.vrfs] == [("vrf-internet", 200)]
    assert {port.vrf for port in building.ports} == {"vrf-internet"}
    assert not gateway("dong-gw").vrfs
    assert {port.vrf for port in gateway("dong-gw").ports} == {None}


def test_each_line_is_probed_by_what_answers_beyond_it() -> None:
    wan, internet = gateway("dong-gw").line_probes
    assert [str(target) for target in wan.targets] == ["10.31.1.1", "fd20:31:1::1", "10.20.200.1", "fd20:20:200::1"]
    assert [str(target) for target in internet.targets] == ["203.0.113.1", "2001:db8:cafe::1"]
    assert [(probe.port, [str(target) for target in probe.targets]) for probe in gateway("mau-hub").line_probes] == [
        ("dong-wan", ["10.31.1.2", "fd20:31:1::2"]),
        ("tay-wan", ["10.31.2.2", "fd20:31:2::2"]),
    ]


def test_a_switch_has_tags_for_networks_and_a_port_of_its_own() -> None:
    (switch,) = plan().switches
    assert [(p.name, p.mode, p.vlan, p.trunks, p.leads_to) for p in switch.ports] == [
        ("port1", PortMode.TRUNK, None, (10, 20, 99), "dong-gw"),
        ("port2", PortMode.ACCESS, 10, (), "dong-pc-1"),
        ("port3", PortMode.ACCESS, 10, (), "dong-scanner-1"),
        ("port4", PortMode.ACCESS, 20, (), "dong-citizen-1"),
        ("port5", PortMode.ACCESS, 20, (), None),
        ("port6", PortMode.UNUSED, None, (), None),
    ]
    assert switch.management is not None
    assert (str(switch.management.ipv4), switch.management.vlan) == ("10.30.1.2/24", 99)
    compiled = compile_hosts(district(), plan())
    assert compiled["groups"]["switches"] == ["dong-sw"]
    assert compiled["hosts"]["dong-sw"]["ansible_host"] == "10.30.1.2"


def test_the_audit_names_a_switch_as_taken_on_trust() -> None:
    assert "dong-sw" in [assumption.subject for assumption in compile_policy(district(), plan()).assumptions]


def test_an_exception_ends_at_midnight_of_its_last_day_in_the_districts_zone() -> None:
    (flow,) = (flow for flow in gateway("dong-gw").flows if flow.crosses)
    assert flow.expires == date(2027, 12, 31)
    assert flow.expires_at == 1_830_272_400  # 2028-01-01 00:00 in Hà Nội, seven hours ahead of UTC


def test_nothing_that_is_compiled_holds_a_secret_or_fails_to_be_written() -> None:
    everything = [plan(), compile_hosts(district(), plan()), compile_policy(district(), plan())]
    everything += [compile_agent(district(), plan(), each.id) for each in plan().gateways]
    assert all(to_json(each) for each in everything)


def test_an_agent_on_a_leased_line_is_bound_to_its_port_and_to_no_address() -> None:
    compiled = compile_agent(district(), plan(), "dong-gw")
    lines = {line["interface"]: (line["ipv4"], line["ipv6"]) for line in compiled["channels"]}
    assert lines == {"wan0": ("10.31.1.2", "fd20:31:1::2"), "inet0": ("0.0.0.0", "::")}
    config = parse_config(json.dumps(compiled), "agent.json")
    assert config.channels[1].source(Family.IPV4) == "0.0.0.0"
