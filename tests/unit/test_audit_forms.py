"""Devices that differ in addresses alone: one is proved, the others are like it. Whatever else differs is judged; and
devices are judged side by side."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench.gateway import district, inventory_files
from bench.wards import Made, moved
from collectors.collect import Reading, now, write_snapshot
from collectors.parsers.linux import parse_device
from tests.unit.audit_random import RandomDevice
from tests.unit.audit_support import (
    ACCEPT,
    Artefacts,
    edit_json,
    gateway,
    iif,
    oif,
    payload,
    policy,
    with_route,
    with_rule,
    with_setting,
    zoned_policy,
)
from tests.unit.test_audit_command import audit as command
from tests.unit.test_audit_command import snapshot
from tests.unit.test_audit_gateway import forwarding_leak
from wardnet.audit import run as running
from wardnet.audit.beside import beside
from wardnet.audit.errors import AuditError
from wardnet.audit.forms import Form, form_of
from wardnet.audit.judge import judge
from wardnet.audit.records import AuditResult, Verdict
from wardnet.audit.report import record
from wardnet.audit.run import audit
from wardnet.audit.snapshot import Snapshot, read_snapshot
from wardnet.cli.audit_report import print_report
from wardnet.model.intent import Platform
from wardnet.model.policy import AuditPolicy


def form(made: Made) -> Form | None:
    wanted, artefacts = made
    return form_of(parse_device(wanted.device, artefacts, 1_795_000_000), wanted)


def first() -> Made:
    return moved(zoned_policy(), gateway(), 1)


@cache
def first_form() -> Form | None:
    return form(first())


@pytest.mark.parametrize("number", [2, 77, 1300, 3321])
def test_a_ward_with_other_addresses_is_of_the_same_form(number: int) -> None:
    assert form(moved(zoned_policy(), gateway(), number)) == first_form() is not None


def test_addresses_at_another_place_among_those_that_rules_name_are_another_form() -> None:
    """buoi's own are behind networks that its rules name, where the made wards' are before them."""
    assert form((zoned_policy(), gateway())) != first_form()


CHANGES: dict[str, Callable[[Artefacts], Artefacts]] = {
    "a rule": lambda found: with_rule(found, [iif("citizen0"), oif("clerks0"), ACCEPT]),
    "a rule's port": lambda found: changed(found, "nft-ruleset.json", '"right": 53}', '"right": 54}'),
    "a rule's prefix length": lambda found: changed(found, "nft-ruleset.json", '"len": 24', '"len": 25'),
    "a route": lambda found: with_route(found, 4, "10.0.1.64/26", "citizen0", "main"),
    "a setting": lambda found: with_setting(found, "net.ipv4.conf.wan0.rp_filter", "2"),
    "a port's name": lambda found: {name: content.replace(b"wifi0", b"wifi1") for name, content in found.items()},
    "a link that is down": lambda found: edit_json(found, "ip-link.json", down),
    "a bit of an address": lambda found: with_rule(
        found,
        [{"match": {"op": "==", "left": {"&": [payload("ip", "daddr", 0)["match"]["left"], 5]}, "right": 1}}, ACCEPT],
    ),
    "a listener": lambda found: {**found, "listeners.txt": found["listeners.txt"] + LISTENER},
}
ODD = {"match": {"op": "==", "left": {"&": [payload("ip", "daddr", 0)["match"]["left"], 5]}, "right": 1}}
LISTENER = b'tcp LISTEN 0 128 10.0.1.1:8080 0.0.0.0:* users:(("proxy",pid=77,fd=3))\n'


def changed(found: Artefacts, name: str, before: str, after: str) -> Artefacts:
    assert before.encode() in found[name]
    return {**found, name: found[name].replace(before.encode(), after.encode(), 1)}


def down(links: Any) -> None:
    next(link for link in links if link["ifname"] == "wifi0")["flags"].remove("UP")


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_else_differs_is_another_form(what: str) -> None:
    wanted, artefacts = first()
    assert form((wanted, CHANGES[what](artefacts))) != first_form()


LIMITED = [iif("citizen0"), oif("wifi0"), {"limit": {"rate": 5, "burst": 5, "per": "second"}}, ACCEPT]


def test_the_handles_of_rules_are_no_matter_but_which_rule_it_is_that_is_guessed_about() -> None:
    """Each device counts its handles by itself: of an exception's end and of a masquerade, too."""
    wanted, artefacts = first()
    twice = with_rule(with_rule(artefacts, LIMITED), LIMITED)  # of one handle: as one rule, which holds or does not
    listing = twice["nft-ruleset.json"]
    shifted = re.sub(rb'"handle": (\d+)', lambda found: b'"handle": %d' % (int(found[1]) + 5000), listing)
    apart = shifted.replace(b'"handle": 5900', b'"handle": 5901', 1)
    forms = [form((wanted, {**twice, "nft-ruleset.json": one})) for one in (listing, shifted, apart)]
    assert forms[0] == forms[1] is not None
    assert forms[2] != forms[1]


def test_another_policy_is_another_form() -> None:
    wanted, artefacts = first()
    others = [
        replace(wanted, conduits=wanted.conduits[1:]),
        replace(wanted, grants=()),
        replace(wanted, ports=tuple(replace(port, zone="") for port in wanted.ports)),
    ]
    for other in others:
        assert form((other, artefacts)) != first_form()


