"""Clerks' PCs that measure: which, what their agents are told, and whom the filters on the way let come to them."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network

from exporters.pc_config import parse_pc_config
from tests.unit.compile_support import DAY, changed, sample, sample_plan
from wardnet.compile import compile_hosts, compile_plan, compile_policy, compile_targets
from wardnet.model.intent import HostRole
from wardnet.model.plan import Flow, Hook, Plan

MONITORING = ip_network("10.30.200.30/32")
NO_MONITORING = changed("district.yml", ("        role: monitoring\n", "        role: auditor\n"))


def measured(plan: Plan | None = None) -> set[str]:
    return {host.id for host in (plan or sample_plan()).hosts if host.workplace and host.workplace.measured}


def agent_flows(gateway: str, plan: Plan | None = None) -> list[Flow]:
    return [flow for flow in (plan or sample_plan()).gateway(gateway).flows if flow.id.endswith("-agent")]


def test_every_clerks_pc_that_management_reaches_measures_and_nothing_else_does() -> None:
    hosts = sample_plan().hosts
    assert measured() == {host.id for host in hosts if host.role is HostRole.COUNTER and host.reached}
    assert "nhat-tan-pc-3" not in measured(), "Windows"
    left_out = {host.role for host in hosts if host.workplace is not None and host.id not in measured()}
    assert left_out == {HostRole.TOUCH_SCREEN, HostRole.CITIZEN}
    compiled = compile_hosts(sample(), sample_plan())["hosts"]
    assert {name for name, variables in compiled.items() if "wardnet_pc_agent" in variables} == measured()


def test_without_a_monitoring_server_or_behind_the_providers_box_no_pc_measures() -> None:
    assert measured(compile_plan(NO_MONITORING, DAY)) == set()
    assert agent_flows("buoi-gw", compile_plan(NO_MONITORING, DAY)) == []
    unmanaged = changed(
        "wards/yen-phu.yml", ("platform: linux, management_network: devices", "platform: unmanaged"),
    )  # fmt: skip
    plan = compile_plan(unmanaged, DAY)
    assert measured() - measured(plan) == {"yen-phu-pc-1", "yen-phu-pc-2", "yen-phu-pc-3"}
    towards = {flow.receiver.port for flow in agent_flows("tay-ho-hub", plan)}
    assert "buoi-wan" in towards
    assert "yen-phu-wan" not in towards


def test_the_agent_reads_what_is_compiled_and_has_one_channel_by_the_pcs_port() -> None:
    written = compile_hosts(sample(), sample_plan())["hosts"]["buoi-pc-1"]["wardnet_pc_agent"]
    config = parse_pc_config(json.dumps(written), "pc-agent.json")
    assert (config.channel.id, config.channel.interface) == ("wan", "eth0")
    assert [str(each) for each in config.channel.resolvers] == ["10.20.1.1", "fd20:20:1::1"], (
        "the gateway answers names"
    )
    assert [(each.id, str(each.url)) for each in config.services] == [("portal", "https://dvctt.tayho.example/")]
    assert config.target("portal") is config.services[0]
    assert (config.target("portal-public"), config.target("hub"), config.target("10.20.200.10")) == (None, None, None)
    assert config.listen == (ip_address("10.20.1.11"),)


def test_the_pc_lets_the_monitoring_server_alone_come_to_its_agent() -> None:
    workplace = sample_plan().host("buoi-pc-1").workplace
    assert workplace is not None
    (admitted,) = [each for each in workplace.admits if each.id == "pc-agent"]
    assert (admitted.prefixes, admitted.protocol, admitted.ports) == ((MONITORING,), "tcp", (9811,))
    assert str(admitted.source).startswith("district.yml:")
    for name in ("buoi-touch-1", "buoi-citizen-1"):
        other = sample_plan().host(name).workplace
        assert other is not None
        assert not [each for each in other.admits if 9811 in each.ports]


def test_the_gateways_on_the_way_let_it_through_to_each_pc_alone() -> None:
    """One rule a PC: nft makes a range of addresses in a row, and lists it otherwise once it was listed and loaded."""
    flows = {flow.id: flow for flow in agent_flows("buoi-gw")}
    assert set(flows) == {"buoi-pc-1-agent", "buoi-pc-2-agent", "buoi-pc-3-agent"}
    ward = flows["buoi-pc-1-agent"]
    assert (ward.hook, ward.crosses) == (Hook.FORWARD, False)
    assert (ward.sender.name, ward.sender.port, ward.receiver.name, ward.receiver.port) == (
        "management", "wan0", "clerks", "clerks0",
    )  # fmt: skip
    assert (ward.sender.prefixes, ward.receiver.prefixes) == ((MONITORING,), (ip_network("10.20.1.11/32"),))
    assert [(each.protocol, each.ports) for each in ward.allow] == [("tcp", (9811,))]
    assert ward.source == sample_plan().host("buoi-pc-1").source
    at_hub = agent_flows("tay-ho-hub")
    (towards,) = [flow for flow in at_hub if flow.id == "buoi-pc-1-agent"]
    assert (towards.sender.port, towards.receiver.port) == ("mgmt0", "buoi-wan")
    assert {flow.id.removesuffix("-agent") for flow in at_hub} == measured()


def test_no_building_and_no_other_wards_pc_is_in_a_gateways_flows() -> None:
    assert agent_flows("buoi-building-gw") == []
    for gateway in sample_plan().gateways:
        lans = [own.network for port in gateway.ports for own in port.own if port.zone == "clerks"]
        for flow in agent_flows(gateway.id) if gateway.id != "tay-ho-hub" else ():
            assert all(any(pc.network_address in lan for lan in lans) for pc in flow.receiver.prefixes)


def test_prometheus_is_told_of_each_pc_and_of_none_as_of_a_gateway() -> None:
    groups = [group for group in compile_targets(sample(), sample_plan()) if "pc" in group["labels"]]
    assert {group["labels"]["pc"] for group in groups} == measured()
    (one,) = [group for group in groups if group["labels"]["pc"] == "buoi-pc-1"]
    assert one["targets"] == ["10.20.1.11:9811"]
    assert one["labels"] == {
        "__meta_wardnet_job": "wardnet-pc", "ward": "buoi", "ward_name": "Bưởi", "site": "buoi-office",
        "pc": "buoi-pc-1",
    }  # fmt: skip


def test_the_audit_is_asked_for_nothing_else_than_without_agents() -> None:
    """It grants crossings alone, and this crosses nothing."""
    with_agents = compile_policy(sample(), sample_plan())
    assert not [grant for device in with_agents.devices for grant in device.grants if "agents" in grant.id]
