"""Two engines on the same devices: that they agree, and that a fault in one of them is told and proves nothing."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collectors.parsers.linux import parse_device
from tests.unit.audit_faults import FAULTS
from tests.unit.audit_random import RandomDevice
from tests.unit.audit_support import (
    ACCEPT,
    DROP,
    UNKNOWN_MATCH,
    crossings,
    gateway,
    gateway_policy,
    iif,
    oif,
    payload,
    policy,
    verdict,
    with_rule,
    with_setting,
)
from tests.unit.test_audit_command import audit, snapshot
from tests.unit.test_audit_gateway import forwarding_leak
from wardnet.audit.errors import AuditError
from wardnet.audit.judge import channel_networks, judge
from wardnet.audit.question import Answer, Question
from wardnet.audit.records import DeviceResult, Verdict
from wardnet.audit.run import audit as run_audit
from wardnet.audit.sets.chains import Chains
from wardnet.audit.smt.opinion import second_opinion
from wardnet.audit.smt.solver import Limits
from wardnet.model.device import Device, Match
from wardnet.model.policy import DevicePolicy


def judged(device: Device, wanted: DevicePolicy, **options: Any) -> DeviceResult:
    return judge(device, wanted, channel_networks([wanted]), **options)


def random_device(seed: int) -> tuple[Device, DevicePolicy]:
    made = RandomDevice(seed)
    return made.device(), made.policy()


def agreed(seeds: range) -> set[Verdict | None]:
    """By sets and by z3; and what the sets show as an example passes step by step, or the verdict would differ."""
    found: set[Verdict | None] = set()
    for seed in seeds:
        result = judged(*random_device(seed))
        assert result.disagreements == (), seed
        found |= {pair.second for pair in result.pairs}
    return found


def test_random_devices_are_judged_alike() -> None:
    assert agreed(range(20)) == {Verdict.PROVED, Verdict.VIOLATED, Verdict.UNKNOWN}, "of all kinds, or it says little"


def zones_agreed(seeds: range, *, marking: bool = False) -> set[tuple[str, Verdict | None]]:
    found: set[tuple[str, Verdict | None]] = set()
    for seed in seeds:
        made = RandomDevice(seed, marking=marking)
        result = judged(made.device(), made.zoned_policy())
        assert result.disagreements == (), seed
        found |= {(pair.crosses, pair.second) for pair in result.pairs}
    return found


def test_random_devices_are_judged_alike_between_zones() -> None:
    """With conduits: of all prefixes and services, with parts left out, and of flows of the device itself."""
    found = zones_agreed(range(12))
    assert {("zones", Verdict.PROVED), ("zones", Verdict.VIOLATED)} <= found


def test_random_devices_that_mark_connections_are_judged_alike_between_zones() -> None:
    """Which packets belong to a connection, of ICMP by their kind, decides whose mark they find, and set."""
    zones_agreed(range(6), marking=True)


@pytest.mark.long
@pytest.mark.parametrize("marking", [False, True])
@pytest.mark.parametrize("first", range(12, 92, 20))
def test_more_random_devices_are_judged_alike_between_zones(first: int, marking: bool) -> None:
    zones_agreed(range(first, first + 20), marking=marking)


@pytest.mark.long
@pytest.mark.parametrize("first", range(20, 220, 20))
def test_more_random_devices_are_judged_alike(first: int) -> None:
    agreed(range(first, first + 20))


# --- faults in the engine of sets

# The random device on which it shows.
SHOWN_BY = {
    "a drop is passed over": 0,
    "answers are forgotten": 0,
    "an unknown never holds": 0,
    "an unknown always holds": 0,
    "the device owns no address": 0,
    "return accepts": 3,
    "rp_filter is forgotten": 6,
    "outgoing ports match nothing": 6,
    "there is always a way back": 6,
    "links never fail": 7,
    "forwarding is always on": 7,
    "metrics don't count": 8,
    "nothing turns round": 9,
    "any address is sane": 18,
    "the default route is forgotten": 19,
    "a blackhole is no route": 19,
    "policy rules that refuse are passed over": 26,
    "a goto comes back": 29,
    "marks are not set": 29,
    "masks are forgotten": 29,
    "a chance never comes": 39,
    "nothing is suppressed": 47,
    "a jump does not come back": 47,
    "rp_filter is always loose": 54,
    "unreachable goes on": 57,
    "a goto is passed over": 72,
    "the other family's rules count": 72,
    "errors are forgotten": 110,
    "invalid packets are forgotten": 116,
    "destinations are never rewritten": 117,
    "chains run in the order of the listing": 119,
}


@pytest.mark.parametrize("name", SHOWN_BY)
def test_a_fault_in_the_sets_is_a_disagreement(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device, wanted = random_device(SHOWN_BY[name])
    FAULTS[name](monkeypatch)
    result = judged(device, wanted)
    assert result.disagreements
    for found in result.disagreements:
        (pair,) = [p for p in result.pairs if (p.from_port, p.to_port, p.family) ==
                   (found.from_port, found.to_port, found.family)]  # fmt: skip
        assert pair.verdict is Verdict.UNKNOWN
        assert set(found.verdicts) == {"BDD", "z3"}
        assert "report it as a fault of wardnet" in found.settle


def test_at_least_twenty_faults_are_planted() -> None:
    assert len(SHOWN_BY) >= 20
    assert set(SHOWN_BY) <= set(FAULTS)


def test_a_leak_that_one_engine_does_not_see_is_never_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chains, "accepted", lambda self, _: self.space.false)
    device = parse_device("buoi-gw", forwarding_leak())
    result = judge(device, gateway_policy(), channel_networks(policy().devices))
    assert result.verdict is Verdict.UNKNOWN
    assert ("citizen0", "clerks0", 4) in {(d.from_port, d.to_port, d.family) for d in result.disagreements}


# --- what the second opinion found in the sets, and in the steps


def choosing(port: int, decision: str) -> dict[str, Any]:
    key = {"payload": {"protocol": "tcp", "field": "dport"}}
    return {"vmap": {"key": key, "data": {"set": [[port, {decision: None}]]}}}


def test_a_verdict_map_that_fits_nothing_ends_its_rule() -> None:
    """As the kernel has it: the drop behind it is not reached, so it saves nothing."""
    result = verdict(with_rule(forwarding_leak(), [choosing(23, "drop"), DROP]))
    assert result.verdict is Verdict.VIOLATED
    assert verdict(with_rule(gateway(), [choosing(23, "drop"), ACCEPT])).verdict is Verdict.PROVED


def test_only_continue_goes_on_behind_a_verdict_map() -> None:
    """The leak is closed to one port."""
    result = verdict(with_rule(forwarding_leak(), [choosing(443, "continue"), DROP]))
    (crossing,) = [c for c in crossings(result, "citizen0", "clerks0", 4) if c.packet.state == "new"]
    assert crossing.packet.destination_port == 80


@pytest.mark.parametrize("port", ["citizen0", "all"])
def test_a_source_of_the_devices_own_that_is_accepted_needs_no_way_back(port: str) -> None:
    """With accept_local, rp_filter lets it in by any port."""
    strict = with_setting(forwarding_leak(), "net.ipv4.conf.all.rp_filter", "1")
    own = payload("ip", "saddr", "172.20.1.1")
    only = with_rule(strict, [iif("citizen0"), oif("clerks0"), {**own, "match": {**own["match"], "op": "!="}}, DROP])
    assert crossings(verdict(only), "citizen0", "clerks0", 4) == []
    opened = verdict(with_setting(only, f"net.ipv4.conf.{port}.accept_local", "1"))
    assert crossings(opened, "citizen0", "clerks0", 4)


def test_what_established_packets_are_copied_to_is_unknown() -> None:
    state = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "established"}}
    copied = {"dup": {"addr": "203.0.113.9", "dev": "inet0"}}
    result = verdict(with_rule(gateway(), [iif("clerks0"), state, copied]))
    assert result.verdict is Verdict.UNKNOWN
    assert crossings(result, "clerks0", "inet0", 4)


def test_what_one_rule_or_another_lets_through_is_certain() -> None:
    """Whether the first condition holds is not known; the packet passes either way."""
    both = with_rule(forwarding_leak(), [UNKNOWN_MATCH, iif("citizen0"), ACCEPT])
    assert verdict(both).verdict is Verdict.VIOLATED


# --- no second opinion

LEAKING = with_rule(gateway(), [iif("citizen0"), oif("clerks0"), payload("tcp", "dport", 9100), ACCEPT])


def test_without_z3_there_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "z3", None)
    with pytest.raises(AuditError, match=r"z3-solver: pip install 'wardnet\[audit\]'"):
        verdict(gateway())
    result = audit(snapshot(tmp_path), "--ward", "buoi")
    assert result.exit_code == 2
    assert "z3-solver" in result.output


@pytest.mark.parametrize("limits", [Limits(steps=1), Limits(seconds=0.001)])
def test_a_solver_that_gives_up_proves_nothing(limits: Limits) -> None:
    device = parse_device("buoi-gw", gateway())
    result = judge(device, gateway_policy(), channel_networks(policy().devices),
                   opinion=lambda question: second_opinion(question, limits))  # fmt: skip
    assert result.verdict is Verdict.UNKNOWN
    assert {pair.verdict for pair in result.pairs} == {Verdict.UNKNOWN}
    assert {found.verdicts["z3"] for found in result.disagreements} == {None}
    assert all("z3 gave up" in found.reason for found in result.disagreements)


def test_a_violation_stays_one_when_the_second_engine_gives_up() -> None:
    device = parse_device("buoi-gw", LEAKING)
    result = judge(device, gateway_policy(), channel_networks(policy().devices),
                   opinion=lambda question: second_opinion(question, Limits(steps=1)))  # fmt: skip
    assert result.verdict is Verdict.VIOLATED
    assert any(crossing.verdict is Verdict.VIOLATED for crossing in result.crossings)
    assert Verdict.PROVED not in {pair.verdict for pair in result.pairs}


@dataclass(frozen=True, slots=True)
class Newfangled:
    """A condition that the model got after the encoding was written."""


def test_what_is_not_encoded_is_unknown() -> None:
    device, wanted = random_device(0)
    table = device.ruleset.tables[0]
    name, chain = next((name, chain) for name, chain in table.chains.items() if chain.hook == "forward")
    strange = replace(chain.rules[0], statements=(Match(Newfangled()), *chain.rules[0].statements))  # type: ignore[arg-type]
    changed = replace(table, chains={**table.chains, name: replace(chain, rules=(strange,))})
    device = replace(device, ruleset=replace(device.ruleset, tables=(changed, *device.ruleset.tables[1:])))
    answer = second_opinion(Question(device, wanted, 4))
    assert set(answer.verdicts.values()) == {None}
    assert set(answer.gave_up.values()) == {"is not encoded: a condition of kind Newfangled"}


# --- what is said of it


def contrary(question: Question) -> Answer:
    """An engine that finds a way from the wifi to the WAN in IPv4."""
    right = second_opinion(question)
    wrong = {("wifi0", "wan0"): Verdict.VIOLATED} if question.family == 4 else {}
    return Answer(right.engine, {**right.verdicts, **wrong})


def test_a_disagreement_ends_with_3_and_is_told_in_both_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wardnet.cli.audit.run_audit", partial(run_audit, opinion=contrary))
    folder = snapshot(tmp_path)
    result = audit(folder, "--ward", "buoi")
    assert result.exit_code == 3, result.output
    assert "buoi-gw: the audit failed here" in result.output
    assert "wifi0 -> wan0, IPv4: the audit's two engines disagree: BDD says proved, z3 says violated" in result.output
    told = json.loads(audit(folder, "--ward", "buoi", "--json").output)
    (device,) = [device for device in told["devices"] if device["device"] == "buoi-gw"]
    (found,) = device["disagreements"]
    assert found["verdicts"] == {"BDD": "proved", "z3": "violated"}
    (pair,) = [p for p in device["pairs"] if (p["from_port"], p["to_port"], p["family"]) == ("wifi0", "wan0", 4)]
    assert (pair["verdict"], pair["second"]) == ("unknown", "violated")
    assert any(engine.startswith("z3-solver ") for engine in told["engines"])


def test_both_engines_of_a_proof_are_named(tmp_path: Path) -> None:
    told = json.loads(audit(snapshot(tmp_path), "--ward", "buoi", "--json").output)
    assert told["verdict"] == "proved"
    (device,) = [device for device in told["devices"] if device["device"] == "buoi-gw"]
    assert {pair["second"] for pair in device["pairs"]} == {"proved"}
    assert device["disagreements"] == []
