"""An access point of Debian and its visitors, through a gateway that role zone_firewall has set up. There is no WLAN
here: two wires stand in for radios, joined to the bridge as hostapd would, and hostapd runs without a driver."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lab import Lab
from tests.lab.lab_support import CHECKOUT
from tests.roles.roles_support import PACKETS, RECAP, counters, eventually, inside

pytestmark = pytest.mark.lab

FLOOD, ZONES = (Path(__file__).with_name(name) for name in ("flood.py", "zones.py"))
POINT, GATEWAY, WEB = "tay-ho-wifi-1", "tay-ho-gw", "public-web"
OWN = "172.21.0.2"
ROUTER = {4: "172.21.0.1", 6: "2001:db8:21::1"}
LAN = {4: ip_network("172.21.0.0/24"), 6: ip_network("2001:db8:21::/64")}
SITE = {4: "203.0.113.80", 6: "2001:db8:cafe::80"}
UP, DOWN = 250_000, 500_000  # bytes a second, by the inventory
PORT = 4321
PLAY = """
- hosts: tay-ho-wifi-1
  strategy: wardnet_rollout
  gather_facts: false
  become: true
  roles: [public_wifi, commit]
"""


@dataclass(frozen=True)
class Visitor:
    """A device in a namespace of its own."""

    namespace: str
    radio: str  # the end of its wire at the access point

    def run(self, *argv: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespace, *argv], capture_output=True, text=True, check=False, timeout=timeout
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def python(self, script: Path, *words: str) -> object:
        return json.loads(self.run(sys.executable, str(script), *words).stdout)

    def addresses(self, family: int) -> list[str]:
        listed = json.loads(self.run("ip", "-j", f"-{family}", "address", "show", "dev", "eth0").stdout)
        found = [info for link in listed for info in link["addr_info"] if info.get("scope") == "global"]
        return [info["local"] for info in found if not info.get("tentative")]

    def reaches(self, *probes: tuple[str, str, int | None]) -> list[bool]:
        given = json.dumps([{"kind": kind, "host": host, "port": port} for kind, host, port in probes])
        argv = ["ip", "netns", "exec", self.namespace, sys.executable, str(PACKETS), "probe"]
        done = subprocess.run(argv, input=given, capture_output=True, text=True, check=True, timeout=120)
        found: list[bool] = json.loads(done.stdout)
        return found


class Point:
    """The access point, and how Ansible comes to it: from its own network, since nobody else may."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        shutil.copytree(lab.layout.inventory, folder / "inventory")
        district = folder / "inventory" / "district.yml"
        text = district.read_text()
        role = "        role: access_point\n        os: firmware\n"
        assert text.count(role) == 1
        # Without a driver hostapd makes one network and no second one.
        text = text.replace("security: owe_transition", "security: owe")
        district.write_text(text.replace(role, role.replace("firmware", "linux")))
        (folder / "point.yml").write_text(PLAY)
        self._argv = [
            "env", f"--chdir={CHECKOUT}", f"ANSIBLE_CONFIG={CHECKOUT / 'ansible.cfg'}",
            str(Path(sys.executable).with_name("ansible-playbook")),
            f"--inventory={folder / 'inventory' / 'wardnet.yml'}",
            f"--extra-vars=@{CHECKOUT / 'playbooks' / 'group_vars' / 'all.yml'}",
            f"--extra-vars=@{lab.state / 'ansible-vars.yml'}",
            "--extra-vars", json.dumps({"ansible_host": OWN, "public_wifi_driver": "none",
                                        "public_wifi_packages": ["hostapd", "nftables"]}),
            str(folder / "point.yml"),
        ]  # fmt: skip

    def play(self, *more: str) -> tuple[int, int, str]:
        """Status, changed tasks, and what was said, in one line."""
        done = self.lab.run(POINT, [*self._argv, *more], stdin=b"", timeout=900)
        output = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
        changed = sum(int(row[2]) for row in RECAP.findall(output))
        return done.returncode, changed, " ".join(output.split())

    def converge(self) -> None:
        status, _, said = self.play()
        assert status == 0, said[-6000:]


@pytest.fixture(scope="module")
def visitors(converged: Lab) -> Iterator[tuple[Visitor, Visitor]]:
    found = (Visitor(f"{converged.name}-guest-1", "wlan0"), Visitor(f"{converged.name}-guest-2", "wlan0-owe"))
    point = converged.layout.netns(POINT)
    try:
        for each in found:
            subprocess.run(["ip", "netns", "add", each.namespace], check=True)
            words = ["link", "add", "eth0", "type", "veth", "peer", "name", each.radio, "netns", point]
            subprocess.run(["ip", "-n", each.namespace, *words], check=True)
            # The switch has no hardware that would finish a checksum.
            each.run("ethtool", "-K", "eth0", "tx", "off")
        yield found
    finally:
        for each in found:
            subprocess.run(["ip", "netns", "delete", each.namespace], check=False, capture_output=True)


