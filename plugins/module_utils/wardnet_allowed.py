"""Which connections new rules of the packet filter no longer let begin, told from the former rules and the new ones as
`nft -j list ruleset` prints them. Pure, standard library only.

A connection that the filter has let begin goes on by the rule for answers, whatever the other rules say by then. To end
the ones that only former rules allowed, and no others, each is held against every former rule that may have let it
begin: some new rule must do so too, with nothing before it that might not. What cannot be told from a connection's
addresses and ports, as by which port it came in, is taken for whatever lets fewer go on. Rules before the one for
answers need no such care: they judge every packet. Nor do rates: they make a connection wait, and end none.
"""

from __future__ import annotations

import calendar
import ipaddress
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "ipv6-icmp": 58, "ospf": 89}
FAMILIES = {"ipv4": 4, "ipv6": 6}
SILENT = ("counter", "log", "mangle")  # statements after which the next rule is asked
REST = '{"rest": null}'


class Connection(NamedTuple):
    """As its first packet was. Addresses are numbers; ports are None where the protocol has none."""

    family: int
    source: int
    destination: int
    protocol: int
    source_port: int | None
    port: int | None


@dataclass(frozen=True)
class Match:
    """`ranges` are numbers, both ends included; None where they are none."""

    text: str
    left: str
    operator: str
    ranges: tuple[tuple[int, int], ...] | None
    names: frozenset[str]

    def holds(self, one: Connection, now: float | None) -> bool | None:
        """None where the connection does not tell. Without a time, at some time."""
        if self.ranges is None:
            return None
        if self.left == "meta time":
            until = self.ranges[0][0]
            if now is None:
                return None
            return {"<": now < until, "<=": now <= until, ">": now > until, ">=": now >= until}.get(self.operator)
        known, value = _value(self.left, one)
        if not known:
            return None
        if value is None:
            return False  # of another protocol or family
        within = any(first <= value <= last for first, last in self.ranges)
        return {"==": within, "!=": not within}.get(self.operator)

    def follows_from(self, other: Match) -> bool:
        """Whether it holds wherever the other does."""
        if self.text == other.text:
            return True
        alike = self.left == other.left and self.operator == other.operator == "=="
        return alike and bool(other.names) and other.names <= self.names


@dataclass(frozen=True)
class Rule:
    text: str  # without its comment and counters
    kind: str  # 'accept', 'drop', 'silent', or 'other': whatever else it does
    matches: tuple[Match, ...]

    def may_match(self, one: Connection, now: float | None) -> bool:
        return all(match.holds(one, now) is not False for match in self.matches)

    def matches_too(self, one: Connection, other: Rule, now: float) -> bool:
        """Whether it surely matches, where the other rule does."""
        return all(
            match.holds(one, now) or any(match.follows_from(given) for given in other.matches) for match in self.matches
        )


@dataclass
class Chain:
    """`header` is all of it but its rules. What no rule decides is decided by a last one, if it goes on. `answers` says
    before which of the rules all answers are let through."""

    header: str
    policy: str
    rules: list[Rule]
    answers: int | None = None

    def all_rules(self) -> list[Rule]:
        if self.policy == "drop":
            return self.rules
        return [*self.rules, Rule(REST, "accept" if self.policy else "other", ())]  # back to the rule that jumped


class Allowed:
    """What the new rules take away of what the former ones allowed. Both are lines of parse_ruleset()."""

    def __init__(self, former: list[str], new: list[str], now: float | None = None) -> None:
        self._now = time.time() if now is None else now
        before, others_before = _read(former)
        after, others = _read(new)
        self.everything = not others <= others_before  # sets, maps: what is in them decides
        self._doubtful: list[tuple[Rule, list[tuple[Rule, list[Rule]]]]] = []
        for name, chain in after.items():
            past = before.get(name) or Chain("", "accept", [])
            if chain.policy == "drop" and past.header != chain.header:
                self.everything = True
            elif not self.everything:
                self._doubtful += _doubtful(past.all_rules(), chain.all_rules(), chain.answers or 0)

    def __bool__(self) -> bool:
        """Whether any connection may have to end."""
        return self.everything or bool(self._doubtful)

    def ends(self, one: Connection) -> bool:
        """Whether the new rules may not let it begin, though the former may have."""
        return self.everything or any(
            rule.may_match(one, None) and not any(self._covers(way, rule, one) for way in ways)
            for rule, ways in self._doubtful
        )

    def _covers(self, way: tuple[Rule, list[Rule]], former: Rule, one: Connection) -> bool:
        rule, before = way
        if rule.kind != former.kind or not rule.matches_too(one, former, self._now):
            return False
        return not any(blocker.may_match(one, self._now) for blocker in before)


