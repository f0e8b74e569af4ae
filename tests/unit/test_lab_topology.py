"""What is booted and how it is wired follows from the inventory alone, for any number of wards."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from lab import bootstrap, names, provide, shop_switch
from lab.build import Blueprint, read_blueprint
from lab.errors import LabError
from lab.handover import known_hosts
from lab.hosts import HostFile, Limits
from lab.scope import without_exceptions
from lab.settle import expected
from lab.topology import Kind, current_rate
from wardnet.model.intent import Channel, HostRole, OperatingSystem
from wardnet.model.plan import PortKind

INVENTORY = Path(__file__).parents[2] / "inventory" / "tay-ho"
DAY = date(2026, 11, 24)


@pytest.fixture(scope="module", params=[0, 1, 2, 8])
def blueprint(request: pytest.FixtureRequest) -> Blueprint:
    return read_blueprint(INVENTORY, request.param, DAY)


@pytest.fixture(scope="module")
def two() -> Blueprint:
    return read_blueprint(INVENTORY, 2, DAY)


def text(files: list[HostFile], path: str) -> str:
    return next(file.content.decode() for file in files if file.path == path)


def test_every_host_of_the_plan_is_booted_or_named_with_a_reason(blueprint: Blueprint) -> None:
    booted = {node.id for node in blueprint.topology.nodes if node.outside is None}
    skipped = {one.id: one.reason for one in blueprint.topology.not_booted}
    plan = blueprint.plan
    wanted = {each.id for each in (*plan.hosts, *plan.gateways, *plan.switches)}
    assert booted | set(skipped) == wanted
    assert not booted & set(skipped)
    windows = {host.id for host in blueprint.plan.hosts if host.os is OperatingSystem.WINDOWS}
    assert set(skipped) == windows
    assert all("Windows" in reason for reason in skipped.values())


def test_the_number_of_wards_is_what_was_asked_for(blueprint: Blueprint) -> None:
    offices = [node.ward for node in blueprint.topology.nodes if node.kind is Kind.GATEWAY]
    assert len(offices) == len(blueprint.topology.wards) + 1  # and the district's own


def test_too_many_wards_are_refused() -> None:
    with pytest.raises(LabError, match="has 8 wards: --wards takes 0 to 8, not 9"):
        read_blueprint(INVENTORY, 9, DAY)


def test_every_gateways_circuit_is_one_wire_to_the_hub_or_the_provider(blueprint: Blueprint) -> None:
    topology, plan = blueprint.topology, blueprint.plan
    ends = Counter((wire.near, wire.near_port) for wire in topology.wires)
    for node in topology.nodes:
        if node.gateway is not None and node.kind is not Kind.HUB:
            for port in node.gateway.ports:
                assert ends[node.id, port.name] == (1 if port.kind is PortKind.CIRCUIT else 0)
    for wire in topology.wires:
        assert topology.node(wire.far).kind is (Kind.HUB if wire.channel is Channel.WAN else Kind.ISP)
        assert plan.gateway(wire.near).port(wire.near_port).reference == wire.id
    assert len({(wire.far, wire.far_port) for wire in topology.wires}) == len(topology.wires)


def test_names_of_ports_fit_the_kernel(blueprint: Blueprint) -> None:
    ports = [port.name for node in blueprint.topology.nodes for port in node.ports]
    ports += [name for wire in blueprint.topology.wires for name in (wire.near_port, wire.far_port)]
    assert all(len(name) <= 15 for name in ports)


def test_a_line_has_the_rate_that_is_paid_for_on_the_day(two: Blueprint) -> None:
    wire = next(wire for wire in two.topology.wires if wire.id == "buoi-wan")
    assert (wire.down.rate_bps, wire.up.rate_bps) == (20_000_000, 20_000_000)
    earlier = read_blueprint(INVENTORY, 2, date(2025, 6, 1))
    wire = next(wire for wire in earlier.topology.wires if wire.id == "buoi-wan")
    assert (wire.down.rate_bps, wire.up.rate_bps) == (10_000_000, 10_000_000)
    assert current_rate(wire.circuit, two.plan).down_bps == 20_000_000


def test_hosts_of_one_network_share_a_switch_and_a_vlan_and_no_others(two: Blueprint) -> None:
    lans: dict[tuple[str, int | None], set[str]] = {}
    vlans = {(switch.id, port.name): port.vlan for switch in two.plan.switches for port in switch.ports}
    cables = {(cable.host, cable.port): (cable.switch, cable.switch_port) for cable in two.topology.cables}
    for node in two.topology.nodes:
        if node.host is not None:
            plugged = {port.name: (port.switch, port.vlan) for port in node.ports}
            for port in node.host.ports:
                if port.name not in plugged:
                    cable = cables[node.id, port.name]
                    plugged[port.name] = (cable[0], vlans[cable])
                lans.setdefault(plugged[port.name], set()).add(f"{node.site} {port.network}")
    assert all(len(networks) == 1 for networks in lans.values())
    assert ("buoi-sw", 20) in lans


def test_every_port_of_a_managed_switch_has_a_cable_an_uplink_or_nothing_in_it(two: Blueprint) -> None:
    for switch in two.plan.switches:
        cabled = [cable.switch_port for cable in two.topology.cables if cable.switch == switch.id]
        uplinks = [port.name for port in two.topology.node(switch.id).ports]
        dark = [port for host, port in two.topology.unplugged if host == switch.id]
        assert sorted([*cabled, *uplinks, *dark]) == sorted(port.name for port in switch.ports)
    assert ("nhat-tan-sw", "port3") in two.topology.unplugged, "a PC that is not booted"
    assert [(port.vlan, port.trunks) for port in two.topology.node("buoi-sw").ports] == [(None, (10, 20))]
    ends = {(cable.host, cable.port): cable.switch_port for cable in two.topology.cables}
    assert ends["buoi-gw", "citizen0"] == "gw-citizens"
    assert ends["buoi-citizen-1", "eth0"] == "port6"


def test_a_switch_that_nobody_manages_is_stood_in_for(tmp_path: Path) -> None:
    folder = tmp_path / "district"
    shutil.copytree(INVENTORY, folder)
    ward = folder / "wards" / "buoi.yml"
    before = "platform: openvswitch\n      management_network: devices\n"
    assert before in ward.read_text()
    ward.write_text(ward.read_text().replace(before, "platform: unmanaged\n"))
    found = read_blueprint(folder, 1, DAY).topology
    assert {one.id: one.reason for one in found.not_booted} == {"buoi-sw": "a switch of the lab's own stands in for it"}
    assert found.cables == ()
    assert len(found.node("buoi-pc-1").ports) == 1


def test_a_switch_is_left_with_its_networks_apart_and_no_more(two: Blueprint) -> None:
    switch = two.plan.switch("buoi-sw")
    words = " ".join(shop_switch.words(switch))
    assert "add-port access port6 tag=20" in words
    assert "add-port access port9 trunks=10,20 vlan_mode=trunk" in words
    assert "port8" not in words
    assert "add-port access mgmt0 tag=99 -- set interface mgmt0 type=internal" in words


def test_a_managed_gateway_is_only_reached_and_has_nothing_on_the_internets_side(two: Blueprint) -> None:
    node = two.topology.node("buoi-gw")
    files = bootstrap.files(node, two.topology, two.plan, two.outside, two.resolvers(node))
    units = {file.path.rpartition("/")[2] for file in files if "/network/" in file.path}
    assert units == {"05-bootstrap-wan0.network", "05-bootstrap-mgmt0.network"}
    assert not any("sysctl" in file.path or "nftables" in file.path for file in files)
    wan = text(files, "/etc/systemd/network/05-bootstrap-wan0.network")
    assert "Gateway=10.31.1.1\n" in wan
    assert "Gateway=fd20:31:1::1\n" in wan


def test_the_hub_knows_the_way_to_management_behind_every_circuit(two: Blueprint) -> None:
    node = two.topology.node("tay-ho-hub")
    files = bootstrap.files(node, two.topology, two.plan, two.outside, two.resolvers(node))
    unit = text(files, "/etc/systemd/network/05-bootstrap-buoi-wan.network")
    assert "Destination=10.30.1.0/24\nGateway=10.31.1.2\n" in unit
    assert "Destination=fd20:30:1::/64\nGateway=fd20:31:1::2\n" in unit
    assert "10.20.1.0/24" not in unit  # the clerks' LAN is for the role
    assert "net.ipv4.ip_forward = 1" in text(files, "/etc/sysctl.d/05-bootstrap-forwarding.conf")


@pytest.mark.parametrize("gateway", ["buoi-building-gw", "nhat-tan-building-gw"])
def test_a_box_that_nobody_manages_works_as_the_provider_delivers_it(two: Blueprint, gateway: str) -> None:
    node = two.topology.node(gateway)
    assert node.kind is Kind.PROVIDER_BOX
    files = bootstrap.files(node, two.topology, two.plan, two.outside, two.resolvers(node))
    rules = text(files, "/etc/nftables.conf")
    assert "masquerade" in rules
    assert "policy drop" in rules
    units = [file for file in files if "/network/" in file.path]
    assert len(units) == len(two.plan.gateway(gateway).ports)
    assert any(file.target == "/lib/systemd/system/nftables.service" for file in files)


def test_the_provider_routes_ipv6_back_to_the_internets_lans_alone(two: Blueprint) -> None:
    node = two.topology.node("isp")
    files = bootstrap.files(node, two.topology, two.plan, two.outside, two.resolvers(node))
    units = "\n".join(file.content.decode() for file in files if "/network/" in file.path)
    assert "Destination=2001:db8:20:1::/64\nGateway=2001:db8:ff:1::2\n" in units
    assert "Destination=2001:db8:21:101::/64" in units
    assert "fd20" not in units
    assert "Destination=172." not in units  # IPv4 LANs are private and have no way back


def test_each_sides_resolver_knows_its_own_channel_alone(two: Blueprint) -> None:
    wan = dict(names.records(two.district, two.plan, two.topology, Channel.WAN))
    internet = dict(names.records(two.district, two.plan, two.topology, Channel.INTERNET))
    assert wan["dvctt.tayho.example"] == ("10.20.200.10", "fd20:20:200::10")
    assert internet["www.congcong.example"] == ("203.0.113.80", "2001:db8:cafe::80")
    assert not set(wan) & set(internet)
    files = names.resolver_files(two.district, two.plan, two.topology, Channel.WAN)
    conf = text(files, "/etc/lab-resolver.conf")
    assert "no-resolv" in conf
    assert "server=" not in conf  # it asks nobody


def test_hosts_are_pinned_under_their_id_and_all_their_addresses(two: Blueprint) -> None:
    inside = [node for node in two.topology.nodes if node.outside is None]
    lines = known_hosts(two.topology, {node.id: b"ssh-ed25519 AAAA root@x" for node in inside}).splitlines()
    assert len(lines) == len(inside)
    gateway = next(line for line in lines if line.startswith("buoi-gw,"))
    assert {"10.30.1.1", "fd20:30:1::1", "10.31.1.2"} <= set(gateway.split()[0].split(","))
    assert gateway.endswith(" ssh-ed25519 AAAA")


def test_what_a_host_is_waited_for_is_what_its_units_say(two: Blueprint) -> None:
    from lab.hosts import Machine

    node = two.topology.node("buoi-pc-1")
    files = bootstrap.files(node, two.topology, two.plan, two.outside, two.resolvers(node))
    assert expected(Machine(node.id, node.ports, tuple(files))) == {"10.20.1.11", "fd20:20:1::11"}


def test_a_monitoring_host_is_there_for_the_window(blueprint: Blueprint) -> None:
    roles = [node.host.role for node in blueprint.topology.nodes if node.host is not None]
    assert roles.count(HostRole.MONITORING) == 1


BLOCKS = """exceptions:
  - id: one
    from_host: a
    to_host: b
  # about the second
  - {id: two, from_host: c, to_host: d}
  - id: three
    from_host: e
    to_host: f

