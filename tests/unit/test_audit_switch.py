"""An access switch whose networks are kept apart is proved; what joins two channels on it is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collectors.collect import Reading, now, write_snapshot
from collectors.parsers.artefact import ParseError
from collectors.parsers.switch import parse_switch
from tests.unit.audit_support import gateway
from tests.unit.gateway_support import ROOT
from tests.unit.switch_support import SWITCH, switch, switch_policy
from wardnet.audit import switches
from wardnet.audit.records import CHANNELS, AuditResult, Crossing, DeviceResult, Verdict
from wardnet.audit.report import record
from wardnet.audit.run import audit, snapshot_policy
from wardnet.audit.snapshot import read_snapshot
from wardnet.compile.policy import NO_SWITCHES, SWITCH_ZONES
from wardnet.inventory import read_district
from wardnet.model.intent import Platform, SwitchPlatform
from wardnet.model.snapshot import OPENVSWITCH
from wardnet.model.switch import FramePort

Artefacts = dict[str, bytes]
CLERKS, CITIZENS = 10, 20
FLOWS = "ovs-flows.txt"
INVENTORY = ROOT / "inventory" / "tay-ho"


def judged(artefacts: Artefacts) -> DeviceResult:
    result = switches.judge_switch(parse_switch(SWITCH, artefacts), switch_policy())
    assert result.disagreements == (), "two ways to the same"
    return result


def ports(change: Callable[[dict[str, Any]], None], artefacts: Artefacts | None = None, table: int = 1) -> Artefacts:
    """The switch with rows of its database edited: those of bridges (0), ports (1) or interfaces (2)."""
    edited = artefacts or switch()
    database = json.loads(edited["ovs.json"])
    for row in database[table]["rows"]:
        change(row)
    return {**edited, "ovs.json": json.dumps(database).encode()}


def port(name: str, artefacts: Artefacts | None = None, **values: Any) -> Artefacts:
    return ports(lambda row: row.update(values) if row["name"] == name else None, artefacts)


def bridge(**values: Any) -> Artefacts:
    return ports(lambda row: row.update(values), table=0)


def links(change: Callable[[list[dict[str, Any]]], None]) -> Artefacts:
    edited = switch()
    found = json.loads(edited["ip-link.json"])
    change(found)
    return {**edited, "ip-link.json": json.dumps(found).encode()}


def flow(line: str, *, instead: str = "") -> Artefacts:
    """The switch with a flow more; or instead of those that have a text in them."""
    edited = switch()
    lines = edited[FLOWS].decode().splitlines()
    kept = [each for each in lines if not instead or instead not in each]
    return {**edited, FLOWS: "\n".join([*kept, line, ""]).encode()}


def across(result: DeviceResult) -> set[tuple[str, str]]:
    return {(crossing.from_port, crossing.to_port) for crossing in result.crossings}


def crossing(result: DeviceResult, source: str, destination: str) -> Crossing:
    return next(c for c in result.crossings if (c.from_port, c.to_port) == (source, destination))


def reasons(result: DeviceResult) -> str:
    return "\n".join(problem.reason for problem in result.problems)


def test_the_switch_as_it_was_captured_keeps_the_channels_apart() -> None:
    result = judged(switch())
    assert result.verdict is Verdict.PROVED
    assert {(pair.from_channel, pair.to_channel) for pair in result.pairs} == {("wan", "internet"), ("internet", "wan")}
    assert all(coverage.unknown == 0 for coverage in result.coverage)


def test_a_port_in_a_vlan_of_the_other_channel_is_found_with_both_ports() -> None:
    result = judged(port("port6", tag=CLERKS))
    assert result.verdict is Verdict.VIOLATED
    found = crossing(result, "port6", "port1")
    assert found.verdict is Verdict.VIOLATED
    assert found.rule is not None
    assert found.rule.text == "access joins port6 and port1 in VLAN 10"
    assert found.packet.source.startswith("172.20.1.")
    assert ("port1", "port6") in across(result), "it hears them too"
    assert ("port6", "port7") not in across(result)


def test_a_port_that_takes_every_tag_hears_both_channels() -> None:
    """A port without a VLAN is a trunk of all."""
    result = judged(port("port6", tag=["set", []], vlan_mode=["set", []]))
    assert {("port1", "port6"), ("port6", "port1")} <= across(result)


@pytest.mark.parametrize("mode", ["native-tagged", "native-untagged"])
def test_a_trunk_with_a_native_vlan_is_unknown(mode: str) -> None:
    """What has no tag on it is in a network, and whose it is nobody said."""
    result = judged(port("port9", tag=CLERKS, vlan_mode=mode))
    assert result.verdict is Verdict.UNKNOWN
    assert "what has no tag on port port9 is in no network of its trunk, and shares VLAN 10" in reasons(result)


def test_a_trunk_that_carries_more_than_it_should_is_unknown() -> None:
    result = judged(port("port9", trunks=["set", [CLERKS, CITIZENS, 40]]))
    assert "what has tag 40 on port port9 is in no network of its trunk" in reasons(result)
    assert result.verdict is Verdict.UNKNOWN


def test_an_unused_port_that_is_on_in_a_network_is_unknown_and_off_it_is_nobodys() -> None:
    edited = port("port8", tag=CITIZENS)
    assert judged(edited).verdict is Verdict.PROVED

    def switch_on(found: list[dict[str, Any]]) -> None:
        next(link for link in found if link["ifname"] == "port8")["flags"].append("UP")

    on = {**edited, "ip-link.json": links(switch_on)["ip-link.json"]}
    on[FLOWS] = flow(" priority=100,in_port=12 actions=NORMAL")[FLOWS]
    on["tc-qdisc.json"] = json.dumps(
        [*json.loads(on["tc-qdisc.json"]), {"kind": "noqueue", "handle": "0:", "dev": "port8", "root": True}]
    ).encode()
    result = judged(on)
    assert result.verdict is Verdict.UNKNOWN
    assert "port port8 (a virtual cable) is unused by the inventory, and shares VLAN 20" in reasons(result)


@pytest.mark.parametrize("column", ["mirrors", "controller", "netflow", "sflow", "ipfix"])
def test_what_sees_frames_beside_the_ports_is_unknown(column: str) -> None:
    result = judged(bridge(**{column: ["uuid", "0-1-2"]}))
    assert result.verdict is Verdict.UNKNOWN
    assert f"bridge access has {column}" in reasons(result)


@pytest.mark.parametrize(
    "actions",
    ["output:6", "mod_vlan_vid:20,NORMAL", "FLOOD", "LOCAL", "resubmit(,1)", "CONTROLLER:65535", "strip_vlan"],
)
def test_a_flow_that_does_anything_else_than_switch_or_drop_is_unknown(actions: str) -> None:
    result = judged(flow(f" priority=300,in_port=5 actions={actions}"))
    assert result.verdict is Verdict.UNKNOWN
    assert actions in reasons(result)


def test_a_port_that_no_flow_lets_in_says_nothing() -> None:
    """Whatever VLAN it is in: what comes in by it is dropped, though it hears the others."""
    edited = {
        **port("port6", tag=CLERKS),
        FLOWS: flow(" priority=90,in_port=99 actions=drop", instead="in_port=10 ")[FLOWS],
    }
    result = judged(edited)
    assert not {source for source, _ in across(result)} & {"port6"}
    assert ("port1", "port6") in across(result)


def test_a_flow_with_conditions_before_a_leak_leaves_it_unknown_unless_few_frames_meet_it() -> None:
    edited = {**port("port6", tag=CLERKS), FLOWS: flow(" priority=300,ip,in_port=10 actions=drop")[FLOWS]}
    assert crossing(judged(edited), "port6", "port1").verdict is Verdict.UNKNOWN
    edited[FLOWS] = flow(" priority=300,tcp,in_port=10,tp_dst=80 actions=drop")[FLOWS]
    assert crossing(judged(edited), "port6", "port1").verdict is Verdict.VIOLATED


def test_ports_that_are_protected_from_each_other_are_not_proved_apart() -> None:
    edited = port("port1", port("port6", tag=CLERKS, protected=True), protected=True)
    assert crossing(judged(edited), "port6", "port1").verdict is Verdict.UNKNOWN


def test_a_link_that_is_up_beside_the_bridge_is_unknown() -> None:
    def add(found: list[dict[str, Any]]) -> None:
        found.append({"ifname": "wlan0", "flags": ["UP"], "ifindex": 90})

    result = judged(links(add))
    assert "port wlan0 is up beside the switch's bridge (a Wi-Fi interface)" in reasons(result)


@pytest.mark.parametrize("kind", ["patch", "vxlan", "gre"])
def test_a_port_that_leads_to_another_switch_is_unknown(kind: str) -> None:
    edited = ports(lambda row: row.update(type=kind) if row["name"] == "port3" else None, table=2)
    result = judged(edited)
    assert result.verdict is Verdict.UNKNOWN
    assert f"port port3 leads elsewhere: a link of kind {kind}" in reasons(result)


def test_a_port_that_the_inventory_does_not_know_is_unknown_where_it_hears_a_network() -> None:
    policy = switch_policy()
    fewer = replace(policy, ports=tuple(port for port in policy.ports if port.name != "port2"))
    result = switches.judge_switch(parse_switch(SWITCH, switch()), fewer)
    assert result.verdict is Verdict.UNKNOWN
    assert "port port2 (a virtual cable) is not in the inventory, and shares VLAN 10" in reasons(result)


def test_a_switch_without_its_bridge_is_unknown() -> None:
    result = switches.judge_switch(parse_switch(SWITCH, switch()), replace(switch_policy(), bridge="br-lan"))
    assert result.verdict is Verdict.UNKNOWN
    assert "there is no bridge br-lan" in reasons(result)
    assert "bridge access is there, and the inventory does not know it" in reasons(result)


def test_engines_that_disagree_leave_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here one forgets that a trunk carries the VLANs of its list alone."""

    def every_tag(port: FramePort) -> Any:
        return [(tag, tag) for tag in range(1, 4095)]

    monkeypatch.setattr(switches, "incoming", every_tag)
    result = switches.judge_switch(parse_switch(SWITCH, switch()), switch_policy())
    assert result.disagreements
    assert result.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("name", [artefact.name for artefact in OPENVSWITCH])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_damaged_listing_is_an_error_or_not_proved(name: str, share: float) -> None:
    whole = switch()[name]
    edited = {**switch(), name: whole[: int(len(whole) * share)]}
    with pytest.raises(ParseError, match=name):
        judged(edited)


