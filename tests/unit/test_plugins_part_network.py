"""How part network comes to what is intended: what it waits for, what it switches on, and what no boot would start."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.namespaces import assert_passes
from tests.unit.plugins_support import gateway, load

bundle = load("module_utils", "wardnet_bundle")
candidate = load("module_utils", "wardnet_candidate")
host_module = load("module_utils", "wardnet_host")
intents = load("module_utils", "wardnet_intent")
kernel = load("module_utils", "wardnet_kernel")
links = load("module_utils", "wardnet_links")
network = load("module_utils", "wardnet_part_network")
parts = load("module_utils", "wardnet_part")

BUOI = gateway("buoi-gw")
PORTS = [port["name"] for port in BUOI["ports"]]


class Clock:
    """Steady time that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def link(name: str, **more: Any) -> Any:
    return links.Link(**{"name": name, "index": 1, "up": True, "arp": True, "mtu": 1500, **more})


class Host(host_module.Host):  # type: ignore[misc]
    def __init__(self, state: str = "enabled") -> None:
        super().__init__(shown={network.NETWORKD: {"ActiveState": "active", "UnitFileState": state}})
        self.ran: list[str] = []

    def run(self, argv: Any, _stdin: Any = None) -> str:
        self.ran.append(" ".join(argv))
        return self.details if argv[1:3] == ["-d", "-j"] else ""

    def attempt(self, argv: Any, _stdin: Any = None) -> tuple[int, str, str]:
        if argv[0] == network.IP:  # others may fail
            self.ran.append(" ".join(argv))
        return 0, "", ""

    details = "[]"


def right() -> Any:
    """What runs where all is as intended."""
    intent = intents.join_intents(
        [intents.read_intent(BUOI, "wan", True), intents.read_intent(BUOI, "internet", False)]
    )
    return kernel.Running(
        intent.addresses, frozenset(), intent.known_routes, intent.known_rules, frozenset({*PORTS, "lo"})
    )


class Network(network.Network):  # type: ignore[misc]
    """Sees one after the other of `looks`, and the last one for ever."""

    looks: list[tuple[Any, dict[str, Any]]]

    def _look(self) -> tuple[Any, dict[str, Any]]:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


def made(host: Host, *looks: Any, files: Any = (), **first: Any) -> Network:
    """`first` are links that are not as usual at the first look."""
    steps = [
        {
            "role": "r",
            "part": "network",
            "files": list(files) if channel == "wan" else [],
            "network": {"gateway": BUOI, "channel": channel, "hold_main": channel == "wan"},
        }
        for channel in ("wan", "internet")
    ]
    part = Network(candidate.read_steps(steps), host)
    usual = {name: link(name) for name in PORTS}
    part.looks = [(look, {**usual, **first} if look is looks[0] else usual) for look in looks]
    part.read()
    return part


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    steady = Clock()
    monkeypatch.setattr(network, "time", steady)
    return steady


def test_what_is_as_intended_differs_in_nothing() -> None:
    assert not made(Host(), right()).difference()


def test_a_networkd_that_no_boot_starts_is_no_right_one() -> None:
    host = Host("disabled")
    part = made(host, right())
    assert part.difference().needs == ("start systemd-networkd.service",)
    (back,) = [entry for entry in part.undo() if "disable" in entry.argv]
    assert (back.argv[-1], back.when) == (network.NETWORKD, "always"), "a power cut keeps it no more than the timer"
    host.ran.clear()
    part.apply()
    assert host.ran[0] == "/usr/bin/systemctl enable --now systemd-networkd.service"


def test_a_masked_networkd_is_started_all_the_same() -> None:
    host = Host("masked")
    part = made(host, right())
    host.shown = {network.NETWORKD: {"LoadState": "masked", "UnitFileState": "masked", "ActiveState": "inactive"}}
    assert part.difference().needs == ("start systemd-networkd.service",)
    part.apply()
    assert host.ran[:2] == [
        "/usr/bin/systemctl unmask --quiet -- systemd-networkd.service",
        "/usr/bin/systemctl enable --now systemd-networkd.service",
    ]


