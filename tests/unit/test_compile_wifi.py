"""What a network's `wifi` compiles to: shares at its gateway, and what each access point makes of it."""

from __future__ import annotations

from tests.unit.compile_support import DAY, changed, sample_plan
from wardnet.compile import compile_hosts, compile_plan
from wardnet.model.intent import WifiSecurity

POINT = """      - id: buoi-wifi-1
        role: access_point
        os: firmware
        channel: internet
        interfaces: [{network: wifi, ipv4: 172.21.1.2, ipv6: "2001:db8:21:1::2"}]
"""
MORE = "".join(
    POINT.replace("wifi-1", f"wifi-{n}")
    .replace("firmware", "linux")
    .replace("1.2,", f"1.{n + 1},")
    .replace("::2", f"::{n + 1}")
    for n in (2, 3, 4)
)


def test_a_gateway_has_a_share_for_each_client_of_its_networks_with_wifi_alone() -> None:
    (limit,) = sample_plan().gateway("buoi-gw").client_limits
    assert (limit.port, limit.network, limit.down_bps, limit.up_bps) == ("wifi0", "wifi", 4_000_000, 2_000_000)
    assert str(limit.source).startswith("wards/buoi.yml:")
    assert sample_plan().gateway("phu-thuong-gw").client_limits == ()
    assert sample_plan().gateway("tay-ho-hub").client_limits == ()


def test_access_points_of_a_network_take_its_radio_channels_in_turn() -> None:
    plan = compile_plan(changed("wards/buoi.yml", (POINT, POINT + MORE)), DAY)
    found = [plan.host(f"buoi-wifi-{n}").wifi for n in (1, 2, 3, 4)]
    assert [each and each.radio_channel for each in found] == [1, 6, 11, 1]
    assert {each and each.ssid for each in found} == {"Wifi miễn phí Bưởi"}
    assert plan.host("buoi-citizen-1").wifi is None


def test_an_access_point_knows_its_passphrase_by_name_alone() -> None:
    wifi = sample_plan().host("nhat-tan-wifi-1").wifi
    assert wifi is not None
    assert (wifi.security, wifi.passphrase) == (WifiSecurity.WPA3, "vault:nhat_tan_wifi")


def test_one_with_debian_is_among_those_that_pull() -> None:
    district = changed("wards/buoi.yml", (POINT, POINT.replace("firmware", "linux")))
    compiled = compile_hosts(district, compile_plan(district, DAY))
    assert "buoi-wifi-1" in compiled["groups"]["pulled"]
    assert "buoi-wifi-1" in compiled["groups"]["access_points"]
    assert compiled["hosts"]["buoi-wifi-1"]["wardnet_host"]["wifi"]["isolation"] is True
