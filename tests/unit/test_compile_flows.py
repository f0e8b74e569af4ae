"""The flows that a gateway lets through: those of the conduits, each within its channel, and the exceptions."""

from __future__ import annotations

import pytest

from tests.unit.compile_support import DAY, changed, sample, sample_plan
from wardnet.compile import compile_plan
from wardnet.model.intent import Channel, IPNetwork
from wardnet.model.plan import Endpoint, Flow, GatewayPlan, Hook

EACH_GATEWAY = pytest.mark.parametrize("gateway", sample_plan().gateways, ids=lambda gateway: gateway.id)


def forwarded(gateway: GatewayPlan, sender: str, receiver: str) -> list[str]:
    return sorted(
        flow.id
        for flow in gateway.flows
        if flow.hook is Hook.FORWARD and (flow.sender.name, flow.receiver.name) == (sender, receiver)
    )


def channels_of(prefixes: tuple[IPNetwork, ...]) -> set[Channel]:
    return {
        plan.id
        for plan in sample().channels
        for whole in plan.prefixes
        for prefix in prefixes
        if prefix.version == whole.version and prefix.subnet_of(whole)  # type: ignore[arg-type]
    }


@EACH_GATEWAY
def test_no_flow_joins_the_channels_but_an_exception(gateway: GatewayPlan) -> None:
    for flow in gateway.flows:
        ports = [gateway.port(end.port).channel for end in (flow.sender, flow.receiver) if end.port]
        addresses = channels_of(flow.sender.prefixes) | channels_of(flow.receiver.prefixes)
        assert (len(set(ports)) > 1) is flow.crosses
        assert (len(addresses) > 1) is flow.crosses
    assert [flow.id for flow in gateway.flows if flow.crosses] == (
        ["buoi-resident-scan"] if gateway.id == "buoi-gw" else []
    )


@EACH_GATEWAY
def test_a_forwarded_flow_comes_in_and_goes_out_by_ports_of_the_gateway(gateway: GatewayPlan) -> None:
    names = {port.name for port in gateway.ports}
    conduits = {conduit.id for conduit in sample().conduits}
    for flow in gateway.flows:
        ends: dict[Hook, tuple[Endpoint, ...]] = {
            Hook.FORWARD: (flow.sender, flow.receiver),
            Hook.INPUT: (flow.sender,),
            Hook.OUTPUT: (flow.receiver,),
        }
        assert {end.port for end in ends[flow.hook]} <= names
        assert flow.sender.port != flow.receiver.port
        if flow.id in conduits:  # what leases imply is of one family each
            assert {prefix.version for prefix in flow.sender.prefixes} == {4, 6}


def test_an_exception_is_between_two_addresses_and_its_ports_and_nothing_wider() -> None:
    (flow,) = (flow for flow in sample_plan().gateway("buoi-gw").flows if flow.crosses)
    assert [str(prefix) for prefix in flow.sender.prefixes] == ["172.20.1.11/32", "2001:db8:20:1::11/128"]
    assert [str(prefix) for prefix in flow.receiver.prefixes] == ["10.20.1.20/32", "fd20:20:1::20/128"]
    assert [(allow.protocol, allow.ports) for allow in flow.allow] == [("tcp", (80,))]
    assert flow.expires is not None
    assert flow.source == sample().exceptions[0].source


def test_what_leaves_for_the_internet_excludes_every_prefix_of_the_district() -> None:
    named = {prefix for plan in sample().channels for prefix in plan.prefixes}
    outward = [flow for gateway in sample_plan().gateways for flow in gateway.flows if flow.receiver.name == "internet"]
    assert outward
    for flow in outward:
        assert set(flow.receiver.excluded) == named


def test_clerks_reach_the_servers_and_neither_devices_nor_each_other() -> None:
    for gateway in (sample_plan().gateway("buoi-gw"), sample_plan().gateway("tay-ho-hub")):
        assert "clerks-portal" in forwarded(gateway, "clerks", "servers")
        for zone in ("devices", "management", "clerks", "wan"):
            assert forwarded(gateway, "clerks", zone) == []


def test_the_networks_of_switches_reach_no_pc() -> None:
    for gateway in sample_plan().gateways:
        for zone in ("clerks", "servers", "management", "citizens", "visitors"):
            assert forwarded(gateway, "devices", zone) == []


def test_management_reaches_pcs_and_each_gateway_at_its_management_address_alone() -> None:
    gateway, hub = sample_plan().gateway("buoi-gw"), sample_plan().gateway("tay-ho-hub")
    passed = forwarded(hub, "management", "clerks")
    assert [each for each in passed if not each.endswith("-agent")] == ["management-hosts"] * 9
    (own,) = (flow for flow in gateway.flows if flow.id == "management-gateways")
    assert own.hook is Hook.INPUT
    assert [str(prefix) for prefix in own.receiver.prefixes] == ["10.30.1.1/32", "fd20:30:1::1/128"]
    through = [f for f in hub.flows if f.id == "management-gateways" and f.receiver.port == "buoi-wan"]
    assert [[str(prefix) for prefix in flow.receiver.prefixes] for flow in through] == [
        ["10.30.1.1/32", "fd20:30:1::1/128"]
    ]


def test_agents_are_scraped_from_the_management_zone_alone() -> None:
    for gateway in sample_plan().gateways:
        for flow in gateway.flows:
            if any(9807 in allow.ports or 9808 in allow.ports for allow in flow.allow):
                assert flow.sender.name == "management"


def test_clerks_reach_only_the_address_of_the_gateway_that_they_stand_at() -> None:
    (flow,) = (flow for flow in sample_plan().gateway("buoi-gw").flows if flow.id == "clerks-gateway")
    assert [str(prefix) for prefix in flow.receiver.prefixes] == ["10.20.1.1/32", "fd20:20:1::1/128"]


def test_a_building_has_flows_of_the_internet_channel_alone() -> None:
    gateway = sample_plan().gateway("buoi-building-gw")
    assert {flow.id for flow in gateway.flows} == {
        "citizens-web", "citizens-gateway", "visitors-web", "visitors-gateway", "gateway-web",
    }  # fmt: skip


def flow_of(allow: str) -> Flow:
    district = changed("district.yml", ("to_zone: servers, allow: [tcp/443]", f"to_zone: servers, allow: {allow}"))
    return next(f for f in compile_plan(district, DAY).gateway("buoi-gw").flows if f.id == "clerks-portal")


@pytest.mark.parametrize(
    ("allow", "expected"),
    [
        ("[tcp/443, tcp/80]", [("tcp", (80, 443))]),
        ("[tcp/443, tcp/443]", [("tcp", (443,))]),
        ("[tcp/443, tcp/any]", [("tcp", ())]),
        ("[tcp/any, tcp/443]", [("tcp", ())]),
        ("[udp/53, icmp, tcp/1]", [("icmp", ()), ("tcp", (1,)), ("udp", (53,))]),
    ],
)
def test_ports_are_gathered_by_protocol(allow: str, expected: list[tuple[str, tuple[int, ...]]]) -> None:
    assert [(each.protocol, each.ports) for each in flow_of(allow).allow] == expected
