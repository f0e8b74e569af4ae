"""Records to the text that Prometheus reads: families for /metrics, and one probe's own few lines for /probe."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from functools import lru_cache

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from exporters.metrics import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[str, ...]

_NOT_FINITE = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}


class Histogram:
    """Observations counted by upper bound; plain numbers, so that a target's figures vanish with its record."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def sum(self) -> float:
        return self._sum

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound as text, observations up to it), ending with +Inf."""
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            buckets.append((number_text(bound), total))
        return buckets


def number_family(metric: Metric, values: Mapping[Labels, float]) -> CounterMetricFamily | GaugeMetricFamily:
    """A counter's or gauge's series; label values stand in the order of `metric.labels`."""
    family: CounterMetricFamily | GaugeMetricFamily
    if metric.kind == "counter":
        family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    else:
        family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def histogram_family(metric: Metric, values: Mapping[Labels, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, histogram in values.items():
        family.add_metric(labels, histogram.cumulative(), histogram.sum)
    return family


def render(samples: Mapping[tuple[Metric, Labels], float]) -> str:
    """The text of a few samples, in their order; those of one metric stand together."""
    lines: list[str] = []
    described: Metric | None = None
    for (metric, labels), value in samples.items():
        if metric is not described:
            lines.append(_description(metric))
            described = metric
        lines.append(f"{_series(metric, labels)} {number_text(value)}\n")
    return "".join(lines)


# Probes repeat the same few series for ever: their texts are made once.
@lru_cache(maxsize=256)
def _description(metric: Metric) -> str:
    return f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n"


@lru_cache(maxsize=1024)
def _series(metric: Metric, labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_escape(text)}"' for name, text in zip(metric.labels, labels, strict=True))
    return f"{metric.name}{{{pairs}}}" if pairs else metric.name


def number_text(value: float) -> str:
    """A number as the text format wants it."""
    text = repr(float(value))
    return text if text[-1].isdigit() else _NOT_FINITE[text]


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
