"""An access switch carries each network to its own ports and nothing else; a change of it that cuts the manager off,
or that a power cut breaks off, ends with what was there before. Real frames through Open vSwitch in a booted host."""

from __future__ import annotations

import itertools
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import Lab, hosts
from tests.roles.roles_support import Probe, Run, inside, play, playing, wait_until

pytestmark = pytest.mark.lab

SWITCH = "buoi-sw"
ADDRESS = "10.30.1.2"
CLERK, OTHER, CITIZEN = "buoi-pc-1", "buoi-pc-2", "buoi-citizen-1"  # clerks are VLAN 10, citizens VLAN 20
FRAMES = Path(__file__).with_name("frames.py")
ONLY = ("--limit", SWITCH)
HEARD, SILENT = 90.0, 5.0  # seconds to wait for a frame that must come, and for one that must not
WARD = "inventory/wards/buoi.yml"
marks = itertools.count()


def until(true: Callable[[], bool], what: str, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.5)


def ethernet(kind: int, payload: bytes, *, vlan: int | None = None, target: str = "ff:ff:ff:ff:ff:ff") -> bytes:
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    source = bytes.fromhex("0200000000aa")
    return bytes.fromhex(target.replace(":", "")) + source + tag + struct.pack("!H", kind) + payload


def ipv4_udp(source: int, target: int, mark: bytes) -> bytes:
    udp = struct.pack("!HHHH", source, target, 8 + len(mark), 0) + mark
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + bytes((10, 20, 1, 250)) + b"\xff" * 4
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:] + udp


def ipv6(protocol: int, payload: bytes) -> bytes:
    addresses = bytes.fromhex("fe80" + "00" * 13 + "aa") + bytes.fromhex("ff02" + "00" * 13 + "01")
    return struct.pack("!IHBB", 0x60000000, len(payload), protocol, 255) + addresses + payload


def advertisement(mark: bytes, kind: int = 134) -> bytes:
    return ethernet(0x86DD, ipv6(58, struct.pack("!BBHBBHII", kind, 0, 0, 64, 0, 1800, 0, 0) + mark))