def _doubtful(former: list[Rule], new: list[Rule], answers: int) -> list[tuple[Rule, list[tuple[Rule, list[Rule]]]]]:
    """Former rules that let connections begin, where the same rule does not just as well now; each with all rules that
    may do so instead and, for each of them, what stands before it and did not before the former one."""
    found = []
    passed: set[str] = set()  # did not match, or the connection would not have come so far
    for rule in former:
        if rule.kind in ("accept", "other"):
            ways, before = [], []
            for place, other in enumerate(new):
                if other.kind in ("accept", "other") and (other.kind == "accept" or other.text == rule.text):
                    ways.append((other, list(before)))
                blocks = other.kind == "other" or (other.kind == "drop" and place >= answers)
                if blocks and other.text not in passed and other.text != rule.text:
                    before.append(other)
            if not any(other.text == rule.text and not blockers for other, blockers in ways):
                found.append((rule, ways))
        if rule.kind in ("drop", "other"):  # where the chain of a jump has changed, that chain itself tells
            passed.add(rule.text)
    return found


def _read(lines: Iterable[str]) -> tuple[dict[tuple[str, ...], Chain], set[str]]:
    """Chains by family, table and name, and whatever else decides."""
    chains: dict[tuple[str, ...], Chain] = {}
    others = set()
    listing = [(line, *next(iter(json.loads(line).items()))) for line in lines]
    rules = [item for _, kind, item in listing if kind == "rule"]
    asked = {(item["family"], item["table"], name) for item in rules for name in _asked(item["expr"])}
    for line, kind, item in listing:
        if kind == "chain":
            name = (item["family"], item["table"], item["name"])
            chains[name] = Chain(line, str(item.get("policy", "")), [])
        elif kind == "rule":
            chain = chains[item["family"], item["table"], item["chain"]]
            rule = _rule(item["expr"])
            if rule is not None:
                chain.rules.append(rule)
            elif chain.answers is None and _lets_answers_through(item["expr"]):
                chain.answers = len(chain.rules)
        elif kind != "table" and (kind != "set" or (item["family"], item["table"], item["name"]) in asked):
            others.add(line)
    return chains, others


def _asked(value: Any) -> set[str]:
    """The sets that decide whether a rule matches, or what it does; not those that only keep a rate a packet adds."""
    if isinstance(value, dict):
        return set() if _is_rate(value) else _asked(list(value.values()))
    if isinstance(value, list):
        return {name for one in value for name in _asked(one)}
    return {value.removeprefix("@")} if isinstance(value, str) and value.startswith("@") else set()


def _is_rate(statement: dict[str, Any]) -> bool:
    """More than a limit; of all packets, or of those that have one element of a set in common."""
    kept = statement.get("set")
    limits = kept.get("stmt", []) if isinstance(kept, dict) else [statement]
    return bool(limits) and all(one.get("limit", {}).get("inv") is True for one in limits)


