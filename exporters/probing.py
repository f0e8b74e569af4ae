"""The frame around every probe: what it may use, and what is recorded of each, whatever it does.

A probe is an async function of a `Run`. It enters phases, records samples and notes, and raises `ProbeFailure`
(or lets a phase turn an expected error into one). Success, duration and the failing phase are recorded here.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from exporters import metrics
from exporters.config import Channel, Family, Scanner, Service, Target
from exporters.errors import ExporterError
from exporters.metrics import Metric
from exporters.sockets import Egress

Samples = dict[tuple[Metric, tuple[str, ...]], float]


class ProbeFailure(ExporterError):  # noqa: N818 - a result, not a mistake
    """The measured thing did not work. `phase` is where, `reason` is for people."""

    def __init__(self, phase: str, reason: str) -> None:
        super().__init__(f"{phase}: {reason}")
        self.phase = phase
        self.reason = reason


class UnsuitableTargetError(ExporterError):
    """The module cannot measure this target: nothing was sent."""


@dataclass
class Run:
    """One run of one probe. Durations are in seconds; `log` holds (seconds since the start, text)."""

    target: Target
    family: Family
    trust: ssl.SSLContext
    dns_port: int = 53
    samples: Samples = field(default_factory=dict)
    log: list[tuple[float, str]] = field(default_factory=list)
    egress: Egress | None = None
    phase_name: str = "start"
    started: float = field(default_factory=time.perf_counter)

    @property
    def channel(self) -> Channel:
        return self.target.channel

    @property
    def service(self) -> Service:
        """The target, for probes that need a service. Raises UnsuitableTargetError."""
        if not isinstance(self.target, Service):
            kind = type(self.target).__name__.lower()
            raise UnsuitableTargetError(f"{self.target.id} is a {kind}; this module measures services")
        return self.target

    @property
    def scanner(self) -> Scanner:
        """The target, for the probe that needs a scanner. Raises UnsuitableTargetError."""
        if not isinstance(self.target, Scanner):
            raise UnsuitableTargetError(f"{self.target.id} is no scanner; this module asks scanners")
        if self.family is not Family.IPV4:
            raise UnsuitableTargetError("scanners are asked over ipv4 alone")
        return self.target

    def note(self, text: str) -> None:
        self.log.append((time.perf_counter() - self.started, text))

    def record(self, metric: Metric, value: float | None, *labels: str) -> None:
        """Keeps a sample; None means that there is none."""
        if value is not None:
            self.samples[metric, labels] = value

    def value(self, metric: Metric, *labels: str) -> float | None:
        return self.samples.get((metric, labels))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times what happens inside, added up over entries, also where it fails."""
        self.phase_name = name
        begun = time.perf_counter()
        try:
            yield
        except ProbeFailure:
            raise
        except (OSError, ExporterError) as error:
            raise ProbeFailure(name, str(error) or type(error).__name__) from error
        finally:
            key = (metrics.PROBE_PHASE, (name,))
            self.samples[key] = self.samples.get(key, 0.0) + time.perf_counter() - begun


Probe = Callable[[Run], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Result:
    """`failure` is None for success; `duration` is in seconds."""

    run: Run
    duration: float
    failure: ProbeFailure | None

    def samples(self) -> Samples:
        """What /probe shows: the frame's own samples first, then the probe's, each metric's together."""
        run = self.run
        shown: Samples = {
            (metrics.PROBE_SUCCESS, ()): float(self.failure is None),
            (metrics.PROBE_DURATION, ()): self.duration,
        }
        if self.failure is not None:
            shown[metrics.PROBE_FAILURE, (self.failure.phase,)] = 1.0
        if run.egress is not None:
            labels = (run.channel.id, run.family.value, run.egress.interface, run.egress.source)
            shown[metrics.PROBE_EGRESS, labels] = 1.0
        shown.update(sorted(run.samples.items(), key=lambda item: metrics.POSITION[item[0][0]]))
        return shown


async def execute(probe: Probe, run: Run, budget: float) -> Result:
    """Runs a probe for at most `budget` seconds. Raises UnsuitableTargetError, and whatever is a bug."""
    run.started = time.perf_counter()
    failure: ProbeFailure | None = None
    try:
        async with asyncio.timeout(budget):
            await probe(run)
    except ProbeFailure as error:
        failure = error
    except TimeoutError:
        failure = ProbeFailure(run.phase_name, f"not done after {budget:g} s")
    duration = time.perf_counter() - run.started
    if failure is None:
        run.note("succeeded")
    else:
        run.note(f"failed in {failure}")
    return Result(run, duration, failure)
