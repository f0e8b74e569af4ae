"""What zone_services writes: each network asks over its own channel alone, and nothing is shared between two."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.unit.plugins_support import ROOT, load
from tests.unit.zone_services_support import RESOLVERS, configurations, rendered, service, serving

LANS = ("clerks0", "citizen0", "wifi0")


@pytest.fixture
def found() -> dict[str, str]:
    return configurations(serving(*(service(port) for port in LANS)))


def options(text: str, key: str) -> list[str]:
    return re.findall(rf"^{key}[ =](.*)$", text, re.MULTILINE)


def test_each_network_has_files_of_its_own(found: dict[str, str]) -> None:
    assert sorted(found) == [f"{n}.{k}.conf" for n in ("citizens", "clerks", "wifi") for k in ("dhcp", "names", "time")]


def test_questions_are_bound_to_the_line_of_the_networks_own_channel(found: dict[str, str]) -> None:
    assert options(found["clerks.names.conf"], "server") == ["10.20.200.53@wan0", "fd20:20:200::53@wan0"]
    for network in ("citizens", "wifi"):
        assert options(found[f"{network}.names.conf"], "server") == ["203.0.113.53@inet0", "2001:db8:cafe::53@inet0"]
        assert options(found[f"{network}.time.conf"], "bindacqdevice") == ["inet0"]
    assert options(found["clerks.time.conf"], "bindacqdevice") == ["wan0"]


def test_nothing_of_one_channel_is_named_in_a_file_of_the_other(found: dict[str, str]) -> None:
    wan, internet = ("wan0", "10.20.200.53", "clerks0"), ("inet0", "203.0.113.53", "citizen0", "wifi0")
    for name, text in found.items():
        for word in internet if name.startswith("clerks") else wan:
            assert word not in text, name


def test_each_listens_at_its_networks_addresses_alone(found: dict[str, str]) -> None:
    assert options(found["clerks.names.conf"], "listen-address") == ["10.20.1.1,fd20:20:1::1"]
    assert options(found["clerks.time.conf"], "bindaddress") == ["10.20.1.1", "fd20:20:1::1"]
    assert options(found["clerks.time.conf"], "binddevice") == ["clerks0"]
    assert options(found["clerks.dhcp.conf"], "interface") == ["clerks0"]
    for network in ("clerks", "citizens", "wifi"):
        assert "\nno-resolv\n" in found[f"{network}.names.conf"]
        assert "\nno-hosts\n" in found[f"{network}.names.conf"]
        assert "\nport=0\n" in found[f"{network}.dhcp.conf"]


def test_an_answer_may_not_point_into_the_other_channel(found: dict[str, str]) -> None:
    assert set(options(found["clerks.names.conf"], "bogus-nxdomain")) == {
        "172.20.0.0/15", "198.51.100.0/24", "2001:db8:20::/47", "2001:db8:ff::/48"
    }  # fmt: skip
    public = set(options(found["wifi.names.conf"], "bogus-nxdomain"))
    assert {"10.16.0.0/12", "fd20::/16", "127.0.0.0/8", "172.20.1.0/24", "172.21.1.0/24"} <= public


def test_fixed_leases_and_their_names_stay_in_their_network() -> None:
    lease = {"mac": "02:00:00:00:01:11", "ipv4": "10.20.1.11", "host": "buoi-pc-1"}
    found = configurations(serving(service("clerks0", leases=[lease]), service("citizen0")))
    assert options(found["clerks.dhcp.conf"], "dhcp-host") == ["02:00:00:00:01:11,10.20.1.11,buoi-pc-1,8h"]
    assert options(found["clerks.names.conf"], "host-record") == ["buoi-pc-1.tayho.example,10.20.1.11"]
    assert "buoi-pc-1" not in found["citizens.names.conf"]


def test_who_does_not_resolve_or_tell_the_time_does_not_say_so() -> None:
    found = configurations(serving(service("wifi0", names=False, time=False)))
    assert list(found) == ["wifi.dhcp.conf"]
    assert "dns-server" not in found["wifi.dhcp.conf"]
    assert "ntp-server" not in found["wifi.dhcp.conf"]


def processes(*services: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = load("filter", "wardnet_services").processes(serving(*services))
    return {entry["held"]["name"]: entry for entry in found}


def test_a_process_may_speak_with_its_network_and_its_channels_servers_alone() -> None:
    peers = processes(service("clerks0"), service("citizen0"))["wardnet-names@clerks.service"]["peers"]
    assert peers == ["10.20.1.0/24", "fd20:20:1::/64", "fe80::/10", "10.20.200.53", "fd20:20:200::53"]
    text = rendered("etc/systemd/system/process.conf.j2", item={"source": "x:1", "user": "u", "peers": peers})
    assert options(text, "IPAddressDeny") == ["any"]
    assert options(text, "IPAddressAllow") == peers


def test_each_process_has_a_user_of_its_own_with_a_name_that_the_system_takes() -> None:
    found = processes(
        service("clerks0"), service("wifi0"), service("citizen0", network="a-network-with-a-very-long-name")
    )
    users = [entry["user"] for entry in found.values()]
    assert len(set(users)) == len(users) == 9
    assert all(re.fullmatch(r"[a-z][a-z0-9-]{0,30}", user) for user in users)


def test_units_are_restarted_for_their_own_files_alone() -> None:
    for name, entry in processes(service("clerks0"), service("citizen0")).items():
        network = re.search(r"@(\w+)", name)
        assert network is not None
        assert all(network[1] in path or "@.service" in path for path in entry["held"]["files"])


def test_only_what_does_leases_may_administer_the_network() -> None:
    for kind in ("dhcp", "names", "time"):
        text = rendered(f"etc/systemd/system/wardnet-{kind}@.service.j2")
        assert options(text, "DynamicUser") == ["yes"]
        assert options(text, "AmbientCapabilities") == options(text, "CapabilityBoundingSet")
        assert ("CAP_NET_ADMIN" in text.replace("without CAP_NET_ADMIN", "")) == (kind == "dhcp")


def test_a_gateways_own_clock_asks_by_its_channels_line_and_is_kept_running() -> None:
    """Whether or not it serves the time, and never by the other line."""
    clock = load("filter", "wardnet_services").clock
    silent = clock(serving())
    assert (silent["channel"], silent["uplink"], silent["sources"]) == ("wan", "wan0", RESOLVERS["wan"])
    assert clock(serving(service("citizen0"))) == silent
    pulled = clock(serving(gateway_id="buoi-building-gw"))
    assert (pulled["channel"], pulled["uplink"]) == ("internet", "inet0")
    assert clock({**serving(), "clock": None}) == {}
    text = rendered("etc/chrony/chrony.conf.j2", __zone_services_clock=silent)
    assert [line for line in text.splitlines() if line.startswith(("server", "bindacqdevice"))] == [
        "server 10.20.200.53 iburst", "server fd20:20:200::53 iburst", "bindacqdevice wan0",
    ]  # fmt: skip


def test_a_clock_that_somebody_stopped_is_started_again() -> None:
    """A unit of the candidate, as any other service."""
    role = ROOT / "roles" / "zone_services"
    (unit,) = yaml.safe_load((role / "vars" / "main.yml").read_text())["__zone_services_clock_units"]
    assert unit == {"name": "chrony.service", "files": ["/etc/chrony/chrony.conf"], "conditional": "container"}
    assert "__zone_services_clock_units" in yaml.safe_load((role / "tasks" / "main.yml").read_text())[0][
        "wardnet_candidate"
    ]["units"]  # fmt: skip
    units = load("module_utils", "wardnet_units")
    masked = {"ActiveState": "inactive", "UnitFileState": "masked", "LoadState": "masked"}
    since = units.Times(0.0, 0.0, 0.0, 0.0)
    assert units.decide({**unit, "files": []}, masked, since) == ["unmask", "enable", "restart"]


def test_a_hub_asks_without_a_line() -> None:
    plain = serving(gateway_id="tay-ho-hub")
    port = next(p for p in plain["ports"] if p["name"] == "servers0")
    own = {"network": "servers", "port": "servers0", "channel": "wan", "ipv4": port["ipv4"], "ipv6": port["ipv6"]}
    plain["services"] = [{**service("clerks0"), **own}]
    (item,) = load("filter", "wardnet_services").served(plain)
    assert item["uplink"] == ""
    assert "10.16.0.0/12" not in item["elsewhere"]


def test_a_prefix_in_which_hosts_make_no_addresses_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"wards/buoi.yml:38: network clerks can't be advertised: .* is not a /64"):
        load("filter", "wardnet_services").served(serving(service("clerks0", ipv6="fd20:20:1::1/120")))


def test_a_channel_without_a_line_is_refused_by_name() -> None:
    plain = serving(service("clerks0"))
    plain["ports"] = [port for port in plain["ports"] if port["name"] != "wan0"]
    with pytest.raises(
        ValueError, match=r"wards/buoi.yml:38: network clerks can't be served: buoi-gw has 0 wan circuits"
    ):
        load("filter", "wardnet_services").served(plain)
