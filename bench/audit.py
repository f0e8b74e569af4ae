"""How long the audit takes, from artefacts on disk to the verdict in a warm process: both engines together, and each
alone, beside dd.autoref (the BDD package without C) on the same artefacts.

The artefacts are those of a really configured gateway (tests/unit/fixtures/buoi-gw) with rules added to its forward
chain: as many as the case says, each for a network of its own. The verdict has to be what it was without them.

    python -m bench.audit            # QUICK=1 for fewer runs

And how often it is right: of leaks and harmless changes edited into raw artefacts, and of what the long runs came to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any

from bench import harm, kernel
from bench.mutation import run as mutation
from bench.mutation.tables import TABLES
from collectors.collect import Reading, now, write_snapshot
from collectors.parsers.linux import parse_device
from wardnet.audit.question import FAMILIES, Question
from wardnet.audit.records import AuditResult, Verdict
from wardnet.audit.run import audit
from wardnet.audit.smt.opinion import second_opinion
from wardnet.audit.snapshot import read_snapshot
from wardnet.compile import compile_plan, compile_policy
from wardnet.inventory import read_district
from wardnet.model.intent import Platform, Ports, Source
from wardnet.model.policy import AuditPolicy, DevicePolicy, Passing
from wardnet.model.snapshot import LINUX

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "audit.json"
ARTEFACTS = ROOT / "tests" / "unit" / "fixtures" / "buoi-gw"
INVENTORY = ROOT / "inventory" / "tay-ho"
GATEWAY, WARD = "buoi-gw", "buoi"
DAY = date(2026, 11, 24)
RUNS, QUICK_RUNS = 15, 5
LEAKS, HARMLESS = 400, 300  # edits of each table; QUICK: one of each kind
COMMAND = "make bench-audit"

PAIRS = (("clerks0", "wan0"), ("citizen0", "inet0"), ("wifi0", "inet0"))
SOURCES = {"clerks0": ("10.20.1.0/24", "fd20:20:1::/64"), "citizen0": ("172.20.1.0/24", "2001:db8:20:1::/64"),
           "wifi0": ("172.21.1.0/24", "2001:db8:21:1::/64")}  # fmt: skip
OUTSIDE = {"wan0": ("10.24.0.0/13", "fd20:40::/32"), "inet0": ("203.0.0.0/8", "2001:db8:4000::/36")}


Rule = Callable[[Random, int], list[Any]]


class BenchError(Exception):
    """The figures would say nothing: a verdict is not what it must be."""


@dataclass(frozen=True)
class Record:
    """One line of the result: `ours` and `peer` in `unit`, `ratio` of the two, `ours` against `budget`. Of edits,
    inputs and packets `peer` is how many there were."""

    what: str
    ours: float
    peer: float
    ratio: float
    budget: float | None  # None where no budget is set
    met: bool | None
    unit: str
    runs: int
    command: str


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


@dataclass(frozen=True)
class Case:
    """So many rules of a kind; between all zones, each with its conduit, or between the channels alone. The budgets, in
    seconds, are of both engines together and of the sets alone."""

    what: str
    rules: int
    make: Rule
    zones: bool
    both: float | None
    alone: float | None


CASES = (
    Case("audit of a gateway with 500 rules, both families, the channels alone", 500, district_rule, False, 0.3, None),
    Case("audit of a gateway with 500 rules and conduits, both families, zones", 500, district_rule, True, 0.3, None),
    Case("audit of a gateway with a forward chain of 3,570 rules", 3570, campus_rule, False, None, 0.3),
)


def conduit(number: int, rule: list[Any]) -> Passing:
    """What a `district_rule` lets pass, as the policy has it."""
    incoming, outgoing, sender, receiver, port = (one["match"] for one in rule[:5])
    protocol, ports = port["left"]["payload"]["protocol"], (port["right"],)
    networks = [ip_network((n["right"]["prefix"]["addr"], n["right"]["prefix"]["len"])) for n in (sender, receiver)]
    return Passing(
        f"bench-{number}", incoming["right"], outgoing["right"], (networks[0],), (networks[1],),
        (Ports(protocol, ports),), Source("bench", 1),
    )  # fmt: skip


def meant(policy: AuditPolicy, case: Case) -> AuditPolicy:
    """The policy with a conduit for each added rule; or of the channels alone, as an auditor writes it."""

    def device(one: DevicePolicy) -> DevicePolicy:
        if one.device != GATEWAY:
            return one
        if case.zones:
            return replace(one, conduits=(*one.conduits, *(conduit(n, r) for n, r in added(case.rules, case.make))))
        return replace(one, ports=tuple(replace(port, zone="") for port in one.ports), conduits=())

    return replace(policy, devices=tuple(device(one) for one in policy.devices))


def added(rules: int, make: Rule) -> list[tuple[int, list[Any]]]:
    random = Random(rules)  # noqa: S311 - the same rules each time
    return [(number, make(random, number)) for number in range(rules)]


def artefacts(rules: int, make: Rule) -> dict[str, bytes]:
    """The gateway's artefacts with so many rules at the end of its forward chain."""
    found = {artefact.name: (ARTEFACTS / artefact.name).read_bytes() for artefact in LINUX}
    listing = json.loads(found["nft-ruleset.json"])
    objects = listing["nftables"]
    last = max(n for n, entry in enumerate(objects) if entry.get("rule", {}).get("chain") == "forward")
    objects[last:last] = [
        {"rule": {"family": "inet", "table": "wardnet", "chain": "forward", "handle": 1000 + number, "expr": rule}}
        for number, rule in added(rules, make)
    ]
    found["nft-ruleset.json"] = json.dumps(listing).encode()
    return found


