"""wardnet-software-exporter: how long each online service takes over its channel, phase by phase; and how the site's
scanners are."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from prometheus_client.metrics_core import Metric as MetricFamily

from exporters import escl, metrics
from exporters.agent import run
from exporters.config import AgentConfig, Family, Scanner, Service
from exporters.exposition import Histogram, Labels, histogram_family, number_family
from exporters.metrics import SERVICE_BUCKETS, Metric
from exporters.probes import http, scanner
from exporters.probing import Result, Run, execute
from exporters.scheduler import Job
from exporters.sockets import Egress

log = logging.getLogger(__name__)

LONGEST_RUN = 9.5
SCANNER_INTERVAL = 30.0
PHASES = ("dns", "connect", "tls", "first_byte", "transfer")

# A gauge of the latest run, and the sample of the probe that it shows.
_LATEST: tuple[tuple[Metric, Metric], ...] = (
    (metrics.SERVICE_ROUND_TRIP, metrics.PROBE_TCP_ROUND_TRIP),
    (metrics.SERVICE_MIN_ROUND_TRIP, metrics.PROBE_TCP_MIN_ROUND_TRIP),
    (metrics.SERVICE_HTTP_STATUS, metrics.PROBE_HTTP_STATUS),
    (metrics.SERVICE_RECEIVED_BYTES, metrics.PROBE_RECEIVED_BYTES),
)


@dataclass(slots=True)
class ServiceFigures:
    """One service in one family. `latest` is None before the first run has ended."""

    runs: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    durations: Histogram = field(default_factory=lambda: Histogram(SERVICE_BUCKETS))
    latest: Result | None = None
    ended: float = 0.0

    def finish(self, result: Result, ended: float) -> None:
        self.runs += 1
        self.latest = result
        self.ended = ended
        if result.failure is None:
            self.durations.observe(result.duration)
        else:
            self.failures[result.failure.phase] = self.failures.get(result.failure.phase, 0) + 1


class SoftwarePlane:
    name = "software"

    def __init__(self) -> None:
        self._trust: ssl.SSLContext | None = None
        self._figures: dict[Labels, ServiceFigures] = {}
        self._egress: dict[tuple[str, str], Egress] = {}
        self._scanners: dict[Labels, tuple[str, float] | None] = {}  # state, and when it was asked

    def port(self, config: AgentConfig) -> int:
        return config.software_port

    def configure(self, config: AgentConfig, trust: ssl.SSLContext) -> Mapping[Hashable, Job]:
        self._trust = trust
        runs = [(service, family) for service in config.services for family in Family]
        self._figures = {key: self._figures.get(key) or ServiceFigures() for key in (_labels(*run) for run in runs)}
        used = {(service.channel.id, family.value) for service, family in runs}
        self._egress = {key: egress for key, egress in self._egress.items() if key in used}
        # The interval is part of a job's key: where it changes, the beat starts anew.
        interval = config.interval_seconds
        jobs: dict[Hashable, Job] = {
            (*run, interval): Job(interval, partial(self._measure, *run, interval)) for run in runs
        }
        known = [(each.channel.id, each.id) for each in config.scanners]
        self._scanners = {key: self._scanners.get(key) for key in known}
        return jobs | {each: Job(SCANNER_INTERVAL, partial(self._ask, each)) for each in config.scanners}

    def close(self) -> None:
        """Nothing is kept open between runs."""

    def collect(self) -> Iterable[MetricFamily]:
        figures = self._figures
        ran = {key: (f.latest, f.ended) for key, f in figures.items() if f.latest is not None}
        yield number_family(metrics.SERVICE_UP, {key: float(r.failure is None) for key, (r, _) in ran.items()})
        phases: dict[Labels, float] = {}
        for key, (result, _) in ran.items():
            for phase in PHASES:
                seconds = result.run.value(metrics.PROBE_PHASE, phase)
                if seconds is not None:
                    phases[*key, phase] = seconds
        yield number_family(metrics.SERVICE_PHASE, phases)
        yield histogram_family(metrics.SERVICE_DURATION, {key: f.durations for key, f in figures.items()})
        for metric, sample in _LATEST:
            values = {key: result.run.value(sample) for key, (result, _) in ran.items()}
            yield number_family(metric, {key: value for key, value in values.items() if value is not None})
        yield number_family(metrics.SERVICE_RUNS, {key: f.runs for key, f in figures.items()})
        failures = {(*key, phase): n for key, f in figures.items() for phase, n in f.failures.items()}
        yield number_family(metrics.SERVICE_FAILURES, failures)
        yield number_family(metrics.SERVICE_LAST_RUN, {key: ended for key, (_, ended) in ran.items()})
        egress: dict[Labels, float] = {(*key, used.interface, used.source): 1.0 for key, used in self._egress.items()}
        yield number_family(metrics.SERVICE_EGRESS, egress)
        asked = {key: last for key, last in self._scanners.items() if last is not None}
        up = {key: float(state in escl.WORKING) for key, (state, _) in asked.items()}
        yield number_family(metrics.SCANNER_UP, up)
        yield number_family(metrics.SCANNER_STATE, {(*key, state): 1.0 for key, (state, _) in asked.items()})
        yield number_family(metrics.SCANNER_LAST_RUN, {key: ended for key, (_, ended) in asked.items()})

    async def _measure(self, service: Service, family: Family, interval: float) -> None:
        assert self._trust is not None, "configured before it runs"
        result = await execute(http.probe, Run(service, family, self._trust), min(interval, LONGEST_RUN))
        figures = self._figures[_labels(service, family)]
        _log_change(service, family, figures.latest, result)
        figures.finish(result, time.time())
        if result.run.egress is not None:
            self._egress[service.channel.id, family.value] = result.run.egress

    async def _ask(self, target: Scanner) -> None:
        assert self._trust is not None, "configured before it runs"
        result = await execute(scanner.probe, Run(target, Family.IPV4, self._trust), LONGEST_RUN)
        state = next(labels[0] for metric, labels in result.run.samples if metric is metrics.PROBE_SCANNER_STATE)
        key = (target.channel.id, target.id)
        before = self._scanners[key]
        if before is None or before[0] != state:
            log.info("channel %s, scanner %s: %s", *key, state)
        self._scanners[key] = (state, time.time())


def _log_change(service: Service, family: Family, before: Result | None, now: Result) -> None:
    """A service that fails is logged when it begins, when the phase changes, and when it ends."""
    was = before.failure.phase if before is not None and before.failure is not None else None
    if now.failure is not None and now.failure.phase != was:
        log.warning("channel %s, service %s, %s: %s", service.channel.id, service.id, family.value, now.failure)
    elif now.failure is None and was is not None:
        log.info("channel %s, service %s, %s: works again", service.channel.id, service.id, family.value)


def _labels(service: Service, family: Family) -> Labels:
    return service.channel.id, service.id, family.value


def main(arguments: list[str] | None = None) -> int:
    return run(SoftwarePlane, "Measures a ward's online services over its channels, and asks its scanners.", arguments)
