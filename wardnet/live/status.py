"""What Prometheus knows of each ward and channel, as one record a channel.

The figures and the state are made by the recording rules in monitoring/rules; nothing is computed twice here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from wardnet.live.prometheus import Alert, Prometheus, Sample

PARTS = ("dns", "connect", "tls", "line", "server", "transfer")

_STATE = "channel:wardnet_state:rank"
_CIRCUIT = "wardnet_circuit_info or on (ward, site, gateway, channel) last_over_time(wardnet_circuit_info[1d])"
_CONTRACTED = "8 * last_over_time(channel:wardnet_circuit_contracted_bytes_per_second:max[1d])"
_RATE = "8 * channel:wardnet_circuit_bytes_per_second:rate30s"
_PEAK = "8 * channel:wardnet_circuit_bytes_per_second:max1h"
_ROUND_TRIP = "channel:wardnet_link_round_trip_seconds:median30s"
_BASE = "channel:wardnet_link_round_trip_seconds:min1d"
_LOSS = "channel:wardnet_link_lost:ratio1m"
_AGE = "time() - max_over_time(channel:wardnet_last_scrape_timestamp_seconds:max[1d])"
_PART = "channel_service:wardnet_service_part_seconds:median30s"
_UP = "max by (ward, site, gateway, channel, service) (service:wardnet_service_up:max30s)"
_RUN_AGE = "time() - max by (ward, site, gateway, channel, service) (wardnet_service_last_run_timestamp_seconds)"


class State(StrEnum):
    """The worst condition of a channel, as monitoring/rules/conditions.yml ranks them."""

    OK = "ok"
    NO_DATA = "no_data"
    CIRCUIT_DOWN = "circuit_down"
    AGENT_LATE = "agent_late"
    LINE_LOSSY = "line_lossy"
    LINE_FULL = "line_full"
    LINE_SLOW = "line_slow"
    SERVICE_DOWN = "service_down"
    DNS_SLOW = "dns_slow"
    TLS_SLOW = "tls_slow"
    SERVER_SLOW = "server_slow"
    SOFTWARE_UNMEASURED = "software_unmeasured"
    UNKNOWN = "unknown"  # a state that this version does not know


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service over one channel: medians of the last 30 s in seconds, both families together.

    `parts` are of PARTS, in that order, and add up; a part that was not measured is absent.
    """

    service: str
    up: bool | None
    parts: Mapping[str, float]
    age_seconds: float | None  # since the last run

    @property
    def total_seconds(self) -> float | None:
        return sum(self.parts.values()) if self.parts else None


@dataclass(frozen=True, slots=True)
class FiringAlert:
    name: str
    severity: str
    summary: Mapping[str, str]  # by language: en, vi
    since: datetime


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """Rates in bits a second, times in seconds, loss from 0 to 1; None: not measured.

    `channel` is None for a gateway that was never reached: then nobody knows its channels. `peak_*` is the
    most that the line carried in the last hour: what it can do at least, not a measurement of its speed.
    """

    ward: str
    ward_name: str
    site: str
    gateway: str
    channel: str | None
    state: State
    circuit: str | None = None
    provider: str | None = None
    contracted_down_bps: float | None = None
    contracted_up_bps: float | None = None
    rate_down_bps: float | None = None
    rate_up_bps: float | None = None
    peak_down_bps: float | None = None
    peak_up_bps: float | None = None
    round_trip_seconds: float | None = None
    base_round_trip_seconds: float | None = None
    loss_ratio: float | None = None
    services: tuple[ServiceStatus, ...] = ()
    alerts: tuple[FiringAlert, ...] = field(default=())
    age_seconds: float | None = None  # since the last scrape of the link exporter

    @property
    def well(self) -> bool:
        return self.state is State.OK and not self.alerts


Answers = Mapping[str, tuple[Sample, ...]]
EXPRESSIONS = (_STATE, _CIRCUIT, _CONTRACTED, _RATE, _PEAK, _ROUND_TRIP, _BASE, _LOSS, _AGE, _PART, _UP, _RUN_AGE)


