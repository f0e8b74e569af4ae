"""Artefacts that are mutated at random: each is parsed, and gives a result or an error with its place; and whole
devices with a leak are damaged, judged, and never proved.

What is mutated is a whole small listing, cut out of those of real gateways: a million takes hours, and not weeks.
An input counts as a failure if a parser ends with anything but a `ParseError` that names device, artefact, place and
reason; or if a damaged device is called proved. Damaged is a device with a leak in it, of which one artefact

* ends early, wherever it was cut: what is left out may have been what the leak needs, but then the listing has to be
  refused, or the device to be unknown;
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
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from bench.mutated import NFT, PARSERS, mutated, parsed, small, strange
from bench.mutation import leaks_filter
from bench.mutation.run import places_of_policy
from bench.mutation.subjects import subjects
from bench.record import keep
from collectors.parsers.artefact import ParseError
from collectors.parsers.linux import parse_device
from tests.unit.audit_support import Artefacts
from wardnet.audit.judge import judge
from wardnet.audit.records import Verdict

RESULTS = Path(__file__).resolve().parent / "results" / "harm.json"
BATCH = 1000
JUDGED = 2  # whole devices in each batch

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


# --- judging


def damaged(random: Random) -> tuple[str, Artefacts]:
    """A gateway with a leak that is certain, and one artefact of it damaged."""
    subject = subjects()[0]
    way = random.choice(subject.ways)
    leak = dict(leaks_filter.FORMS["accept"][1](subject, way))
    name = random.choice([n for n, content in leak.items() if content.strip()])
    kind = random.choice(("cut", "strange", "mutated"))
    if kind == "mutated" and name in CARRYING:
        kind = "cut"
    if kind == "mutated":
        leak[name] = mutated(name, leak[name], random)
    elif kind == "strange":
        leak[name] = strange(name, leak[name], random)
    else:
        leak[name] = leak[name][: random.randrange(len(leak[name].rstrip()))]
    return f"{kind} {name}, {way}", leak


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
            keep(RESULTS, kept)
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
