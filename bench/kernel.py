"""The audit's model against the kernel, for as many packets as are asked for: tests/lab/test_audit_kernel.py does the
same for a few. A seed is one random router; many packets go through each, since a router takes about a second to make.

    python -m bench.kernel 100000     # root; so many more packets, behind the seeds that were run

Totals and seeds are kept in bench/results/kernel.json. A seed that fails is kept with its reason, and the run goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bench.record import keep

RESULTS = Path(__file__).resolve().parent / "results" / "kernel.json"
FIRST = 100_000  # those below are the tests' own
PACKETS = 1000  # through each router, without the answers to them


def read() -> dict[str, Any]:
    """What was run until now. Seconds of `processor` are this program's and those of what it started."""
    if RESULTS.exists():
        return dict(json.loads(RESULTS.read_text()))
    return {
        "command": "python -m bench.kernel N",
        "first_seed": FIRST,
        "seeds": 0,
        "packets": 0,
        "seconds": 0.0,
        "processor": 0.0,
        "failures": {},
    }


def processor() -> float:
    """Seconds of it until now, those of programs that were started with them."""
    return sum(os.times()[:4])


def run(packets: int, through_each: int = PACKETS) -> dict[str, Any]:
    """Seed after seed, until so many more packets were compared."""
    from tests.lab.kernel_support import router
    from tests.lab.test_audit_kernel import check

    kept = read()
    wanted = kept["packets"] + packets
    while kept["packets"] < wanted:
        seed, start, before = kept["first_seed"] + kept["seeds"], time.monotonic(), processor()
        try:
            # One router a seed, taken down whatever happens: what one leaves behind would be in the next.
            with router(f"wk{os.getpid()}") as here:
                kept["packets"] += check(seed, here, through_each)
        except (AssertionError, RuntimeError) as error:
            kept["failures"][str(seed)] = str(error)[:2000]
            print(f"seed {seed}: {error}", file=sys.stderr)
        kept["seeds"] += 1
        kept["seconds"] = round(kept["seconds"] + time.monotonic() - start, 1)
        kept["processor"] = round(kept["processor"] + processor() - before, 1)
        keep(RESULTS, kept)
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packets", type=int)
    parser.add_argument("--through-each", type=int, default=PACKETS, help="packets through each router")
    asked = parser.parse_args()
    if os.geteuid() != 0:
        print("bench: a router in a network namespace needs root", file=sys.stderr)
        return 1
    # Whoever ends a long run does not leave its router behind.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    kept = run(asked.packets, asked.through_each)
    print(
        f"{kept['packets']} packets through {kept['seeds']} routers, {len(kept['failures'])} that differ; "
        f"{kept['packets'] / max(kept['seconds'], 0.1):.0f} a second"
    )
    return 1 if kept["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