def seconds(folder: Path, policy: AuditPolicy, runs: int, backend: str) -> float:
    """Processor time of the fastest run of the sets alone, after one that warms up. They have one thread and wait for
    nothing, so that this is their wall time on a machine that does nothing else; and what else a machine does only ever
    adds."""
    return _fastest(
        runs, time.process_time, folder, lambda: audit(read_snapshot(folder), policy, [WARD], backend, None)
    )


def both_seconds(folder: Path, policy: AuditPolicy, runs: int) -> float:
    """Wall time of the fastest run of both engines: z3 works beside the sets, on another processor."""
    return _fastest(runs, time.perf_counter, folder, lambda: audit(read_snapshot(folder), policy, [WARD]))


def z3_seconds(folder: Path, policy: AuditPolicy, runs: int) -> float:
    """Processor time of the fastest run of z3 alone, both families, the reading of the artefacts with it."""

    def run() -> None:
        read = read_snapshot(folder)
        device = parse_device(GATEWAY, read.contents[GATEWAY], int(read.manifest.collected_at.timestamp()))
        wanted = next(one for one in policy.devices if one.device == GATEWAY)
        answers = [second_opinion(Question(device, wanted, family)) for family in FAMILIES]
        if {verdict for answer in answers for verdict in answer.verdicts.values()} != {Verdict.PROVED}:
            raise BenchError(
                f"{folder.name} must be proved by z3, and is not: {answers[0].gave_up or answers[1].gave_up}"
            )

    return _fastest(runs, time.process_time, folder, run)


def _fastest(runs: int, clock: Callable[[], float], folder: Path, run: Callable[[], AuditResult | None]) -> float:
    taken = []
    for number in range(runs + 1):
        start = clock()
        result = run()
        if number:
            taken.append(clock() - start)
        if result is not None and result.verdict is not Verdict.PROVED:
            raise BenchError(f"{folder.name} must be proved, and is {result.verdict}")
    return min(taken)


def policy_file(policy: AuditPolicy) -> str:
    """The gateway's channels and exceptions as an auditor writes them."""
    (one,) = (device for device in policy.devices if device.device == GATEWAY)
    ports = [
        {"interface": port.interface, "channel": port.channel, "prefixes": [str(prefix) for prefix in port.prefixes]}
        for port in one.ports
    ]
    grants = [
        {
            "id": grant.id, "from": grant.from_interface, "to": grant.to_interface, "sender": str(grant.sender),
            "receiver": str(grant.receiver), "owner": grant.owner, "document": grant.document,
            "expires": grant.expires.isoformat(),
            "allow": [{"protocol": ports.protocol, "ports": list(ports.ports)} for ports in grant.allow],
        }
        for grant in one.grants
    ]  # fmt: skip
    return json.dumps({"name": "bench", "devices": [{"id": GATEWAY, "ports": ports, "grants": grants}]})


