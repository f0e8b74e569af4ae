"""Extensions of iptables in an nft listing, as libnftables-json(5) has them: a type, a name, and not what they ask."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.test_parsers_nft import listing, one_rule, parse, ways
from wardnet.model.device import Decide, Match, Opaque, Untrack, Verdict
from wardnet.model.packet import Chance, Open


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("match", "comment", ()),
        ("target", "LOG", ()),
        ("target", "TCPMSS", ()),
        ("target", "REJECT", (Decide(Verdict.DROP),)),
    ],
)
def test_an_extension_of_iptables_that_is_known_by_its_name_is_what_it_does(
    kind: str, name: str, expected: Any
) -> None:
    """As libnftables-json(5) has it: the type and the name, and nothing of what it asks."""
    assert one_rule({"xt": {"type": kind, "name": name}}) == expected


@pytest.mark.parametrize(("name", "condition"), [("limit", Chance), ("string", Open), ("conntrack", Open)])
def test_a_match_of_iptables_holds_or_does_not(name: str, condition: type[Chance | Open]) -> None:
    (found,) = one_rule({"xt": {"type": "match", "name": name}})
    assert isinstance(found, Match)
    assert isinstance(found.predicate, condition)
    assert found.predicate.span.place == "inet t c handle 5"


@pytest.mark.parametrize("body", [None, {"type": "target", "name": "CT"}, {"type": "target", "name": "NOTRACK"}])
def test_a_target_that_may_untrack_help_or_choose_a_zone_is_all_of_them(body: Any) -> None:
    untracking, other = ways({"xt": body}, {"accept": None})
    assert isinstance(untracking[0], Match)
    assert isinstance(untracking[0].predicate, Open)
    assert untracking[1] == Untrack()
    assert isinstance(other[0], Opaque)
    assert untracking[2:] == other, "the rest of the rule, either way"
    table, chain = (
        {"family": "ip", "name": "raw", "handle": 1},
        {"family": "ip", "table": "raw", "name": "P", "handle": 1},
    )
    rule = {"family": "ip", "table": "raw", "chain": "P", "handle": 5, "expr": [{"xt": body}]}
    parsed = parse(listing({"table": table}, {"chain": chain}, {"rule": rule})).ruleset
    assert parsed.helpers
    assert parsed.zones