def heard(lab: Lab, listener: tuple[str, str], sender: tuple[str, str], frame: Callable[[bytes], bytes], *,
          expected: bool) -> str:  # fmt: skip
    """The tag, "untagged" or "nothing": what comes of a frame that is sent again and again while it may be heard."""
    mark = f"wardnet frame {next(marks)}.".encode()
    argv = ["nsenter", f"--net={lab.layout.netns_path(listener[0])}", sys.executable, str(FRAMES), "hear", listener[1]]
    words = [*argv, str(HEARD if expected else SILENT), mark.decode()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as ear:
        assert ear.stdout is not None
        assert ear.stdout.readline() == "listening\n"
        while ear.poll() is None:
            done = lab.run(sender[0], [sys.executable, str(FRAMES), "send", sender[1], frame(mark).hex()])
            assert done.returncode == 0, done.stderr.decode()
            time.sleep(0.2)
        return ear.stdout.read().strip()


def plain(mark: bytes) -> bytes:
    return ethernet(0x88B5, mark)


def tagged(vlan: int) -> Callable[[bytes], bytes]:
    return lambda mark: ethernet(0x88B5, mark, vlan=vlan)


@pytest.fixture
def managed(converged: Lab) -> Iterator[Lab]:
    """The lab with its switch on, reached and as the inventory has it, before and after."""
    yield converged
    if hosts.leader(converged.layout, SWITCH) is None:
        converged.power(SWITCH, "on")


def fabric_end(lab: Lab) -> tuple[str, str]:
    """Where the trunk of the switch goes: its far end in the lab's own switches."""
    from lab import switch
    from lab.layout import FABRIC

    ends = {port: end for end, port in switch.ports(lab.layout).items()}
    return FABRIC, ends[f"{SWITCH} port9"]


def applied(lab: Lab) -> Run:
    run = play(lab, "channels.yml", *ONLY)
    assert run.status == 0, run.tail
    return run


def test_a_second_run_changes_nothing(managed: Lab) -> None:
    assert applied(managed).changed == {}


def test_networks_are_apart_on_the_cable(managed: Lab) -> None:
    assert heard(managed, (OTHER, "eth0"), (CLERK, "eth0"), plain, expected=True) == "untagged"
    assert heard(managed, (CITIZEN, "eth0"), (CLERK, "eth0"), plain, expected=False) == "nothing"
    assert heard(managed, (CLERK, "eth0"), (CITIZEN, "eth0"), plain, expected=False) == "nothing"


@pytest.mark.parametrize("vlan", [20, 10, 99])
def test_a_tag_of_a_pcs_own_leads_nowhere(managed: Lab, vlan: int) -> None:
    assert heard(managed, (CITIZEN, "eth0"), (CLERK, "eth0"), tagged(vlan), expected=False) == "nothing"
    assert heard(managed, (OTHER, "eth0"), (CLERK, "eth0"), tagged(vlan), expected=False) == "nothing"


def test_a_trunk_carries_its_networks_tagged_and_has_no_native_one(managed: Lab) -> None:
    trunk = fabric_end(managed)
    assert heard(managed, trunk, (CLERK, "eth0"), plain, expected=True) == "10"
    assert heard(managed, trunk, (CITIZEN, "eth0"), plain, expected=True) == "20"
    assert heard(managed, trunk, ("buoi-wifi-1", "eth0"), plain, expected=False) == "nothing"
    assert heard(managed, (CLERK, "eth0"), trunk, tagged(10), expected=True) == "untagged"
    assert heard(managed, (CITIZEN, "eth0"), trunk, tagged(20), expected=True) == "untagged"
    for listener in (CLERK, CITIZEN):
        assert heard(managed, (listener, "eth0"), trunk, plain, expected=False) == "nothing"
    assert heard(managed, ("buoi-wifi-1", "eth0"), trunk, tagged(40), expected=False) == "nothing"


def test_an_unused_port_is_off_and_in_no_network(managed: Lab) -> None:
    assert "state DOWN" in inside(managed, SWITCH, "ip", "link", "show", "port8")
    assert inside(managed, SWITCH, "ovs-vsctl", "get", "port", "port8", "tag") == "4094"
    flows = inside(managed, SWITCH, "ovs-ofctl", "--names", "dump-flows", "access")
    assert "in_port=port7" in flows.replace('"', "")
    assert "in_port=port8" not in flows.replace('"', "")


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("router advertisement", advertisement),
        ("redirect", lambda mark: advertisement(mark, 137)),
        ("DHCP offer", lambda mark: ethernet(0x800, ipv4_udp(67, 68, mark))),
        ("DHCPv6 advertise", lambda mark: ethernet(
            0x86DD, ipv6(17, struct.pack("!HHHH", 547, 546, 8 + len(mark), 0) + mark))),
    ],
)  # fmt: skip
def test_what_only_the_gateway_may_say_comes_from_its_port_alone(
    managed: Lab, name: str, frame: Callable[[bytes], bytes]
) -> None:
    assert heard(managed, (OTHER, "eth0"), (CLERK, "eth0"), frame, expected=False) == "nothing", name
    assert heard(managed, (OTHER, "eth0"), fabric_end(managed), lambda mark: _in_vlan(frame(mark), 10),
                 expected=False) == "nothing", name  # fmt: skip
    assert heard(managed, (OTHER, "eth0"), ("buoi-gw", "clerks0"), frame, expected=True) == "untagged", name


def fragment(protocol: int, payload: bytes) -> bytes:
    """The first of several fragments of an IPv6 packet."""
    return ethernet(0x86DD, ipv6(44, struct.pack("!BBHI", protocol, 0, 1, 77) + payload))


