"""Rules that hold until or from a time: what has ended by every clock matches nothing, and nothing else is sure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from collectors.parsers.artefact import ParseError
from collectors.parsers.linux import parse_device
from collectors.parsers.nft_match import Conditions
from tests.unit.audit_support import (
    ACCEPT,
    Artefacts,
    edit_json,
    gateway,
    gateway_policy,
    iif,
    oif,
    payload,
    policy,
    verdict,
    with_rule,
)
from wardnet.audit.judge import channel_networks, judge
from wardnet.audit.records import Verdict
from wardnet.model.intent import Ports
from wardnet.model.packet import ALWAYS, NEVER, Chance, Predicate
from wardnet.model.span import Span

NOW = 1_830_272_400  # 2027-12-31 17:00:00 UTC: midnight in Hà Nội
SPAN = Span("gw", "nft-ruleset.json", "inet t c handle 5")
ENDED, AT_THIS_SECOND, LATER = "2027-12-31 16:59:59", "2027-12-31 17:00:00", "2027-12-31 17:00:01"


def compared(op: str, right: Any, now: int | None = NOW, key: str = "time") -> Predicate:
    return Conditions({}, now).compare(op, {"meta": {"key": key}}, right, SPAN)


@pytest.mark.parametrize("bound", [ENDED, AT_THIS_SECOND])
def test_what_has_passed_is_settled(bound: str) -> None:
    assert compared("<", bound) == NEVER
    assert compared(">=", bound) == ALWAYS


@pytest.mark.parametrize(
    ("op", "right"),
    [
        ("<", LATER),  # holds today, and not for ever
        (">=", LATER),  # will hold, though not today
        ("==", ENDED),
        ("!=", ENDED),
        ("<=", ENDED),
        (">", ENDED),
        ("==", {"range": ["2020-01-01 00:00:00", ENDED]}),
        ("<", 5),
        ("<", "Monday"),
        ("<", "2027-12-31"),
        ("<", None),
    ],
)
def test_all_else_about_the_time_may_hold_and_may_not(op: str, right: Any) -> None:
    assert isinstance(compared(op, right), Chance)


@pytest.mark.parametrize(("key", "right"), [("hour", "08:00"), ("day", "Monday")])
def test_hours_and_days_come_again(key: str, right: str) -> None:
    assert isinstance(compared("<", right, key=key), Chance)
    assert isinstance(compared("==", right, key=key), Chance)


def test_without_a_clock_nothing_has_passed() -> None:
    assert isinstance(compared("<", "1999-01-01 00:00:00", now=None), Chance)


def ending(when: str) -> Artefacts:
    """The gateway with another end of its exception."""
    edited = gateway()
    assert edited["nft-ruleset.json"].count(b'"2027-12-31 17:00:00"') == 6  # two that let in, four that end it
    changed = edited["nft-ruleset.json"].replace(b"2027-12-31 17:00:00", when.encode())
    return {**edited, "nft-ruleset.json": changed, "clock.txt": f"{NOW}\n".encode()}


WITHOUT = replace(gateway_policy(), grants=())


def test_what_is_granted_may_pass_until_its_end() -> None:
    assert verdict(ending(LATER)).verdict is Verdict.PROVED
    assert verdict(ending(ENDED)).verdict is Verdict.PROVED


@pytest.mark.parametrize(("when", "expected"), [(ENDED, Verdict.PROVED), (LATER, Verdict.VIOLATED)])
def test_an_exception_that_nobody_took_away_is_closed_once_its_end_has_come(when: str, expected: Verdict) -> None:
    """To the last answer and error message of what passed before."""
    assert verdict(ending(when), WITHOUT).verdict is expected


def test_of_two_exceptions_of_the_same_hosts_the_shorter_is_closed_at_its_own_end() -> None:
    """The sample's has ended and nobody took it away; another of the same hosts, for port 443, still lets through, so
    that the hosts are not closed. What ends the first is its own rule."""
    (of4, of6) = gateway_policy().grants
    longer = replace(gateway_policy(), grants=tuple(replace(g, allow=(Ports("tcp", (443,)),)) for g in (of4, of6)))

    def change(listing: dict[str, list[dict[str, Any]]]) -> None:
        for entry in listing["nftables"]:
            rule = entry.get("rule", {})
            for each in rule.get("expr", []):
                match = each.get("match", {})
                if match.get("left") == {"meta": {"key": "time"}}:
                    match["right"] = LATER if "has ended" in rule["comment"] else ENDED

    still = edit_json(ending(ENDED), "nft-ruleset.json", change)
    hosts = {"ip": ("172.20.1.11", "10.20.1.20"), "ip6": ("2001:db8:20:1::11", "fd20:20:1::20")}
    closed = still
    for family, (citizen, scanner) in hosts.items():
        for ends, addresses, key in (
            (("citizen0", "clerks0"), (citizen, scanner), "dport"),
            (("clerks0", "citizen0"), (scanner, citizen), "sport"),
        ):
            closed = with_rule(closed, [
                iif(ends[0]), oif(ends[1]),
                payload(family, "saddr", addresses[0]), payload(family, "daddr", addresses[1]), payload("tcp", key, 80),
                {"match": {"op": ">=", "left": {"meta": {"key": "time"}}, "right": ENDED}}, {"drop": None},
            ])  # fmt: skip
    assert verdict(closed, longer).verdict is Verdict.PROVED


@pytest.mark.parametrize("op", ["<", ">="])
def test_a_hole_that_is_open_at_times_is_a_hole(op: str) -> None:
    condition = {"match": {"op": op, "left": {"meta": {"key": "time"}}, "right": LATER}}
    edited = with_rule(ending(ENDED), [condition, iif("citizen0"), oif("clerks0"), ACCEPT])
    assert verdict(edited, WITHOUT).verdict is Verdict.VIOLATED


def test_both_clocks_must_have_passed_the_end() -> None:
    """A gateway whose clock is fast would open the hole again as soon as its clock is set right; one whose clock is
    slow still has it open."""
    artefacts, places = ending(ENDED), channel_networks(policy().devices)

    def judged(clock: int, collected_at: int) -> Verdict:
        found = parse_device("buoi-gw", {**artefacts, "clock.txt": b"%d\n" % clock}, collected_at)
        return judge(found, WITHOUT, places).verdict

    assert judged(NOW, NOW) is Verdict.PROVED
    assert judged(NOW - 3600, NOW) is Verdict.VIOLATED
    assert judged(NOW, NOW - 3600) is Verdict.VIOLATED


def test_a_snapshot_from_before_clocks_were_collected_can_be_read_and_settles_nothing() -> None:
    old = {name: content for name, content in ending(ENDED).items() if name != "clock.txt"}
    assert verdict(old, WITHOUT).verdict is Verdict.VIOLATED
    assert (
        verdict({name: content for name, content in gateway().items() if name != "clock.txt"}).verdict is Verdict.PROVED
    )


@pytest.mark.parametrize("content", [b"", b"today\n", b"-5\n", b"17951\n1795\n"])
def test_a_clock_that_says_no_time_is_refused(content: bytes) -> None:
    with pytest.raises(ParseError, match="clock"):
        parse_device("buoi-gw", {**gateway(), "clock.txt": content})