def test_a_port_that_somebody_switched_off_is_found_and_switched_on() -> None:
    running = right()
    without = replace(running, carrier=running.carrier - {"citizen0"})
    host = Host()
    part = made(host, without, citizen0=link("citizen0", up=False))
    assert part.difference().needs == ("switch on citizen0",)
    part.looks = [(without, {"citizen0": link("citizen0", up=False)}), (running, {})]
    part.apply()
    assert "/usr/sbin/ip link set dev citizen0 up" in host.ran


def test_a_port_that_is_not_there_is_not_to_be_switched_on() -> None:
    part = made(Host(), right())
    assert part._faults({name: link(name, up=name != "spare0") for name in ("wan0", "lo", "spare0")}) == []


@pytest.mark.parametrize(
    ("wrong", "needs", "mended", "back"),
    [
        ({"mtu": 1280}, "MTU 1500 on citizen0", "mtu 1500", "mtu 1280"),
        ({"arp": False}, "let citizen0 ask for neighbours", "arp on", "arp off"),
    ],
)
def test_a_port_that_cuts_its_users_off_is_mended(wrong: dict[str, Any], needs: str, mended: str, back: str) -> None:
    host = Host()
    part = made(host, right(), citizen0=link("citizen0", **wrong))
    part.looks = [(right(), {"citizen0": link("citizen0", **wrong)}), (right(), {})]
    assert part.difference().needs == (needs,)
    assert f"/usr/sbin/ip link set dev citizen0 {back}" in [" ".join(e.argv) for e in part.undo() if hasattr(e, "argv")]
    part.apply()
    assert f"/usr/sbin/ip link set dev citizen0 {mended}" in host.ran


def test_an_mtu_is_what_a_file_of_the_host_and_the_device_itself_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host()
    host.details = '[{"ifname": "citizen0", "max_mtu": 1450}]'
    assert not made(host, right(), citizen0=link("citizen0", mtu=1450)).difference()
    monkeypatch.setattr(links, "UDEV", tmp_path)
    (tmp_path / "n7").write_text(f"E:ID_NET_NAME=x\nE:ID_NET_LINK_FILE={tmp_path}/x.link\n")
    (tmp_path / "x.link").write_text("[Link]\nName=clerks0\nMTUBytes=9000\n")
    large = {"wifi0": link("wifi0", index=7, mtu=9000)}
    assert links.wanted_mtus(large, ["wifi0"], {}, {}) == {"wifi0": 9000}
    small = {"tag0": link("tag0"), **large}
    assert links.wanted_mtus(small, ["tag0", "wifi0"], {"tag0": "wifi0"}, {}) == {"wifi0": 9000, "tag0": 9000}


def test_a_tagged_port_has_no_more_than_its_parent_and_is_mended_after_it() -> None:
    there = {name: link(name, mtu=1400) for name in ("citizen0", "eth1")}
    wanted = links.wanted_mtus(there, there, {"citizen0": "eth1"}, {"eth1": 1450, "citizen0": 65535})
    assert [*wanted.items()] == [("eth1", 1450), ("citizen0", 1450)]
    assert [fault.words for fault in links.faults(there, wanted)] == ["MTU 1450 on eth1", "MTU 1450 on citizen0"]


def test_links_that_ask_for_no_neighbours_by_their_nature_are_left_alone() -> None:
    found = links.parse_links(
        [
            {"ifname": "wg0", "flags": ["UP", "NOARP"], "mtu": 1420, "link_type": "none"},
            {"ifname": "own0", "flags": ["UP", "NOARP"], "mtu": 1500, "link_type": "ether"},
        ]
    )
    mtus = links.wanted_mtus(found, found, {}, {})
    assert [fault.words for fault in links.faults(found, mtus)] == ["let own0 ask for neighbours"]
    details = [{"ifname": "own0", "linkinfo": {"info_kind": "dummy"}}]
    assert links.faults(found, mtus, links.silent(details)) == []
    host = Host()
    host.details = json.dumps([{"ifname": "citizen0", "linkinfo": {"info_kind": "dummy"}}])
    assert not made(host, right(), citizen0=link("citizen0", arp=False)).difference()