@pytest.mark.parametrize("lines", [0, 1, 9, 20])
def test_a_listing_of_flows_that_lacks_some_is_not_proved(lines: int) -> None:
    kept = switch()[FLOWS].decode().splitlines(keepends=True)[:lines]
    if lines == 0:
        with pytest.raises(ParseError, match=FLOWS):
            judged({**switch(), FLOWS: b""})
        return
    assert judged({**switch(), FLOWS: "".join(kept).encode()}).verdict is Verdict.UNKNOWN


def whole(folder: Path, *more: Reading) -> AuditResult:
    """The ward's gateway, and what is read beside it."""
    files = {path.relative_to(INVENTORY).as_posix(): path.read_bytes()
             for path in [INVENTORY / "district.yml", *(INVENTORY / "wards").glob("*.yml")]}  # fmt: skip
    readings = [Reading("buoi-gw", Platform.LINUX, now(), gateway(), ""), *more]
    write_snapshot(folder / "snap", readings, files, read_district(INVENTORY).sha256, "a test")
    found = read_snapshot(folder / "snap")
    return audit(found, snapshot_policy(found), ["buoi"], opinion=None)


def test_a_switch_is_judged_if_it_is_in_the_snapshot_and_else_an_assumption(tmp_path: Path) -> None:
    without = whole(tmp_path / "one")
    assert (SWITCH, NO_SWITCHES) in {(assumption.subject, assumption.reason) for assumption in without.assumptions}
    assert len(without.devices[0].pairs) == 60, "of the gateway's zones too"
    read = whole(tmp_path / "two", Reading(SWITCH, SwitchPlatform.OPENVSWITCH, now(), switch(), ""))
    assert [device.device for device in read.devices] == ["buoi-gw", SWITCH]
    assert read.verdict is Verdict.PROVED
    (assumed,) = [assumption.reason for assumption in read.assumptions if assumption.subject == SWITCH]
    assert assumed == SWITCH_ZONES
    assert {pair.crosses for pair in read.devices[1].pairs} == {CHANNELS}
    assert record(read)["statements"] == {"channels": "proved", "zones": "proved", "network": None}
    assert set(read.artefacts[SWITCH]) == {artefact.name for artefact in OPENVSWITCH} | {"device.json"}
    missing = whole(tmp_path / "three", Reading(SWITCH, SwitchPlatform.OPENVSWITCH, now(), {}, "timeout"))
    assert missing.verdict is Verdict.UNKNOWN


def test_a_missing_artefact_is_an_error_with_its_name() -> None:
    for name in switch():
        with pytest.raises(ParseError, match=name):
            parse_switch(SWITCH, {other: content for other, content in switch().items() if other != name})
