"""Replays of an audit: what is planned on a real gateway's result, and what answers do to the verdict. No packet is
sent here: every prober is a fake one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from collectors.collect import now
from collectors.parsers.linux import parse_device
from tests.unit.audit_support import (
    ACCEPT,
    GATEWAY,
    Artefacts,
    gateway,
    gateway_policy,
    iif,
    oif,
    policy,
    with_rule,
    zoned_policy,
)
from tests.unit.test_audit_gateway import forwarding_leak
from wardnet.audit.errors import AuditError
from wardnet.audit.judge import channel_networks, judge
from wardnet.audit.records import ZONES, AuditResult, DeviceResult, Verdict
from wardnet.audit.replay.judge import not_replayed, replayed, with_replay
from wardnet.audit.replay.places import parse_places
from wardnet.audit.replay.plan import make_plan
from wardnet.audit.replay.records import Kind, Outcome, Place, Planned, Replay, ReplayPlan
from wardnet.audit.replay.wire import parse_answers, place_record, plan_json
from wardnet.audit.report import canonical
from wardnet.model.intent import Ports
from wardnet.model.packet import ICMP, TCP


def zoned(artefacts: Artefacts) -> DeviceResult:
    """Of the channels, and of the zones in each."""
    return judge(parse_device(GATEWAY, artefacts), zoned_policy(), channel_networks(policy().devices))


@cache
def proved() -> DeviceResult:
    return zoned(gateway())


@cache
def leaking() -> DeviceResult:
    return zoned(forwarding_leak())


def result(device: DeviceResult) -> AuditResult:
    return AuditResult(
        device.verdict, "tay-ho", (), now(), "a test", "0" * 64, "0" * 64, "0" * 64, "0", ("dd", "z3"),
        (device,), (), (), {},
    )  # fmt: skip


@cache
def places() -> tuple[Place, ...]:
    """One behind each port: a host of each LAN, who stands for its LAN, and somebody at the far end of each line."""
    found = []
    for number, port in enumerate(gateway_policy().ports):
        if port.prefixes:
            addresses = tuple(network.network_address + 10 for network in port.prefixes)
            found.append(Place(f"host-{port.interface}", GATEWAY, port.interface, addresses, port.prefixes))
        else:
            far = ip_address(f"198.51.100.{number + 1}"), ip_address(f"2001:db8:ff::{number + 1}")
            everywhere = ip_network("0.0.0.0/0"), ip_network("::/0")
            found.append(Place(f"line-{port.interface}", GATEWAY, port.interface, far, everywhere))
    return tuple(found)


def planned_for(device: DeviceResult, most: int = 200, at: Sequence[Place] | None = None) -> ReplayPlan:
    return make_plan(result(device), places() if at is None else at, policy(), nonce="n", most=most, seconds=60)


class FakeProber:
    """Passes what must pass, and what is named; nothing else."""

    def __init__(
        self, passes: Iterable[str] = (), stops: Iterable[str] = (), elsewhere: Mapping[str, str] | None = None
    ) -> None:
        self._passes, self._stops, self._elsewhere = set(passes), set(stops), elsewhere or {}

    def answer(self, plan: bytes) -> bytes:
        record = json.loads(plan)
        return json.dumps({"format": 1, "answers": [self._one(packet) for packet in record["packets"]]}).encode()

    def _one(self, packet: dict[str, Any]) -> dict[str, Any]:
        identity = packet["id"]
        heard = {}
        if identity not in self._stops and (packet["kind"] != "forbidden" or identity in self._passes):
            heard[packet["listener"]] = 3
        if identity in self._elsewhere:
            heard[self._elsewhere[identity]] = 1
        return {"id": identity, "sent": 3, "heard": heard}


def replay(device: DeviceResult, plan: ReplayPlan, prober: FakeProber) -> tuple[AuditResult, Replay]:
    answers = parse_answers(prober.answer(plan_json(plan)), plan)
    found = with_replay(result(device), replayed(result(device), plan, answers, policy(), "fake"))
    assert found.replay is not None
    return found, found.replay


def of(plan: ReplayPlan, kind: Kind) -> list[Planned]:
    return [packet for packet in plan.packets if packet.kind is kind]


def outcomes(replay: Replay, kind: Kind) -> set[Outcome]:
    return {one.outcome for one in replay.packets if one.planned.kind is kind}


def test_every_address_of_a_plan_is_one_that_its_place_may_be() -> None:
    by_id = {place.id: place for place in places()}
    for device in (proved(), leaking()):
        plan = planned_for(device)
        assert len({packet.mark for packet in plan.packets}) == len({p.id for p in plan.packets}) == len(plan.packets)
        for packet in plan.packets:
            assert by_id[packet.packet.place].may_be(ip_address(packet.packet.source))
            assert by_id[packet.listener].may_be(ip_address(packet.packet.destination))
            assert by_id[packet.listener].port == packet.to_port


def test_a_host_that_has_the_address_hears_its_packet_and_not_one_that_stands_for_its_network() -> None:
    """Both would answer for it on the LAN, and the packet goes to either."""
    grant = next(grant for grant in zoned_policy().grants if grant.id == "buoi-resident-scan")
    own = Place("the scanner", GATEWAY, grant.to_interface, (grant.receiver.network_address,), ())
    plan = planned_for(proved(), 500, [*places(), own])
    (control,) = (
        packet
        for packet in of(plan, Kind.CONTROL)
        if packet.about == grant.id and packet.packet.family == grant.receiver.version
    )
    assert (control.packet.place, control.listener) == (f"host-{grant.from_interface}", "the scanner")


def test_a_proved_gateway_is_tried_with_controls_and_samples_of_every_pair() -> None:
    plan = planned_for(proved(), most=500)
    assert of(plan, Kind.COUNTEREXAMPLE) == []
    tried = {(p.from_port, p.to_port, p.packet.family) for p in of(plan, Kind.FORBIDDEN)}
    left = {(one.from_port, one.to_port, one.family) for one in plan.left_out if one.kind is Kind.FORBIDDEN}
    assert tried | left == {(p.from_port, p.to_port, p.family) for p in proved().pairs}
    assert len(tried) > 10
    controls = of(plan, Kind.CONTROL)
    assert "buoi-resident-scan" in {packet.about for packet in controls}, "the exception has to pass"
    assert any(packet.about != "buoi-resident-scan" for packet in controls), "and conduits within a channel"
    scans = [p.packet for p in controls if p.about == "buoi-resident-scan"]
    assert {(scan.family, scan.protocol, scan.destination_port) for scan in scans} == {(4, TCP, 80), (6, TCP, 80)}


def test_no_sample_is_of_what_an_exception_grants() -> None:
    grant = next(grant for grant in zoned_policy().grants if grant.id == "buoi-resident-scan")
    at = [
        Place("sender", GATEWAY, grant.from_interface, (grant.sender.network_address,), ()),
        Place("receiver", GATEWAY, grant.to_interface, (grant.receiver.network_address,), ()),
    ]

    def services(allowed: Ports) -> set[int | None]:
        device = replace(zoned_policy(), grants=(replace(grant, allow=(allowed,)),))
        granting = replace(policy(), devices=(device,))
        plan = make_plan(result(proved()), at, granting, nonce="n", most=50, seconds=60)
        samples = [p for p in of(plan, Kind.FORBIDDEN) if p.from_port == grant.from_interface]
        return {p.packet.destination_port for p in samples}

    assert services(Ports("tcp", (80,))) == {443, 53, None}
    assert services(Ports("tcp", (80, 443))) == {53, None}
    assert services(Ports("udp", ())) == {443, None}
    assert services(Ports("icmp", ())) == {443, 53}


def test_a_crossing_is_sent_as_the_audit_says_and_its_answer_after_it() -> None:
    plan = planned_for(leaking())
    first, *others = of(plan, Kind.COUNTEREXAMPLE)
    crossing = next(c for c in leaking().crossings if c.id == first.about)
    assert (first.packet.source, first.packet.destination) == (crossing.packet.source, crossing.packet.destination)
    assert first.listener == "host-clerks0"
    told = {one.about for one in others} | {one.about for one in plan.left_out if one.kind is Kind.COUNTEREXAMPLE}
    assert told == {c.id for c in leaking().crossings if c.verdict is Verdict.VIOLATED} - {first.about}
    for answer in others:
        if answer.first is not None:
            assert (answer.first.source, answer.first.destination) == (
                answer.packet.destination,
                answer.packet.source,
            )
    assert any(answer.first is not None for answer in others)


def test_what_has_no_place_is_not_sent_and_says_why() -> None:
    at = [place for place in places() if place.port != "clerks0"]
    plan = planned_for(leaking(), at=at)
    reasons = {one.reason for one in plan.left_out if one.kind is Kind.COUNTEREXAMPLE}
    assert any(reason.startswith("no place behind clerks0 may be") for reason in reasons)
    assert all(packet.to_port != "clerks0" != packet.from_port for packet in plan.packets)
    nobody = planned_for(proved(), at=[])
    assert nobody.packets == ()
    _found, told = replay(proved(), nobody, FakeProber())
    assert told.reasons == ("no positive control was sent",)


def test_a_plan_is_bounded_and_what_is_left_out_says_so() -> None:
    for device in (proved(), leaking()):
        plan = planned_for(device, most=9)
        assert len(plan.packets) == 9
        assert of(plan, Kind.CONTROL)
        assert of(plan, Kind.FORBIDDEN)
        assert "a replay has 9 packets at most" in {one.reason for one in plan.left_out}
    assert plan_json(planned_for(proved())) == plan_json(planned_for(proved()))


def test_a_fake_prober_that_passes_what_must_pass_makes_the_replay_conclusive() -> None:
    plan = planned_for(proved(), most=500)
    found, told = replay(proved(), plan, FakeProber())
    assert outcomes(told, Kind.CONTROL) == {Outcome.PASSED}
    unheard = [one for one in told.packets if one.outcome is Outcome.SILENT]
    assert Outcome.STOPPED in outcomes(told, Kind.FORBIDDEN)
    assert found.verdict is Verdict.PROVED
    assert told.conclusive == (not unheard)
    # Only what no control reaches, or leaves, is in doubt.
    heard = {(p.packet.place, p.packet.family) for p in of(plan, Kind.CONTROL)}
    hears = {(p.listener, p.packet.family) for p in of(plan, Kind.CONTROL)}
    for one in unheard:
        family = one.planned.packet.family
        assert (one.planned.packet.place, family) not in heard or (one.planned.listener, family) not in hears


def test_crossings_that_a_fake_prober_hears_are_confirmed_and_stay_violated() -> None:
    found, told = replay(leaking(), planned_for(leaking()), FakeProber())
    assert outcomes(told, Kind.COUNTEREXAMPLE) == {Outcome.CROSSED}
    assert found.verdict is Verdict.VIOLATED
    assert found.devices == (leaking(),)


def test_crossings_that_a_fake_prober_does_not_hear_stay_violated_too() -> None:
    plan = planned_for(leaking())
    found, told = replay(leaking(), plan, FakeProber(stops=[p.id for p in of(plan, Kind.COUNTEREXAMPLE)]))
    assert outcomes(told, Kind.COUNTEREXAMPLE) == {Outcome.SILENT}
    assert found.verdict is Verdict.VIOLATED
    assert not told.conclusive
    assert any("crossings of the report were not heard" in reason for reason in told.reasons)


def test_a_control_that_a_fake_prober_does_not_hear_makes_silence_say_nothing() -> None:
    plan = planned_for(proved())
    found, told = replay(proved(), plan, FakeProber(stops=[p.id for p in of(plan, Kind.CONTROL)]))
    assert outcomes(told, Kind.CONTROL) == {Outcome.FAILED}
    assert outcomes(told, Kind.FORBIDDEN) == {Outcome.SILENT}
    assert not told.conclusive
    assert any("positive controls were not heard" in reason for reason in told.reasons)
    assert found.verdict is Verdict.PROVED, "the replay says nothing, for it or against it"


def test_a_forbidden_packet_that_a_fake_prober_hears_is_a_fault_of_the_audit() -> None:
    plan = planned_for(proved())
    crossed = of(plan, Kind.FORBIDDEN)[0]
    found, told = replay(proved(), plan, FakeProber(passes=[crossed.id]))
    (fault,) = [one for one in told.packets if one.outcome is Outcome.FAULT]
    assert fault.planned.id == crossed.id
    assert found.verdict is Verdict.VIOLATED
    (device,) = found.devices
    (disagreement,) = device.disagreements
    assert (disagreement.from_port, disagreement.to_port) == (crossed.from_port, crossed.to_port)
    assert dict(disagreement.verdicts) == {"BDD": "proved", "z3": "proved", "replay": "violated"}
    violated = [pair for pair in device.pairs if pair.verdict is Verdict.VIOLATED]
    assert [(p.from_port, p.to_port, p.family) for p in violated] == [
        (crossed.from_port, crossed.to_port, crossed.packet.family)
    ]


def test_a_forbidden_packet_that_comes_out_somewhere_else_is_a_fault_there() -> None:
    """Also where the fake prober hears it behind another port than the one that was tried."""
    plan = planned_for(proved())
    sent = next(p for p in of(plan, Kind.FORBIDDEN) if (p.from_port, p.to_port) == ("citizen0", "clerks0"))
    other = next(p for p in of(plan, Kind.FORBIDDEN) if p.from_port == "citizen0" and p.to_port != "clerks0")
    found, _told = replay(proved(), plan, FakeProber(elsewhere={sent.id: other.listener}))
    (disagreement,) = found.devices[0].disagreements
    assert disagreement.to_port == other.to_port
    # Within its own channel it may come out where a conduit lets it, and nowhere else.
    web = ip_address("203.0.113.7"), ip_address("2001:db8:4000::7")  # no address of the district
    abroad = [replace(place, addresses=web) if place.port == "wan0" else place for place in places()]
    plan = planned_for(proved(), at=abroad)
    out = [p for p in of(plan, Kind.FORBIDDEN) if (p.from_port, p.to_port) == ("citizen0", "wan0")]
    found, told = replay(proved(), plan, FakeProber(elsewhere={p.id: "line-inet0" for p in out}))
    assert out
    assert found.verdict is Verdict.PROVED
    assert Outcome.FAULT not in outcomes(told, Kind.FORBIDDEN)
    plan = planned_for(proved())
    found, told = replay(proved(), plan, FakeProber(elsewhere={sent.id: "host-wifi0"}))
    (fault,) = [one for one in told.packets if one.outcome is Outcome.FAULT]
    assert "heard in zone visitors, at host-wifi0" in fault.reason
    (disagreement,) = found.devices[0].disagreements
    assert (disagreement.from_port, disagreement.to_port) == ("citizen0", "wifi0")


def test_zones_of_a_channel_are_tried_too_and_what_conduits_name_is_a_control() -> None:
    plan = planned_for(proved(), most=500)
    ways = {(packet.from_port, packet.to_port) for packet in of(plan, Kind.FORBIDDEN)}
    assert {("wifi0", "citizen0"), ("mgmt0", "clerks0"), ("wifi0", "clerks0")} <= ways
    conduits = {conduit.id for conduit in zoned_policy().conduits}
    assert {packet.about for packet in of(plan, Kind.CONTROL)} <= conduits | {"buoi-resident-scan"}
    # The first packet of each pair before the second of any, and channels before zones.
    channels = {(p.from_port, p.to_port) for p in proved().pairs if p.crosses != ZONES}
    first = [(p.from_port, p.to_port) in channels for p in of(plan, Kind.FORBIDDEN) if p.packet.destination_port == 443]
    assert first == sorted(first, reverse=True)


def test_a_crossing_between_zones_is_confirmed_and_a_policy_of_channels_alone_plans_none() -> None:
    leak = zoned(with_rule(gateway(), [iif("wifi0"), oif("citizen0"), ACCEPT]))
    plan = planned_for(leak)
    assert {(p.from_port, p.to_port) for p in of(plan, Kind.COUNTEREXAMPLE)} >= {("wifi0", "citizen0")}
    found, told = replay(leak, plan, FakeProber())
    assert outcomes(told, Kind.COUNTEREXAMPLE) == {Outcome.CROSSED}
    assert found.devices == (leak,)
    channels = judge(parse_device(GATEWAY, gateway()), gateway_policy(), channel_networks(policy().devices))
    alone = replace(policy(), devices=(gateway_policy(),))
    plan = make_plan(result(channels), places(), alone, nonce="n", most=500, seconds=60)
    assert {packet.about for packet in of(plan, Kind.CONTROL)} == {"buoi-resident-scan"}
    own = {port.interface: port.channel for port in gateway_policy().ports}
    assert all(own[packet.from_port] is not own[packet.to_port] for packet in of(plan, Kind.FORBIDDEN))


def test_a_fake_prober_that_says_nothing_of_packets_has_not_sent_them() -> None:
    plan = planned_for(proved())
    answers = parse_answers(b'{"format": 1, "answers": []}', plan)
    told = replayed(result(proved()), plan, answers, policy(), "fake")
    assert {one.outcome for one in told.packets} == {Outcome.NOT_SENT}
    assert not told.conclusive
    told = not_replayed(plan, "fake", "it hung")
    assert (told.failed, told.conclusive) == ("it hung", False)


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[]", b"{", b'{"format": 1}', b'{"format": 2, "answers": []}', b'{"format": 1, "answers": {}, "x": 1}',
        b'{"format": 1, "answers": [{"id": "nothing", "sent": 1, "heard": {}}]}',
        b'{"format": 1, "answers": [7]}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_answers_that_are_none_are_refused(answer: bytes) -> None:
    with pytest.raises(AuditError, match="the prober's answer"):
        parse_answers(answer, planned_for(proved(), most=3))


@pytest.mark.parametrize(
    "change",
    [
        {"sent": -1}, {"sent": True}, {"sent": "3"}, {"heard": {"nowhere": 1}}, {"heard": []}, {"more": 1},
        {"sent": 0, "heard": None},
    ],
)  # fmt: skip
def test_an_answer_that_is_not_whole_or_at_odds_with_itself_is_refused(change: dict[str, Any]) -> None:
    plan = planned_for(proved(), most=3)
    first = plan.packets[0]
    good: dict[str, Any] = {"id": first.id, "sent": 3, "heard": {first.listener: 3}}
    parse_answers(json.dumps({"format": 1, "answers": [good]}).encode(), plan)
    with pytest.raises(AuditError):
        parse_answers(json.dumps({"format": 1, "answers": [good, good]}).encode(), plan)
    if change == {"sent": 0, "heard": None}:
        change = {"sent": 0}
    with pytest.raises(AuditError):
        parse_answers(json.dumps({"format": 1, "answers": [good | change]}).encode(), plan)


def test_the_json_has_the_replay_and_nothing_of_it_where_there_was_none() -> None:
    plain = json.loads(canonical(result(proved())))
    assert "replay" not in plain
    plan = planned_for(proved())
    found, told = replay(proved(), plan, FakeProber())
    record = json.loads(canonical(found))["replay"]
    assert len(record["packets"]) == len(plan.packets)
    one = next(packet for packet in record["packets"] if packet["outcome"] == "passed")
    assert one["heard"][0]["times"] == 3
    assert one["heard"][0]["port"] == one["planned"]["to_port"]
    assert record["conclusive"] is told.conclusive
    assert record["places"][0]["addresses"]


def test_echoes_are_of_their_family() -> None:
    echoes = [p.packet for p in of(planned_for(proved(), most=500), Kind.FORBIDDEN) if p.packet.icmp_type is not None]
    assert {(echo.family, echo.protocol, echo.icmp_type) for echo in echoes} == {(4, ICMP, 8), (6, 58, 128)}


def test_a_file_of_places_is_read_strictly_and_names_ports_of_the_policy() -> None:
    good = {"places": [place_record(place) for place in places()]}
    assert parse_places("p.yml", json.dumps(good).encode(), policy()) == places()
    one = place_record(places()[0])
    for bad in (
        {**one, "port": "nowhere0"}, {**one, "addresses": []}, {**one, "addresses": ["10.0.0.300"]},
        {**one, "stands_for": ["10.0.0.1/24"]}, {**one, "more": 1}, {k: v for k, v in one.items() if k != "id"},
        {**one, "id": 7}, {**one, "addresses": "10.0.0.1"}, 7,
    ):  # fmt: skip
        with pytest.raises(AuditError, match=r"p\.yml"):
            parse_places("p.yml", json.dumps({"places": [bad]}).encode(), policy())
    for content in (json.dumps({"places": [one, one]}).encode(), b"places: 7", b"{}", b"\xff", b"a: [", b"a: 1\na: 2"):
        with pytest.raises(AuditError, match=r"p\.yml"):
            parse_places("p.yml", content, policy())
