"""Small listings cut out of real gateways' artefacts, mutated at random, and the parser of each artefact."""

from __future__ import annotations

import copy
import json
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any

from collectors.parsers import plain
from collectors.parsers.artefact import Artefact, ParseError
from collectors.parsers.bridge import cover_bridge_vlans, parse_bridge_vlans
from collectors.parsers.conntrack import cover_connections, parse_connections
from collectors.parsers.iproute import listed_addresses, parse_addresses, parse_links, parse_routes, parse_rules
from collectors.parsers.nft import parse_ruleset
from collectors.parsers.servers import parse_servers
from collectors.parsers.sshd import cover_sshd, parse_sshd
from collectors.parsers.sysctl import parse_settings
from tests.unit.gateway_support import FIXTURES
from tests.unit.zone_services_support import listed, service, serving

NFT = "nft-ruleset.json"


PARSERS: dict[str, Callable[[Artefact], object]] = {
    NFT: lambda artefact: parse_ruleset(artefact, 1_830_272_400),
    "ip-link.json": parse_links,
    "ip-addr.json": lambda artefact: (parse_addresses(artefact), list(listed_addresses(artefact))),
    "ip-rule.json": lambda artefact: parse_rules(artefact, 4),
    "ip6-rule.json": lambda artefact: parse_rules(artefact, 6),
    "ip-route.json": lambda artefact: parse_routes(artefact, 4),
    "ip6-route.json": lambda artefact: parse_routes(artefact, 6),
    "sysctl.txt": parse_settings,
    "listeners.txt": plain.parse_listeners,
    "tc-qdisc.json": lambda artefact: plain.cover_disciplines(artefact, plain.parse_disciplines(artefact, ["wan0"])),
    "xfrm-policy.txt": lambda artefact: plain.cover_lines(artefact, plain.parse_ipsec(artefact)),
    "legacy-tables.txt": lambda artefact: plain.cover_lines(artefact, plain.parse_legacy_tables(artefact)),
    "pppoe.txt": lambda artefact: plain.cover_sessions(artefact, plain.parse_sessions(artefact)),
    "sshd.txt": lambda artefact: (parse_sshd(artefact), cover_sshd(artefact)),
    "clock.txt": plain.parse_clock,
    "services.txt": parse_servers,
    "bridge-vlan.json": lambda artefact: (parse_bridge_vlans(artefact), cover_bridge_vlans(artefact, ())),
    "connections.txt": lambda artefact: cover_connections(artefact, parse_connections(artefact)),
}


# What no gateway of the fixtures has.
SAMPLES: dict[str, bytes] = {
    "listeners.txt": b'tcp LISTEN 0 128 10.30.1.1:22 0.0.0.0:* users:(("sshd",pid=5,fd=3))\n'
    b'udp UNCONN 0 0 [::]%wan0:547 [::]:* users:(("dnsmasq",pid=7,fd=4),("x",pid=8,fd=1))\nraw UNCONN 0 0 *:58 *:*\n',
    "xfrm-policy.txt": b"src 10.0.0.0/8 dst 0.0.0.0/0\n\tdir out priority 0\n",
    "legacy-tables.txt": b"filter\nnat\n",
    "bridge-vlan.json": b'[{"ifname":"br0","vlans":[{"vlan":1,"flags":["PVID","Egress Untagged"]}]},'
    b'{"ifname":"lan1","vlans":[{"vlan":10,"vlanEnd":20},{"vlan":30,"flags":["PVID"]}]}]',
    "connections.txt": b"ipv4     2 tcp      6 431999 ESTABLISHED src=10.20.1.11 dst=10.20.200.10 sport=40000 "
    b"dport=443 src=10.20.200.10 dst=10.20.1.11 sport=443 dport=40000 [ASSURED] mark=0 use=1\n"
    b"ipv6     10 icmpv6   58 29 src=fd20::1 dst=fd20::2 type=128 code=0 id=7 [UNREPLIED] src=fd20::2 dst=fd20::1 "
    b"type=129 code=0 id=7 mark=0 use=1\n",
    "pppoe.txt": b"Id       Address              Device\n00000001 02:00:00:00:00:09 eth1\n",
}


@cache
def _originals(name: str) -> tuple[bytes, ...]:
    found = [path.read_bytes() for path in sorted(FIXTURES.glob(f"*/{name}"))]
    found += [SAMPLES[name]] if name in SAMPLES else []
    if name == "services.txt":
        found.append(listed(serving(service("clerks0"), service("citizen0"))))
    return tuple(content for content in found if content.strip())


@cache
def _read(name: str, number: int) -> Any:
    return json.loads(_originals(name)[number])