services:
  - {id: x}
"""


@pytest.mark.parametrize(
    ("absent", "kept"),
    [
        (set(), ["one", "two", "three"]),
        ({"a"}, ["two", "three"]),
        ({"b"}, ["two", "three"]),
        ({"d"}, ["one", "three"]),
        ({"e"}, ["one", "two"]),
        ({"a", "c"}, ["three"]),
        ({"a", "c", "e"}, []),
        ({"unknown"}, ["one", "two", "three"]),
    ],
)
@pytest.mark.parametrize("tail", ["", "services: []"])
def test_exceptions_of_hosts_that_are_not_here_go_and_nothing_else_does(
    absent: set[str], kept: list[str], tail: str
) -> None:
    import yaml

    before = BLOCKS.partition("services")[0] + tail if tail else BLOCKS
    after = yaml.safe_load(without_exceptions(before, absent))
    assert [one["id"] for one in after["exceptions"]] == kept
    assert after["services"] == yaml.safe_load(before)["services"]


def test_a_gateway_that_cannot_be_booted_is_named_and_leaves_the_hubs_port_unplugged(tmp_path: Path) -> None:
    folder = tmp_path / "district"
    shutil.copytree(INVENTORY, folder)
    ward = folder / "wards" / "buoi.yml"
    other = ward.read_text().replace("id: buoi-gw, platform: linux", "id: buoi-gw, platform: huawei_vrp")
    other = re.sub(r",\s*wifi: \{.*\}(?=\}$)", "", other, flags=re.MULTILINE)
    ward.write_text(re.sub(r", dhcp: \{[^}]*\}|, (names|time): true", "", other))
    found = read_blueprint(folder, 1, DAY)
    reasons = {one.id: one.reason for one in found.topology.not_booted}
    assert reasons == {"buoi-gw": "a gateway of this platform with two channels has no stand-in here"}
    assert ("tay-ho-hub", "buoi-wan") in found.topology.unplugged
    assert "buoi-wan" not in {wire.id for wire in found.topology.wires}
    hub = found.topology.node("tay-ho-hub")
    files = bootstrap.files(hub, found.topology, found.plan, found.outside, found.resolvers(hub))
    assert "RequiredForOnline=no" in text(files, "/etc/systemd/network/05-bootstrap-buoi-wan.network")
    assert "RequiredForOnline=no" not in text(files, "/etc/systemd/network/05-bootstrap-tay-ho-wan.network")


def test_only_what_becomes_a_desktop_may_take_more_than_other_hosts(two: Blueprint) -> None:
    nodes = two.topology.nodes
    assert {provide.limits(node, workplaces=False) for node in nodes} == {Limits()}
    assert {node.id for node in nodes if provide.limits(node, workplaces=True) != Limits()} == {
        node.id
        for node in nodes
        if node.host is not None and node.host.role in (HostRole.COUNTER, HostRole.TOUCH_SCREEN, HostRole.CITIZEN)
    }