@pytest.fixture(scope="module")
def point(converged: Lab, visitors: tuple[Visitor, Visitor], tmp_path_factory: pytest.TempPathFactory) -> Point:
    """Converged, with the packages that the mirror on the internet would have given it."""
    debs = [
        path for path in sorted(converged.layout.mirror.rglob("*.deb")) if path.name.startswith(("hostapd_", "libnl"))
    ]
    assert [path for path in debs if path.name.startswith("hostapd_")]
    for path in debs:
        assert converged.shell(POINT, ["tee", f"/root/{path.name}"], stdin=path.read_bytes()).returncode == 0
    done = converged.shell(POINT, ["dpkg", "--install", *(f"/root/{path.name}" for path in debs)], timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    made = Point(converged, tmp_path_factory.mktemp("point"))
    made.converge()
    for each in visitors:
        for words in (["master", "br-wifi"], ["up"]):
            inside(converged, POINT, "ip", "link", "set", "dev", each.radio, *words)
        each.run("ip", "link", "set", "lo", "up")
        each.run("ip", "link", "set", "eth0", "up")
        mac = json.loads(each.run("ip", "-j", "link", "show", "eth0").stdout)[0]["address"]
        lease: list[dict[str, object]] = []

        def leased(each: Visitor = each, mac: str = mac, lease: list[dict[str, object]] = lease) -> bool:
            given = each.python(ZONES, "lease", "eth0", mac)
            return isinstance(given, dict) and not lease.append(given)

        assert eventually(leased)
        assert ip_address(str(lease[0]["address"])) in LAN[4]
        assert lease[0]["router"] == lease[0]["names"] == [ROUTER[4]]
        each.run("ip", "address", "add", f"{lease[0]['address']}/24", "dev", "eth0")
        each.run("ip", "route", "add", "default", "via", ROUTER[4])
        assert eventually(lambda each=each: any(ip_address(one) in LAN[6] for one in each.addresses(6)))  # type: ignore[misc]
    return made


def test_without_a_radio_hostapd_runs_and_the_wire_is_in_the_bridge(point: Point) -> None:
    assert inside(point.lab, POINT, "systemctl", "is-active", "wardnet-wifi.service") == "active"
    assert "master br-wifi" in inside(point.lab, POINT, "ip", "link", "show", "eth0")
    assert inside(point.lab, POINT, "stat", "-c", "%a", "/etc/hostapd/wardnet.conf") == "600"


def test_without_a_radio_hostapd_itself_refuses_a_wrong_option_with_its_line(point: Point) -> None:
    before = inside(point.lab, POINT, "cat", "/etc/hostapd/wardnet.conf")
    lines = before.splitlines()
    (number,) = [n for n, line in enumerate(lines, start=1) if line.startswith("channel=")]
    changes = {"public_wifi_driver": "none\nbogus=1"}  # a line more, after the driver's
    status, _, said = point.play("--extra-vars", json.dumps(changes))
    assert status != 0
    (driver,) = [n for n, line in enumerate(lines, start=1) if line == "driver=none"]
    assert f"Line {driver + 1}: unknown configuration item 'bogus'" in said
    assert "nothing was touched" in said
    assert number > driver
    assert inside(point.lab, POINT, "cat", "/etc/hostapd/wardnet.conf") == before


BY_HAND = """nft flush chain bridge wardnet from-clients
sed -i s/ap_isolate=1/ap_isolate=0/ /etc/hostapd/wardnet.conf
ip link add stray type veth peer name stray1
ip link set dev stray master br-wifi
ip address add 172.21.0.77/24 dev eth0
"""


def test_what_somebody_changed_by_hand_is_told_and_healed_and_a_second_run_changes_nothing(point: Point) -> None:
    try:
        inside(point.lab, POINT, "sh", "-ec", BY_HAND)
        status, changed, said = point.play("--check", "--diff")
        assert (status, changed > 0) == (0, True), said[-6000:]
        for word in ("port stray in br-wifi", "address 172.21.0.77/24 on eth0", "ap_isolate=1", "to another client"):
            assert word in said, word
        point.converge()
    finally:
        point.lab.shell(POINT, ["ip", "link", "delete", "stray"])
    assert "ap_isolate=1" in inside(point.lab, POINT, "cat", "/etc/hostapd/wardnet.conf")
    assert "172.21.0.77" not in inside(point.lab, POINT, "ip", "address", "show")
    assert "to another client" in inside(point.lab, POINT, "nft", "list", "ruleset")
    status, changed, said = point.play()
    assert (status, changed) == (0, 0), said[-6000:]


def test_a_visitor_has_names_and_the_web_and_nothing_of_the_ward(
    point: Point, visitors: tuple[Visitor, Visitor]
) -> None:
    one, other = visitors
    name = "www.congcong.example"
    assert eventually(lambda: one.python(ZONES, "names", ROUTER[4], name) == {name: [SITE[4]]})
    for family in (4, 6):
        assert eventually(lambda family=family: one.reaches(("tcp", SITE[family], 443)) == [True])  # type: ignore[misc]
    assert other.reaches(("ping", ROUTER[4], None), ("ping", ROUTER[6], None)) == [True, True]
    closed = [
        ("tcp", "10.20.200.10", 443), ("tcp", "fd20:20:200::10", 443),  # the ward's portal
        ("ping", "10.20.0.11", None), ("ping", "fd20:20::11", None),  # a clerk's PC
        ("tcp", "10.30.0.1", 22), ("tcp", "fd20:30::1", 22),   # management
        ("tcp", ROUTER[4], 22), ("tcp", ROUTER[6], 22),
        ("ping", "10.20.0.1", None), ("ping", "fd20:20::1", None),  # the gateway's other addresses
        ("ping", "172.20.0.11", None), ("ping", "2001:db8:20::11", None),  # a resident's PC
        ("tcp", OWN, 22), ("tcp", "2001:db8:21::2", 22), ("ping", OWN, None), ("ping", "2001:db8:21::2", None),
    ]  # fmt: skip
    answers = one.reaches(*closed)
    assert [probe for probe, answered in zip(closed, answers, strict=True) if answered] == []


def test_visitors_do_not_reach_each_other_by_the_access_point_or_the_gateway(
    point: Point, visitors: tuple[Visitor, Visitor]
) -> None:
    one, other = visitors
    for family in (4, 6):
        (address,) = [each for each in other.addresses(family) if ip_address(each) in LAN[family]][:1]
        before = _frames(point.lab)
        mac = json.loads(other.run("ip", "-j", "link", "show", "eth0").stdout)[0]["address"]
        # As if it had been found: a frame to the other itself.
        one.run("ip", f"-{family}", "neighbour", "replace", address, "lladdr", mac, "dev", "eth0")
        assert one.reaches(("ping", address, None)) == [False]
        assert _frames(point.lab) > before
        # And by the gateway, which is told to be the way.
        one.run("ip", f"-{family}", "route", "replace", address, "via", ROUTER[family], "dev", "eth0")
        try:
            assert one.reaches(("ping", address, None)) == [False]
        finally:
            one.run("ip", f"-{family}", "route", "delete", address)


def _frames(lab: Lab) -> int:
    return counters(lab, POINT, "from client to client")


class Talk:
    """flood.py at work, with its input and output."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def said(self) -> object:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ask(self, line: str = "") -> object:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self.said()


@contextmanager
def talking(argv: Sequence[str]) -> Iterator[Talk]:
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Talk(process)
        finally:
            process.kill()


@pytest.mark.parametrize("family", [4, 6])
def test_each_visitor_has_a_share_and_the_other_has_its_own(
    point: Point, visitors: tuple[Visitor, Visitor], family: int
) -> None:
    """Bytes in the time that went by: at most three times what the share is, and at least a quarter of a second's."""
    web = ["nsenter", f"--net={point.lab.layout.netns_path(WEB)}", sys.executable, str(FLOOD)]
    with talking([*web, "hear", SITE[family], str(PORT)]) as ear:
        assert ear.said() == "listening"
        for number, visitor in enumerate(visitors):
            flood = [sys.executable, str(FLOOD), "send", SITE[family], str(PORT)]
            began = time.monotonic()
            with talking(["ip", "netns", "exec", visitor.namespace, *flood, "4000"]) as mouth:
                assert mouth.said() == "sent"
                heard = ear.ask()
                assert isinstance(heard, int)
                assert UP // 4 <= heard <= 3 * UP * (time.monotonic() - began), (number, heard)
                began = time.monotonic()
                assert ear.ask("back 6000") == "sent"
                heard = mouth.ask()
                assert isinstance(heard, int)
                assert DOWN // 4 <= heard <= 3 * DOWN * (time.monotonic() - began), (number, heard)
