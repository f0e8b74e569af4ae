"""Rules added to a gateway's forward chain, each for a network of its own, and the conduits that they are meant by."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network
from random import Random
from typing import Any

from wardnet.model.intent import Ports, Source
from wardnet.model.policy import Passing

PAIRS = (("clerks0", "wan0"), ("citizen0", "inet0"), ("wifi0", "inet0"))
SOURCES = {"clerks0": ("10.20.1.0/24", "fd20:20:1::/64"), "citizen0": ("172.20.1.0/24", "2001:db8:20:1::/64"),
           "wifi0": ("172.21.1.0/24", "2001:db8:21:1::/64")}  # fmt: skip
OUTSIDE = {"wan0": ("10.24.0.0/13", "fd20:40::/32"), "inet0": ("203.0.0.0/8", "2001:db8:4000::/36")}


Rule = Callable[[Random, int], list[Any]]


def match(left: dict[str, Any], right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


def network(random: Random, within: str, length: int) -> dict[str, Any]:
    """A random network of that length inside another, as nft writes it."""
    outer = ip_network(within)
    bits = outer.max_prefixlen
    offset = random.getrandbits(length - outer.prefixlen) << (bits - length)
    address = outer.network_address + offset
    if length == bits:
        return str(address)  # type: ignore[return-value]
    return {"prefix": {"addr": str(address), "len": length}}


def district_rule(random: Random, number: int) -> list[Any]:
    """A flow between a LAN and its own line, alternately in IPv4 and IPv6."""
    incoming, outgoing = random.choice(PAIRS)
    six = number % 2
    word = ("ip", "ip6")[six]
    return [
        match({"meta": {"key": "iifname"}}, incoming),
        match({"meta": {"key": "oifname"}}, outgoing),
        match(
            {"payload": {"protocol": word, "field": "saddr"}}, network(random, SOURCES[incoming][six], (28, 80)[six])
        ),
        match(
            {"payload": {"protocol": word, "field": "daddr"}}, network(random, OUTSIDE[outgoing][six], (24, 64)[six])
        ),
        match({"payload": {"protocol": random.choice(("tcp", "udp")), "field": "dport"}}, random.randrange(1, 65536)),
        {"counter": {"packets": 0, "bytes": 0}},
        {"accept": None},
    ]


def campus_rule(random: Random, _: int) -> list[Any]:
    """What a campus firewall has thousands of: a host's or network's addresses and a port, accepted or dropped, for
    IPv4 and with no port of the device named."""
    rule = [
        match(
            {"payload": {"protocol": "ip", "field": "saddr"}}, network(random, "10.24.0.0/13", random.choice((24, 32)))
        ),
        match(
            {"payload": {"protocol": "ip", "field": "daddr"}}, network(random, "10.20.1.0/24", random.choice((28, 32)))
        ),
    ]
    if random.random() < 0.8:
        field = {"protocol": random.choice(("tcp", "udp")), "field": "dport"}
        rule.append(match({"payload": field}, random.choice((22, 25, 53, 80, 443, 993, 8080, 3389))))
    return [*rule, {"accept": None} if random.random() < 0.85 else {"drop": None}]


def conduit(number: int, rule: list[Any]) -> Passing:
    """What a `district_rule` lets pass, as the policy has it."""
    incoming, outgoing, sender, receiver, port = (one["match"] for one in rule[:5])
    protocol, ports = port["left"]["payload"]["protocol"], (port["right"],)
    networks = [ip_network((n["right"]["prefix"]["addr"], n["right"]["prefix"]["len"])) for n in (sender, receiver)]
    return Passing(
        f"bench-{number}", incoming["right"], outgoing["right"], (networks[0],), (networks[1],),
        (Ports(protocol, ports),), Source("bench", 1),
    )  # fmt: skip


def made(rules: int, make: Rule) -> list[tuple[int, list[Any]]]:
    random = Random(rules)  # noqa: S311 - the same rules each time
    return [(number, make(random, number)) for number in range(rules)]


def added_to(artefacts: Mapping[str, bytes], rules: Iterable[tuple[int, list[Any]]]) -> dict[str, bytes]:
    """A gateway's artefacts with these rules at the end of its forward chain."""
    listing = json.loads(artefacts["nft-ruleset.json"])
    objects = listing["nftables"]
    last = max(n for n, entry in enumerate(objects) if entry.get("rule", {}).get("chain") == "forward")
    objects[last:last] = [
        {"rule": {"family": "inet", "table": "wardnet", "chain": "forward", "handle": 1000 + number, "expr": rule}}
        for number, rule in rules
    ]
    return {**artefacts, "nft-ruleset.json": json.dumps(listing).encode()}