def test_neighbours_that_nobody_asks_for_are_foreign_and_come_back_as_they_were() -> None:
    always = kernel.parse_neighbours(
        '[{"dst":"10.31.1.1","dev":"wan0","lladdr":"02:00:00:00:00:05","state":["PERMANENT"]}]'
    )
    proxy = kernel.parse_neighbours('[{"dst":"fd00::6","dev":"wan0","proxy":null}]')
    part = made(Host(), replace(right(), neighbours=always | proxy))
    assert part.difference().foreign == (
        "neighbour 10.31.1.1 on wan0, always 02:00:00:00:00:05", "neighbour fd00::6 on wan0, answered for",
    )  # fmt: skip
    part.judge(Path("/"))
    back = [" ".join(entry.argv[1:]) for entry in part.undo() if hasattr(entry, "argv")]
    assert "neigh replace 10.31.1.1 dev wan0 lladdr 02:00:00:00:00:05 nud permanent" in back
    assert "neigh replace proxy fd00::6 dev wan0" in back
    host = part.host
    host.attempt = lambda argv, _=None: host.ran.append(" ".join(argv)) or (0, "", "")
    part.looks = [(replace(right(), neighbours=always | proxy), {}), (right(), {})]
    part.apply()
    assert {"/usr/sbin/ip neigh del 10.31.1.1 dev wan0", "/usr/sbin/ip neigh del proxy fd00::6 dev wan0"} <= set(
        host.ran
    )


MACVLAN = {"ifname": "mine0", "link": "wan0", "mtu": 1400, "address": "02:00:00:00:00:07", "flags": ["UP"],
           "linkinfo": {"info_kind": "macvlan", "info_data": {"mode": "bridge", "bcqueuelen": 1000}}}  # fmt: skip
GRE = {"ifname": "mine1", "link": "wan0", "linkinfo": {"info_kind": "gre", "info_data": {"ttl": 3}}}
CABLE = {"ifname": "far0", "link": "wan0", "linkinfo": {"info_kind": "veth"}}


def test_what_stands_upon_a_port_is_foreign_and_comes_back() -> None:
    host = Host()
    host.details = json.dumps([MACVLAN, CABLE])
    upon = {name: link(name, upon="wan0") for name in ("mine0", "far0")}
    part = made(host, right(), **upon)
    assert part.difference().foreign == ("macvlan mine0 upon wan0",)
    part.judge(Path("/"))
    back = [" ".join(entry.argv[1:]) for entry in part.undo() if hasattr(entry, "argv")]
    again = "link add link wan0 name mine0 mtu 1400 address 02:00:00:00:00:07 type macvlan mode bridge"
    assert {again, "link set dev mine0 up"} <= set(back)
    part.looks = [(right(), upon)]
    part.apply()
    assert [line for line in host.ran if "delete" in line] == ["/usr/sbin/ip link delete dev mine0"]


def test_what_stands_upon_a_port_and_could_not_come_back_is_refused() -> None:
    host = Host()
    host.details = json.dumps([GRE])
    part = made(host, right(), mine1=link("mine1", upon="wan0"))
    assert part.difference().foreign == ("gre mine1 upon wan0",)
    with pytest.raises(parts.RefusedError, match="could not bring back as it is: gre mine1 upon wan0"):
        part.judge(Path("/"))


QINQ = {"protocol": "802.1ad", "id": 20, "flags": ["GVRP"]}
VLAN = {"ifname": "old0", "link": "eth1", "mtu": 1496, "address": "02:00:00:00:00:09", "flags": [],
        "linkinfo": {"info_kind": "vlan", "info_data": QINQ}}  # fmt: skip
MAPPED = {"info_kind": "vlan", "info_data": {**QINQ, "ingress_qos": [{"from": 1, "to": 2}]}}


