"""wardnet-pc-exporter: the page as a clerk's PC gets it, over the PC's one channel.

The same probe as the gateway's, at a low rate and within a day's bytes: what is longer here than at the gateway of the
same site is the LAN between them, or the PC itself. It may be in nobody's way, so that it has few series, no raw socket
and no capability.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prometheus_client.metrics_core import Metric as MetricFamily

from exporters import metrics
from exporters.agent import Kind, run_kind
from exporters.config import Family, Service
from exporters.exposition import Labels, number_family
from exporters.pc_config import PcConfig, read_pc_config
from exporters.probes import dns, http, tcp, tls
from exporters.probing import Result, Run, execute
from exporters.scheduler import Job
from exporters.sockets import Egress
from exporters.software import LONGEST_RUN, PHASES

log = logging.getLogger(__name__)

DAY = 24 * 3600


@dataclass(slots=True)
class Budget:
    """What runs carried today, in bytes. A day begins at 0:00 UTC; `now` gives seconds since 1970."""

    now: Callable[[], float] = time.time
    spent: int = 0
    refused: int = 0
    _day: int = 0

    def affords(self, limit: int) -> bool:
        """Whether another run may begin; counts those that may not."""
        self.turn()
        if self.spent < limit:
            return True
        self.refused += 1
        return False

    def spend(self, carried: int) -> None:
        self.turn()
        self.spent += carried

    def turn(self) -> None:
        day = int(self.now() // DAY)
        if day != self._day:
            self._day, self.spent = day, 0


@dataclass(slots=True)
class Latest:
    """The latest run of one service in one family; None before the first has ended."""

    result: Result | None = None
    ended: float = 0.0


class PcPlane:
    name = "pc"

    def __init__(self) -> None:
        self._trust: ssl.SSLContext | None = None
        self._limit = 0
        self._latest: dict[Labels, Latest] = {}
        self._egress: dict[tuple[str, str], Egress] = {}
        self.budget = Budget()

    def port(self, config: PcConfig) -> int:
        return config.port

    def configure(self, config: PcConfig, trust: ssl.SSLContext) -> Mapping[Hashable, Job]:
        self._trust, self._limit = trust, config.day_bytes
        runs = [(service, family) for service in config.services for family in Family]
        self._latest = {key: self._latest.get(key) or Latest() for key in (_labels(*run) for run in runs)}
        self._egress = {}
        interval = config.interval_seconds
        return {(*run, interval): Job(interval, partial(self._measure, *run)) for run in runs}

    def close(self) -> None:
        """Nothing is kept open between runs."""

    def collect(self) -> Iterable[MetricFamily]:
        ran = {key: (one.result, one.ended) for key, one in self._latest.items() if one.result is not None}
        yield number_family(metrics.PC_SERVICE_UP, {key: float(r.failure is None) for key, (r, _) in ran.items()})
        failing = {(*key, r.failure.phase): 1.0 for key, (r, _) in ran.items() if r.failure is not None}
        yield number_family(metrics.PC_SERVICE_FAILURE, failing)
        phases = {
            (*key, phase): r.run.value(metrics.PROBE_PHASE, phase) for key, (r, _) in ran.items() for phase in PHASES
        }
        yield number_family(
            metrics.PC_SERVICE_PHASE, {key: value for key, value in phases.items() if value is not None}
        )
        trips = {key: r.run.value(metrics.PROBE_TCP_ROUND_TRIP) for key, (r, _) in ran.items()}
        yield number_family(metrics.PC_SERVICE_ROUND_TRIP, {key: t for key, t in trips.items() if t is not None})
        yield number_family(metrics.PC_SERVICE_LAST_RUN, {key: ended for key, (_, ended) in ran.items()})
        egress: dict[Labels, float] = {(*key, used.interface, used.source): 1.0 for key, used in self._egress.items()}
        yield number_family(metrics.PC_EGRESS, egress)
        self.budget.turn()
        yield number_family(metrics.PC_SPENT, {(): float(self.budget.spent)})
        yield number_family(metrics.PC_UNAFFORDABLE, {(): float(self.budget.refused)})

    async def _measure(self, service: Service, family: Family) -> None:
        assert self._trust is not None, "configured before it runs"
        if not self.budget.affords(self._limit):
            return
        result = await execute(http.probe, Run(service, family, self._trust), LONGEST_RUN)
        self.budget.spend(int(result.run.value(metrics.PROBE_TCP_BYTES) or 0))
        latest = self._latest[_labels(service, family)]
        _log_change(service, family, latest.result, result)
        latest.result, latest.ended = result, time.time()
        if result.run.egress is not None:
            self._egress[service.channel.id, family.value] = result.run.egress


def _log_change(service: Service, family: Family, before: Result | None, now: Result) -> None:
    """A PC's journal is small: once where it begins to fail, and once where that ends."""
    failed = before is not None and before.failure is not None
    if now.failure is not None and not failed:
        log.warning("service %s, %s: %s", service.id, family.value, now.failure)
    elif now.failure is None and failed:
        log.info("service %s, %s: works again", service.id, family.value)


def _labels(service: Service, family: Family) -> Labels:
    return service.channel.id, service.id, family.value


PC = Kind(
    file=Path("/etc/wardnet/pc-agent.json"),
    read=read_pc_config,
    # No icmp, which takes a raw socket, and no scanner: PCs ask theirs with wardnet-scan-check.
    modules={"dns": dns.probe, "http": http.probe, "tcp": tcp.probe, "tls": tls.probe},
    own=(metrics.PC_INFO, metrics.PC_LATENESS, metrics.PC_SKIPPED),
    process=False,
)


def main(arguments: list[str] | None = None) -> int:
    return run_kind(PC, PcPlane, "Measures online services from a clerk's PC, over its one channel.", arguments)
