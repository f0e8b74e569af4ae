"""What FRR runs against what is intended; and which neighbours, prefixes and tables a gateway's configuration names.

FRR itself is asked in tests/roles/test_roles_channels.py.
"""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import jinja2
import pytest

from tests.unit.plugins_support import ROOT, TAY_HO, load
from wardnet.compile import compile_plan, to_plain
from wardnet.inventory import read_district
from wardnet.model.intent import Bgp, Circuit, District, Routing

routing = load("module_utils", "wardnet_part_routing")
candidate = load("module_utils", "wardnet_candidate")
bundle = load("module_utils", "wardnet_bundle")
parts = load("module_utils", "wardnet_part")
channels = load("filter", "wardnet_channels")

INTENDED = """frr defaults traditional
hostname buoi-gw
!
router bgp 64601
 timers bgp 10 30
 neighbor 10.31.1.1 remote-as 64600
 !
 address-family ipv4 unicast
  neighbor 10.31.1.1 activate
 exit-address-family
exit
"""
RUNNING = f"""Building configuration...

Current configuration:
!
frr version 8.4.4
{INTENDED}!
end
"""


def with_bgp(circuit: str) -> District:
    def changed(each: Circuit) -> Circuit:
        return dataclasses.replace(each, routing=Routing.BGP, bgp=Bgp(64601, 64600)) if each.id == circuit else each

    district = read_district(TAY_HO)
    wards = []
    for ward in district.wards:
        sites = [dataclasses.replace(site, circuits=tuple(map(changed, site.circuits))) for site in ward.sites]
        wards.append(dataclasses.replace(ward, sites=tuple(sites)))
    return dataclasses.replace(district, wards=tuple(wards))


def plain(gateway: str) -> dict[str, Any]:
    record: dict[str, Any] = to_plain(compile_plan(with_bgp("buoi-wan"), date(2026, 11, 24)).gateway(gateway))
    return record


