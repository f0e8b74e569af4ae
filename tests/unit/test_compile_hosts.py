"""What Ansible, the agents, Prometheus and the audit are given; and what is skipped, by name and with its reason."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from tests.unit.compile_support import DAY, changed, sample, sample_plan
from wardnet.compile import compile_agent, compile_hosts, compile_plan, compile_policy, compile_targets, to_plain
from wardnet.compile.hosts import GROUP_OF_ROLE
from wardnet.compile.policy import NO_HOSTS, NO_SWITCHES, PROGRAMS, PULLED
from wardnet.compile.switches import BRIDGE
from wardnet.inventory.checks.names import GROUPS
from wardnet.inventory.values import TAKEN_INTERFACES
from wardnet.model.intent import Channel
from wardnet.model.plan import PortKind


def hosts() -> dict[str, Any]:
    return compile_hosts(sample(), sample_plan())


def test_every_device_of_the_inventory_is_a_host_in_a_group() -> None:
    compiled = hosts()
    switches = [site.switch for _, site in sample().sites if site.switch]
    named = {item.id for _, site in sample().sites for item in (site.gateway, *site.hosts)}
    named |= {site.switch.id for _, site in sample().sites if site.switch is not None}
    named |= {switch.id for switch in switches}
    assert set(compiled["hosts"]) == named
    assert {name for group in compiled["groups"].values() for name in group} == named


def test_no_host_and_no_port_of_an_inventory_may_have_a_name_that_is_generated() -> None:
    groups = {*hosts()["groups"], *GROUP_OF_ROLE.values()}
    assert {name for name in groups if not name.startswith("ward_")} <= GROUPS
    assert {BRIDGE, *(f"vrf-{channel}" for channel in Channel)} <= set(TAKEN_INTERFACES)


def test_what_is_not_managed_is_skipped_by_name_with_the_reason() -> None:
    compiled = hosts()
    skipped = compiled["groups"]["skipped"]
    reasons = {name: compiled["hosts"][name]["wardnet_skip_reason"] for name in skipped}
    assert reasons["nhat-tan-pc-3"] == "os windows is set up by hand, as docs/how-to/windows.md says"
    assert reasons["nhat-tan-building-gw"] == "the provider's own box: nobody here configures it"
    assert reasons["buoi-scanner-1"] == "a device with firmware of its own"
    for name, variables in compiled["hosts"].items():
        skip = name in skipped
        assert (variables["wardnet_skip_reason"] is not None) is skip
        pulls = name in compiled["groups"]["pulled"]
        assert ("ansible_host" in variables) is not (skip or pulls), "nothing is contacted that is not reached"
    others = {name for group, names in compiled["groups"].items() if group != "skipped" for name in names}
    assert not others & set(skipped)


def test_what_has_only_the_internet_pulls_and_is_in_its_groups() -> None:
    plan, compiled = sample_plan(), hosts()
    pulled = compiled["groups"]["pulled"]
    assert {"buoi-citizen-1", "buoi-building-citizen-1", "buoi-building-gw", "nhat-tan-building-citizen-1"} <= {*pulled}
    assert not {"buoi-gw", "buoi-pc-1", "nhat-tan-building-gw", "buoi-wifi-1", "buoi-building-scanner-1"} & {*pulled}
    assert "buoi-building-gw" in compiled["groups"]["gateways"]
    assert "buoi-citizen-1" in compiled["groups"]["citizen_points"]
    assert "buoi-citizen-1" in compiled["groups"]["ward_buoi"]
    for item in (*plan.gateways, *plan.hosts):
        assert item.pulled is (item.id in pulled)
        assert item.reached is (item.managed and not item.pulled)
    assert "wardnet_agent" not in compiled["hosts"]["buoi-building-gw"], "nobody would scrape it"
    assert not any("None" in target for target in compiled["hosts"]["tay-ho-hub"]["wardnet_reach"])


def test_ssh_of_a_gateway_is_to_be_had_in_the_management_network_alone() -> None:
    compiled = hosts()["hosts"]
    loopback = ["127.0.0.1", "::1"]
    assert compiled["buoi-gw"]["wardnet_ssh_listen"] == [*loopback, "10.30.1.1", "fd20:30:1::1"]
    assert compiled["tay-ho-hub"]["wardnet_ssh_listen"] == [*loopback, "10.30.200.1", "fd20:30:200::1"]
    assert compiled["buoi-building-gw"]["wardnet_ssh_listen"] == loopback, "it pulls: nobody comes to it"
    assert "wardnet_ssh_listen" not in compiled["buoi-pc-1"], "it stands on one channel"
    for gateway in sample_plan().gateways:
        foreign = {own.ip for port in gateway.ports if port.channel is Channel.INTERNET for own in port.own}
        assert not foreign & {*gateway.ssh_addresses}
        if gateway.reached:
            assert gateway.management_ipv4 in gateway.ssh_addresses, "by which the controller comes"
            assert ip_address(compiled[gateway.id]["ansible_host"]) in gateway.ssh_addresses


def test_a_linux_access_point_on_the_internet_pulls() -> None:
    found = ("id: buoi-wifi-1\n        role: access_point\n        os: firmware",
             "id: buoi-wifi-1\n        role: access_point\n        os: linux")  # fmt: skip
    district = changed("wards/buoi.yml", found)
    assert "buoi-wifi-1" in compile_hosts(district, compile_plan(district, DAY))["groups"]["pulled"]


def test_the_audit_takes_what_pulls_on_trust_as_before() -> None:
    policy = compile_policy(sample(), sample_plan())
    reasons = {assumption.subject: assumption.reason for assumption in policy.assumptions}
    for name in ("buoi-building-gw", "buoi-citizen-1"):
        assert reasons[name] == "only on the internet channel: management does not reach it"
    assert "buoi-building-gw" not in {device.device for device in policy.devices}


def test_a_platform_without_roles_is_skipped_by_name() -> None:
    district = changed("wards/yen-phu.yml", ("platform: linux", "platform: cisco_ios"))
    plan = compile_plan(district, DAY)
    gateway = plan.gateway("yen-phu-gw")
    assert (gateway.managed, gateway.unmanaged_reason) == (False, "its platform is not configured yet")
    assert "yen-phu-gw" in compile_hosts(district, plan)["groups"]["skipped"]
    assert "yen-phu-gw" in {assumption.subject for assumption in compile_policy(district, plan).assumptions}
    assert "yen-phu-gw" not in {group["labels"].get("gateway") for group in compile_targets(district, plan)}


def test_hosts_behind_the_providers_box_are_not_reached() -> None:
    district = changed("wards/yen-phu.yml", ("platform: linux, management_network: devices", "platform: unmanaged"))
    plan = compile_plan(district, DAY)
    assert plan.host("yen-phu-pc-1").unmanaged_reason == "behind the provider's own box: management does not reach it"
    assert plan.host("xuan-la-pc-1").managed


def test_managed_hosts_are_reached_over_the_wan() -> None:
    wan = sample().channel(Channel.WAN).prefixes
    addresses = [ip_address(v["ansible_host"]) for v in hosts()["hosts"].values() if "ansible_host" in v]
    assert len(addresses) > 30
    for address in addresses:
        assert any(address in prefix for prefix in wan if prefix.version == address.version)


def test_wards_and_kinds_are_groups() -> None:
    groups = hosts()["groups"]
    assert groups["hubs"] == ["tay-ho-hub"]
    assert [name for name in groups["gateways"] if name.startswith("buoi")] == ["buoi-building-gw", "buoi-gw"]
    others = {*groups.get("switches", ()), *groups["pulled"]}
    pushed = [name for name in groups["ward_nhat_tan"] if name not in others]
    assert pushed == ["nhat-tan-gw", "nhat-tan-pc-1", "nhat-tan-pc-2", "nhat-tan-touch-1"]
    assert not set(groups) & set(hosts()["hosts"]), "Ansible confuses a group and a host of one name"


def test_the_agent_of_an_office_measures_both_channels_from_ids_of_the_inventory() -> None:
    agent = compile_agent(sample(), sample_plan(), "buoi-gw")
    assert agent["listen"] == ["10.30.1.1", "fd20:30:1::1"]
    assert {channel["id"]: channel["interface"] for channel in agent["channels"]} == {
        "wan": "wan0",
        "internet": "inet0",
    }
    assert {channel["id"]: channel["circuit"] for channel in agent["channels"]} == {
        "wan": "buoi-wan",
        "internet": "buoi-internet",
    }
    assert {reflector["id"]: reflector["channel"] for reflector in agent["reflectors"]} == {
        "hub": "wan",
        "isp": "internet",
    }
    assert {s["id"] for s in agent["services"]} == {service.id for service in sample().services}


def test_the_hub_knows_over_which_of_its_ports_it_reaches_whom() -> None:
    reach = hosts()["hosts"]["tay-ho-hub"]["wardnet_reach"]
    assert "10.30.1.1:22 via buoi-wan" in reach
    groups = hosts()["groups"]
    assert len(reach) == len({*groups["gateways"]} - {*groups["pulled"]})
    assert {each.split(" via ")[1] for each in reach} <= {
        port.name for port in sample_plan().gateway("tay-ho-hub").ports
    }


def test_gateways_of_sites_measure_and_the_hub_does_not() -> None:
    compiled = hosts()
    for name in {*compiled["groups"]["gateways"]} - {*compiled["groups"]["pulled"]}:
        assert compiled["hosts"][name]["wardnet_agent"]["gateway"] == name
    assert "wardnet_agent" not in compiled["hosts"]["tay-ho-hub"]


def test_the_agent_of_a_building_measures_the_internet_alone() -> None:
    agent = compile_agent(sample(), sample_plan(), "buoi-building-gw")
    items = [*agent["channels"], *agent["reflectors"], *agent["services"]]
    assert {item.get("channel", item["id"]) for item in items} == {"internet"}
    assert agent["listen"] == []


def test_targets_are_the_managed_gateways_of_sites_at_their_management_address() -> None:
    groups = [group for group in compile_targets(sample(), sample_plan()) if "gateway" in group["labels"]]
    managed = {g.id: g for g in sample_plan().gateways if g.reached and g.id != "tay-ho-hub"}
    assert sorted(group["labels"]["gateway"] for group in groups) == sorted([*managed, *managed])
    for group in groups:
        (target,) = group["targets"]
        address, port = target.rsplit(":", 1)
        assert address == str(managed[group["labels"]["gateway"]].management_ipv4)
        assert port in ("9807", "9808")


def test_the_controller_is_asked_about_its_runs_and_audits_and_labels_them_itself() -> None:
    groups = [group for group in compile_targets(sample(), sample_plan()) if "ward" not in group["labels"]]
    assert groups == [
        {"targets": ["10.30.200.10:9809"], "labels": {"__meta_wardnet_job": "wardnet-runs"}},
        {"targets": ["10.30.200.10:9810"], "labels": {"__meta_wardnet_job": "wardnet-audit"}},
    ]


def test_the_policy_names_every_port_of_every_managed_gateway_and_lists_the_rest_as_assumptions() -> None:
    policy, plan = compile_policy(sample(), sample_plan()), sample_plan()
    for device in policy.devices:
        gateway = plan.gateway(device.device)
        assert [(p.interface, p.channel) for p in device.ports] == [(p.name, p.channel) for p in gateway.ports]
        for port in device.ports:
            own = gateway.port(port.interface)
            is_network = own.kind is PortKind.NETWORK
            assert port.label == (own.zone if is_network else own.reference)
            assert port.prefixes == ((own.ipv4.network, own.ipv6.network) if is_network else ())
    subjects = {device.device for device in policy.devices} | {a.subject for a in policy.assumptions}
    assert {item.id for item in (*plan.gateways, *plan.hosts)} <= subjects, "neither audited nor an assumption"
    assert {assumption.subject: assumption.reason for assumption in policy.assumptions} == {
        item.id: item.unmanaged_reason or PULLED for item in (*plan.gateways, *plan.hosts) if not item.reached
    } | {host.id: NO_HOSTS for host in plan.hosts if host.reached} | {
        switch.id: NO_SWITCHES for switch in plan.switches
    } | {gateway.id: PROGRAMS for gateway in plan.gateways if gateway.reached}


def test_the_policys_conduits_are_the_plans_flows_and_its_network_has_every_zone_of_every_site() -> None:
    policy, plan = compile_policy(sample(), sample_plan()), sample_plan()
    for device in policy.devices:
        flows = [flow for flow in plan.gateway(device.device).flows if not flow.crosses]
        assert [(c.id, c.from_interface, c.to_interface) for c in device.conduits] == [
            (flow.id, flow.sender.port, flow.receiver.port) for flow in flows
        ]
    network = policy.network
    assert network is not None
    zones = {(g.site, port.zone) for g in plan.gateways for port in g.ports if port.zone} | {("", "internet")}
    assert {(place.site, place.zone) for place in network.places} == zones
    assert {device.device for device in network.assumed} == {g.id for g in plan.gateways if not g.reached}
    links = {device.device: {port.link for port in device.ports} for device in policy.devices}
    assert links["buoi-gw"] & links["tay-ho-hub"] == {"buoi-wan"}
    assert links["buoi-gw"] & links["nhat-tan-gw"] == {"the internet"}
    assert not any("gateway" in (journey.from_zone, journey.to_zone) for journey in network.journeys)


def test_a_grant_of_the_policy_is_one_family_and_carries_who_answers_for_it() -> None:
    policy = compile_policy(sample(), sample_plan())
    (device,) = (device for device in policy.devices if device.grants)
    assert device.device == "buoi-gw"
    assert [to_plain((g.from_interface, g.sender, g.to_interface, g.receiver)) for g in device.grants] == [
        ["citizen0", "172.20.1.11/32", "clerks0", "10.20.1.20/32"],
        ["citizen0", "2001:db8:20:1::11/128", "clerks0", "fd20:20:1::20/128"],
    ]
    assert {(grant.owner, grant.document) for grant in device.grants} == {
        ("One-stop office of ward Bưởi", "12/QD-UBND (sample)")
    }


def test_a_host_asks_its_gateway_what_time_it_is_or_its_own_channels_sources() -> None:
    plan, district = sample_plan(), sample()

    def asked(name: str) -> list[str]:
        return [str(address) for address in plan.host(name).time_sources]

    assert asked("buoi-pc-1") == ["10.20.1.1", "fd20:20:1::1"], "its gateway gives the time there"
    assert asked("nhat-tan-pc-1") == ["10.20.200.53", "fd20:20:200::53"]
    assert asked("buoi-building-citizen-1") == ["203.0.113.53", "2001:db8:cafe::53"]
    assert asked("resolver") == [], "who is a source keeps its clock by other means, which must not be replaced"
    wan = district.channel(Channel.WAN).prefixes
    for host in plan.hosts:
        inside = {any(address in prefix for prefix in wan if prefix.version == address.version)
                  for address in host.time_sources}  # fmt: skip
        if host.channel is Channel.WAN:
            assert inside <= {True}, host.id
        elif set(host.time_sources) == set(district.channel(Channel.INTERNET).time_sources):
            assert inside <= {False}, host.id


def test_conduits_of_the_sample_let_each_managed_host_ask_what_time_it_is() -> None:
    district = sample()
    open_ = {(conduit.from_zone, conduit.to_zone) for conduit in district.conduits for each in conduit.allow
             if each.protocol == "udp" and (123 in each.ports or not each.ports)}  # fmt: skip
    zones = {"10.20.200.53": "servers", "203.0.113.53": "internet"}
    for host in sample_plan().hosts:
        if host.managed and host.time_sources:
            zone, beyond = host.ports[0].zone, zones.get(str(host.time_sources[0]), "gateway")
            assert zone == beyond or (zone, beyond) in open_, host.id