def _rule(expression: list[dict[str, Any]]) -> Rule | None:
    """None where it says nothing about how a connection begins."""
    statements = [one for one in expression if "counter" not in one]
    matches = [one["match"] for one in statements if "match" in one]
    if any(_is_for_answers(match) for match in matches):
        return None
    does = [next(iter(one)) for one in statements if "match" not in one]
    kind = "other"
    rates = [_is_rate(one) for one in statements if "match" not in one]
    rest = [one for one, rate in zip(does, rates, strict=True) if not rate]
    if any(rates) and rest[-1:] in (["drop"], ["reject"]) and all(one in SILENT for one in rest[:-1]):
        kind = "silent"  # the connection waits
    elif all(one in SILENT for one in does):
        kind = "silent"
    elif does[-1] in ("accept", "drop", "reject") and all(one in SILENT for one in does[:-1]):
        kind = "accept" if does[-1] == "accept" else "drop"
    return Rule(json.dumps(statements, sort_keys=True), kind, tuple(_match(match) for match in matches))


def _is_for_answers(match: dict[str, Any]) -> bool:
    if match["left"] != {"ct": {"key": "state"}} or match["op"] not in ("in", "=="):
        return False
    states = _listed(match["right"])
    return all(isinstance(one, str) for one in states) and not {"new", "untracked"} & set(states)


def _lets_answers_through(expression: list[dict[str, Any]]) -> bool:
    states = [one["match"]["right"] for one in expression if "match" in one]
    return len(states) == 1 and "established" in _listed(states[0]) and {"accept": None} in expression


def _match(given: dict[str, Any]) -> Match:
    kind, what = next(iter(given["left"].items())) if isinstance(given["left"], dict) else ("", {})
    left = json.dumps(given["left"], sort_keys=True)
    if kind == "meta":
        left = f"meta {what.get('key')}"
    elif kind == "payload" and "field" in what:
        left = f"{what['protocol']} {what['field']}"
    right = _listed(given["right"])
    names = frozenset(one for one in right if isinstance(one, str) and not one.startswith("@"))
    if len(names) < len(right):
        names = frozenset()
    text = json.dumps({**given, "right": sorted(right, key=str)}, sort_keys=True)
    ranges = tuple(_range(one) for one in right)
    numbers = tuple(one for one in ranges if one is not None)
    return Match(text, left, given["op"], numbers if len(numbers) == len(right) else None, names)


def _listed(right: Any) -> list[Any]:
    inner = right["set"] if isinstance(right, dict) and "set" in right else right
    return inner if isinstance(inner, list) else [inner]


def _range(value: Any) -> tuple[int, int] | None:
    if isinstance(value, dict) and "prefix" in value:
        network = ipaddress.ip_network(f"{value['prefix']['addr']}/{value['prefix']['len']}", strict=False)
        return int(network.network_address), int(network.broadcast_address)
    if isinstance(value, dict) and "range" in value:
        first, last = (_number(end) for end in value["range"])
        return None if first is None or last is None else (first, last)
    number = _number(value)
    return None if number is None else (number, number)


def _number(value: Any) -> int | None:
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        return None
    if value in PROTOCOLS or value in FAMILIES:
        return PROTOCOLS.get(value) or FAMILIES[value]
    try:
        return int(ipaddress.ip_address(value))
    except ValueError:
        pass
    try:
        return calendar.timegm(time.strptime(value, "%Y-%m-%d %H:%M:%S"))  # printed under TZ=UTC
    except ValueError:
        return None


def _value(left: str, one: Connection) -> tuple[bool, int | None]:
    """Whether the connection tells it, and what it is; None where it has none."""
    if left in ("meta l4proto", "ip protocol"):
        return True, one.protocol if left.startswith("meta") or one.family == 4 else None
    if left == "meta nfproto":
        return True, one.family
    about, _, field = left.partition(" ")
    if about in ("ip", "ip6"):
        if one.family != (4 if about == "ip" else 6):
            return True, None
        found = {"saddr": one.source, "daddr": one.destination}
        return field in found, found.get(field)
    if about in ("tcp", "udp", "th"):
        if about != "th" and one.protocol != PROTOCOLS[about]:
            return True, None
        ports = {"sport": one.source_port, "dport": one.port}
        return field in ports, ports.get(field)
    if about in ("icmp", "icmpv6") and one.protocol != PROTOCOLS[about]:
        return True, None
    return False, None
