"""What a gateway's filter does for visitors: as it is rendered, compared, taken back, and proved."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from collectors.parsers.artefact import Artefact
from collectors.parsers.nft import parse_ruleset
from collectors.parsers.nft_coverage import open_reason
from tests.unit.audit_support import gateway as captured
from tests.unit.audit_support import verdict
from tests.unit.namespaces import assert_passes
from tests.unit.plugins_support import gateway, load
from tests.unit.test_plugins_firewall import in_scratch_namespace, render
from wardnet.audit.records import Verdict
from wardnet.model.device import Decide, Match
from wardnet.model.device import Verdict as RuleVerdict
from wardnet.model.packet import Chance

pytestmark = pytest.mark.long

allowed = load("module_utils", "wardnet_allowed")
kernel = load("module_utils", "wardnet_kernel")
packet_filter = load("module_utils", "wardnet_part_filter")
LISTED = "nft -f - && TZ=UTC nft -j list ruleset"


@cache
def text(*, limited: bool = True) -> str:
    record = gateway("buoi-gw")
    return render(record if limited else {**record, "client_limits": []})


@cache
def listing(*, limited: bool = True) -> str:
    return in_scratch_namespace(LISTED, text(limited=limited))


def rules(comment: str) -> list[dict[str, Any]]:
    found = [item["rule"] for item in json.loads(listing())["nftables"] if "rule" in item]
    return [rule for rule in found if rule.get("comment", "").startswith(comment)]


def test_nothing_goes_from_visitor_to_visitor_by_the_gateway() -> None:
    """In both families, before any answer is let through."""
    (rule,) = rules("from visitor to visitor")
    assert rule["chain"] == "forward"
    assert "nfproto" not in json.dumps(rule["expr"])
    assert {"drop": None} in rule["expr"]
    forward = text()[: text().index("chain input")]
    assert forward.index("from visitor to visitor") < forward.index('comment "answers"')


def test_each_visitor_has_a_share_by_hardware_address_whatever_its_addresses() -> None:
    shares = {(rule["chain"], rule["comment"].split()[4]): rule["expr"] for rule in rules("more than a share")}
    assert set(shares) == {("forward", "up"), ("forward", "down"), ("input", "up")}
    for (_chain, way), expressions in shares.items():
        (kept,) = [part["set"] for part in expressions if "set" in part]
        (limit,) = [part["limit"] for part in kept["stmt"]]
        assert kept["set"] == f"@wifi0-{way}"
        assert (limit["rate"], limit["rate_unit"], limit["inv"]) == (
            {"up": 250_000, "down": 500_000}[way],
            "bytes",
            True,
        )
        key = {"up": {"payload": {"protocol": "ether", "field": "saddr"}}, "down": {"ct": {"key": "mark"}}}
        assert kept["elem"] == key[way]
        assert "nfproto" not in json.dumps(expressions)


def test_a_gateway_without_visitors_has_nothing_of_it() -> None:
    assert not [word for word in ("dynamic", "jhash", "a share") if word in text(limited=False)]


THERE = """nft -f -
nft add element inet wardnet wifi0-up '{ 02:00:00:00:00:07 limit rate over 250000 bytes/second burst 1540 bytes }'
nft add element inet wardnet wifi0-up '{ 02:00:00:00:00:08 limit rate over 250000 bytes/second burst 1540 bytes }'
nft add element inet wardnet wifi0-down '{ 0x17 limit rate over 500000 bytes/second burst 1540 bytes }'
"""
TO_JSON = "TZ=UTC nft -j list ruleset"


def test_what_packets_put_into_the_sets_is_no_drift() -> None:
    filled = in_scratch_namespace(f"set -e\n{THERE}{TO_JSON}", text())
    assert "02:00:00:00:00:07" in filled
    assert kernel.parse_ruleset(filled) == kernel.parse_ruleset(listing())


def test_elements_that_somebody_wrote_are_compared() -> None:
    rule = "table inet t { set s { type ipv4_addr; elements = { 10.0.0.%d }; }\n}"
    one, other = (kernel.parse_ruleset(in_scratch_namespace(LISTED, rule % number)) for number in (1, 2))
    assert one != other


def test_the_way_back_says_the_rules_again_without_who_was_there() -> None:
    """As part filter keeps it: what `nft --stateless list ruleset` prints, taken again."""
    kept = packet_filter.settled(in_scratch_namespace(f"set -e\n{THERE}nft --stateless list ruleset", text()))
    assert "02:00:00:00:00:07" not in kept
    assert packet_filter.settled(kept) == kept
    again = in_scratch_namespace(LISTED, f"flush ruleset\n{kept}")
    assert kernel.parse_ruleset(again) == kernel.parse_ruleset(listing())


def test_no_connection_ends_where_shares_come_change_or_go() -> None:
    with_them, without = (kernel.parse_ruleset(listing(limited=limited)) for limited in (True, False))
    other = kernel.parse_ruleset(in_scratch_namespace(LISTED, text().replace("over 250000", "over 125000")))
    assert other != with_them
    for former, new in ((with_them, without), (without, with_them), (with_them, other)):
        assert not allowed.Allowed(former, new)


def test_a_set_that_decides_still_ends_what_it_decided() -> None:
    chain = "chain forward { type filter hook forward priority 0; policy drop; ct state established accept; %s }\n}"
    block = "table inet t { set s { type ipv4_addr; flags timeout; elements = { 10.9.0.1 }; }\n" + chain
    former, new = (
        kernel.parse_ruleset(in_scratch_namespace(LISTED, block % rule))
        for rule in ("accept;", "ip daddr @s drop; accept;")
    )
    assert allowed.Allowed(former, new).everything


# --- the audit


def test_a_share_may_drop_and_proves_nothing() -> None:
    parsed = parse_ruleset(Artefact("buoi-gw", "nft-ruleset.json", listing().encode()))
    (forward,) = [chain for table in parsed.ruleset.tables for name, chain in table.chains.items() if name == "forward"]
    shares = [rule for rule in forward.rules if rule.comment.startswith("more than a share")]
    assert len(shares) == 2
    for rule in shares:
        *conditions, end = rule.statements
        assert end == Decide(RuleVerdict.DROP)
        assert any(isinstance(one, Match) and isinstance(one.predicate, Chance) for one in conditions)
        assert open_reason(rule) is None
    assert parsed.unknowns == ()


def test_a_gateway_with_visitors_is_proved() -> None:
    result = verdict({**captured(), "nft-ruleset.json": listing().encode()})
    assert result.verdict is Verdict.PROVED, result


def test_a_share_in_front_of_a_leak_hides_nothing() -> None:
    leak = 'iifname "wifi0" oifname "clerks0" accept comment "by hand"'
    first = 'iifname "wifi0" update @wifi0-up { ether saddr limit rate over 1 bytes/second } drop'
    forward = "type filter hook forward priority filter; policy drop;"
    leaking = text().replace(forward, f"{forward}\n    {first}\n    {leak}", 1)
    result = verdict({**captured(), "nft-ruleset.json": in_scratch_namespace(LISTED, leaking).encode()})
    assert result.verdict is Verdict.VIOLATED
    assert ("wifi0", "clerks0") in {(c.from_port, c.to_port) for c in result.crossings}


# --- packets


@pytest.mark.parametrize(
    "name", ["each_has_a_share_of_its_own", "many_addresses_are_one_visitor", "visitors_are_apart"]
)
def test_in_namespaces(name: str) -> None:
    assert_passes("visitors_namespace", name, mounts=True)