def small(name: str, random: Random) -> bytes:
    """A listing of a few of a real one's records or lines; of a ruleset with all its tables, chains and sets."""
    number = random.randrange(len(_originals(name)))
    if not name.endswith(".json"):
        lines = _originals(name)[number].splitlines(keepends=True)
        start = random.randrange(len(lines))
        return b"".join(lines[start : start + 40]) if name == "sysctl.txt" else b"".join(lines[:60])
    value = _read(name, number)
    if name != NFT:
        start = random.randrange(max(1, len(value) - 6))
        return json.dumps(value[start : start + 8]).encode()
    objects = value["nftables"]
    rules = random.sample([e for e in objects if "rule" in e], 4)
    kept = [e for e in objects if "rule" not in e]
    return json.dumps({"nftables": [*kept, *rules]}).encode()


_TOKENS = (
    b"",
    b"\0",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\xff",
    b"\n",
    b" ",
    b"null",
    b"true",
    b"-1",
    b"1e99",
    b"99999999999999999999",
    b"0x",
    b"::",
    b"0.0.0.0/33",
    b"@x",
    b'"elem"',
    "ệ".encode(),
)


ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1.5,
    10**30,
    "",
    "x",
    "@nowhere",
    "::",
    "10.0.0.1/99",
    "default",
    [],
    {},
    [[]],
    [None],
    {"set": 5},
    {"set": []},
    {"range": ["", ""]},
    {"range": [5, 1]},
    {"prefix": {"addr": "x", "len": 200}},
    {"concat": []},
    {"elem": {"val": "x"}},
    {"|": [1, 2]},
    {"&": [{"meta": {"key": "mark"}}, "x"]},
    {"jump": {"target": "nowhere"}},
    {"map": {"key": {}, "data": {}}},
    "65536",
    65536,
    "a" * 300,
    "1-0",
    {"": {}},
)


def of_bytes(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content) + 1)
    length = random.choice((1, 1, 2, 5, 20, 200))
    kind = random.randrange(6)
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + random.randbytes(length) + content[at + length :]
    if kind == 2:
        return content[:at] + random.choice(_TOKENS) + content[at + random.choice((0, 1)) :]
    if kind == 3:
        return content[:at] + content[at + length :]
    other = random.randrange(len(content) + 1)
    stretch = content[other : other + length]
    return content[:at] + stretch + content[at + (length if kind == 4 else 0) :]


def odd(random: Random) -> Any:
    """One of its own, since more may be put into it."""
    return copy.deepcopy(random.choice(ODD))


def holders(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in a JSON value: what holds it, and its key or index."""
    keys: Any = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from holders(value[key])


def of_json(content: bytes, random: Random) -> bytes:
    value = json.loads(content)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = list(holders(value))
        if not places:
            break
        holder, key = random.choice(places)
        other_holder, other = random.choice(places)
        kind = random.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            holder[key] = json.loads(json.dumps(other_holder[other]))
        elif kind == 2 and isinstance(holder, list):
            holder.insert(key, json.loads(json.dumps(holder[key])))
        elif kind == 3 and isinstance(holder, dict):
            holder[random.choice((*holder, "x", "set", "elem", "handle"))] = holder.pop(key)
        else:
            holder[key] = odd(random)
    return json.dumps(value).encode()


def mutated(name: str, content: bytes, random: Random) -> bytes:
    if name.endswith(".json") and random.random() < 0.6:
        return of_json(content, random)
    for _ in range(random.choice((1, 1, 2))):
        content = of_bytes(content, random)
    return content


def strange(name: str, content: bytes, random: Random) -> bytes:
    """One thing more in it that nobody knows: where a condition is what decides, a condition."""
    if not name.endswith(".json"):
        lines = content.splitlines(keepends=True)
        lines.insert(random.randrange(len(lines) + 1), b"something = that nobody knows\n")
        return b"".join(lines)
    value = json.loads(content) or [{}]  # nothing is listed at a gateway without bridges
    record = random.choice([r["rule"] for r in value["nftables"] if "rule" in r] if name == NFT else value)
    if name == NFT:
        condition = {"match": {"op": "==", "left": {"".join(random.choices("abcxyz", k=4)): {}}, "right": 1}}
        record["expr"].insert(random.randrange(len(record["expr"]) + 1), condition)
    else:
        record["what nobody knows"] = odd(random)
    return json.dumps(value).encode()


def parsed(name: str, content: bytes) -> str:
    """`parsed`, `refused`, or what went wrong."""
    try:
        PARSERS[name](Artefact("gw", name, content))
    except ParseError as error:
        whole = error.device == "gw" and error.artefact == name and error.where and error.reason
        return "refused" if whole else f"an error without its place: {error}"
    except Exception:
        return traceback.format_exc(limit=-3)
    return "parsed"
