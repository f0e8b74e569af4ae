"""What a request asks for: refused targets, budgets, and the text of one probe."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

import pytest

from exporters import metrics
from exporters.config import AgentConfig, Family
from exporters.endpoints import Endpoints, RefusedError, describe, parse_budget, parse_probe_request
from exporters.errors import ExporterError
from exporters.exposition import render
from exporters.httpwire import RequestHead
from exporters.probing import ProbeFailure, Result, Run
from exporters.server import Response
from exporters.sockets import Egress
from tests.unit.exporters_support import Page, configuration, parsed, service, web_server

CONFIG = parsed(configuration())


def request(target: str, method: str = "GET", **headers: str) -> RequestHead:
    return RequestHead(method, target, True, {name.replace("_", "-"): value for name, value in headers.items()})


def endpoints(config: AgentConfig = CONFIG, reload: Callable[[], object] = lambda: None) -> Endpoints:
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return Endpoints(lambda: config, lambda: trust, lambda: "the metrics\n", reload)


def ask(target: str, method: str = "GET", config: AgentConfig = CONFIG, **headers: str) -> Response:
    return asyncio.run(endpoints(config).handle(request(target, method, **headers)))


@pytest.mark.parametrize(
    "target",
    [
        "", "127.0.0.1", "::1", "10.20.200.10:443", "portal.tayho.example", "https%3A%2F%2Fportal.tayho.example%2F",
        "portal%20", "portal%00", "hub,isp", "wan", "../portal",
    ],
)  # fmt: skip
@pytest.mark.parametrize("module", ["http", "icmp", "no-such-module"])
def test_free_targets_are_forbidden_whatever_else_is_asked(module: str, target: str) -> None:
    assert ask(f"/probe?module={module}&target={target}&more=1").status is HTTPStatus.FORBIDDEN


def test_no_target_is_forbidden_too() -> None:
    assert ask("/probe").status is HTTPStatus.FORBIDDEN
    assert ask("/probe?module=icmp").status is HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("target=portal", "the module must be one of: dns, http, icmp, scanner, tcp, tls"),
        ("target=portal&module=smtp", "the module must be one of"),
        ("target=portal&module=http&family=ipv5", "the family must be one of: ipv4, ipv6"),
        ("target=portal&module=http&debug=yes", "debug must be true or false"),
        ("target=portal&module=http&target=hub", "a parameter is given twice"),
        ("target=portal&module=http&host=10.0.0.1", "unknown parameter: host"),
        ("&".join(f"a{n}=1" for n in range(100)), "too many parameters"),
        ("target=hub&module=http", "hub is a reflector; this module measures services"),
        ("target=public-web&module=tls", "public-web does not use TLS"),
    ],
)
def test_bad_requests_say_why(query: str, reason: str) -> None:
    response = ask(f"/probe?{query}")
    assert response.status is HTTPStatus.BAD_REQUEST
    assert response.body.startswith(reason)


def test_request_is_read_whole() -> None:
    wanted = parse_probe_request("module=tcp&target=portal&family=ipv6&debug=true", "3", CONFIG)
    assert (wanted.module, wanted.target.id, wanted.family) == ("tcp", "portal", Family.IPV6)
    assert (wanted.debug, wanted.budget) == (True, 2.5)


@pytest.mark.parametrize(
    ("header", "budget"), [(None, 9.5), ("10", 9.5), ("1.25", 0.75), ("3600", 60.0), ("inf", 60.0)]
)
def test_budget_leaves_half_a_second(header: str | None, budget: float) -> None:
    assert parse_budget(header) == budget


@pytest.mark.parametrize("header", ["", "0.5", "-1", "nan", "soon"])
def test_budget_that_leaves_nothing_is_refused(header: str) -> None:
    with pytest.raises(RefusedError, match=r"scrape timeout must be more than 0\.5 s"):
        parse_budget(header)


def test_scrape_timeout_is_honoured() -> None:
    with web_server() as web:
        web.pages["/"] = Page(delay=2.0)
        config = replace(CONFIG, services=(service(f"http://127.0.0.1:{web.port}/"),))
        response = ask("/probe?module=http&target=portal", config=config, x_prometheus_scrape_timeout_seconds="0.8")
    assert response.status is HTTPStatus.OK
    assert "probe_success 0.0\n" in response.body
    assert 'probe_failure_info{phase="first_byte"} 1.0\n' in response.body
    duration = re.search(r"^probe_duration_seconds (\S+)$", response.body, re.MULTILINE)
    assert duration is not None
    assert 0.29 <= float(duration[1]) < 1.5


def test_probes_at_once_are_bounded() -> None:
    async def main(config: AgentConfig) -> list[Response]:
        pages = endpoints(config)
        asked = request("/probe?module=http&target=portal", x_prometheus_scrape_timeout_seconds="1")
        return await asyncio.gather(*(pages.handle(asked) for _ in range(20)))

    with web_server() as web:
        web.pages["/"] = Page(delay=1.0)
        config = replace(CONFIG, services=(service(f"http://127.0.0.1:{web.port}/"),))
        responses = asyncio.run(main(config))
    assert [r.status for r in responses].count(HTTPStatus.SERVICE_UNAVAILABLE) == 4


def test_the_other_pages() -> None:
    assert ask("/metrics").body == "the metrics\n"
    assert ask("/metrics", "HEAD").status is HTTPStatus.OK
    assert ask("/-/healthy").body == "healthy\n"
    assert ask("/-/reload").status is HTTPStatus.METHOD_NOT_ALLOWED
    assert ask("/-/reload").headers == (("Allow", "POST"),)
    assert ask("/metrics", "POST").status is HTTPStatus.METHOD_NOT_ALLOWED
    assert ask("/-/reload", "POST").body == "reloaded\n"
    assert ask("/").status is HTTPStatus.NOT_FOUND


def test_reload_that_fails_says_why() -> None:
    def fail() -> None:
        raise ExporterError("agent.json: ward: is missing")

    response = asyncio.run(endpoints(reload=fail).handle(request("/-/reload", "POST")))
    assert response.status is HTTPStatus.INTERNAL_SERVER_ERROR
    assert response.body == "not reloaded, the old configuration stays:\nagent.json: ward: is missing\n"


def finished(failure: ProbeFailure | None) -> Result:
    """A run with figures of its own, recorded out of order as probes do."""
    run = Run(CONFIG.services[0], Family.IPV6, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    run.egress = Egress('wan"0', "fd20:31:1::2")
    run.record(metrics.PROBE_HTTP_STATUS, 503.0)
    run.record(metrics.PROBE_PHASE, 0.0125, "dns")
    run.record(metrics.PROBE_TCP_ROUND_TRIP, None)
    run.record(metrics.PROBE_TLS_EXPIRY, 1_798_095_727.0)
    run.record(metrics.PROBE_PHASE, 1e-05, "connect")
    run.log.extend([(0.0001, "looked up"), (0.25, "failed")])
    return Result(run, 0.25, failure)


GOLDEN = """\
# HELP probe_success 1 if the probe succeeded.
# TYPE probe_success gauge
probe_success 0.0
# HELP probe_duration_seconds Time that the whole probe took.
# TYPE probe_duration_seconds gauge
probe_duration_seconds 0.25
# HELP probe_failure_info Always 1: the phase that the probe failed in.
# TYPE probe_failure_info gauge
probe_failure_info{phase="status"} 1.0
# HELP probe_egress_info Always 1: interface and source address that the probe really left by.
# TYPE probe_egress_info gauge
probe_egress_info{channel="wan",family="ipv6",interface="wan\\"0",source="fd20:31:1::2"} 1.0
# HELP probe_phase_seconds Time that the probe spent in each phase.
# TYPE probe_phase_seconds gauge
probe_phase_seconds{phase="dns"} 0.0125
probe_phase_seconds{phase="connect"} 1e-05
# HELP probe_tls_certificate_expiry_timestamp_seconds When the server's certificate expires, in seconds since 1970.
# TYPE probe_tls_certificate_expiry_timestamp_seconds gauge
probe_tls_certificate_expiry_timestamp_seconds 1798095727.0
# HELP probe_http_status_code HTTP status of the answer.
# TYPE probe_http_status_code gauge
probe_http_status_code 503.0
"""


def test_text_of_a_probe_is_the_golden_one() -> None:
    assert render(finished(ProbeFailure("status", "the answer's status is 503")).samples()) == GOLDEN


def test_debug_shows_log_metrics_and_configuration() -> None:
    wanted = parse_probe_request("module=http&target=portal&family=ipv6&debug=true", "10", CONFIG)
    text = describe(wanted, finished(ProbeFailure("status", "x")))
    assert text.startswith("Log of the probe:\n  0.000100 s  looked up\n  0.250000 s  failed\n\nMetrics that would")
    assert GOLDEN in text
    assert '"module": "http",\n  "family": "ipv6",\n  "budget_seconds": 9.5,' in text
    assert '"resolvers": [\n        "127.0.0.1",\n        "::1"\n      ]' in text


REAL = """\
probe_success 1.0
probe_duration_seconds T
probe_egress_info{channel="wan",family="ipv4",interface="lo",source="127.0.0.1"} 1.0
probe_phase_seconds{phase="dns"} T
probe_phase_seconds{phase="connect"} T
probe_phase_seconds{phase="first_byte"} T
probe_phase_seconds{phase="transfer"} T
probe_tcp_round_trip_seconds T
probe_tcp_min_round_trip_seconds T
probe_tcp_retransmissions 0.0
probe_tcp_bytes N
probe_http_status_code 200.0
probe_http_redirects 0.0
probe_received_bytes 5.0
"""


def test_text_of_a_real_probe() -> None:
    """Times aside, and what the server's port and our version add to the request, a whole run gives this text."""
    with web_server() as web:
        web.pages["/"] = Page(body=(b"hello",))
        config = replace(CONFIG, services=(service(f"http://127.0.0.1:{web.port}/"),))
        text = ask("/probe?module=http&target=portal", config=config).body
    samples = "".join(line + "\n" for line in text.splitlines() if not line.startswith("#"))
    samples = re.sub(r"(?m)^(probe_tcp_bytes) [1-9]\d\d\.0$", r"\1 N", samples)
    assert re.sub(r"(?m)(_seconds(?:\{.*\})?) \S+$", r"\1 T", samples) == REAL
