"""`nft -j list ruleset` to the model, from a listing that a real nft printed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collectors.parsers.artefact import Artefact, ParseError
from collectors.parsers.nft import ParsedRuleset, parse_ruleset
from collectors.parsers.nft_coverage import open_reason
from tests.unit.gateway_support import FIXTURES
from wardnet.model.device import (
    Choose,
    Decide,
    Hook,
    Match,
    Opaque,
    SetMark,
    Statement,
    TranslateDestination,
    TranslateSource,
    Untrack,
    Verdict,
)
from wardnet.model.packet import (
    All,
    AnyOf,
    Chance,
    Field,
    InPort,
    InRanges,
    LocalAddress,
    Masked,
    Not,
    OfFamily,
    Open,
    OutPort,
    ReversePath,
    equals,
)
from wardnet.model.span import Treatment

EVERYTHING = (FIXTURES / "everything" / "nft-ruleset.json").read_bytes()
TCP = equals(Field.PROTOCOL, 6)
WHOLE = equals(Field.FRAGMENT, 0)


def parse(content: bytes = EVERYTHING) -> ParsedRuleset:
    return parse_ruleset(Artefact("gw", "nft-ruleset.json", content))


def listing(*objects: dict[str, Any]) -> bytes:
    return json.dumps({"nftables": [{"metainfo": {"json_schema_version": 1}}, *objects]}).encode()


def one_rule(*expressions: Any, family: str = "inet", extra: tuple[dict[str, Any], ...] = ()) -> tuple[Statement, ...]:
    """The statements of a rule in a bare table."""
    table = {"family": family, "name": "t", "handle": 1}
    rule = {"family": family, "table": "t", "chain": "c", "handle": 5, "expr": list(expressions)}
    chain = {"family": family, "table": "t", "name": "c", "handle": 1}
    content = listing({"table": table}, *extra, {"chain": chain}, {"rule": rule})
    (found,) = parse(content).ruleset.tables[0].chains["c"].rules
    return found.statements


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def payload(protocol: str, field: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": field}}


def rule_at(handle: int, chain: str = "forward") -> tuple[Statement, ...]:
    table = parse().ruleset.tables[0]
    (found,) = [rule for rule in table.chains[chain].rules if rule.span.place.endswith(f"handle {handle}")]
    return found.statements


def test_everything_that_a_real_nft_listed_is_modelled_irrelevant_or_unknown() -> None:
    parsed = parse()
    coverage = parsed.coverage
    assert coverage.modelled + coverage.irrelevant + coverage.unknown == len(json.loads(EVERYTHING)["nftables"])
    assert {t.reason: t.places for t in coverage.treated if t.treatment is Treatment.IRRELEVANT} == {
        "the listing's own version": ("object 0",),
        "it counts": ("object 2",),
        "it changes by itself: a rule that asks for it says what that leaves open": ("inet wardnet set dyn",),
        "of bridges: the audit looks at their ports and never counts on their chains": (
            "bridge br",
            "bridge br f",
            "bridge br f handle 2",
        ),
        "of ARP, which carries no IP packet": ("arp a", "arp a f"),
    }
    reasons = [open_reason(rule) for rule in parsed.ruleset.rules() if open_reason(rule)]
    assert len(reasons) == coverage.unknown == 12


@pytest.mark.parametrize(
    ("left", "right", "op", "expected"),
    [
        (payload("tcp", "dport"), 80, "==", All((TCP, WHOLE, equals(Field.DESTINATION_PORT, 80)))),
        (payload("tcp", "dport"), 80, "!=", All((TCP, WHOLE, Not(equals(Field.DESTINATION_PORT, 80))))),
        (payload("tcp", "dport"), 1024, ">", All((TCP, WHOLE, InRanges(Field.DESTINATION_PORT, ((1025, 65535),))))),
        (payload("th", "dport"), 53, "==", All((WHOLE, equals(Field.DESTINATION_PORT, 53)))),
        (payload("ip", "saddr"), {"prefix": {"addr": "10.0.0.0", "len": 8}}, "==",
         All((OfFamily(4), InRanges(Field.SOURCE, ((10 << 24, (11 << 24) - 1),))))),
        (payload("ip", "daddr"), {"set": ["10.0.0.1", {"range": ["10.0.0.5", "10.0.0.9"]}]}, "!=",
         All((OfFamily(4), Not(InRanges(Field.DESTINATION, ((167772161, 167772161), (167772165, 167772169))))))),
        ({"&": [payload("ip", "saddr"), "255.0.255.0"]}, "10.0.1.0", "==",
         All((OfFamily(4), Masked(Field.SOURCE, 0xFF00FF00, 0x0A000100)))),
        (payload("icmpv6", "type"), "echo-request", "==",
         All((OfFamily(6), equals(Field.PROTOCOL, 58), WHOLE, equals(Field.ICMP_TYPE, 128)))),
        ({"meta": {"key": "l4proto"}}, {"set": ["tcp", "udp"]}, "==", InRanges(Field.PROTOCOL, ((6, 6), (17, 17)))),
        ({"meta": {"key": "nfproto"}}, "ipv6", "==", OfFamily(6)),
        ({"meta": {"key": "iifname"}}, "wan*", "==", InPort(("wan*",))),
        ({"meta": {"key": "oif"}}, {"set": ["a", "b"]}, "!=", Not(AnyOf((OutPort(("a",)), OutPort(("b",)))))),
        ({"meta": {"key": "mark"}}, 5, "==", equals(Field.MARK, 5)),
        ({"&": [{"meta": {"key": "mark"}}, 255]}, 0, "!=", Not(Masked(Field.MARK, 255, 0))),
        ({"ct": {"key": "state"}}, ["established", "related"], "in", InRanges(Field.STATE, ((1, 1), (2, 2)))),
        ({"ct": {"key": "state"}}, "new", "!=", Not(InRanges(Field.STATE, ((0, 0),)))),
        ({"ct": {"key": "status"}}, "dnat", "in", equals(Field.TRANSLATED, 1)),
        ({"&": [payload("tcp", "flags"), ["fin", "syn", "ack"]]}, "syn", "==",
         All((TCP, WHOLE, Masked(Field.TCP_FLAGS, 19, 2)))),
        (payload("tcp", "flags"), ["syn", "ack"], "in", All((TCP, WHOLE, Not(Masked(Field.TCP_FLAGS, 18, 0))))),
        ({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False, "==", Not(ReversePath(True, False))),
        ({"fib": {"result": "type", "flags": ["daddr"]}}, "local", "==", LocalAddress(Field.DESTINATION)),
        ({"concat": [payload("ip", "saddr"), payload("tcp", "dport")]}, {"set": [{"concat": ["10.0.0.1", 80]}]}, "==",
         All((OfFamily(4), TCP, WHOLE, All((equals(Field.SOURCE, 167772161), equals(Field.DESTINATION_PORT, 80)))))),
    ],
)  # fmt: skip
def test_a_comparison_keeps_what_nft_leaves_out(left: Any, right: Any, op: str, expected: Any) -> None:
    """The dependencies of a header field stand beside it, also where it is negated."""
    (found,) = one_rule(match(left, right, op))
    assert found == Match(expected)


@pytest.mark.parametrize(
    ("left", "right", "op"),
    [
        ({"meta": {"key": "cgroup"}}, 5, "=="),
        (payload("ip", "ttl"), 5, "=="),
        ({"ct": {"key": "zone"}}, 5, "=="),
        ({"ct": {"key": "ip saddr", "dir": "original"}}, "10.0.0.1", "=="),
        ({"exthdr": {"name": "hbh"}}, True, "=="),
        ({"meta": {"key": "iifname"}}, {"set": [{"range": ["", ""]}]}, "=="),  # what nft 1.0.6 makes of { "a*", "b" }
        ({"concat": [{"meta": {"key": "iifname"}}]}, {"set": [{"concat": ["d*"]}, "x", 5]}, "=="),
        (payload("tcp", "dport"), "no-such-service", "=="),
        (payload("tcp", "dport"), 70000, "=="),
        (payload("ip", "saddr"), "10.0.0", "=="),
        (payload("tcp", "dport"), {"range": [90, 80]}, "=="),
        (payload("ip", "saddr"), "@nowhere", "=="),
        (payload("ip", "saddr"), [], "=~"),
        ("nonsense", None, "=="),
        ({"payload": []}, {"set": None}, "=="),
    ],
)
def test_a_comparison_that_is_not_modelled_is_open_with_its_place(left: Any, right: Any, op: str) -> None:
    (found,) = one_rule(match(left, right, op))
    assert isinstance(found, Match)
    assert isinstance(found.predicate, Open)
    assert found.predicate.span.place == "inet t c handle 5"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"drop": None}, (Decide(Verdict.DROP),)),
        ({"reject": {"type": "icmpx", "expr": "port-unreachable"}}, (Decide(Verdict.DROP),)),
        ({"reject": {"type": "icmpv6", "expr": "no-route"}}, (Match(OfFamily(6)), Decide(Verdict.DROP))),
        ({"reject": {"type": "tcp reset"}}, (Match(TCP), Decide(Verdict.DROP))),
        ({"jump": {"target": "c"}}, (Decide(Verdict.JUMP, "c"),)),
        ({"counter": {"packets": 0, "bytes": 0}}, ()),
        ({"log": {"prefix": "x"}}, ()),
        ({"notrack": None}, (Untrack(),)),
        ({"mangle": {"key": {"meta": {"key": "mark"}}, "value": 5}}, (SetMark(0, 5),)),
        ({"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"meta": {"key": "mark"}}, 16]}}},
         (SetMark(0xFFFFFFEF, 16),)),
        ({"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"^": [{"&": [{"meta": {"key": "mark"}}, 255]}, 1]}}},
         (SetMark(0xFF, 1),)),
        ({"mangle": {"key": {"meta": {"key": "priority"}}, "value": "1:2"}}, ()),
    ],
)  # fmt: skip
def test_a_statement_is_what_it_does(expression: Any, expected: tuple[Statement, ...]) -> None:
    assert one_rule(expression) == expected


@pytest.mark.parametrize("name", ["limit", "quota", "ct count", "meter"])
def test_what_holds_only_at_times_is_a_chance(name: str) -> None:
    (found,) = one_rule({name: {}})
    assert isinstance(found, Match)
    assert isinstance(found.predicate, Chance)


@pytest.mark.parametrize(
    ("expression", "attribute"),
    [
        ({"xt": {"type": "target", "name": "CONNMARK"}}, "rewrites"),
        ({"xt": {"type": "match", "name": "of_nobody"}}, "rewrites"),
        ({"queue": {"num": 3}}, "rewrites"),
        ({"flow": {"op": "add", "flowtable": "@f"}}, "rewrites"),
        ({"tproxy": {"port": 50}}, "rewrites"),
        ({"dnat": {"family": "ip", "addr": {"map": {}}}}, "rewrites"),
        ({"mangle": {"key": {"payload": {"protocol": "ip", "field": "daddr"}}, "value": "10.0.0.1"}}, "rewrites"),
        ("jump {\n tcp dport 5 accept\n}", "rewrites"),
        ({"accept": None, "drop": None}, "rewrites"),
        ({"fwd": {"dev": "wan0"}}, "diverts"),
        ({"dup": {"addr": "10.0.0.1"}}, "diverts"),
    ],
)
def test_a_statement_that_is_not_modelled_is_opaque(expression: Any, attribute: str) -> None:
    found = [s for s in one_rule(expression) if isinstance(s, Opaque)]
    assert found
    assert getattr(found[0], attribute)


def test_translations_are_for_their_family() -> None:
    redirect = one_rule({"redirect": {"port": 8081}})
    assert isinstance(redirect[0], TranslateDestination)
    assert redirect[0].to_device
    guard, source = one_rule({"snat": {"family": "ip", "addr": "192.0.2.1"}})
    assert guard == Match(OfFamily(4))
    assert isinstance(source, TranslateSource)
    _, found = one_rule({"dnat": {"family": "ip6", "addr": {"prefix": {"addr": "fd00::", "len": 126}}, "port": 80}})
    assert isinstance(found, TranslateDestination)
    assert (found.addresses, found.ports) == ((0xFD << 120, (0xFD << 120) + 3), (80, 80))


def test_a_new_source_has_its_addresses() -> None:
    def source(name: str, body: dict[str, Any]) -> TranslateSource:
        found = one_rule({name: body})[-1]
        assert isinstance(found, TranslateSource)
        return found

    one = source("snat", {"family": "ip", "addr": "192.0.2.1", "port": {"range": [1024, 2047]}})
    assert (one.addresses, one.ports) == ((0xC0000201, 0xC0000201), (1024, 2047))
    several = source("snat", {"family": "ip", "addr": {"prefix": {"addr": "192.0.2.0", "len": 30}}})
    assert several.addresses == (0xC0000200, 0xC0000203)
    assert (source("masquerade", {}).addresses, source("snat", {"addr": {"concat": []}}).addresses) == (None, None)


def ways(*expressions: Any, extra: tuple[dict[str, Any], ...] = ()) -> list[tuple[Statement, ...]]:
    """The statements of a rule that looks a value up in a map, for each of its elements."""
    table = {"family": "inet", "name": "t", "handle": 1}
    rule = {"family": "inet", "table": "t", "chain": "c", "handle": 5, "expr": list(expressions)}
    chain = {"family": "inet", "table": "t", "name": "c", "handle": 1}
    parsed = parse(listing({"table": table}, *extra, {"chain": chain}, {"rule": rule}))
    assert sum((parsed.coverage.modelled, parsed.coverage.irrelevant, parsed.coverage.unknown)) == 4 + len(extra)
    return [rule.statements for rule in parsed.ruleset.tables[0].chains["c"].rules]


def mark_map(*pairs: Any, key: Any = None) -> dict[str, Any]:
    data = {"set": list(pairs)}
    return {"mangle": {"key": {"meta": {"key": "mark"}},
                       "value": {"map": {"key": key or payload("tcp", "dport"), "data": data}}}}  # fmt: skip


def test_a_mark_from_a_map_is_set_for_each_element_and_for_the_rest() -> None:
    first, second, rest = ways(mark_map([80, 1], ["*", 9], [443, 2]), {"accept": None})
    assert first == (
        Match(All((TCP, WHOLE, equals(Field.DESTINATION_PORT, 80)))),
        SetMark(0, 1),
        Decide(Verdict.ACCEPT),
    )
    assert second[1:] == (SetMark(0, 2), Decide(Verdict.ACCEPT))
    assert rest[1:] == (SetMark(0, 9), Decide(Verdict.ACCEPT))
    (left,) = [s for s in rest if isinstance(s, Match)]
    assert isinstance(left.predicate, All)
    assert left.predicate.terms[-1] == Not(AnyOf((first[0].predicate, second[0].predicate)))  # type: ignore[union-attr]


def test_a_new_destination_from_a_named_map_is_one_for_each_element() -> None:
    named = {"map": {"family": "inet", "name": "m", "table": "t", "type": "inet_service", "handle": 3,
                     "map": "ipv4_addr", "elem": [[80, "10.0.0.1"], [443, "10.0.0.2"]]}}  # fmt: skip
    body = {"family": "ip", "addr": {"map": {"key": payload("tcp", "dport"), "data": "@m"}}, "port": 8080}
    found = ways({"dnat": body}, extra=(named,))
    assert [s[-1].addresses for s in found if isinstance(s[-1], TranslateDestination)] == [
        (0x0A000001, 0x0A000001),
        (0x0A000002, 0x0A000002),
    ]
    named["map"]["flags"] = ["timeout"]
    ((changing,),) = ways({"dnat": body}, extra=(named,))
    assert isinstance(changing, Opaque)


def test_a_map_without_elements_ends_its_rule() -> None:
    assert ways(mark_map(), {"accept": None}) == [(Match(AnyOf(())), Decide(Verdict.ACCEPT))]


@pytest.mark.parametrize(
    ("expressions", "reason"),
    [
        ((mark_map([1, 2], key={"meta": {"key": "mark"}}),), "a map of marks to marks"),
        (
            ({"mangle": {"key": {"meta": {"key": "mark"}}, "value": 5}}, mark_map([80, 1])),
            "a map behind another statement",
        ),
        ((mark_map(*([port, 1] for port in range(1, 1026))),), "a map of 1025 elements"),
        (({"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"ct": {"key": "zone"}}}},), "mark set to"),
    ],
)
def test_a_mark_that_is_not_modelled_is_opaque_with_the_reason(expressions: tuple[Any, ...], reason: str) -> None:
    (found,) = ways(*expressions)
    assert isinstance(found[-1], Opaque)
    assert reason in found[-1].reason


def test_verdict_maps_keep_each_case_and_the_rest_last() -> None:
    key, data = payload("tcp", "dport"), {"set": [["*", {"drop": None}], [22, {"jump": {"target": "c"}}]]}
    (found,) = one_rule({"vmap": {"key": key, "data": data}})
    assert isinstance(found, Choose)
    assert [decide.verdict for _, decide in found.cases] == [Verdict.JUMP, Verdict.DROP]


def test_a_set_that_packets_add_to_may_hold_more() -> None:
    named = {
        "set": {"family": "inet", "name": "s", "table": "t", "type": "ipv4_addr", "handle": 3, "elem": ["10.0.0.1"]}
    }
    looking = match(payload("ip", "saddr"), "@s")
    (plain,) = one_rule(looking, extra=(named,))
    assert plain == Match(All((OfFamily(4), equals(Field.SOURCE, 167772161))))
    growing = one_rule(looking, {"set": {"op": "add", "elem": payload("ip", "saddr"), "set": "@s"}}, extra=(named,))
    assert "added to by packets" in str(growing[0])
    named["set"]["flags"] = ["timeout"]
    assert "changes by itself" in str(one_rule(looking, extra=(named,))[0])


def test_base_chains_have_hook_priority_policy_and_devices() -> None:
    ruleset = parse().ruleset
    table = ruleset.tables[0]
    assert (table.chains["raw"].hook, table.chains["raw"].priority) == (Hook.PREROUTING, -300)
    assert table.chains["forward"].policy is Verdict.DROP
    assert table.chains["pre"].translates
    netdev = next(table for table in ruleset.tables if table.name == "nd")
    assert netdev.chains["in"].devices is None  # nft 1.0.6 does not print on which ports the chain hangs
    assert ruleset.tracked == {4, 6}
    assert next(table for table in ruleset.tables if table.name == "br").layer == 2


def test_a_dormant_table_does_nothing() -> None:
    table = {"family": "inet", "name": "t", "handle": 1, "flags": "dormant"}
    chain = {"family": "inet", "table": "t", "name": "c", "handle": 1, "type": "filter", "hook": "forward",
             "prio": 0, "policy": "accept"}  # fmt: skip
    assert parse(listing({"table": table}, {"chain": chain})).ruleset.tables == ()


def test_a_helper_that_is_set_lets_related_connections_in() -> None:
    assert not parse().ruleset.helpers
    chain = {"family": "ip", "table": "t", "name": "c", "handle": 1}
    rule = {"family": "ip", "table": "t", "chain": "c", "handle": 5, "expr": [{"ct helper": "ftp"}]}
    table = {"family": "ip", "name": "t", "handle": 1}
    assert parse(listing({"table": table}, {"chain": chain}, {"rule": rule})).ruleset.helpers


TABLE = {"table": {"family": "inet", "name": "t", "handle": 1}}
CHAIN = {"chain": {"family": "inet", "table": "t", "name": "c", "handle": 1}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "offset 0: empty"),
        (EVERYTHING[:5000], "damaged or truncated JSON"),
        (EVERYTHING + b"x", "damaged or truncated JSON"),
        (b'{"nftables": [\xff]}', "offset 14: not UTF-8"),
        (b"[]", "not an nft listing"),
        (b'{"nftables": []}', "starts with metainfo"),
        (b'{"nftables": [{"metainfo": {"json_schema_version": 2}}]}', "starts with metainfo"),
        (b'{"nftables": [], "nftables": []}', "key 'nftables' stands twice"),
        (b'{"nftables": [NaN]}', "NaN is no number"),
        (b"[" * 100000, "nested too deeply"),
        (listing(CHAIN), "object 1: chain of table inet t, which is not listed before it"),
        (listing(TABLE, TABLE), "object 2: table inet t stands twice"),
        (listing(TABLE, CHAIN, CHAIN), "chain c stands twice"),
        (listing({"table": {"family": "inet"}}), "'name' must be a text"),
        (listing({"table": {"family": "ipx", "name": "t"}}), "table family 'ipx'"),
        (listing(TABLE, {"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 1, "expr": []}}),
         "rule of chain c, which is not listed before it"),
        (listing(TABLE, CHAIN, {"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 1}}),
         "'expr' must be a list"),
        (listing(TABLE, CHAIN, {"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 1,
                                         "expr": [{"jump": {"target": "d"}}]}}), "jump to chain d"),
        (listing(TABLE, {"chain": {"family": "inet", "table": "t", "name": "c", "hook": "sideways", "type": "filter",
                                   "prio": 0, "policy": "drop"}}), "hook sideways"),
        (listing(TABLE, {"set": {"family": "inet", "table": "t", "name": "s", "elem": 5}}), "'elem' must be a list"),
        (listing({"a": 1, "b": 2}), "not an object of one kind"),
        (listing({"table": 5}), "table is not an object"),
    ],
)  # fmt: skip
def test_a_damaged_listing_is_an_error_with_device_file_and_place(content: bytes, said: str) -> None:
    with pytest.raises(ParseError) as raised:
        parse(content)
    assert str(raised.value).startswith("gw: nft-ruleset.json: ")
    assert said in str(raised.value)
