"""The network from its devices' proofs: two wards, the district's office and the hub, as the roles configure them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from ipaddress import ip_address, ip_network

from collectors.parsers.linux import parse_device
from tests.unit.audit_support import ACCEPT, Artefacts, iif, oif, with_rule
from tests.unit.gateway_support import few_sample, fixture
from wardnet.audit.judge import channel_networks, judge
from wardnet.audit.network import judge_network
from wardnet.audit.parts import Part
from wardnet.audit.records import CHANNELS, Cell, DeviceResult, NetworkResult, Verdict
from wardnet.model.policy import AuditPolicy, DevicePolicy, NetworkPolicy

HUB, BUOI, NHAT_TAN = "tay-ho-hub", "buoi-gw", "nhat-tan-gw"
CLERKS, DEVICES = ("clerks", "buoi-office"), ("devices", "nhat-tan-office")


@cache
def policy() -> AuditPolicy:
    return few_sample()[1]


def network() -> NetworkPolicy:
    found = policy().network
    assert found is not None
    return found


def part(device: DevicePolicy, artefacts: Artefacts) -> Part:
    """By the sets alone: what z3 says of the devices is tried elsewhere."""
    read = parse_device(device.device, artefacts)
    return Part(device, judge(read, device, channel_networks(policy().devices), opinion=None), read)


@cache
def healthy() -> Mapping[str, Part]:
    return {device.device: part(device, fixture(f"few/{device.device}")) for device in policy().devices}


def edited(*names: str, rules: Mapping[str, list[object]]) -> dict[str, Part]:
    """All devices, some with a rule at the head of their forward chain."""
    changed = {name: with_rule(fixture(f"few/{name}"), list(rules[name])) for name in names}
    policies = {device.device: device for device in policy().devices}
    return {**healthy(), **{name: part(policies[name], artefacts) for name, artefacts in changed.items()}}


def judged(parts: Mapping[str, Part], wanted: NetworkPolicy | None = None) -> NetworkResult:
    return judge_network(wanted or network(), tuple(parts.values()))


def cell(result: NetworkResult, start: tuple[str, str], end: tuple[str, str], family: int) -> Cell:
    (found,) = [
        c for c in result.cells if (c.from_zone, c.from_site, c.to_zone, c.to_site, c.family) == (*start, *end, family)
    ]
    return found


def test_the_network_is_proved_from_every_zone_to_every_other() -> None:
    result = judged(healthy())
    places = len(network().places)
    assert result.verdict is Verdict.PROVED, [way.path for way in result.ways]
    assert len(result.cells) == 2 * places * (places - 1)
    assert not result.ways
    across = [c for c in result.cells if c.crosses == CHANNELS]
    assert len(across) > 100
    assert ("clerks", "nhat-tan-office") in {(c.to_zone, c.to_site) for c in across}


def test_what_hangs_on_a_gateway_that_is_not_looked_into_says_so() -> None:
    result = judged(healthy())
    building = ("citizens", "buoi-building")
    assert cell(result, ("visitors", "buoi-building"), building, 4).assumed
    assert not cell(result, CLERKS, DEVICES, 4).assumed
    assert not cell(result, ("visitors", "buoi-office"), ("citizens", "buoi-office"), 6).assumed


def test_what_no_conduit_says_end_to_end_is_found_over_two_devices() -> None:
    """Each device keeps to its part, and together they let pass what nobody meant: followed through both of them."""
    kept = tuple(journey for journey in network().journeys if journey.id != "clerks-portal")
    result = judged(healthy(), replace(network(), journeys=kept))
    assert result.verdict is Verdict.VIOLATED
    for family in (4, 6):
        (way,) = [w for w in result.ways if w.cell == cell(result, CLERKS, ("servers", "tay-ho-server-room"), family)]
        assert way.cell.verdict is Verdict.VIOLATED
        assert [hop.text for hop in way.path] == [
            "buoi-gw: in by clerks0, out by wan0", "tay-ho-hub: in by buoi-wan, out by servers0",
        ]  # fmt: skip
        assert (way.packet.protocol, way.packet.destination_port, way.packet.incoming) == (6, 443, "clerks0")
    assert cell(result, CLERKS, DEVICES, 4).verdict is Verdict.PROVED


def test_a_leak_at_the_hub_alone_is_kept_back_by_the_gateways_of_the_wards() -> None:
    leaking = edited(HUB, rules={HUB: [iif("buoi-wan"), oif("nhat-tan-wan"), ACCEPT]})
    assert result_of(leaking, HUB).verdict is Verdict.VIOLATED
    assert cell(judged(leaking), CLERKS, DEVICES, 4).verdict is Verdict.PROVED


def result_of(parts: Mapping[str, Part], name: str) -> DeviceResult:
    found = parts[name].result
    assert found is not None
    return found


def test_from_a_ward_to_the_devices_of_another_over_three_devices() -> None:
    leaking = edited(
        BUOI, HUB, NHAT_TAN,
        rules={BUOI: [iif("clerks0"), oif("wan0"), ACCEPT], HUB: [iif("buoi-wan"), oif("nhat-tan-wan"), ACCEPT],
               NHAT_TAN: [iif("wan0"), oif("mgmt0"), ACCEPT]},
    )  # fmt: skip
    result = judged(leaking)
    assert result.verdict is Verdict.VIOLATED
    (way,) = [w for w in result.ways if w.cell == cell(result, CLERKS, DEVICES, 4)]
    assert [hop.text for hop in way.path] == [
        "buoi-gw: in by clerks0, out by wan0", "tay-ho-hub: in by buoi-wan, out by nhat-tan-wan",
        "nhat-tan-gw: in by wan0, out by mgmt0",
    ]  # fmt: skip
    assert way.cell.verdict is Verdict.VIOLATED, way.open_points
    assert ip_address(way.packet.destination) in ip_network("10.30.2.0/24")


def test_between_two_zones_of_one_site_the_packet_of_the_gateway_is_told() -> None:
    leaking = edited(BUOI, rules={BUOI: [iif("wifi0"), oif("citizen0"), ACCEPT]})
    result = judged(leaking)
    found = cell(result, ("visitors", "buoi-office"), ("citizens", "buoi-office"), 6)
    assert found.verdict is Verdict.VIOLATED
    (way,) = [w for w in result.ways if w.cell == found]
    assert way.packet.destination.startswith("2001:db8:20:1:")


def test_what_passes_through_a_device_that_was_not_read_is_unknown() -> None:
    unread = replace(result_of(healthy(), HUB), verdict=Verdict.UNKNOWN, collected=False, pairs=(), crossings=())
    parts = {**healthy(), HUB: Part(healthy()[HUB].policy, unread)}
    result = judged(parts)
    assert result.verdict is Verdict.UNKNOWN
    found = cell(result, ("management", "tay-ho-server-room"), ("servers", "tay-ho-server-room"), 4)
    assert found.verdict is Verdict.UNKNOWN
    (way,) = [w for w in result.ways if w.cell == found]
    assert [point.reason for point in way.open_points] == ["nothing of tay-ho-hub was read"]
    assert cell(result, ("visitors", "buoi-office"), ("citizens", "buoi-office"), 4).verdict is Verdict.PROVED


def test_of_a_network_whose_parts_turned_out_otherwise_nothing_is_proved() -> None:
    """A switch that joins its networks, a packet of a replay that was heard where none may come."""
    result = judged(healthy()).doubted()
    assert result.verdict is Verdict.UNKNOWN
    assert {c.verdict for c in result.cells} == {Verdict.UNKNOWN}
    (first, *others) = result.cells
    known = replace(result, cells=(replace(first, verdict=Verdict.VIOLATED), *others)).doubted()
    assert known.verdict is Verdict.VIOLATED
    assert known.cells[0].verdict is Verdict.VIOLATED
