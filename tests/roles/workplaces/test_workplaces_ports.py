"""The PC's port by a file of its own: the installation's is gone, what others put beside it is found and healed, and a
change that would cut the PC off undoes itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from lab import Lab
from tests.roles.roles_support import Probe, answered, eventually, inside
from tests.roles.workplaces.workplaces_support import PC, as_root, converge
from tests.unit.plugins_support import load
from wardnet.compile import compile_plan, to_plain
from wardnet.inventory import read_district

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(3600)]

NETWORKD = "/etc/systemd/network"
HOME = [Probe("tcp", "10.20.200.10", 443), Probe("tcp", "fd20:20:200::10", 443)]
FOREIGN = {
    f"{NETWORKD}/05-bootstrap-eth0.network": "[Match]\nName=eth0\n[Network]\nAddress=10.20.1.77/24\n",
    f"{NETWORKD}/10-wardnet-wan-eth0.network.d/more.conf": "[Network]\nAddress=10.20.1.78/24\n",
    "/etc/udev/rules.d/50-stick.rules": 'SUBSYSTEM=="usb", ATTR{authorized}="1"\n',
    "/etc/modprobe.d/zz-radio.conf": "options cfg80211 ieee80211_regdom=VN\n",
}


def test_the_port_is_up_by_the_roles_file_and_not_by_the_installations(pc: Lab) -> None:
    files = as_root(pc, f"ls {NETWORKD}").split()
    assert "10-wardnet-wan-eth0.network" in files
    assert not [name for name in files if name.startswith("05-bootstrap") and name.endswith(".network")], files
    assert f"{NETWORKD}/10-wardnet-wan-eth0.network" in inside(pc, PC, "networkctl", "status", "eth0", "--no-pager")
    addresses = json.loads(inside(pc, PC, "ip", "-j", "address", "show", "dev", "eth0", "scope", "global"))
    found = {f"{each['local']}/{each['prefixlen']}" for each in addresses[0]["addr_info"] if each}
    assert found == {"10.20.1.11/24", "fd20:20:1::11/64"}
    assert all(answered(pc, PC, HOME).values())


def test_it_comes_up_by_itself_when_networkd_starts_again(pc: Lab) -> None:
    as_root(pc, "ip address flush dev eth0 scope global; systemctl restart systemd-networkd")
    assert eventually(lambda: all(answered(pc, PC, HOME).values()), 120)


def test_files_that_belong_to_nobody_are_found_and_healed(pc: Lab) -> None:
    named = "[Match]\nPermanentMACAddress=02:00:00:00:00:09\n[Link]\nName=eth9\n"
    as_root(pc, f"cat > {NETWORKD}/05-port-eth9.link <<'X'\n{named}X")
    for path, text in FOREIGN.items():
        as_root(pc, f"mkdir -p $(dirname {path}) && cat > {path} <<'X'\n{text}X")
    as_root(pc, "ip address add 10.20.1.79/24 dev eth0")
    found = converge(pc, "--check", "--diff")
    assert found.status == 0, found.tail
    for what in (*FOREIGN, "10.20.1.79/24"):
        assert what in found.said, what
    healed = converge(pc)
    assert healed.status == 0, healed.tail
    for path in FOREIGN:
        assert as_root(pc, f"test -e {path} && echo there || echo gone") == "gone", path
    assert "10.20.1.79" not in inside(pc, PC, "ip", "address", "show", "dev", "eth0")
    assert as_root(pc, f"ls {NETWORKD}/05-port-eth9.link"), "it names a port: without it the next boot may find none"
    as_root(pc, f"rm {NETWORKD}/05-port-eth9.link")
    assert all(answered(pc, PC, HOME).values())
    assert converge(pc).changed == {}


def test_a_change_that_cuts_the_pc_off_goes_back_by_itself(pc: Lab) -> None:
    district = read_district(pc.state / "inventory")
    plain = to_plain(compile_plan(district, datetime.now(UTC).date()).host(PC))
    record = load("filter", "wardnet_workplaces").host_ports(plain)
    port = record["ports"][0]
    port["ipv4"], port["ipv6"] = "10.20.1.211/24", "fd20:20:1::211/64"
    wrong = converge(pc, "-e", json.dumps({"device_policy_record": record}))
    assert wrong.status != 0, wrong.tail
    again = converge(pc)
    assert again.status == 0, again.tail
    assert "10.20.1.211" not in inside(pc, PC, "ip", "address", "show", "dev", "eth0")
    assert all(answered(pc, PC, HOME).values())
