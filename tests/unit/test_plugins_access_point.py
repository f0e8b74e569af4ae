"""What role public_wifi makes of a network: hostapd's configuration, and frames through its filter."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.unit.access_point_support import rendered, ruleset
from tests.unit.namespaces import assert_passes
from tests.unit.test_plugins_firewall import in_scratch_namespace

pytestmark = pytest.mark.long

CONF, UNIT = "etc/hostapd/wardnet.conf.j2", "etc/systemd/system/wardnet-wifi.service.j2"


def options(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_owe_protects_frames_and_isolates() -> None:
    found = options(rendered(CONF))
    assert bytes.fromhex(found["ssid2"][0]).decode() == "Wifi miễn phí Bưởi"
    assert (found["wpa_key_mgmt"], found["ieee80211w"], found["ap_isolate"]) == (["OWE"], ["2"], ["1"])
    assert (found["bridge"], found["country_code"], found["channel"], found["hw_mode"]) == (
        ["br-wifi"],
        ["VN"],
        ["1"],
        ["g"],
    )


def test_a_transition_to_owe_is_two_networks_that_name_each_other() -> None:
    found = options(rendered(CONF, security="owe_transition"))
    assert found["bss"] == ["wlan0-owe"]
    assert found["owe_transition_ifname"] == ["wlan0-owe", "wlan0"]
    assert len(set(found["ssid2"])) == 2
    assert (found["ap_isolate"], found["bridge"]) == (["1", "1"], ["br-wifi", "br-wifi"])
    assert found["wpa_key_mgmt"] == ["OWE"]


@pytest.mark.parametrize(
    ("security", "keys", "frames"), [("wpa3", "SAE", "2"), ("wpa3_transition", "SAE WPA-PSK", "1")]
)
def test_wpa3(security: str, keys: str, frames: str) -> None:
    found = options(rendered(CONF, security=security, passphrase="vault:x", radio_channel=36))
    assert (found["wpa_key_mgmt"], found["ieee80211w"], found["sae_require_mfp"]) == ([keys], [frames], ["1"])
    assert found["wpa_passphrase"] == ["correct horse"]
    assert (found["hw_mode"], found["ieee80211h"]) == (["a"], ["1"])


def test_a_passphrase_of_one_that_pulls_is_on_the_host_alone() -> None:
    text = rendered(CONF, security="wpa3", passphrase="vault:x", by_hand=True)
    assert "wpa_passphrase" not in text
    assert "/etc/wardnet/wifi-passphrase" in rendered(UNIT, security="wpa3", passphrase="vault:x", by_hand=True)


def test_a_passphrase_reaches_hostapd_as_it_is_written(tmp_path: Path) -> None:
    """A shell's echo makes other characters of what follows a backslash."""
    kept, run, shipped = (tmp_path / name for name in ("kept", "run", "shipped"))
    kept.write_text("a\\tb\\\\ 100% $x\n")
    shipped.write_text("ssid=x\n")
    text = rendered(UNIT, security="wpa3", passphrase="vault:x", by_hand=True)
    (line,) = re.findall(r"^ExecStartPre=(.*)$", text, re.MULTILINE)
    line = line.replace("$$", "$").replace("%%", "%")  # as systemd reads it
    line = line.replace("/run/hostapd/wardnet.conf", str(run)).replace("/etc/hostapd/wardnet.conf", str(shipped))
    line = line.replace("/etc/wardnet/wifi-passphrase", str(kept))
    subprocess.run(shlex.split(line), check=True)
    assert run.read_text() == "ssid=x\nwpa_passphrase=" + kept.read_text()


def test_the_filter_is_taken_and_prints_as_it_is_taken_again() -> None:
    printed = in_scratch_namespace("nft -f - && nft --stateless list ruleset", ruleset())
    assert in_scratch_namespace("nft -f - && nft --stateless list ruleset", printed) == printed


def test_without_isolation_clients_find_each_other_and_are_still_no_routers() -> None:
    text = ruleset(isolation=False)
    in_scratch_namespace("nft -f -", text)
    assert 'accept comment "from client to client"' in text
    assert "to another client" not in text
    assert "a client is no router" in text


@pytest.mark.parametrize(
    "name",
    [
        "clients_reach_the_gateway_and_no_other_client",
        "nobody_but_the_gateway_finds_the_access_point",
        "clients_ask_for_leases_and_give_none",
        "no_client_claims_to_be_the_gateway",
    ],
)
def test_in_namespaces(name: str) -> None:
    assert_passes("access_point_namespace", name, mounts=True)
