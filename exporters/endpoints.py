"""What the exporters answer: /metrics, /probe, /-/healthy and /-/reload."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl

from exporters.config import Family, Target
from exporters.errors import ExporterError
from exporters.exposition import CONTENT_TYPE, render
from exporters.httpwire import RequestHead
from exporters.probes import MODULES
from exporters.probing import Probe, Result, Run, UnsuitableTargetError, execute
from exporters.server import Response

log = logging.getLogger(__name__)

DEFAULT_BUDGET = 9.5
LONGEST_BUDGET = 60.0
TIMEOUT_OFFSET = 0.5  # left to carry the answer back before Prometheus gives up
MAX_PROBES_AT_ONCE = 16
_TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
_PARAMETERS = frozenset({"module", "target", "family", "debug"})


class RefusedError(ExporterError):
    """The request is not answered: `status` and a reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeRequest:
    module: str
    target: Target
    family: Family
    debug: bool
    budget: float


class Targets(Protocol):
    """A configuration, as far as /probe asks it."""

    def target(self, target_id: str) -> Target | None:
        """What has that id in the configuration; None for everything else."""
        ...


class Endpoints:
    """`metrics` makes the text of /metrics; `reload` raises ExporterError where the new configuration is bad;
    `modules` are what /probe can measure there."""

    def __init__(
        self,
        config: Callable[[], Targets],
        trust: Callable[[], ssl.SSLContext],
        metrics: Callable[[], str],
        reload: Callable[[], object],
        modules: Mapping[str, Probe] = MODULES,
    ) -> None:
        self._config = config
        self._trust = trust
        self._metrics = metrics
        self._reload = reload
        self._modules = modules
        self._probing = 0

    async def handle(self, request: RequestHead) -> Response:
        path, _, query = request.target.partition("?")
        routes = {
            "/metrics": ("GET", self._show_metrics),
            "/probe": ("GET", self._probe),
            "/-/healthy": ("GET", self._show_health),
            "/-/reload": ("POST", self._do_reload),
        }
        if path not in routes:
            return Response(HTTPStatus.NOT_FOUND, f"there are only: {', '.join(routes)}\n")
        method, answer = routes[path]
        if request.method != method and (request.method, method) != ("HEAD", "GET"):
            return Response(HTTPStatus.METHOD_NOT_ALLOWED, f"use {method}\n", headers=(("Allow", method),))
        try:
            return await answer(request, query)
        except RefusedError as error:
            return Response(error.status, f"{error}\n")

    async def _show_metrics(self, _request: RequestHead, _query: str) -> Response:
        return Response(HTTPStatus.OK, self._metrics(), CONTENT_TYPE)

    async def _show_health(self, _request: RequestHead, _query: str) -> Response:
        return Response(HTTPStatus.OK, "healthy\n")

    async def _do_reload(self, _request: RequestHead, _query: str) -> Response:
        try:
            self._reload()
        except ExporterError as error:
            return Response(HTTPStatus.INTERNAL_SERVER_ERROR, f"not reloaded, the old configuration stays:\n{error}\n")
        return Response(HTTPStatus.OK, "reloaded\n")

    async def _probe(self, request: RequestHead, query: str) -> Response:
        timeout = request.headers.get(_TIMEOUT_HEADER)
        wanted = parse_probe_request(query, timeout, self._config(), self._modules)
        if self._probing >= MAX_PROBES_AT_ONCE:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_PROBES_AT_ONCE} probes are running already")
        self._probing += 1
        try:
            run = Run(wanted.target, wanted.family, self._trust())
            result = await execute(self._modules[wanted.module], run, wanted.budget)
        except UnsuitableTargetError as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from error
        finally:
            self._probing -= 1
        if wanted.debug:
            return Response(HTTPStatus.OK, describe(wanted, result))
        return Response(HTTPStatus.OK, render(result.samples()), CONTENT_TYPE)


def parse_probe_request(
    query: str, timeout: str | None, config: Targets, modules: Mapping[str, Probe] = MODULES
) -> ProbeRequest:
    """What a query of /probe asks for. Raises RefusedError.

    A target is an id of the configuration, whatever else the query holds: a free address would make a gateway
    with two channels a relay between them.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=16)
    except ValueError:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "too many parameters") from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "a parameter is given twice")
    target = config.target(parameters.get("target", ""))
    if target is None:
        raise RefusedError(
            HTTPStatus.FORBIDDEN, "the target is no reflector, service or scanner of this agent's configuration"
        )
    unknown = sorted(parameters.keys() - _PARAMETERS)
    if unknown:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"unknown parameter: {', '.join(unknown)}")
    module = parameters.get("module", "")
    if module not in modules:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the module must be one of: {', '.join(modules)}")
    try:
        family = Family(parameters.get("family", Family.IPV4))
    except ValueError:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the family must be one of: {', '.join(Family)}") from None
    debug = parameters.get("debug", "false")
    if debug not in ("true", "false"):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "debug must be true or false")
    return ProbeRequest(module, target, family, debug == "true", parse_budget(timeout))


def parse_budget(timeout: str | None) -> float:
    """Seconds that a probe may take, from the scraper's header. Raises RefusedError."""
    if timeout is None:
        return DEFAULT_BUDGET
    try:
        seconds = float(timeout)
    except ValueError:
        seconds = math.nan
    if not seconds > TIMEOUT_OFFSET:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, f"the scrape timeout must be more than {TIMEOUT_OFFSET:g} s, is {timeout!r}"
        )
    return min(seconds - TIMEOUT_OFFSET, LONGEST_BUDGET)


def describe(wanted: ProbeRequest, result: Result) -> str:
    """One probe for people: its log, its metrics, and the configuration it ran with."""
    log_lines = "".join(f"{seconds:10.6f} s  {text}\n" for seconds, text in result.run.log)
    configuration = {
        "module": wanted.module,
        "family": wanted.family.value,
        "budget_seconds": wanted.budget,
        "target": dataclasses.asdict(wanted.target),
    }
    return (
        f"Log of the probe:\n{log_lines}\n"
        f"Metrics that would have been returned:\n{render(result.samples())}\n"
        f"Configuration of the probe:\n{json.dumps(configuration, indent=2, default=str)}\n"
    )
