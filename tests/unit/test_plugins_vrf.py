"""A gateway whose channels are VRFs: what the kernel adds by itself is no drift, what somebody else adds is, and the
filter knows packets by their port. That it works is shown in tests/qemu."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.plugins_support import gateway, load
from tests.unit.test_plugins_firewall import in_scratch_namespace, render
from tests.unit.test_plugins_kernel import running_as_intended

kernel = load("module_utils", "wardnet_kernel")
intents = load("module_utils", "wardnet_intent")
network = load("module_utils", "wardnet_part_network")

# As a kernel 6.1 prints them: `ip -N -j route show table all`, `ip -N -j rule show`, `ip -j link show`.
OWN_4 = """[{"dst":"10.31.1.2","type":"2","dev":"wan0","table":"100","protocol":"2","scope":"254","flags":[]},
{"dst":"10.31.1.3","type":"3","dev":"wan0","table":"100","protocol":"2","scope":"253","flags":[]}]"""
OWN_6 = """[{"dst":"fd20:31:1::2","type":"2","dev":"wan0","table":"100","protocol":"2","metric":0,"flags":[]},
{"dst":"fe80::9d:24ff:fedc:2baf","type":"2","dev":"wan0","table":"100","protocol":"2","metric":0,"flags":[]},
{"dst":"fe80::/64","dev":"wan0","table":"100","protocol":"2","metric":256,"flags":[]},
{"dst":"fe80::","type":"4","dev":"wan0","table":"100","protocol":"2","metric":0,"flags":[]},
{"dst":"ff00::/8","type":"5","dev":"wan0","table":"100","protocol":"2","metric":256,"flags":[]}]"""
RULES = '[{"priority":0,"src":"all","table":"255"},{"priority":1000,"src":"all","l3mdev":null}]'


@pytest.fixture
def record() -> dict[str, Any]:
    found = gateway("buoi-gw")
    for port in found["ports"]:
        port["vrf"] = f"vrf-{port['channel']}"
    found["services"] = []  # a gateway with VRFs serves nothing
    found["vrfs"] = [
        {"name": "vrf-wan", "table": 100, "channel": "wan"},
        {"name": "vrf-internet", "table": 200, "channel": "internet"},
    ]
    return found


def with_vrfs(record: dict[str, Any], **more: Any) -> Any:
    """What runs, with all that the kernel adds for a VRF."""
    plain = running_as_intended(record)
    own = kernel.parse_routes(OWN_4, 4) | kernel.parse_routes(OWN_6, 6)
    links = json.dumps([{"ifname": port["name"], "master": port["vrf"]} for port in record["ports"]])
    fields = {
        "addresses": plain.addresses,
        "tentative": plain.tentative,
        "routes": plain.routes | own,
        "rules": plain.rules | kernel.parse_rules(RULES, 4) | kernel.parse_rules(RULES, 6),
        "carrier": plain.carrier,
        "members": kernel.parse_members(links),
    }
    return kernel.Running(**{**fields, **more})


@pytest.mark.parametrize("channel", ["wan", "internet"])
def test_what_the_kernel_adds_for_a_vrf_is_no_drift(record: dict[str, Any], channel: str) -> None:
    assert not intents.compare(with_vrfs(record), intents.read_intent(record, channel, channel == "wan"))


def test_without_vrfs_all_of_it_is(record: dict[str, Any]) -> None:
    plain = gateway("buoi-gw")
    difference = intents.compare(with_vrfs(record), intents.read_intent(plain, "wan", True))
    found = {str(item) for item in difference.foreign}
    assert "port wan0 in vrf-wan" in found
    assert any("l3mdev" in text for text in found)
    assert any(text.startswith("route 10.31.1.2/32") for text in found)


@pytest.mark.parametrize(
    "route",
    [
        {"dst": "10.99.0.0/16", "dev": "clerks0", "table": "100", "protocol": "2", "flags": []},
        {"dst": "10.99.0.1", "type": "2", "dev": "clerks0", "table": "100", "protocol": "4", "flags": []},
    ],
    ids=["a way as the kernel's", "an address by hand"],
)
def test_another_route_in_its_table_is_foreign(record: dict[str, Any], route: dict[str, Any]) -> None:
    added = kernel.parse_routes(json.dumps([route]), 4)
    running = with_vrfs(record, routes=with_vrfs(record).routes | added)
    assert set(intents.compare(running, intents.read_intent(record, "wan", True)).foreign) == added


def test_a_rule_like_the_kernels_elsewhere_is_foreign(record: dict[str, Any]) -> None:
    text = '[{"priority":50,"src":"all","l3mdev":null},{"priority":1000,"src":"all","l3mdev":null,"fwmark":"0x1"}]'
    added = kernel.parse_rules(text, 4)
    running = with_vrfs(record, rules=with_vrfs(record).rules | added)
    assert set(intents.compare(running, intents.read_intent(record, "wan", True)).foreign) == added


def test_a_port_outside_its_vrf_is_missed_and_in_anothers_foreign(record: dict[str, Any]) -> None:
    members = with_vrfs(record).members - {kernel.Member("citizen0", "vrf-internet")}
    wrong = kernel.Member("citizen0", "vrf-wan")
    difference = intents.compare(
        with_vrfs(record, members=members | {wrong}), intents.read_intent(record, "internet", False)
    )
    assert [str(item) for item in difference.missing] == ["port citizen0 in vrf-internet"]
    assert difference.foreign == (wrong,)
    assert network.link_of(difference.missing[0]) == "citizen0"
    assert network.command_for(wrong, "del")[1:] == ["link", "set", "dev", "citizen0", "nomaster"]
    assert network.command_for(wrong, "add")[1:] == ["link", "set", "dev", "citizen0", "master", "vrf-wan"]


def test_the_filter_knows_what_passes_by_the_port_and_not_by_the_vrf(record: dict[str, Any]) -> None:
    text = render(record)
    in_scratch_namespace("nft --check --file -", text)
    chains = dict.fromkeys(("forward", "input", "output"), "")
    for name in chains:
        chains[name] = text.split(f"chain {name} {{")[1].split("\n  }")[0]
    assert "iifname" not in chains["forward"]
    # neighbours' messages show the port itself
    assert {line.split()[1] for line in chains["input"].splitlines() if "iifname" in line and "drop" not in line} == {
        '"lo"'
    }
    assert 'iifname "clerks0" ip6 saddr !=' in chains["input"]
    assert chains["output"].index('oifname "vrf-wan"') < chains["output"].index("ct state invalid")


def test_without_vrfs_nothing_is_said_of_them() -> None:
    text = render(gateway("buoi-gw"))
    assert "sdif" not in text
    assert "vrf" not in text