def first_of_ipv4(frame: bytes) -> bytes:
    """The packet says that there is more of it; its checksum is mended."""
    return frame[:20] + b"\x20\x00" + frame[22:24] + struct.pack("!H", _without_more(frame)) + frame[26:]


def _without_more(frame: bytes) -> int:
    total = (struct.unpack("!H", frame[24:26])[0] ^ 0xFFFF) + 0x2000
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


OPTIONS = struct.pack("!BBBBI", 58, 0, 1, 4, 0)  # of the destination; ICMPv6 is behind them
FRAGMENTS: dict[str, Callable[[bytes], bytes]] = {
    "router advertisement": lambda mark: fragment(58, advertisement(mark)[54:]),
    "router advertisement behind options": lambda mark: fragment(60, OPTIONS + advertisement(mark)[54:]),
    "options that end before it": lambda mark: fragment(60, struct.pack("!BB", 58, 5) + mark.rjust(46, b"\0")),
    "DHCP offer": lambda mark: first_of_ipv4(ethernet(0x800, ipv4_udp(67, 68, mark))),
    "DHCPv6 advertise": lambda mark: fragment(17, struct.pack("!HHHH", 547, 546, 600, 0) + mark),
}


@pytest.mark.parametrize("name", FRAGMENTS)
def test_what_only_the_gateway_may_say_is_dropped_in_fragments_too(managed: Lab, name: str) -> None:
    """Real frames through the bridge, and by the control on the gateway's port, where they pass."""
    frame = FRAGMENTS[name]
    assert heard(managed, (OTHER, "eth0"), (CLERK, "eth0"), frame, expected=False) == "nothing"
    assert heard(managed, (OTHER, "eth0"), ("buoi-gw", "clerks0"), frame, expected=True) == "untagged"


def test_fragments_of_the_rest_pass(managed: Lab) -> None:
    later = lambda mark: ethernet(0x86DD, ipv6(44, struct.pack("!BBHI", 58, 0, 3 << 3, 77) + mark))  # noqa: E731
    request = lambda mark: fragment(58, struct.pack("!BBHHH", 128, 0, 0, 7, 1) + mark)  # noqa: E731
    assert heard(managed, (OTHER, "eth0"), (CLERK, "eth0"), request, expected=True) == "untagged"
    assert heard(managed, (OTHER, "eth0"), (CLERK, "eth0"), later, expected=True) == "untagged"


def _in_vlan(frame: bytes, vlan: int) -> bytes:
    return frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:]


def test_frames_that_pass_the_switch_do_not_reach_its_own_system(managed: Lab) -> None:
    """They are shown to its kernel as well, which would answer for its address on every port."""

    def dropped() -> int:
        chain = inside(managed, SWITCH, "nft", "list", "chain", "inet", "wardnet", "input")
        return int(re.findall(r'packets (\d+) bytes \d+ drop comment "frames that only pass', chain)[0])

    assert wait_until(managed, "controller", Probe("tcp", ADDRESS, 22))
    mac = inside(managed, SWITCH, "cat", "/sys/class/net/port6/address")
    before = dropped()
    echo = struct.pack("!BBHHH", 8, 0, 0xF7FF, 0, 0)
    address = bytes((10, 30, 1, 2))
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 1, 0) + bytes((10, 30, 1, 77)) + address
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    packet = head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:] + echo
    frame = ethernet(0x800, packet, target=mac).hex()

    def one_more() -> bool:
        done = managed.run(CITIZEN, [sys.executable, str(FRAMES), "send", "eth0", frame])
        assert done.returncode == 0, done.stderr.decode()
        return dropped() > before

    until(one_more, "a frame to the switch's own port that its filter drops")