def wall(folder: Path, policy: Path) -> float:
    """The command as a person runs it, its start included, with a policy of the channels."""
    start = time.perf_counter()
    argv = [str(Path(sys.executable).with_name("wardnet")), "audit", str(folder), "--policy", str(policy)]
    done = subprocess.run(argv, capture_output=True, check=False, cwd=ROOT)
    if done.returncode:
        raise BenchError(done.stderr.decode() or done.stdout.decode())
    return time.perf_counter() - start


def records(runs: int) -> list[Record]:
    district = read_district(INVENTORY)
    whole = compile_policy(district, compile_plan(district, DAY))
    files = {
        path.relative_to(INVENTORY).as_posix(): path.read_bytes()
        for path in [INVENTORY / "district.yml", *sorted((INVENTORY / "wards").glob("*.yml"))]
    }
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, case in enumerate(CASES):
            policy = meant(whole, case)
            folder = Path(scratch) / str(number)
            reading = Reading(GATEWAY, Platform.LINUX, now(), artefacts(case.rules, case.make), "")
            write_snapshot(folder, [reading], files, district.sha256, "bench")
            sets = seconds(folder, policy, runs, "dd.cudd")
            peer = seconds(folder, policy, 1, "dd.autoref")
            z3 = z3_seconds(folder, policy, min(runs, 3))
            both = both_seconds(folder, policy, runs)
            found.append(_record(f"{case.what}, both engines", both, peer, case.both, runs))
            found.append(_record(f"{case.what}, BDD alone", sets, peer, case.alone, runs))
            found.append(_record(f"{case.what}, BDD alone beside z3 alone", sets, z3, None, min(runs, 3)))
            written = Path(scratch) / f"{number}.yml"
            written.write_text(policy_file(whole))
            command = min(wall(folder, written) for _ in range(3))
            found.append(_record(f"{case.what}: the command's wall time", command, peer, None, 3))
    return found


def trust_records(quick: bool) -> list[Record]:
    """How often the audit was right where the answer is known: of edited artefacts here; of mutated ones and of packets
    through the kernel what the long runs came to (`python -m bench.harm`, `python -m bench.kernel`)."""
    found = []
    for table, wanted, what in (
        ("leaks", LEAKS, "leaks edited into raw artefacts: found"),
        ("harmless", HARMLESS, "harmless changes of raw artefacts: reported"),
    ):
        count = len(TABLES[table]) if quick else wanted
        outcomes = list(mutation.run(mutation.spread(table, count), os.cpu_count() or 1))
        wrong = [outcome for outcome in outcomes if outcome.wrong]
        for outcome in wrong:
            print(f"bench: {outcome}", file=sys.stderr)
        ours, budget = (count - len(wrong), count) if table == "leaks" else (len(wrong), 0)
        found.append(Record(what, ours, count, round(ours / count, 4), budget, not wrong, "edits", 1, COMMAND))
    for module, unit, what in (
        (harm, "inputs", "mutated artefacts that crash a parser, or hide a leak"),
        (kernel, "packets", "packets on which the model and the kernel differ: routers with one"),
    ):
        kept = module.read()
        failures = len(kept["failures"])
        if kept[unit]:
            found.append(Record(what, failures, kept[unit], round(failures / kept[unit], 9), 0, not failures, unit,
                                kept[unit], kept["command"]))  # fmt: skip
    return found


def _record(what: str, ours: float, peer: float, budget: float | None, runs: int) -> Record:
    met = None if budget is None else ours <= budget
    return Record(what, round(ours, 4), round(peer, 4), round(ours / peer, 4), budget, met, "s", runs, COMMAND)


def main() -> int:
    runs = QUICK_RUNS if os.environ.get("QUICK") else RUNS
    try:
        found = [*records(runs), *trust_records(bool(os.environ.get("QUICK")))]
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(record) for record in found], indent=2) + "\n")
    for record in found:
        unit = record.unit
        said = "" if record.budget is None else f", budget {record.budget} {unit}: {'met' if record.met else 'MISSED'}"
        if unit == "s":
            print(f"{record.what}: {record.ours:.3f} s (peer {record.peer:.2f} s){said}")
        else:
            print(f"{record.what}: {record.ours:.0f} of {record.peer:.0f} {unit}{said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
