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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench import district as districts
from bench import harm, kernel
from bench.gateway import GATEWAY, ROOT, WARD, artefacts, district, inventory_files, policy
from bench.mutation import run as mutation
from bench.mutation.tables import TABLES
from bench.record import AUDIT, BenchError, Record, keep, timed
from bench.rules import Rule, added_to, campus_rule, conduit, district_rule, made
from collectors.collect import Reading, now, write_snapshot
from collectors.parsers.linux import parse_device
from wardnet.audit.question import FAMILIES, Question
from wardnet.audit.records import AuditResult, Verdict
from wardnet.audit.run import audit
from wardnet.audit.smt.opinion import second_opinion
from wardnet.audit.snapshot import read_snapshot
from wardnet.model.intent import Platform
from wardnet.model.policy import AuditPolicy, DevicePolicy

RESULTS = ROOT / "bench" / "results" / "audit.json"
RUNS, QUICK_RUNS = 15, 5
MANY_WARDS = f"audit of {districts.MANY:,} wards"
LEAKS, HARMLESS = 400, 300  # edits of each table; QUICK: one of each kind


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


def meant(policy: AuditPolicy, case: Case) -> AuditPolicy:
    """The policy with a conduit for each added rule; or of the channels alone, as an auditor writes it."""

    def device(one: DevicePolicy) -> DevicePolicy:
        if one.device != GATEWAY:
            return one
        if case.zones:
            return replace(one, conduits=(*one.conduits, *(conduit(n, r) for n, r in made(case.rules, case.make))))
        return replace(one, ports=tuple(replace(port, zone="") for port in one.ports), conduits=())

    return replace(policy, devices=tuple(device(one) for one in policy.devices))


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
    whole, files = policy(), inventory_files()
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, case in enumerate(CASES):
            wanted = meant(whole, case)
            folder = Path(scratch) / str(number)
            reading = Reading(GATEWAY, Platform.LINUX, now(), added_to(artefacts(), made(case.rules, case.make)), "")
            write_snapshot(folder, [reading], files, district().sha256, "bench")
            sets = seconds(folder, wanted, runs, "dd.cudd")
            peer = seconds(folder, wanted, 1, "dd.autoref")
            z3 = z3_seconds(folder, wanted, min(runs, 3))
            both = both_seconds(folder, wanted, runs)
            found.append(timed(f"{case.what}, both engines", both, peer, case.both, runs))
            found.append(timed(f"{case.what}, BDD alone", sets, peer, case.alone, runs))
            found.append(timed(f"{case.what}, BDD alone beside z3 alone", sets, z3, None, min(runs, 3)))
            written = Path(scratch) / f"{number}.yml"
            written.write_text(policy_file(whole))
            command = min(wall(folder, written) for _ in range(3))
            found.append(timed(f"{case.what}: the command's wall time", command, peer, None, 3))
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
        found.append(Record(what, ours, count, round(ours / count, 4), budget, not wrong, "edits", 1, AUDIT))
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


def kept(found: Sequence[Record]) -> list[Record]:
    """Of the last run those of whole districts, which a quick one leaves out."""
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    known = {record.what for record in found}
    return [
        Record(**record) for record in before if record["what"].startswith(MANY_WARDS) and record["what"] not in known
    ]


def main() -> int:
    runs = QUICK_RUNS if os.environ.get("QUICK") else RUNS
    try:
        quick = bool(os.environ.get("QUICK"))
        found = [*records(runs), *districts.records(min(runs, 5), many=not quick)]
        found += [*kept(found), *trust_records(quick)] if quick else trust_records(quick)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    keep(RESULTS, [asdict(record) for record in found])
    for record in found:
        unit = record.unit
        said = "" if record.budget is None else f", budget {record.budget} {unit}: {'met' if record.met else 'MISSED'}"
        if unit == "s":
            print(f"{record.what}: {record.ours:.3f} s (peer {record.peer:.2f} s){said}")
        elif unit == "MiB":
            print(f"{record.what}: {record.ours:.0f} MiB")
        else:
            print(f"{record.what}: {record.ours:.0f} of {record.peer:.0f} {unit}{said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
