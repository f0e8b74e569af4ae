"""wardnet-link-exporter: round trip and loss of each channel, and its circuit's counters and state."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from prometheus_client.metrics_core import Metric as MetricFamily

from exporters import metrics
from exporters.agent import run
from exporters.config import AgentConfig, Channel, Family, Line, Reflector
from exporters.echo import EchoSocket
from exporters.exposition import Histogram, Labels, histogram_family, number_family
from exporters.interfaces import Counters, InterfaceError, read_counters, read_up
from exporters.metrics import LINK_BUCKETS, Metric
from exporters.scheduler import Job

log = logging.getLogger(__name__)

ECHO_INTERVAL = 1.0
ECHO_TIMEOUT = 5.0

_COUNTERS: tuple[tuple[Metric, Callable[[Counters], int]], ...] = (
    (metrics.CIRCUIT_RECEIVE_BYTES, lambda c: c.receive_bytes),
    (metrics.CIRCUIT_TRANSMIT_BYTES, lambda c: c.transmit_bytes),
    (metrics.CIRCUIT_RECEIVE_PACKETS, lambda c: c.receive_packets),
    (metrics.CIRCUIT_TRANSMIT_PACKETS, lambda c: c.transmit_packets),
    (metrics.CIRCUIT_RECEIVE_ERRORS, lambda c: c.receive_errors),
    (metrics.CIRCUIT_TRANSMIT_ERRORS, lambda c: c.transmit_errors),
    (metrics.CIRCUIT_RECEIVE_DROPS, lambda c: c.receive_drops),
    (metrics.CIRCUIT_TRANSMIT_DROPS, lambda c: c.transmit_drops),
)


@dataclass(slots=True)
class EchoFigures:
    """One reflector in one family. Whatever is under way is neither answered nor lost yet."""

    sent: int = 0
    lost: int = 0
    last: float | None = None
    round_trips: Histogram = field(default_factory=lambda: Histogram(LINK_BUCKETS))
    refused: str | None = None  # the kernel's last reason, so that each is logged once

    def finish(self, seconds: float | None) -> None:
        if seconds is None:
            self.lost += 1
        else:
            self.last = seconds
            self.round_trips.observe(seconds)


class LinkPlane:
    name = "link"

    def __init__(self) -> None:
        self._channels: tuple[Line, ...] = ()
        self._sockets: dict[tuple[Channel, Family], EchoSocket] = {}
        self._figures: dict[Labels, EchoFigures] = {}

    def port(self, config: AgentConfig) -> int:
        return config.link_port

    def configure(self, config: AgentConfig, _trust: ssl.SSLContext) -> Mapping[Hashable, Job]:
        self._channels = config.channels
        probes = [(reflector, family) for reflector in config.reflectors for family in Family]
        wanted = {(reflector.channel, family) for reflector, family in probes}
        for key in self._sockets.keys() - wanted:
            self._sockets.pop(key).close()
        for channel, family in wanted - self._sockets.keys():
            self._sockets[channel, family] = EchoSocket(channel, family)
        self._figures = {key: self._figures.get(key) or EchoFigures() for key in (_labels(*probe) for probe in probes)}
        return {probe: Job(ECHO_INTERVAL, partial(self._send, *probe)) for probe in probes}

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()

    def collect(self) -> Iterable[MetricFamily]:
        yield from self._collect_circuits()
        yield number_family(metrics.LINK_SENT, {key: f.sent for key, f in self._figures.items()})
        yield number_family(metrics.LINK_LOST, {key: f.lost for key, f in self._figures.items()})
        yield histogram_family(metrics.LINK_ROUND_TRIP, {key: f.round_trips for key, f in self._figures.items()})
        yield number_family(
            metrics.LINK_LAST_ROUND_TRIP, {key: f.last for key, f in self._figures.items() if f.last is not None}
        )
        egress: dict[Labels, float] = {}
        for (channel, family), sock in self._sockets.items():
            used = sock.egress
            if used is not None:
                egress[channel.id, family.value, used.interface, used.source] = 1.0
        yield number_family(metrics.LINK_EGRESS, egress)

    async def _send(self, reflector: Reflector, family: Family) -> None:
        figures = self._figures[_labels(reflector, family)]
        figures.sent += 1
        try:
            self._sockets[reflector.channel, family].send(reflector.address(family), ECHO_TIMEOUT, figures.finish)
        except OSError as error:
            # A line that lets nothing out has lost what was to be sent, or an outage would look like silence.
            figures.lost += 1
            reason = error.strerror or str(error)
            if reason != figures.refused:
                log.warning(
                    "channel %s, reflector %s, %s: %s", reflector.channel.id, reflector.id, family.value, reason
                )
            figures.refused = reason
        else:
            if figures.refused is not None:
                log.info("channel %s, reflector %s, %s: sends again", reflector.channel.id, reflector.id, family.value)
            figures.refused = None

    def _collect_circuits(self) -> Iterable[MetricFamily]:
        channels = self._channels
        info: dict[Labels, float] = {(c.id, c.circuit, c.provider, c.interface): 1.0 for c in channels}
        yield number_family(metrics.CIRCUIT_INFO, info)
        yield number_family(metrics.CIRCUIT_UP, {(c.id,): float(read_up(c.interface)) for c in channels})
        contracted: dict[Labels, float] = {}
        for channel in channels:
            contracted[channel.id, "down"] = channel.contracted_down_bps / 8
            contracted[channel.id, "up"] = channel.contracted_up_bps / 8
        yield number_family(metrics.CIRCUIT_CONTRACTED, contracted)
        try:
            counters = read_counters()
        except InterfaceError as error:
            log.error("no counters: %s", error)  # noqa: TRY400 - the message is whole
            counters = {}
        present = [(c.id, counters[c.interface]) for c in channels if c.interface in counters]
        for metric, read in _COUNTERS:
            yield number_family(metric, {(channel,): float(read(figures)) for channel, figures in present})


def _labels(reflector: Reflector, family: Family) -> Labels:
    return reflector.channel.id, reflector.id, family.value


def main(arguments: list[str] | None = None) -> int:
    return run(LinkPlane, "Measures round trip, loss and use of a ward's two channels.", arguments)
