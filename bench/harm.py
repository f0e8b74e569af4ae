"""Artefacts that are mutated at random: each is parsed, and gives a result or an error with its place; and whole
devices with a leak are damaged, judged, and never proved.

What is mutated is a whole small listing, cut out of those of real gateways: a million takes hours, and not weeks.
An input counts as a failure if a parser ends with anything but a `ParseError` that names device, artefact, place and
reason; or if a damaged device is called proved. Damaged is a device with a leak in it, of which one artefact

* ends early, wherever it was cut: nothing of the kind can take the leak away but by leaving out what it needs, and a
  listing of which something is left out has to be refused, or the device to be unknown;
* got a condition, a selector, a key or a line that nothing here knows;
* was mutated at random, and is not one of those that the leak is in (filter, routes, rules, addresses, settings).

    python -m bench.harm 100000        # so many more inputs; goes on where the last run ended
    python -m bench.harm 1000 --seed 7 # that batch alone, once more

Totals, with the batches that were run, are kept in bench/results/harm.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from bench.mutation import leaks_filter
from bench.mutation.run import places_of_policy
from bench.mutation.subjects import subjects
from collectors.parsers import plain
from collectors.parsers.artefact import Artefact, ParseError
from collectors.parsers.bridge import cover_bridge_vlans, parse_bridge_vlans
from collectors.parsers.conntrack import cover_connections, parse_connections
from collectors.parsers.iproute import listed_addresses, parse_addresses, parse_links, parse_routes, parse_rules
from collectors.parsers.linux import parse_device
from collectors.parsers.nft import parse_ruleset
from collectors.parsers.servers import parse_servers
from collectors.parsers.sshd import cover_sshd, parse_sshd
from collectors.parsers.sysctl import parse_settings
from tests.unit.audit_support import Artefacts
from tests.unit.gateway_support import FIXTURES
from tests.unit.zone_services_support import listed, service, serving
from wardnet.audit.judge import judge
from wardnet.audit.records import Verdict

RESULTS = Path(__file__).resolve().parent / "results" / "harm.json"
BATCH = 1000
JUDGED = 2  # whole devices in each batch
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
# In which the leak itself is, or what it needs to be one.
CARRYING = frozenset(
    {NFT, "ip-rule.json", "ip6-rule.json", "ip-route.json", "ip6-route.json", "ip-addr.json", "sysctl.txt"}
)


@dataclass
class Tally:
    """What a batch, or all of them, came to. `failures` tell how to do each again."""

    inputs: int = 0
    parsed: int = 0
    refused: int = 0
    judged: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0  # of processor

    def add(self, other: Tally) -> None:
        self.inputs += other.inputs
        self.parsed += other.parsed
        self.refused += other.refused
        self.judged += other.judged
        self.verdicts.update(other.verdicts)
        self.failures += other.failures
        self.seconds += other.seconds


# --- whole small listings


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


# --- mutations

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
            holder[key] = random.choice(ODD)
    return json.dumps(value).encode()


def mutated(name: str, content: bytes, random: Random) -> bytes:
    if name.endswith(".json") and random.random() < 0.6:
        return of_json(content, random)
    for _ in range(random.choice((1, 1, 2))):
        content = of_bytes(content, random)
    return content


# --- judging


def damaged(random: Random) -> tuple[str, Artefacts]:
    """A gateway with a leak that is certain, and one artefact of it damaged."""
    subject = subjects()[0]
    way = random.choice(subject.ways)
    leak = dict(leaks_filter.FORMS["accept"][1](subject, way))
    name = random.choice([n for n, content in leak.items() if content.strip()])
    kind = random.choice(("cut", "strange", "mutated"))
    if kind == "mutated" and name not in CARRYING:
        leak[name] = mutated(name, leak[name], random)
    elif kind == "strange":
        leak[name] = strange(name, leak[name], random)
    else:
        leak[name] = leak[name][: random.randrange(len(leak[name].rstrip()))]
    return f"{kind} {name}, {way}", leak


def strange(name: str, content: bytes, random: Random) -> bytes:
    """One thing more in it that nobody knows: where a condition is what decides, a condition."""
    if not name.endswith(".json"):
        lines = content.splitlines(keepends=True)
        lines.insert(random.randrange(len(lines) + 1), b"something = that nobody knows\n")
        return b"".join(lines)
    value = json.loads(content)
    records = value["nftables"][1:] if name == NFT else value
    record = random.choice([r["rule"] for r in records if "rule" in r] if name == NFT else records)
    if name == NFT:
        condition = {"match": {"op": "==", "left": {"".join(random.choices("abcxyz", k=4)): {}}, "right": 1}}
        record["expr"].insert(random.randrange(len(record["expr"]) + 1), condition)
    else:
        record["what nobody knows"] = random.choice(ODD)
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


def verdict(artefacts: Artefacts) -> str:
    subject = subjects()[0]
    try:
        result = judge(parse_device(subject.policy.device, artefacts), subject.policy, places_of_policy())
    except ParseError:
        return "refused"
    except Exception:
        return traceback.format_exc(limit=-3)
    return "proved" if result.verdict is Verdict.PROVED else str(result.verdict)


def batch(seed: int) -> Tally:
    """A thousand inputs, always the same for a seed."""
    random = Random(seed)  # noqa: S311 - the same inputs each time
    tally, start = Tally(), time.process_time()
    for number in range(BATCH - JUDGED):
        name = random.choice(list(PARSERS))
        content = mutated(name, small(name, random), random)
        said = parsed(name, content)
        tally.inputs += 1
        tally.parsed += said == "parsed"
        tally.refused += said == "refused"
        if said not in ("parsed", "refused"):
            tally.failures.append(f"seed {seed}, input {number}, {name}: {said}")
    for number in range(JUDGED):
        what, artefacts = damaged(random)
        said = verdict(artefacts)
        tally.inputs += 1
        tally.judged += 1
        tally.verdicts[said if "\n" not in said else "crash"] += 1
        if said not in ("violated", "unknown", "refused"):
            tally.failures.append(f"seed {seed}, device {number}, {what}: {said}")
    tally.seconds = time.process_time() - start
    return tally


# --- the long run


def run(inputs: int, workers: int) -> dict[str, Any]:
    """So many more inputs, in batches behind those that were run; kept after each."""
    kept = read()
    first = kept["batches"]
    with ProcessPoolExecutor(workers) as pool:
        for tally in pool.map(batch, range(first, first + -(-inputs // BATCH))):
            for key in ("inputs", "parsed", "refused", "judged", "seconds"):
                kept[key] = round(kept[key] + getattr(tally, key), 2)
            kept["verdicts"] = dict(sorted((Counter(kept["verdicts"]) + tally.verdicts).items()))
            kept["failures"] += tally.failures
            kept["batches"] += 1
            RESULTS.write_text(json.dumps(kept, indent=2) + "\n")
            for failure in tally.failures:
                print(failure, file=sys.stderr)
    return kept


def read() -> dict[str, Any]:
    if RESULTS.exists():
        return dict(json.loads(RESULTS.read_text()))
    return {
        "command": "python -m bench.harm N",
        "batches": 0,
        "inputs": 0,
        "parsed": 0,
        "refused": 0,
        "judged": 0,
        "seconds": 0.0,
        "verdicts": {},
        "failures": [],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs", type=int)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, help="one batch alone; nothing is kept")
    asked = parser.parse_args()
    if asked.seed is not None:
        found = batch(asked.seed)
        print(found)
        return 1 if found.failures else 0
    kept = run(asked.inputs, asked.workers)
    rate = kept["inputs"] / max(kept["seconds"], 0.01)
    print(f"{kept['inputs']} inputs, {len(kept['failures'])} failures; {rate:.0f} a second of one processor")
    return 1 if kept["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
