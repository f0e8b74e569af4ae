"""Marks that connections carry: what began on a line goes back by it, and a mark that leads across is found."""

from __future__ import annotations

from typing import Any

import pytest

from collectors.parsers.linux import parse_device
from tests.unit.audit_support import (
    ACCEPT,
    GATEWAY,
    Artefacts,
    crossings,
    gateway,
    iif,
    oif,
    payload,
    verdict,
    with_objects,
    with_policy_rule,
    with_route,
    with_rule,
)
from tests.unit.test_audit_bypasses import unknown_for
from wardnet.audit.records import Verdict

WAN, INTERNET = ["wan0", "clerks0", "mgmt0"], ["inet0", "citizen0", "wifi0"]
CT_MARK = {"ct": {"key": "mark"}}
META_MARK = {"meta": {"key": "mark"}}
RESTORE = {"mangle": {"key": META_MARK, "value": CT_MARK}}
SAVE = {"mangle": {"key": CT_MARK, "value": META_MARK}}
NEW = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}


def ct_mark(value: int, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": CT_MARK, "right": value}}


def keep(value: Any) -> dict[str, Any]:
    return {"mangle": {"key": CT_MARK, "value": value}}


def came_in(ports: list[str]) -> dict[str, Any]:
    return {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": {"set": ports}}}


def marking(*rules: list[dict[str, Any]], hook: str = "prerouting", prio: int = -150) -> Artefacts:
    """The gateway with these rules in a chain of their own; packets with a mark are led by the table of its channel."""
    of = {"family": "inet", "table": "marks"}
    chain = {**of, "name": hook, "handle": 1, "type": "filter", "hook": hook, "prio": prio, "policy": "accept"}
    edited = with_objects(
        gateway(),
        {"table": {"family": "inet", "name": "marks", "handle": 90}},
        {"chain": chain},
        *({"rule": {**of, "chain": hook, "handle": n, "expr": rule}} for n, rule in enumerate(rules, start=2)),
    )
    for mark, table in (("0x1", "100"), ("0x2", "200")):
        edited = with_policy_rule(edited, 4, priority=900, src="all", fwmark=mark, table=table)
        edited = with_policy_rule(edited, 6, priority=900, src="all", fwmark=mark, table=table)
    return edited


BY_LINE = ([came_in(WAN), ct_mark(0), keep(1)], [came_in(INTERNET), ct_mark(0), keep(2)])
# Each mark counts at the ports of its own channel.
GIVEN_BACK = ([came_in(WAN), ct_mark(1), RESTORE], [came_in(INTERNET), ct_mark(2), RESTORE])


def test_what_goes_back_by_the_line_that_it_came_by_stays_proved() -> None:
    assert verdict(marking(*BY_LINE, *GIVEN_BACK)).verdict is Verdict.PROVED


def test_a_mark_given_back_whichever_port_an_error_comes_by_leads_it_across() -> None:
    """An error about a clerk's connection has that one's mark, and comes from anybody."""
    result = verdict(marking(*BY_LINE, [RESTORE]))
    assert result.verdict is Verdict.VIOLATED
    found = [c for c in crossings(result, "inet0", "clerks0", 4) if c.verdict is Verdict.VIOLATED]
    assert {c.packet.state for c in found} == {"related"}


def test_a_mark_that_only_ever_is_restored_is_none() -> None:
    """No rule sets any: a route that hangs on one is never taken."""
    assert verdict(marking([RESTORE])).verdict is Verdict.PROVED


def leaving(port: int) -> Artefacts:
    """What citizens begin at that port of a server leaves a mark, and what has it goes out by the WAN."""
    left = [iif("citizen0"), payload("tcp", "dport", port), NEW, ct_mark(0), keep(3)]
    edited = with_policy_rule(marking([RESTORE], left), 4, priority=901, src="all", fwmark="0x3", table="300")
    return with_route(edited, 4, "default", "wan0", "300")


def test_a_mark_that_the_first_packet_leaves_behind_leads_the_next_ones_across() -> None:
    """The first packet goes where it may. The later ones find the mark that it left, and the filter takes them for what
    they are: part of a connection."""
    result = verdict(leaving(443))
    assert result.verdict is Verdict.VIOLATED
    found = [c for c in crossings(result, "citizen0", "wan0", 4) if c.packet.state == "established"]
    assert found
    assert found[0].verdict is Verdict.VIOLATED
    assert found[0].needs is not None
    assert (found[0].needs.incoming, found[0].needs.destination_port) == ("citizen0", 443)


def test_a_mark_of_no_flow_that_may_begin_leads_nothing_across_for_certain() -> None:
    result = verdict(leaving(6667))
    assert not [c for c in result.crossings if c.verdict is Verdict.VIOLATED]


def test_a_mark_that_a_later_packet_sets_is_unknown_where_it_leads_across() -> None:
    answering = [
        iif("wan0"),
        {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "established"}},
        keep(2),
    ]
    assert unknown_for(verdict(marking(answering, [RESTORE])), "a later packet of a connection may set its mark")


def test_a_mark_set_where_the_device_itself_answers_is_unknown() -> None:
    edited = with_rule(marking([RESTORE]), [keep(2)], chain="output")
    assert unknown_for(verdict(edited), "a later packet of a connection may set its mark")


def test_a_packet_without_a_connection_has_no_mark_to_compare() -> None:
    """`ct mark != 1` does not hold for it, though it has no mark 1."""
    untracked = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "untracked"}}
    edited = with_rule(marking([RESTORE]), [iif("clerks0"), oif("inet0"), untracked, ct_mark(1, "!="), ACCEPT])
    assert verdict(edited).verdict is Verdict.PROVED


HASH = {"jhash": {"mod": 1 << 30, "expr": {"payload": {"protocol": "ether", "field": "saddr"}}}}  # whose it is


@pytest.mark.parametrize("value", [{"meta": {"key": "mark"}}, {"|": [{"&": [META_MARK, 0xFF]}, 0x100]}, 7, HASH])
def test_saving_a_mark_that_nothing_asks_for_changes_nothing(value: Any) -> None:
    saving = {"mangle": {"key": CT_MARK, "value": value}}
    assert verdict(with_rule(gateway(), [saving], chain="forward")).verdict is Verdict.PROVED


def test_a_mark_that_is_not_modelled_is_unknown_where_a_rule_asks_for_one() -> None:
    assert unknown_for(verdict(marking([came_in(WAN), keep(HASH)], [RESTORE])), "mark set to")


def test_with_several_zones_no_established_packet_is_certain() -> None:
    """A connection is looked for in its zone alone, and which one that is, is not followed."""
    zoned = {"mangle": {"key": {"ct": {"key": "zone"}}, "value": 4}}
    assert unknown_for(verdict(with_rule(leaving(443), [zoned])), "in which zone a connection is tracked")


def test_each_rule_with_marks_of_connections_is_covered() -> None:
    found = parse_device(GATEWAY, marking(*BY_LINE, *GIVEN_BACK, [SAVE]))
    listing = next(c for c in found.coverage if c.artefact == "nft-ruleset.json")
    assert listing.unknown == 0