@pytest.mark.parametrize(
    "more",
    [
        pytest.param([{**MACVLAN, "link": "old0"}], id="stands upon it"),
        pytest.param([{**VLAN, "master": "br0"}], id="is a member"),
        pytest.param([{**VLAN, "linkinfo": MAPPED}], id="says more"),
    ],
)
def test_a_stray_device_that_would_not_come_back_whole_is_refused(more: list[dict[str, Any]]) -> None:
    details = {one["ifname"]: one for one in (VLAN, *more)}
    strays = links.parse_strays([*details.values()], ["old0"])
    assert [name for name, stray in strays.items() if not stray.again] == [more[0]["ifname"]]
    assert set(strays) == set(details)


def test_after_a_change_of_files_what_is_right_must_still_be_right_when_networkd_has_acted(clock: Clock) -> None:
    """It says that it has read them before it does what they say."""
    running = right()
    gone = replace(running, addresses=frozenset(a for a in running.addresses if a.port != "wan0"))
    part = made(Host(), running)
    part.files = [bundle.Change(Path("/etc/systemd/network/10-wardnet-wan-wan0.network"), "write", None)]
    part.looks = [(running, {}), (gone, {}), (running, {})]
    part.apply()
    assert clock.now >= network.TAKEN_UP
    assert part.looks == [(running, {})], "it must have seen it go and come back"


def test_the_way_back_ends_with_what_ran() -> None:
    """After networkd, which takes up what is on disk."""
    back = made(Host(), right()).undo()
    assert back[-1].argv[-1] == "/usr/local/lib/wardnet/ran.py"
    assert json.loads(back[-1].stdin)["ran"].keys() == {"address", "-4 route", "-6 route", "-4 rule", "-6 rule"}
    assert any(entry.argv[:2] == (network.NETWORKCTL, "reload") for entry in back[:-1])


def test_without_a_change_of_files_nothing_is_waited_for(clock: Clock) -> None:
    made(Host(), right()).apply()
    assert clock.now == 0


def test_a_vlan_device_of_no_network_is_foreign_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """networkd makes such devices and takes none away. What sessions are dialled over is no port, and stays."""
    listed = tmp_path / "config"
    monkeypatch.setattr(network, "VLANS", listed)
    listed.write_text(
        "VLAN Dev name    | VLAN ID\nName-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD\n"
        "old0           | 20  | eth1\ncitizen0       | 30  | eth1\n"
    )
    host = Host()
    host.details = json.dumps([VLAN])
    part = made(host, right())
    assert part.difference().foreign == ("VLAN 20 of eth1 as old0",)
    part.judge(Path("/"))
    back = [" ".join(entry.argv[1:]) for entry in part.undo()]
    again = "link add link eth1 name old0 mtu 1496 address 02:00:00:00:00:09 type vlan protocol 802.1ad id 20"
    assert f"{again} reorder_hdr off gvrp on" in back
    assert "link set dev old0 up" not in back
    part.apply()
    assert f"{network.IP} link delete dev old0" in host.ran
    listed.write_text("inet0-line      | 35  | eth7\n")
    for step in part.steps:
        inet = next(port for port in step.arguments["gateway"]["ports"] if port["name"] == "inet0")
        monkeypatch.setitem(inet, "dialled", {"user": "u", "password": "vault:x"})
    assert part._strays({}) == {}


def test_routes_in_a_table_of_nobody_are_foreign_to_whoever_holds_the_main_one() -> None:
    """As a channel leaves them that the gateway has given up."""
    left = kernel.Route(4, 77, "0.0.0.0/0", 100, "inet0", "198.51.100.5", False)
    running = replace(right(), routes=right().routes | {left})
    wan, internet = (intents.read_intent(BUOI, channel, channel == "wan") for channel in ("wan", "internet"))
    assert left in intents.compare(running, wan).foreign
    assert left not in intents.compare(running, internet).foreign
    assert intents.compare(right(), intents.join_intents([wan, internet])).foreign == ()


def test_what_was_done_to_ports_by_hand_goes_and_comes_back() -> None:
    """With real tools."""
    assert_passes("links_namespace", "what_was_done_to_ports_by_hand_goes_and_comes_back", seconds=300)


def test_a_port_upon_another_follows_its_mtu() -> None:
    assert_passes("links_namespace", "a_port_upon_another_follows_its_mtu", seconds=300)
