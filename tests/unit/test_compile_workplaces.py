"""What each PC is made of, and the packet filter that it renders to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jinja2
import jinja2.nativetypes
import pytest

from tests.unit.compile_support import DAY, changed, sample, sample_plan
from tests.unit.namespaces import assert_passes
from tests.unit.plugins_support import ROOT
from tests.unit.test_plugins_firewall import loaded
from wardnet.compile import compile_hosts, compile_plan, to_plain
from wardnet.model.plan import Plan, WorkplacePlan
from wardnet.model.workplaces import Kiosk, UpdateWindow, UsbStorage, Workplaces


def of(host: str, plan: Plan | None = None) -> WorkplacePlan:
    found = (plan or sample_plan()).host(host).workplace
    assert found is not None
    return found


def test_only_what_people_work_at_is_a_workplace() -> None:
    roles = {host.role.value for host in sample_plan().hosts if host.workplace is not None}
    assert roles == {"counter", "touch_screen", "citizen"}
    assert sample_plan().host("nhat-tan-pc-3").workplace is None, "Windows"


def test_accounts_and_printers_stand_where_the_inventory_says() -> None:
    def names(host: str) -> list[str]:
        return [account.id for account in of(host).accounts]

    assert names("buoi-pc-1") == ["mot-cua", "tu-phap", "ky-thuat"]
    assert names("buoi-pc-2") == names("tay-ho-pc-1") == ["mot-cua", "ky-thuat"]
    assert names("yen-phu-pc-1") == names("buoi-touch-1") == names("buoi-citizen-1") == []
    assert [printer.id for printer in of("buoi-pc-2").printers] == ["buoi-printer-1"]
    assert of("buoi-touch-1").printers == ()


def test_browsers_begin_with_their_channels_page_and_open_its_services() -> None:
    clerk, citizen = of("buoi-pc-1"), of("buoi-citizen-1")
    assert (clerk.start_page, clerk.downloads) == ("https://dvctt.tayho.example/", True)
    assert clerk.sites == ("*.tayho.example", "dvctt.tayho.example")
    assert (citizen.start_page, citizen.downloads) == ("https://dichvucong.tayho.example/", False)
    assert citizen.sites == ("dichvucong.tayho.example", "www.congcong.example")


def test_a_district_that_says_nothing_of_workplaces_has_the_safe_ones() -> None:
    plan = compile_plan(replace(sample(), workplaces=Workplaces()), DAY)
    clerk = of("buoi-pc-1", plan)
    assert (clerk.usb_storage, clerk.updates) == (UsbStorage.DENY, UpdateWindow("12:00", 60))
    assert (clerk.accounts, clerk.printers, clerk.token_modules) == ((), (), ())
    assert clerk.start_page == "https://dvctt.tayho.example/"


def test_a_password_is_a_reference_wherever_it_goes() -> None:
    compiled = compile_hosts(sample(), sample_plan())["hosts"]["buoi-pc-1"]["wardnet_workplace"]
    assert [account["password"] for account in compiled["accounts"]] == [
        "vault:mot_cua",
        "vault:tu_phap",
        "vault:ky_thuat",
    ]


def test_whom_the_gateway_lets_come_the_pc_lets_in() -> None:
    admitted = {(each.id, each.protocol, each.ports) for each in of("buoi-touch-1").admits}
    assert admitted == {("management-hosts", "tcp", (22,)), ("management-hosts", "icmp", ())}
    assert {str(prefix) for each in of("buoi-touch-1").admits for prefix in each.prefixes} == {
        "10.30.200.0/24",
        "fd20:30:200::/64",
    }
    clerk = {(each.id, each.protocol, each.ports) for each in of("buoi-pc-1").admits}
    assert clerk - admitted == {("pc-agent", "tcp", (9811,))}, "test_compile_pcs.py"


def test_an_exception_to_a_pc_lets_its_one_host_in_and_ends() -> None:
    district = changed("district.yml", ("to_host: buoi-scanner-1", "to_host: buoi-pc-1"))
    (granted,) = [
        each for each in of("buoi-pc-1", compile_plan(district, DAY)).admits if each.id.startswith("buoi-res")
    ]
    assert [str(prefix) for prefix in granted.prefixes] == ["172.20.1.11/32", "2001:db8:20:1::11/128"]
    later = compile_plan(district, DAY.replace(year=2028))
    assert not [each for each in of("buoi-pc-1", later).admits if each.id.startswith("buoi-res")]


def render(host: str, kind: type[jinja2.Environment] = jinja2.Environment) -> str:
    folder = ROOT / "roles" / "host_firewall" / "templates" / "etc"
    environment = kind(loader=jinja2.FileSystemLoader(folder), trim_blocks=True, undefined=jinja2.StrictUndefined)
    plan = sample_plan().host(host)
    record: dict[str, Any] = to_plain(of(host))
    return environment.get_template("nftables.conf.j2").render(
        host_firewall_admits=record["admits"],
        host_firewall_reaches=record["reaches"],
        host_firewall_own=record["own"],
        host_firewall_foreign=record["foreign"],
        host_firewall_opens=record["opens"],
        host_firewall_links=[str(each) for port in plan.ports for each in (port.ipv4, port.ipv6)],
        host_firewall_outside=plan.channel.value == "internet",
    )


def test_who_is_let_in_over_one_family_alone_is_let_in_with_native_values_too() -> None:
    """As Ansible renders: a macro that says nothing gives None there."""
    assert "ip saddr 10.30.200.30/32 tcp dport 9811 accept" in render("buoi-pc-1", jinja2.nativetypes.NativeEnvironment)


def test_the_filter_opens_the_agents_port_to_the_monitoring_server_alone() -> None:
    (rule,) = [line.strip() for line in render("buoi-pc-1").splitlines() if "9811" in line]
    assert rule.startswith("ip saddr 10.30.200.30/32 tcp dport 9811 accept")
    assert not [host for host in ("buoi-touch-1", "buoi-citizen-1") if "9811" in render(host)]


@pytest.mark.parametrize("host", ["buoi-pc-1", "buoi-touch-1", "buoi-citizen-1"])
def test_the_filter_is_one_that_nft_takes_and_drops_what_is_not_named(host: str) -> None:
    listing = loaded(render(host))
    policies = {item["chain"]["name"]: item["chain"]["policy"] for item in listing if "chain" in item}
    assert (policies["input"], policies["forward"]) == ("drop", "drop")
    assert policies["output"] == "drop"


def test_a_citizens_pc_opens_what_its_gateway_lets_it_and_nothing_beside_it() -> None:
    flows = {(each.id, each.protocol, each.ports, bool(each.prefixes)) for each in of("buoi-citizen-1").opens}
    assert ("citizens-web", "tcp", (53, 80, 443), False) in flows
    assert ("citizens-gateway", "udp", (53, 123), True) in flows
    text = render("buoi-citizen-1")
    assert "ip daddr != 172.20.1.11/24 tcp dport { 53, 80, 443 } accept" in text
    assert "tcp dport 22" not in text


def test_a_kiosk_shows_its_page_and_says_when_it_begins_anew() -> None:
    assert of("buoi-touch-1").kiosk == Kiosk("https://dvctt.tayho.example/bang-ket-qua", 60, 0, 60)
    assert of("buoi-citizen-1").kiosk == Kiosk("https://dichvucong.tayho.example/", 180, 30, 0)
    assert of("buoi-pc-1").kiosk is None
    plan = compile_plan(replace(sample(), workplaces=Workplaces()), DAY)
    assert of("buoi-touch-1", plan).kiosk == Kiosk("https://dvctt.tayho.example/", 60, 0, 60)


def test_a_touch_screen_is_drawn_as_large_as_its_host_says() -> None:
    kiosk = of("tay-ho-touch-1").kiosk
    assert kiosk is not None
    assert (kiosk.scale, kiosk.page) == (1.5, "https://dvctt.tayho.example/bang-ket-qua")
    hosts = compile_hosts(sample(), sample_plan())["hosts"]
    drawn = {
        name: hosts[name]["wardnet_workplace"]["kiosk"]["scale"]
        for name in ("tay-ho-touch-1", "buoi-touch-1", "buoi-citizen-1")
    }
    assert drawn == {"tay-ho-touch-1": 1.5, "buoi-touch-1": 1.0, "buoi-citizen-1": 1.0}


@pytest.mark.parametrize(("written", "scale"), [("0.5", 0.5), ("2", 2.0), ("4.0", 4.0), ('"1.25"', 1.25)])
def test_a_scale_is_any_number_from_a_half_to_four(written: str, scale: float) -> None:
    district = changed("district.yml", ("screen: {scale: 1.5}", f"screen: {{scale: {written}}}"))
    kiosk = of("tay-ho-touch-1", compile_plan(district, DAY)).kiosk
    assert kiosk is not None
    assert kiosk.scale == scale


def test_a_citizens_pc_lets_nobody_open_a_connection() -> None:
    assert of("buoi-citizen-1").admits == ()
    assert "dport 22" not in render("buoi-citizen-1")


def test_an_exception_to_a_pc_is_let_in_before_the_other_channel_is_dropped() -> None:
    text = render("buoi-pc-1")
    assert text.index("management-hosts") < text.index('"the other channel"')


@pytest.mark.long
@pytest.mark.parametrize("host", ["buoi-pc-1", "buoi-citizen-1"])
def test_neighbours_on_the_link_are_found_but_not_connected_to(host: str) -> None:
    assert_passes("neighbours_namespace", "no_neighbour_is_connected_to_and_the_gateway_is_found", host)