@pytest.mark.parametrize("seed", range(30))
def test_a_random_device_has_one_form_and_other_devices_others(seed: int) -> None:
    forms = {form_of(made.device(), made.zoned_policy()) for made in (RandomDevice(seed), RandomDevice(seed))}
    assert len(forms) == 1
    other = RandomDevice(seed + 1000)
    assert forms.isdisjoint({form_of(other.device(), other.zoned_policy())} - {None})


# --- a district of them


def stored(folder: Path, made: Sequence[Made]) -> tuple[Snapshot, AuditPolicy]:
    readings = [Reading(wanted.device, Platform.LINUX, now(), contents, "") for wanted, contents in made]
    write_snapshot(folder / "wards", readings, inventory_files(), district().sha256, "a test")
    devices = tuple(wanted for wanted, _ in made)
    return read_snapshot(folder / "wards"), replace(policy(), devices=devices, network=None, switches=())


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All in this process; the devices that were judged by themselves."""
    judged: list[str] = []

    def counting(device: Any, *rest: Any) -> Any:
        judged.append(device.id)
        return judge(device, *rest)

    monkeypatch.setattr(running, "judge", counting)
    monkeypatch.setattr(running, "beside", lambda work, things: [work(thing) for thing in things])
    return judged


def by_itself(result: AuditResult) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name != "like"} for one in record(result)["devices"]]


def test_wards_of_one_form_are_proved_as_the_first_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = one_by_one(monkeypatch)
    read, wanted = stored(tmp_path, [moved(zoned_policy(), gateway(), number) for number in (1, 2, 3)])
    proved: dict[Form, str] = {}
    result = audit(read, wanted, proved=proved)
    assert judged == ["ward-1-gw"]
    assert [device.like for device in result.devices] == ["", "ward-1-gw", "ward-1-gw"]
    assert list(proved.values()) == ["ward-1-gw"]
    print_report(result)
    assert "differs in addresses alone: 2 of 3 devices" in capsys.readouterr().out
    monkeypatch.setattr(running, "form_of", lambda *_: None)
    assert by_itself(audit(read, wanted)) == by_itself(result), "each by itself is told the same"


def test_after_one_ward_changed_it_alone_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [moved(zoned_policy(), gateway(), number) for number in (1, 2)]
    proved: dict[Form, str] = {}
    read, wanted = stored(tmp_path / "before", made)
    audit(read, wanted, proved=proved)
    judged = one_by_one(monkeypatch)
    leaking = moved(zoned_policy(), forwarding_leak(), 2)
    read, wanted = stored(tmp_path / "after", [made[0], leaking])
    result = audit(read, wanted, proved=proved)
    assert judged == ["ward-2-gw"]
    assert [device.verdict for device in result.devices] == [Verdict.PROVED, Verdict.VIOLATED]
    assert len(proved) == 1, "what leaks is no form that is proved"


def test_what_is_looked_into_at_each_ward_is_not_taken_from_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same form, and with a connection between the channels that lives on, or an item that is unknown."""
    made = [moved(zoned_policy(), gateway(), number) for number in (1, 2, 3)]
    kept = (b"ipv4     2 tcp      6 431999 ESTABLISHED src=172.20.3.30 dst=10.0.2.30 sport=40000 dport=445 "
            b"src=10.0.2.30 dst=172.20.3.30 sport=445 dport=40000 [ASSURED] mark=0 zone=0 use=2\n")  # fmt: skip
    made[1][1]["connections.txt"] += kept
    made[2][1]["xfrm-policy.txt"] += b"src 0.0.0.0/0 dst 10.0.0.0/8 \n\tdir out priority 1 \n"
    assert {form(one) for one in made} == {first_form()}
    judged = one_by_one(monkeypatch)
    result = audit(*stored(tmp_path, made))
    assert judged == ["ward-1-gw", "ward-2-gw", "ward-3-gw"]
    assert [device.verdict for device in result.devices] == [Verdict.PROVED, Verdict.UNKNOWN, Verdict.UNKNOWN]


# --- side by side


def test_devices_judged_side_by_side_are_judged_as_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [moved(zoned_policy(), content, number) for number, content in ((1, gateway()), (2, forwarding_leak()))]
    read, wanted = stored(tmp_path, made)
    together = record(audit(read, wanted))
    one_by_one(monkeypatch)
    assert record(audit(read, wanted)) == together


def test_an_artefact_that_can_t_be_read_is_named_from_another_process(tmp_path: Path) -> None:
    damaged = {**gateway(), "ip-rule.json": b"[{"}
    result = command(snapshot(tmp_path, damaged))
    assert result.exit_code == 2
    assert "buoi-gw" in result.output
    assert "ip-rule.json" in result.output


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor: nothing is side by side")
def test_a_process_that_ends_is_said_and_nothing_is_proved() -> None:
    def killed(number: int) -> int:
        os._exit(9)

    with pytest.raises(AuditError, match="ended from outside, or ran out of memory"):
        beside(killed, [1, 2])


def test_what_a_process_raises_is_raised() -> None:
    def refused(number: int) -> int:
        raise AuditError(f"not {number}")

    with pytest.raises(AuditError, match="not 1"):
        beside(refused, [1, 2])
