"""wardnet-audit-exporter: what the last audit found of each ward, from the JSON that `wardnet audit -o` wrote.

It audits nothing and asks no device. It looks for new files by its own clock; a scrape is answered from what was read
last.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from exporters import metrics
from exporters.exposition import Labels, number_family
from exporters.metrics import Metric
from exporters.standing import options_of, serve
from exporters.verdicts import Audit, DamagedFileError, ForeignFileError, WardVerdict, parse_audit

log = logging.getLogger(__name__)

PORT = 9810
FOLDER = Path("/var/log/wardnet/audits")
VARIABLE = "WARDNET_AUDITS"
LOOK_SECONDS = 15.0
MOST_FILES = 100  # the newest, by when they were written
MOST_BYTES = 64 * 2**20
AHEAD_SECONDS = 86400.0  # a snapshot further in the future than clocks differ would never be told as old
STATES = ("read", "foreign", "damaged")

Mark = tuple[int, int, int]  # inode, bytes, nanoseconds since 1970: another is another content


@dataclass(frozen=True, slots=True)
class Told:
    """A ward's verdict and the time that it is of, in seconds since 1970."""

    verdict: WardVerdict
    as_of: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told: the wards, the verdict on the whole network (empty: none), the newest audit, and how many files are
    in each state."""

    wards: Mapping[str, Told] = field(default_factory=dict)
    network: str = ""
    newest: Audit | None = None
    files: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))


@dataclass(frozen=True, slots=True)
class _Known:
    mark: Mark
    state: str
    audit: Audit | None  # the last good one of this path


class Shelf:
    """A folder of audits. Each file is read again only when it has changed; what was good of it stays until then."""

    def __init__(self, folder: Path, district: str = "", clock: Callable[[], float] = time.time) -> None:
        self._folder, self._district, self._clock = folder, district, clock
        self._known: dict[Path, _Known] = {}

    def read(self) -> Figures:
        """What the files say now; of a folder that is not there, nothing."""
        self._known = {path: self._look(path, mark) for mark, path in self._listed()}
        counts = dict.fromkeys(STATES, 0)
        for known in self._known.values():
            counts[known.state] += 1
        dated = [(known.audit, known.mark[2]) for known in self._known.values() if known.audit is not None]
        in_order = [audit for audit, _written in sorted(dated, key=lambda one: (one[0].as_of, one[1]))]
        network = next((audit.network for audit in reversed(in_order) if audit.whole), "")
        return Figures(merged(in_order), network, in_order[-1] if in_order else None, counts)

    def _listed(self) -> list[tuple[Mark, Path]]:
        found: list[tuple[Mark, Path]] = []
        try:
            for entry in os.scandir(self._folder):
                if entry.name.endswith(".json") and not entry.name.startswith(".") and entry.is_file():
                    about = entry.stat()
                    found.append(((about.st_ino, about.st_size, about.st_mtime_ns), self._folder / entry.name))
        except OSError as error:
            log.warning("%s: %s", self._folder, error.strerror)
        return sorted(found, key=lambda one: one[0][2], reverse=True)[:MOST_FILES]

    def _look(self, path: Path, mark: Mark) -> _Known:
        before = self._known.get(path)
        if before is not None and before.mark == mark:
            return before
        try:
            audit = self._accepted(parse_audit(_content(path)))
        except (ForeignFileError, DamagedFileError, OSError) as error:
            state = "foreign" if isinstance(error, ForeignFileError) else "damaged"
            reason = error.strerror if isinstance(error, OSError) else error
            log.error("%s: %s: %s", path, state, reason)  # noqa: TRY400 - the message is whole
            return _Known(mark, state, before.audit if before is not None else None)
        return _Known(mark, "read", audit)

    def _accepted(self, audit: Audit) -> Audit:
        if self._district and audit.district != self._district:
            raise ForeignFileError(f"of district {audit.district}, not of {self._district}")
        if audit.as_of > self._clock() + AHEAD_SECONDS:
            raise DamagedFileError("its snapshot is of a day to come")
        return audit


def merged(audits: Sequence[Audit]) -> dict[str, Told]:
    """Each ward's verdict from the last audit that judged it. The last one of all wards says which wards there are;
    what is older than it counts no more. `audits` are from old to new."""
    told: dict[str, Told] = {}
    for audit in audits:
        if audit.whole:
            told = {}
        told |= {ward: Told(verdict, audit.as_of) for ward, verdict in audit.wards.items()}
    return told


def _content(path: Path) -> bytes:
    """Raises OSError, and DamagedFileError for what is too large to be read."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DamagedFileError(f"more than {MOST_BYTES // 2**20} MiB")
    return content


class AuditCollector(Collector):
    """The registry's question for the figures that were read last."""

    def __init__(self) -> None:
        self.figures = Figures()

    def collect(self) -> Iterable[Family]:
        return families(self.figures)


def families(figures: Figures) -> Iterable[Family]:
    """Every metric of the audit, in the order in which they are documented."""
    wards = figures.wards.items()

    def numbers(metric: Metric, of: Callable[[WardVerdict], Mapping[Labels, float]]) -> Family:
        values = {(ward, *key): value for ward, told in wards for key, value in of(told.verdict).items()}
        return number_family(metric, values)

    yield numbers(metrics.AUDIT_VERDICT, lambda ward: {(ward.verdict,): 1.0})
    yield numbers(metrics.AUDIT_DIRECTION, lambda ward: {(*key, v): 1.0 for key, v in ward.directions.items()})
    yield number_family(metrics.AUDIT_NETWORK, {(figures.network,): 1.0} if figures.network else {})
    yield numbers(metrics.AUDIT_LEAKS, lambda ward: {(what,): float(n) for what, n in ward.leaks.items()})
    yield numbers(metrics.AUDIT_UNKNOWNS, lambda ward: {(kind,): float(n) for kind, n in ward.unknowns.items()})
    yield numbers(metrics.AUDIT_ITEMS, lambda ward: {(treatment,): float(n) for treatment, n in ward.items.items()})
    yield numbers(metrics.AUDIT_DEVICES, lambda ward: {("read",): float(ward.read), ("missing",): float(ward.missing)})
    yield number_family(metrics.AUDIT_TIMESTAMP, {(ward,): told.as_of for ward, told in wards})
    newest = figures.newest
    info: dict[Labels, float] = {}
    if newest is not None:
        info[newest.version, newest.snapshot_sha256, newest.model_sha256] = 1.0
    yield number_family(metrics.AUDIT_INFO, info)
    yield number_family(metrics.AUDIT_FILES, {(state,): float(count) for state, count in figures.files.items()})


async def keep_looking(shelf: Shelf, collector: AuditCollector, seconds: float) -> None:
    """Reads what is new, again and again."""
    while True:
        collector.figures = await asyncio.to_thread(shelf.read)
        await asyncio.sleep(seconds)


def main(arguments: list[str] | None = None) -> int:
    parser = options_of("Tells Prometheus what the last audit of each ward found.")
    parser.add_argument("--folder", type=Path, metavar="DIR", help=f"folder of audits (default: {FOLDER})")
    parser.add_argument("--district", default="", metavar="ID", help="audits of other districts are told as foreign")
    parser.add_argument("--look", type=float, default=LOOK_SECONDS, metavar="SECONDS",
                        help="how often to look for new files (default: %(default)s)")  # fmt: skip
    options = parser.parse_args(arguments)
    if not 0.1 <= options.look <= 3600:
        parser.error("--look is 0.1 to 3600 seconds")
    folder = options.folder or Path(os.environ.get(VARIABLE) or FOLDER)
    collector, shelf = AuditCollector(), Shelf(folder, options.district)
    return serve(options, PORT, collector, f"audits of {folder}", lambda: keep_looking(shelf, collector, options.look))


if __name__ == "__main__":
    raise SystemExit(main())