def read_status(url: str, timeout: float = 5.0) -> tuple[ChannelStatus, ...]:
    """Every ward and channel that Prometheus at `url` has heard of in the last day, ordered by ward, site, channel.

    Raises LiveError (UnreachableError, NotReadyError, BadAnswerError).
    """
    prometheus = Prometheus(url, timeout)
    prometheus.check_ready()
    answers = {expression: prometheus.query(expression) for expression in EXPRESSIONS}
    return build_status(answers, prometheus.alerts())


def build_status(answers: Answers, alerts: Iterable[Alert]) -> tuple[ChannelStatus, ...]:
    """The records from the answers to EXPRESSIONS. Pure."""
    firing = [alert for alert in alerts if alert.firing]
    found = [_channel(sample, answers, firing) for sample in answers[_STATE]]
    # The WAN before the internet: what the clerks work over comes first.
    return tuple(sorted(found, key=lambda s: (s.ward, s.site, s.gateway, s.channel != "wan", s.channel or "")))


def _channel(state: Sample, answers: Answers, firing: list[Alert]) -> ChannelStatus:
    own = _Own(answers, state.labels)
    circuit = next(iter(own.samples(_CIRCUIT)), None)
    return ChannelStatus(
        ward=state.labels.get("ward", ""),
        ward_name=state.labels.get("ward_name") or state.labels.get("ward", ""),
        site=state.labels.get("site", ""),
        gateway=state.labels.get("gateway", ""),
        channel=state.labels.get("channel"),
        state=_state(state.labels.get("condition", "")),
        circuit=circuit.labels.get("circuit") if circuit else None,
        provider=circuit.labels.get("provider") if circuit else None,
        contracted_down_bps=own.value(_CONTRACTED, direction="down"),
        contracted_up_bps=own.value(_CONTRACTED, direction="up"),
        rate_down_bps=own.value(_RATE, direction="down"),
        rate_up_bps=own.value(_RATE, direction="up"),
        peak_down_bps=own.value(_PEAK, direction="down"),
        peak_up_bps=own.value(_PEAK, direction="up"),
        round_trip_seconds=own.value(_ROUND_TRIP),
        base_round_trip_seconds=own.value(_BASE),
        loss_ratio=own.value(_LOSS),
        services=_services(own),
        alerts=tuple(_firing(alert) for alert in firing if _concerns(alert, state.labels)),
        age_seconds=own.value(_AGE),
    )


def _state(condition: str) -> State:
    return State(condition) if condition in set(State) else State.UNKNOWN


def _services(own: _Own) -> tuple[ServiceStatus, ...]:
    names = sorted({s.labels["service"] for e in (_PART, _UP) for s in own.samples(e) if "service" in s.labels})
    services = []
    for name in names:
        measured = {part: own.value(_PART, service=name, part=part) for part in PARTS}
        up = own.value(_UP, service=name)
        services.append(
            ServiceStatus(
                name,
                None if up is None else up > 0,
                {part: seconds for part, seconds in measured.items() if seconds is not None},
                own.value(_RUN_AGE, service=name),
            )
        )
    return tuple(services)


def _concerns(alert: Alert, labels: Mapping[str, str]) -> bool:
    """True where the alert is of this channel, of its whole gateway (channel all), or of all wards."""
    if alert.labels.get("ward") == "all":
        return True
    same_gateway = all(alert.labels.get(key) == labels.get(key) for key in ("ward", "site", "gateway"))
    return same_gateway and alert.labels.get("channel") in ("all", labels.get("channel"))


def _firing(alert: Alert) -> FiringAlert:
    english = alert.annotations.get("summary", alert.name)
    return FiringAlert(
        alert.name,
        alert.labels.get("severity", ""),
        {"en": english, "vi": alert.annotations.get("summary_vi", english)},
        alert.since,
    )


class _Own:
    """The samples that belong to one channel of one gateway."""

    KEYS = ("ward", "site", "gateway", "channel")

    def __init__(self, answers: Answers, labels: Mapping[str, str]) -> None:
        self._answers = answers
        self._key = tuple(labels.get(key) for key in self.KEYS)

    def samples(self, expression: str) -> tuple[Sample, ...]:
        return tuple(
            sample
            for sample in self._answers[expression]
            if tuple(sample.labels.get(key) for key in self.KEYS) == self._key
        )

    def value(self, expression: str, **labels: str) -> float | None:
        for sample in self.samples(expression):
            if all(sample.labels.get(key) == value for key, value in labels.items()) and not math.isnan(sample.value):
                return sample.value
        return None
