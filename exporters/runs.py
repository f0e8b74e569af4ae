"""wardnet-runs-exporter: at the controller, what runs of the playbooks did, from their journals.

It only reads; every scrape looks for journals that are new or have grown since the one before.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from exporters import metrics
from exporters.exposition import Labels, number_family
from exporters.standing import options_of, serve
from wardnet.runs.drift import HostHistory, histories
from wardnet.runs.errors import JournalError
from wardnet.runs.journal import find_journals, read_run
from wardnet.runs.places import SHARED
from wardnet.runs.records import HostState, Run

log = logging.getLogger(__name__)

PORT = 9809
MOST_JOURNALS = 1000  # the newest; older ones tell nothing that a newer one does not


class Journals:
    """Runs of the folders, each read again only when its file has changed."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._known: dict[Path, tuple[tuple[int, int], Run | None]] = {}

    def read(self) -> tuple[list[Run], int]:
        """The runs, and how many journals are not readable, or not in whole."""
        known: dict[Path, tuple[tuple[int, int], Run | None]] = {}
        for path in find_journals(self._folders)[:MOST_JOURNALS]:
            try:
                state = path.stat()
            except OSError:
                continue  # taken away since it was listed
            mark = (state.st_size, state.st_mtime_ns)
            before = self._known.get(path)
            if before is not None and before[0] == mark and (before[1] is None or before[1].ended is not None):
                known[path] = before
                continue
            try:
                run: Run | None = read_run(path)
            except JournalError as error:
                run = None
                if before is None:
                    log.error("%s", error)  # noqa: TRY400 - the message is whole
            # Single events are told by `wardnet runs show`; here they would only fill the memory.
            known[path] = (mark, replace(run, events=()) if run is not None else None)
        self._known = known
        runs = [run for _mark, run in known.values() if run is not None]
        return runs, len(known) - len(runs) + sum(run.unread_lines > 0 for run in runs)


class RunsCollector(Collector):
    """The registry's question for the figures of all runs."""

    def __init__(self, journals: Journals) -> None:
        self._journals = journals

    def collect(self) -> Iterable[Family]:
        runs, unreadable = self._journals.read()
        yield from host_families(histories(runs))
        yield from run_families(runs)
        yield number_family(metrics.RUN_JOURNALS, {(): float(len(runs))})
        yield number_family(metrics.RUN_UNREADABLE, {(): float(unreadable)})


def host_families(known: Sequence[HostHistory]) -> Iterable[Family]:
    """What is known of each host and ward."""
    success: dict[Labels, float] = {}
    status: dict[Labels, float] = {}
    drift: dict[Labels, float] = {}
    rolled_back: dict[Labels, float] = {}
    updates: dict[Labels, float] = {}
    unreachable: Counter[Labels] = Counter()
    for one in known:
        host = (one.ward, one.host)
        success[host] = one.last_success.timestamp() if one.last_success is not None else 0.0
        status[*host, one.last_state.value] = 1.0
        rolled_back[host] = float(one.rollbacks)
        if one.updates_at is not None:
            updates[host] = float(one.updates_at)
        unreachable[one.ward,] += one.last_state is HostState.UNREACHABLE
        if one.read_at is not None or one.drift:
            # Also where there is none: an alert must end when the drift does.
            drift[*host, "all"] = float(sum(map(len, one.drift.values())))
            drift |= {(*host, part): float(len(lines)) for part, lines in one.drift.items()}
    yield number_family(metrics.RUN_LAST_SUCCESS, success)
    yield number_family(metrics.RUN_LAST_STATUS, status)
    yield number_family(metrics.RUN_DRIFT, drift)
    yield number_family(metrics.RUN_UPDATES, updates)
    yield number_family(metrics.RUN_ROLLED_BACK, rolled_back)
    yield number_family(metrics.RUN_UNREACHABLE, {ward: float(count) for ward, count in unreachable.items()})


def run_families(runs: Sequence[Run]) -> Iterable[Family]:
    """The newest run of each playbook, in earnest and in check mode."""
    newest: dict[Labels, Run] = {}
    for run in sorted(runs, key=lambda run: run.started):
        newest[Path(run.playbook).stem, "check" if run.check else "earnest"] = run
    yield number_family(metrics.RUN_STATE, {(*key, run.state.value): 1.0 for key, run in newest.items()})
    yield number_family(metrics.RUN_STARTED, {key: run.started.timestamp() for key, run in newest.items()})


def main(arguments: list[str] | None = None) -> int:
    parser = options_of("Tells Prometheus what runs of the playbooks did.")
    parser.add_argument("--folder", type=Path, action="append", metavar="DIR",
                        help=f"folder of journals; may be repeated (default: {SHARED})")  # fmt: skip
    options = parser.parse_args(arguments)
    folders = options.folder or [Path(os.environ.get("WARDNET_RUNS") or SHARED)]
    return serve(options, PORT, RunsCollector(Journals(folders)), f"runs of {', '.join(map(str, folders))}")


if __name__ == "__main__":
    raise SystemExit(main())
