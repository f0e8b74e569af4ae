"""Ports that are tagged, dialled or in a VRF: what systemd-networkd is told, and what a kernel is asked for first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import jinja2.nativetypes
import pytest
import yaml

from tests.unit.plugins_support import ROOT, gateway, load

channels = load("filter", "wardnet_channels")


def changed(**changes: Any) -> dict[str, Any]:
    """buoi-gw with another internet line."""
    record = gateway("buoi-gw")
    next(port for port in record["ports"] if port["name"] == "inet0").update(changes)
    return record


def render(name: str, record: dict[str, Any], item: dict[str, Any]) -> list[str]:
    folder = ROOT / "roles" / "channel_ports" / "templates" / "etc" / "systemd" / "network"
    environment = jinja2.Environment(  # noqa: S701 - the output is networkd's language
        loader=jinja2.FileSystemLoader(folder), trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(channels.FilterModule().filters())
    text = environment.get_template(name).render(
        channel_ports_gateway=record,
        channel_ports_channel="internet",
        item=item,
        __channel_ports_tables=[table for table in record["tables"] if table["channel"] == "internet"],
    )
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def internet(record: dict[str, Any]) -> dict[str, Any]:
    return next(port for port in record["ports"] if port["name"] == "inet0")


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, []),
        ({"addressing": "dhcp"}, []),
        ({"parent": "eth1", "tag": 35}, ["vlan"]),
        ({"parent": "eth1", "dialled": {"user": "u", "password": "vault:x"}}, ["ppp"]),
        ({"parent": "eth1", "tag": 35, "dialled": {"user": "u", "password": "vault:x"}}, ["vlan", "ppp"]),
        ({"vrf": "vrf-internet"}, ["vrf"]),
    ],
)
def test_a_kernel_is_asked_for_what_the_lines_need(changes: dict[str, Any], needed: list[str]) -> None:
    assert channels.devices(changed(**changes), "internet") == needed
    assert channels.devices(changed(**changes), "wan") == []


def test_a_tagged_port_is_made_on_its_parent() -> None:
    record = changed(parent="eth1", tag=35)
    (vlan,) = channels.vlans(record, "internet")
    (parent,) = channels.parents(record, "internet")
    assert render("vlan.netdev.j2", record, vlan) == ["[NetDev]", "Name=inet0", "Kind=vlan", "[VLAN]", "Id=35"]
    assert render("parent.conf.j2", record, parent) == ["[Network]", "VLAN=inet0"]
    assert render("parent.network.j2", record, parent)[:2] == ["[Match]", "Name=eth1"]
    assert "LinkLocalAddressing=no" in render("parent.network.j2", record, parent)


def test_a_parent_is_shared_by_channels_that_each_say_their_own() -> None:
    record = changed(parent="eth1", tag=35)
    next(port for port in record["ports"] if port["name"] == "clerks0").update(parent="eth1", tag=10)
    assert channels.parents(record, "internet") == [{"name": "eth1", "vlans": ["inet0"]}]
    assert channels.parents(record, "wan") == [{"name": "eth1", "vlans": ["clerks0"]}]


def test_a_session_over_a_tag_is_dialled_over_a_line_of_its_own() -> None:
    record = changed(parent="eth1", tag=35, addressing="pppoe", dialled={"user": "u", "password": "vault:x"})
    assert channels.line_of(internet(record)) == "inet0-line"
    assert [vlan["name"] for vlan in channels.vlans(record, "internet")] == ["inet0-line"]
    assert channels.parents(record, "internet") == [
        {"name": "eth1", "vlans": ["inet0-line"]},
        {"name": "inet0-line", "vlans": []},
    ]


def test_a_session_keeps_the_addresses_that_pppd_gives_and_has_its_routes_in_the_channels_table() -> None:
    record = changed(
        parent="eth1", addressing="pppoe", dialled={"user": "u", "password": "vault:x"}, ipv4=None, ipv6=None
    )
    for table in record["tables"]:
        for route in table["routes"]:
            if route["port"] == "inet0" and route["kind"] == "via":
                route.update(kind="leased", via=None)
    lines = render("port.network.j2", record, internet(record))
    assert {"KeepConfiguration=yes", "DHCP=no", "IPv6AcceptRA=yes", "LinkLocalAddressing=ipv6"} <= set(lines)
    assert [line for line in lines if line.startswith("Table=")] == ["Table=200"] * lines.count("[Route]")
    assert "Destination=0.0.0.0/0" in lines
    assert not [line for line in lines if line.startswith("Gateway=")]


def test_a_lease_believes_no_more_than_its_address_and_router() -> None:
    lines = render("port.network.j2", changed(addressing="dhcp"), internet(changed(addressing="dhcp")))
    assert {"DHCP=ipv4", "IPv6AcceptRA=yes", "RouteTable=200", "UseRoutes=no", "UseGateway=yes"} <= set(lines)
    for what in ("UseDNS", "UseNTP", "UseHostname", "UseDomains"):
        assert {line for line in lines if line.startswith(f"{what}=")} == {f"{what}=no"}
    assert "RouteDenyList=fd20::/16" in lines


def test_a_static_port_listens_to_nobody() -> None:
    lines = render("port.network.j2", gateway("buoi-gw"), internet(gateway("buoi-gw")))
    assert {"DHCP=no", "IPv6AcceptRA=no"} <= set(lines)
    assert "[DHCPv4]" not in lines


def test_a_vrf_is_made_with_the_channels_table() -> None:
    record = changed(vrf="vrf-internet")
    vrf = {"name": "vrf-internet", "table": 200, "channel": "internet"}
    assert render("vrf.netdev.j2", record, vrf) == [
        "[NetDev]", "Name=vrf-internet", "Kind=vrf", "[VRF]", "Table=200",
    ]  # fmt: skip
    assert "VRF=vrf-internet" in render("port.network.j2", record, internet(record))


@pytest.mark.parametrize(
    ("hold_main", "gone"),
    [
        (False, {"05-bootstrap-x.network", "10-wardnet-wan-old.network"}),
        (
            True,
            {
                "05-bootstrap-x.network", "10-wardnet-wan-old.network", "10-wardnet-internet-inet0.network",
                "10-wardnet-lo.network.d/internet.conf",
            },
        ),
    ],
)  # fmt: skip
def test_a_gateway_keeps_no_files_of_a_channel_that_it_has_no_more(
    tmp_path: Path, hold_main: bool, gone: set[str]
) -> None:
    """Whoever holds the main table takes them away; the role of one channel of several leaves those of the other."""
    given = yaml.safe_load((ROOT / "roles" / "channel_ports" / "vars" / "main.yml").read_text())
    environment = jinja2.nativetypes.NativeEnvironment()
    values = {"channel_ports_hold_main": hold_main, "channel_ports_channel": "wan"}
    template = environment.from_string(given["__channel_ports_purge"])
    purge = template.render(**values, __channel_ports_kept=given["__channel_ports_kept"])
    mine = "10-wardnet-wan-wan0.network"
    for name in (mine, "05-bootstrap-x.network", "10-wardnet-wan-old.network", "10-wardnet-internet-inet0.network",
                 "10-wardnet-lo.network.d/internet.conf", "10-wan0.link"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    files = [{"path": f"{tmp_path}/{mine}", "content": ""}]
    made = load("module_utils", "wardnet_bundle").read_bundle(files, [{"path": str(tmp_path), "purge": purge}], True)
    removed = {str(c.path.relative_to(tmp_path)) for c in made.changes() if c.kind == "remove"}
    assert removed == gone