def configuration(gateway: str) -> list[str]:
    record = plain(gateway)
    folder = ROOT / "roles" / "wan_routing" / "templates" / "etc" / "frr"
    environment = jinja2.Environment(  # noqa: S701 - the output is FRR's language
        loader=jinja2.FileSystemLoader(folder), trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(channels.FilterModule().filters())
    environment.filters["flatten"] = lambda lists: [item for each in lists for item in each]
    text = environment.get_template("frr.conf.j2").render(
        wan_routing_gateway=record,
        __wan_routing_peers=channels.neighbours(record),
        wan_routing_keepalive=10,
        wan_routing_hold=30,
        wan_routing_most_prefixes=1000,
    )
    return sorted(routing.parse_lines(text))


class FakeHost:
    def __init__(self, running: str | None, check_mode: bool = False) -> None:
        self.running = running
        self.check_mode = check_mode
        self.settle = 0.0
        self.at_boot = "enabled"
        self.ran: list[list[str]] = []

    def unit(self, _name: str) -> dict[str, str]:
        return {"ActiveState": "inactive" if self.running is None else "active", "UnitFileState": self.at_boot}

    def attempt(self, _argv: list[str]) -> tuple[int, str, str]:
        return (0, self.running or "", "")

    def run(self, argv: list[str]) -> str:
        self.ran.append(argv)
        return ""


@pytest.fixture(autouse=True)
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs is on disk, unless a test has it otherwise."""
    monkeypatch.setattr(routing, "read_text", lambda _path: RUNNING)


def part(on: FakeHost, text: str = INTENDED, **arguments: Any) -> Any:
    file = {"path": "/etc/frr/frr.conf", "content": text}
    step = candidate.read_step({"role": "wan_routing", "part": "routing", "files": [file], "routing": arguments})
    made = routing.Routing((step,), on)
    made.read()
    return made


def test_a_line_is_known_by_the_sections_it_stands_in() -> None:
    assert routing.parse_lines(INTENDED) == {
        "router bgp 64601",
        "router bgp 64601 / timers bgp 10 30",
        "router bgp 64601 / neighbor 10.31.1.1 remote-as 64600",
        "router bgp 64601 / address-family ipv4 unicast",
        "router bgp 64601 / address-family ipv4 unicast / neighbor 10.31.1.1 activate",
    }


def test_what_frr_says_by_itself_is_no_difference() -> None:
    assert not part(FakeHost(RUNNING)).difference()


def test_what_somebody_typed_is_foreign_and_what_is_gone_is_missed() -> None:
    typed = RUNNING.replace(" timers bgp 10 30\n", " neighbor 192.0.2.1 remote-as 64999\n")
    difference = part(FakeHost(typed)).difference()
    assert difference.missing == ("router bgp 64601 / timers bgp 10 30",)
    assert difference.foreign == ("router bgp 64601 / neighbor 192.0.2.1 remote-as 64999",)


def test_a_stopped_frr_is_started_and_its_way_back_is_a_stop() -> None:
    on = FakeHost(None)
    stopped = part(on)
    assert stopped.difference().needs == ("start frr.service",)
    assert [undo.argv[1] for undo in stopped.undo()] == ["stop"]
    with pytest.raises(parts.PartError, match="FRR does not come to what is intended"):
        stopped.apply()
    assert on.ran == [["/usr/bin/systemctl", "restart", "frr.service"]]


def test_an_frr_that_no_boot_starts_is_no_right_one() -> None:
    on = FakeHost(RUNNING)
    on.at_boot = "disabled"
    found = part(on)
    assert found.difference().needs == ("start frr.service",)
    routing.Routing(found.steps, on).confirmed()
    assert on.ran == [["/usr/bin/systemctl", "enable", "--quiet", "frr.service"]]


def test_where_nothing_is_learned_any_more_frr_is_stopped_within_the_guarded_change() -> None:
    on = FakeHost(RUNNING)
    ended = part(on, off=True)
    assert ended.difference().needs == ("stop frr.service", "disable frr.service")
    ended.judge(Path("/"))
    assert [undo.argv[1] for undo in ended.undo()] == ["start"]
    ended.apply()
    # The second run has another instance, which has read nothing.
    routing.Routing(ended.steps, on).confirmed()
    assert [argv[1] for argv in on.ran] == ["stop", "disable"]
    on.running, on.at_boot = None, "disabled"
    assert not part(on, off=True).difference()


def test_sessions_live_through_a_change_but_not_through_another_set_of_daemons() -> None:
    changed = part(FakeHost(RUNNING), INTENDED.replace("10 30", "5 15"))
    assert [undo.argv[1] for undo in changed.undo()] == ["reload"]
    changed.files = [bundle.Change(Path("/etc/frr/daemons"), "write", None, quiet=True)]
    assert [undo.argv[1] for undo in changed.undo()] == ["reload"], "its line in the inventory has moved"
    changed.files = [bundle.Change(Path("/etc/frr/daemons"), "write", None)]
    assert [undo.argv[1] for undo in changed.undo()] == ["restart"]


def test_the_way_back_brings_what_ran_where_the_file_says_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "frr.conf"
    path.write_text(INTENDED.replace("10 30", "7 21"))
    monkeypatch.setattr(routing, "read_text", lambda _path: path.read_text())
    found = part(FakeHost(RUNNING), INTENDED.replace("10 30", "5 15"))
    former, reload = found.undo()
    assert (former.path, routing.parse_lines(former.content.decode())) == (
        str(routing.FORMER),
        routing.parse_lines(RUNNING),
    )
    assert "configuration" not in former.content.decode()
    assert reload.argv[-1].startswith(f"{routing.RELOAD} --reload {routing.FORMER}")
    found.files = [bundle.Change(Path("/etc/frr/daemons"), "write", None)]
    assert [undo.argv[1] for undo in found.undo() if hasattr(undo, "argv")] == ["restart", "-ec"]
    path.write_text(INTENDED)
    found.files = []
    assert [undo.argv[1] for undo in found.undo()] == ["reload"], "what ran is what is on disk"


def test_a_gateway_announces_its_own_networks_and_believes_the_wans() -> None:
    lines = configuration("buoi-gw")
    assert [line for line in lines if line.startswith(("ip prefix-list wan0-out", "ipv6 prefix-list wan0-out"))] == [
        "ip prefix-list wan0-out4 seq 10 permit 10.30.1.0/24",
        "ip prefix-list wan0-out4 seq 5 permit 10.20.1.0/24",
        "ipv6 prefix-list wan0-out6 seq 10 permit fd20:30:1::/64",
        "ipv6 prefix-list wan0-out6 seq 5 permit fd20:20:1::/64",
    ]
    assert [line for line in lines if line.startswith(("ip prefix-list wan0-in", "ipv6 prefix-list wan0-in"))] == [
        "ip prefix-list wan0-in4 seq 10 deny 10.30.1.0/24 le 32",
        "ip prefix-list wan0-in4 seq 1005 permit 10.16.0.0/12 le 32",
        "ip prefix-list wan0-in4 seq 15 deny 10.31.1.0/30 le 32",
        "ip prefix-list wan0-in4 seq 5 deny 10.20.1.0/24 le 32",
        "ipv6 prefix-list wan0-in6 seq 10 deny fd20:30:1::/64 le 128",
        "ipv6 prefix-list wan0-in6 seq 1005 permit fd20::/16 le 128",
        "ipv6 prefix-list wan0-in6 seq 15 deny fd20:31:1::/64 le 128",
        "ipv6 prefix-list wan0-in6 seq 5 deny fd20:20:1::/64 le 128",
    ]
    for family in (4, 6):
        assert f"route-map wan0-in{family} permit 10 / set table 100" in lines
        # A neighbour may send packets to itself, and to nobody else on a network that both stand in.
        word = "ip" if family == 4 else "ipv6"
        assert f"route-map wan0-in{family} permit 10 / set {word} next-hop peer-address" in lines


def test_the_hub_believes_a_site_its_own_networks_alone() -> None:
    lines = configuration("tay-ho-hub")
    assert [line for line in lines if "prefix-list buoi-wan-in4 seq" in line] == [
        "ip prefix-list buoi-wan-in4 seq 1005 permit 10.20.1.0/24 le 32",
        "ip prefix-list buoi-wan-in4 seq 1010 permit 10.30.1.0/24 le 32",
    ]
    assert [line for line in lines if "prefix-list buoi-wan-out4 seq" in line] == [
        "ip prefix-list buoi-wan-out4 seq 5 permit 10.16.0.0/12"
    ]


def test_no_neighbour_is_without_a_list_in_both_directions() -> None:
    for gateway in ("buoi-gw", "tay-ho-hub"):
        lines = configuration(gateway)
        for neighbour in [line for line in lines if line.endswith(" activate")]:
            bare = neighbour.removesuffix(" activate")
            assert [line for line in lines if line.startswith(f"{bare} route-map") and line.endswith(" in")]
            assert [line for line in lines if line.startswith(f"{bare} route-map") and line.endswith(" out")]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (" neighbor 192.0.2.1 password s3cret", "neighbor 192.0.2.1 password ..."),
        (" password clear s3cret", "password clear ..."),
        (" ip ospf message-digest-key 1 md5 s3cret", "ip ospf message-digest-key 1 md5 ..."),
        (" key-string s3cret", "key-string ..."),
        (" neighbor 192.0.2.1 description no password", "neighbor 192.0.2.1 description no password"),
    ],
)
def test_a_secret_that_somebody_typed_is_not_told(line: str, told: str) -> None:
    typed = routing.parse_lines(f"router bgp 64601\n{line}\n")
    assert routing.in_words(typed) == ("router bgp 64601", f"router bgp 64601 / {told}")
    difference = part(FakeHost(RUNNING.replace(" timers", f"{line}\n timers"))).difference()
    assert difference.foreign == (f"router bgp 64601 / {told}",)
