"""Who may use which scanner, what a box shares, and what the agent of the site asks."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pytest

from tests.unit.compile_support import DAY, changed, sample, sample_plan
from wardnet.compile import compile_agent, compile_hosts, compile_plan
from wardnet.model.intent import District
from wardnet.model.plan import Hook

JOINED = '  - {id: devices-scan, from_zone: devices, to_zone: clerks, allow: [tcp/any], reason: "a test"}\n'
ROOT = Path(__file__).parents[2]
BOX, GLASS = "tay-ho-scanner-2", "tay-ho-scanner-1"


@cache
def variables(district: District | None = None, day: date = DAY) -> dict[str, dict[str, Any]]:
    district = district or sample()
    hosts: dict[str, dict[str, Any]] = compile_hosts(district, compile_plan(district, day))["hosts"]
    return hosts


def usable(host: str, district: District | None = None, day: date = DAY) -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in variables(district, day)[host]["wardnet_scanners"]}


def test_a_clerk_may_use_the_scanners_of_the_own_office_alone() -> None:
    found = usable("tay-ho-pc-1")
    assert set(found) == {GLASS, BOX}
    assert (found[GLASS]["kind"], found[GLASS]["url"]) == ("escl", "http://10.20.0.20:80/eSCL/")
    assert (found[BOX]["kind"], found[BOX]["url"]) == ("escl", "http://10.20.0.21:60000/eSCL/")
    assert {each["by"] for each in found.values()} == {"clerks"}
    assert set(usable("buoi-pc-1")) == {"buoi-scanner-1"}


def test_a_scanner_without_words_of_its_own_speaks_escl_and_is_called_by_its_id() -> None:
    (scanner,) = usable("nhat-tan-pc-1").values()
    assert (scanner["name"], scanner["kind"], scanner["port"]) == ("nhat-tan-scanner-1", "escl", 80)


def test_an_exception_lets_a_citizen_use_an_offices_scanner_while_it_lasts() -> None:
    assert usable("buoi-citizen-1")["buoi-scanner-1"]["by"] == "buoi-resident-scan"
    assert usable("buoi-citizen-1", day=date(2028, 1, 1)) == {}
    assert usable("tay-ho-citizen-1") == {}


def test_an_exception_for_another_port_is_none_to_the_scanner() -> None:
    other = changed(
        "district.yml", ("    allow: [tcp/80]\n    owner: One-stop", "    allow: [tcp/443]\n    owner: One-stop")
    )
    assert usable("buoi-citizen-1", other) == {}


@pytest.mark.parametrize("host", ["tay-ho-touch-1", GLASS, BOX, "portal"])
def test_whoever_does_not_scan_has_no_list(host: str) -> None:
    assert "wardnet_scanners" not in variables()[host]


def test_a_box_shares_with_its_zone_and_is_asked_by_the_gateway() -> None:
    box = variables()[BOX]["wardnet_scanner"]
    assert box["clients"] == ["10.20.0.0/24", "10.20.0.1/32", "fd20:20::/64"]
    assert (box["usb_port"], box["sane_port"]) == (60000, None)
    first, *others = box["admits"]
    assert (first["protocol"], first["ports"]) == ("tcp", [60000])
    assert first["prefixes"] == box["clients"]
    assert {each["id"] for each in others} == {"management-hosts"}
    assert "wardnet_scanner" not in variables()[GLASS]


def test_a_box_with_two_scanners_shares_each_in_its_own_way() -> None:
    both = changed("district.yml", ("paths: [usb]}", "paths: [usb, sane]}"))
    found = usable("tay-ho-pc-1", both)
    assert [(each["id"], each["kind"], each["port"]) for each in found.values()][1:] == [
        (BOX, "escl", 60000),
        (f"{BOX}-sane", "sane", 6566),
    ]
    assert found[f"{BOX}-sane"]["url"] is None
    box = variables(both)[BOX]["wardnet_scanner"]
    assert (box["usb_port"], box["sane_port"], box["data_ports"]) == (60000, 6566, [6567, 6574])
    assert box["admits"][0]["ports"] == [60000, *range(6566, 6575)]


def test_a_box_may_serve_another_zone_of_its_channel_that_a_conduit_joins_to_it() -> None:
    district = changed(
        "district.yml",
        (
            "paths: [usb]}",
            "paths: [usb], zones: [clerks, devices]}",
        ),
        ("  - {id: clerks-portal,", JOINED + "  - {id: clerks-portal,"),
    )
    box = variables(district)[BOX]["wardnet_scanner"]
    assert "10.30.0.0/24" in box["clients"]
    assert "10.20.0.0/24" in box["clients"]


def test_the_agent_asks_each_scanner_of_its_site_from_the_port_that_it_stands_at() -> None:
    asked = compile_agent(sample(), sample_plan(), "tay-ho-gw")["scanners"]
    common = {"channel": "wan", "interface": "clerks0", "source": "10.20.0.1"}
    assert asked == [
        {"id": GLASS, "kind": "escl", "ipv4": "10.20.0.20", "port": 80, **common},
        {"id": BOX, "kind": "escl", "ipv4": "10.20.0.21", "port": 60000, **common},
    ]


def test_the_gateway_lets_its_agent_ask_and_nothing_more() -> None:
    flows = {flow.id: flow for flow in sample_plan().gateway("tay-ho-gw").flows if flow.id.endswith("-status")}
    assert set(flows) == {f"{GLASS}-status", f"{BOX}-status"}
    for flow in flows.values():
        assert (flow.hook, flow.crosses) == (Hook.OUTPUT, False)
        assert [str(prefix) for prefix in flow.sender.prefixes] == ["10.20.0.1/32"]
        assert len(flow.receiver.prefixes) == 1
        assert flow.receiver.port == "clerks0"
    assert [each.ports for each in flows[f"{BOX}-status"].allow] == [(60000,)]
    # Nobody asks from a box that management does not reach.
    assert not [flow for flow in sample_plan().gateway("buoi-building-gw").flows if flow.id.endswith("-status")]


def test_the_filter_of_a_citizens_pc_lets_the_exception_out_and_nothing_else_of_the_other_channel() -> None:
    workplace = variables()["buoi-citizen-1"]["wardnet_workplace"]
    environment = jinja2.Environment(  # noqa: S701 - a packet filter
        loader=jinja2.FileSystemLoader(ROOT / "roles" / "host_firewall" / "templates"), trim_blocks=True
    )
    text = environment.get_template("etc/nftables.conf.j2").render(
        host_firewall_outside=True,
        **{f"host_firewall_{key}": workplace[key] for key in ("admits", "reaches", "own", "foreign")},
    )
    output = text[text.index("chain output") :]
    let_out = 'ip daddr 10.20.1.20/32 tcp dport 80 accept comment "buoi-resident-scan'
    assert output.count(let_out) == 1
    assert output.index(let_out) < output.index('comment "the other channel"')
    assert variables()["tay-ho-citizen-1"]["wardnet_workplace"]["reaches"] == []