def test_what_somebody_changed_by_hand_is_found_and_healed(managed: Lab) -> None:
    by_hand = (
        "ovs-vsctl set port port6 tag=10 -- add-br beside -- set bridge beside datapath_type=netdev "
        "-- set port port9 vlan_mode=native-untagged tag=10 -- set open_vswitch . other_config:vlan-limit=1; "
        "ovs-ofctl del-flows access icmp6; ovs-ofctl set-frags access normal; ovs-ofctl mod-port access port5 no-flood"
    )
    try:
        inside(managed, SWITCH, "sh", "-ec", by_hand)
        leaks = heard(managed, (CITIZEN, "eth0"), (CLERK, "eth0"), plain, expected=True)
        checked = play(managed, "channels.yml", *ONLY, "--check", "--diff")
    finally:
        healed = play(managed, "channels.yml", *ONLY)
    assert leaks == "untagged", "the control"
    assert checked.status == 0, checked.tail
    for words in ("port port6: tag 20", "bridge beside", "port port9: vlan_mode trunk", "icmp_type=134",
                  "setting vlan-limit", "fragments: nx-match", "port port5: NO_FLOOD"):  # fmt: skip
        assert words in checked.said, checked.tail
    assert (healed.status, healed.changed.keys()) == (0, {SWITCH}), healed.tail
    assert heard(managed, (CITIZEN, "eth0"), (CLERK, "eth0"), plain, expected=False) == "nothing"
    assert "beside" not in inside(managed, SWITCH, "ovs-vsctl", "list-br")
    assert applied(managed).changed == {}


@pytest.fixture
def wrong_vlan(managed: Lab) -> Iterator[Lab]:
    """The inventory puts the gateway's management port into the visitors' network, by mistake."""
    ward = managed.state / WARD
    right = ward.read_text()
    line = "{name: gw-devices, access: devices, to: buoi-gw}"
    assert line in right
    ward.write_text(right.replace(line, "{name: gw-devices, trunk: [devices, wifi], to: uplink}"))
    try:
        yield managed
    finally:
        ward.write_text(right)


def test_a_wrong_vlan_on_the_way_to_the_manager_goes_back_by_itself(wrong_vlan: Lab) -> None:
    before = inside(wrong_vlan, SWITCH, "ovs-vsctl", "--columns=name,tag,trunks,vlan_mode", "list", "port")
    run = play(wrong_vlan, "channels.yml", *ONLY, "-e", "commit_confirm_within=45")
    assert run.status != 0
    assert "buoi-sw (ward buoi) was rolled back" in run.said, run.tail
    assert wait_until(wrong_vlan, "controller", Probe("tcp", ADDRESS, 22))
    after = inside(wrong_vlan, SWITCH, "ovs-vsctl", "--columns=name,tag,trunks,vlan_mode", "list", "port")
    assert sorted(after.split("\n\n")) == sorted(before.split("\n\n"))
    assert heard(wrong_vlan, (OTHER, "eth0"), (CLERK, "eth0"), plain, expected=True) == "untagged"
    assert heard(wrong_vlan, (OTHER, "eth0"), (CLERK, "eth0"), advertisement, expected=False) == "nothing"


def test_a_power_cut_in_mid_apply_comes_up_on_the_former_state(wrong_vlan: Lab) -> None:
    tag = ["ovs-vsctl", "get", "port", "gw-devices", "tag"]
    with playing(wrong_vlan, "channels.yml", *ONLY, "-e", "commit_confirm_within=600"):
        until(lambda: wrong_vlan.shell(SWITCH, tag).stdout.strip() == b"[]", "the change", 600)
        wrong_vlan.power(SWITCH, "off")
    wrong_vlan.power(SWITCH, "on")
    assert inside(wrong_vlan, SWITCH, *tag) == "99"
    assert '"boot": true' in inside(wrong_vlan, SWITCH, "cat", "/var/lib/wardnet/last-rollback.json")
    assert wait_until(wrong_vlan, "controller", Probe("tcp", ADDRESS, 22))
    assert heard(wrong_vlan, (OTHER, "eth0"), (CLERK, "eth0"), plain, expected=True) == "untagged"
    assert heard(wrong_vlan, (OTHER, "eth0"), (CLERK, "eth0"), advertisement, expected=False) == "nothing"
