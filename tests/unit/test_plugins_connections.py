"""Which connections end with a change of the packet filter, and that no other does."""

from __future__ import annotations

import json
import os
import subprocess
from ipaddress import ip_address
from typing import Any

import pytest

from tests.unit.namespaces import assert_passes
from tests.unit.plugins_support import load

pytestmark = pytest.mark.long

allowed = load("module_utils", "wardnet_allowed")
kernel = load("module_utils", "wardnet_kernel")

ANSWERS = "ct state established,related accept"


@pytest.mark.parametrize("name", ["requests_in_flight_are_answered", "what_only_the_former_rules_let_begin_ends"])
def test_in_namespaces(name: str) -> None:
    assert_passes("connections_namespace", name)


def listing(*rules: str, policy: str = "drop", more: str = "") -> list[str]:
    chain = f"chain forward {{ type filter hook forward priority 0; policy {policy}; {'; '.join(rules)}; }}"
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(
        ["unshare", *root, "--net", "sh", "-c", "nft -f - && TZ=UTC nft -j list ruleset"],
        input=f"table inet wardnet {{ {more}\n {chain}\n }}", capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines: list[str] = kernel.parse_ruleset(done.stdout)
    return lines


def connection(source: str, destination: str, protocol: int = 6, port: int | None = 443) -> Any:
    ends = ip_address(source), ip_address(destination)
    return allowed.Connection(ends[0].version, int(ends[0]), int(ends[1]), protocol, 40000 if port else None, port)


ONE = connection("10.20.8.11", "10.9.0.1")
OTHER_PORT = connection("10.20.8.11", "10.9.0.1", port=80)
PING = connection("10.20.8.11", "10.9.0.1", protocol=1, port=None)
SIX = connection("fd20:8::11", "fd09::1")


@pytest.mark.parametrize(
    ("former", "new", "end"),
    [
        (("tcp dport 443 accept",), ("tcp dport 443 accept comment 'x'".replace("'", '"'),), ()),
        (("tcp dport 443 accept",), ("udp dport 443 accept",), (ONE, SIX)),
        (("tcp dport 443 accept",), ("tcp dport { 80, 443 } accept",), ()),
        (("tcp dport { 80, 443 } accept",), ("tcp dport 443 accept",), (OTHER_PORT,)),
        (("tcp dport 1-500 accept",), ("tcp dport 400-500 accept",), (OTHER_PORT,)),
        (("accept",), ("meta nfproto ipv6 accept",), (ONE, OTHER_PORT, PING)),
        (("accept",), ("ip daddr 10.9.0.0/16 accept",), (SIX,)),
        (("accept",), ("ip daddr != 10.9.0.0/16 accept",), (ONE, OTHER_PORT, PING, SIX)),
        (("meta l4proto { tcp, icmp } accept",), ("meta l4proto tcp accept",), (PING,)),
        (("tcp dport 443 accept",), ('iifname "a0" tcp dport 443 accept',), (ONE, SIX)),
        (('iifname "a0" accept',), ('iifname { "a0", "b0" } accept',), ()),
        (('iifname { "a0", "b0" } accept',), ('iifname "a0" accept',), (ONE, OTHER_PORT, PING, SIX)),
        # Before the rule for answers each packet is judged; after it, only the first one.
        (("tcp dport 443 accept",), ("FIRST tcp dport 443 drop", "tcp dport 443 accept"), ()),
        (("tcp dport 443 accept",), ("ip saddr 10.20.8.0/24 drop", "tcp dport 443 accept"), (ONE,)),
        (("tcp dport 443 accept",), ("tcp dport 443 accept", "tcp dport 443 drop"), ()),
        (("tcp dport 80 drop", "accept"), ("accept",), ()),
        (("tcp dport 443 accept",), ("limit rate 1/second accept", "tcp dport 443 accept"), (ONE, SIX)),
        (("ct state established accept", "accept"), ("accept",), ()),
    ],
)
def test_what_ends(former: tuple[str, ...], new: tuple[str, ...], end: tuple[Any, ...]) -> None:
    def rules(given: tuple[str, ...]) -> list[str]:
        first = [rule.removeprefix("FIRST ") for rule in given if rule.startswith("FIRST ")]
        return listing(*first, ANSWERS, *(rule for rule in given if not rule.startswith("FIRST ")))

    found = allowed.Allowed(rules(former), rules(new))
    assert tuple(one for one in (ONE, OTHER_PORT, PING, SIX) if found.ends(one)) == end
    assert bool(found) or not end


def test_what_no_rule_decided_before() -> None:
    found = allowed.Allowed(listing(policy="accept"), listing("tcp dport 443 drop", policy="accept"))
    assert found.ends(ONE)
    assert not found.ends(OTHER_PORT)
    assert allowed.Allowed(listing(policy="accept"), listing("accept")).everything
    assert allowed.Allowed([], listing("accept")).everything
    assert not allowed.Allowed(listing("accept"), [])
    one_set = "set s { type ipv4_addr; elements = { 10.9.0.%s }; }"
    rule = "ip daddr @s accept"
    assert allowed.Allowed(listing(rule, more=one_set % 1), listing(rule, more=one_set % 2)).everything
    assert not allowed.Allowed(listing(rule, more=one_set % 1), listing(rule, more=one_set % 1))


def test_a_chain_that_a_rule_jumps_to() -> None:
    chain = "chain more { %s; }"
    former = listing("jump more", more=chain % "tcp dport 443 accept")
    assert not allowed.Allowed(former, former)
    found = allowed.Allowed(former, listing("jump more", more=chain % "tcp dport 80 accept"))
    assert found.ends(ONE)
    assert not found.ends(PING)
    assert allowed.Allowed(former, listing("tcp dport 80 accept")).ends(ONE)


def test_an_end_that_is_put_off() -> None:
    former, new = (listing(f"tcp dport 443 meta time < {end} accept") for end in (1_900_000_000, 2_000_000_000))
    assert not allowed.Allowed(former, new, now=1_899_999_999).ends(ONE)
    assert allowed.Allowed(former, new, now=2_000_000_000).ends(ONE)


def test_comments_and_counters_are_nothing() -> None:
    former = listing(ANSWERS, 'tcp dport 443 counter accept comment "a.yml:1"')
    new = listing(ANSWERS, 'tcp dport 443 counter packets 5 bytes 7 accept comment "a.yml:2"')
    assert json.dumps(former) != json.dumps(new)
    assert not allowed.Allowed(former, new)
