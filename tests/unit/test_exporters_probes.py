"""Probes against real servers on loopback: what they measure, and the phase they fail in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from exporters import metrics
from exporters.config import Family, Target
from exporters.dns import TYPE_A, TYPE_AAAA
from exporters.metrics import Metric
from exporters.probes import MODULES, http
from exporters.probing import Result, Run, UnsuitableTargetError, execute
from exporters.sockets import Egress
from exporters.stream import open_trust
from tests.unit.exporters_support import (
    LOOPBACK,
    Authority,
    DnsServer,
    Page,
    WebServer,
    configuration,
    dns_server,
    loopback_channel,
    make_authority,
    parsed,
    service,
    web_server,
)

NAME = "portal.tayho.example"
PHASES = ("dns", "connect", "tls", "first_byte", "transfer")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def trust(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder = tmp_path_factory.mktemp("ca.d")
    (folder / "district.crt").write_bytes(authority.file.read_bytes())
    return open_trust(folder)


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with dns_server() as server:
        server.addresses[NAME, TYPE_A] = [LOOPBACK[Family.IPV4]]
        server.addresses[NAME, TYPE_AAAA] = [LOOPBACK[Family.IPV6]]
        yield server


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def measure(
    module: str,
    target: Target | str,
    trust: ssl.SSLContext,
    *,
    family: Family = Family.IPV4,
    dns: DnsServer | None = None,
    budget: float = 5.0,
) -> Result:
    run = Run(service(target) if isinstance(target, str) else target, family, trust, dns_port=dns.port if dns else 1)
    return asyncio.run(execute(MODULES[module], run, budget))


def failure(result: Result) -> tuple[str, str]:
    assert result.failure is not None
    return result.failure.phase, result.failure.reason


def value(result: Result, metric: Metric, *labels: str) -> float:
    found = result.run.value(metric, *labels)
    assert found is not None
    return found


@pytest.mark.parametrize("family", list(Family))
def test_page_over_tls_in_both_families(
    family: Family, authority: Authority, trust: ssl.SSLContext, dns: DnsServer
) -> None:
    with web_server(family, authority.server_context(NAME)) as web:
        web.pages["/start?x=1"] = Page(body=(b"x" * 3000,))
        result = measure("http", f"https://{NAME}:{web.port}/start?x=1", trust, family=family, dns=dns)
    assert result.failure is None
    assert result.run.egress == Egress("lo", LOOPBACK[family])
    assert value(result, metrics.PROBE_HTTP_STATUS) == 200
    assert value(result, metrics.PROBE_RECEIVED_BYTES) == 3000
    assert value(result, metrics.PROBE_TCP_ROUND_TRIP) >= value(result, metrics.PROBE_TCP_MIN_ROUND_TRIP) > 0
    assert value(result, metrics.PROBE_TLS_INFO, "TLSv1.3") == 1
    parts = [value(result, metrics.PROBE_PHASE, phase) for phase in PHASES]
    assert all(part > 0 for part in parts)
    assert sum(parts) <= result.duration
    (client, _, headers) = web.seen[0]
    assert client == LOOPBACK[family]
    assert headers["Host"] == f"{NAME}:{web.port}"


def test_time_is_found_in_the_phase_that_took_it(trust: ssl.SSLContext, web: WebServer) -> None:
    web.pages["/server"] = Page(delay=0.5)
    web.pages["/transfer"] = Page(body=(b"x", b"x"), pause=0.5)
    slow_server = measure("http", f"http://127.0.0.1:{web.port}/server", trust)
    assert value(slow_server, metrics.PROBE_PHASE, "first_byte") >= 0.5
    assert value(slow_server, metrics.PROBE_PHASE, "transfer") < 0.4
    slow_transfer = measure("http", f"http://127.0.0.1:{web.port}/transfer", trust)
    assert value(slow_transfer, metrics.PROBE_PHASE, "transfer") >= 0.4
    assert value(slow_transfer, metrics.PROBE_PHASE, "first_byte") < 0.4


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_whole_page_with_a_bad_status_fails_in_status(status: int, trust: ssl.SSLContext, web: WebServer) -> None:
    web.pages["/"] = Page(status=status)
    result = measure("http", f"http://127.0.0.1:{web.port}/", trust)
    assert failure(result) == ("status", f"the answer's status is {status}")
    assert value(result, metrics.PROBE_HTTP_STATUS) == status


def test_redirects_are_followed_on_the_same_host(trust: ssl.SSLContext, web: WebServer) -> None:
    web.pages["/"] = Page(status=302, headers=(("Location", "/a"),))
    web.pages["/a"] = Page(status=307, headers=(("Location", f"http://127.0.0.1:{web.port}/b"),))
    web.pages["/b"] = Page(body=(b"there",))
    result = measure("http", f"http://127.0.0.1:{web.port}/", trust)
    assert result.failure is None
    assert value(result, metrics.PROBE_HTTP_REDIRECTS) == 2
    assert value(result, metrics.PROBE_RECEIVED_BYTES) == 5


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.2:{port}/", "redirected off the service, to http://127.0.0.2:{port}; not followed"),
        ("//localhost:{port}/", "redirected off the service, to http://localhost:{port}; not followed"),
        ("http://127.0.0.1:{other}/", "redirected off the service, to http://127.0.0.1:{other}; not followed"),
        ("https://127.0.0.1:{port}/", "redirected off the service, to https://127.0.0.1:{port}; not followed"),
        ("ftp://127.0.0.1/", "a redirect that cannot be followed: the location must begin with http:// or https://"),
        (None, "a redirect without a location"),
    ],
)
def test_redirects_elsewhere_are_not_followed(
    location: str | None, reason: str, trust: ssl.SSLContext, web: WebServer
) -> None:
    with web_server() as elsewhere:
        numbers = {"port": web.port, "other": elsewhere.port}
        headers = (("Location", location.format(**numbers)),) if location else ()
        web.pages["/"] = Page(status=301, headers=headers)
        phase, said = failure(measure("http", f"http://127.0.0.1:{web.port}/", trust))
        assert (phase, said[: len(reason.format(**numbers))]) == ("status", reason.format(**numbers))
        assert len(web.seen) == 1
        assert elsewhere.seen == []


def test_redirects_in_a_ring_come_to_an_end(trust: ssl.SSLContext, web: WebServer) -> None:
    web.pages["/"] = Page(status=302, headers=(("Location", "/"),))
    assert failure(measure("http", f"http://127.0.0.1:{web.port}/", trust)) == ("status", "more than 5 redirects")
    assert len(web.seen) == http.MAX_REDIRECTS + 1


def test_reading_a_large_page_stops(trust: ssl.SSLContext, web: WebServer) -> None:
    web.pages["/"] = Page(body=(b"x" * (8 * http.MAX_BODY_BYTES),))
    result = measure("http", f"http://127.0.0.1:{web.port}/", trust)
    assert result.failure is None
    assert http.MAX_BODY_BYTES <= value(result, metrics.PROBE_RECEIVED_BYTES) < http.MAX_BODY_BYTES + 65536


@pytest.mark.parametrize(
    ("names", "expired", "trusted", "reason"),
    [
        (("other.example",), False, True, "not valid for 'portal.tayho.example'"),
        ((NAME,), True, True, "certificate has expired"),
        ((NAME,), False, False, "unable to get local issuer certificate"),
    ],
)
def test_certificates_are_verified(
    names: tuple[str, ...],
    expired: bool,
    trusted: bool,
    reason: str,
    authority: Authority,
    trust: ssl.SSLContext,
    dns: DnsServer,
    tmp_path: Path,
) -> None:
    with web_server(tls=authority.server_context(*names, expired=expired)) as web:
        result = measure("http", f"https://{NAME}:{web.port}/", trust if trusted else open_trust(tmp_path), dns=dns)
        assert web.seen == []
    phase, said = failure(result)
    assert phase == "tls"
    assert reason in said
    assert result.run.value(metrics.PROBE_PHASE, "first_byte") is None
    assert value(result, metrics.PROBE_TCP_ROUND_TRIP) > 0


def test_certificate_of_an_address_is_verified_too(authority: Authority, trust: ssl.SSLContext) -> None:
    with web_server(Family.IPV6, authority.server_context("::1")) as web:
        web.pages["/"] = Page()
        assert measure("http", f"https://[::1]:{web.port}/", trust, family=Family.IPV6).failure is None


def test_server_that_speaks_no_tls_fails_in_tls(trust: ssl.SSLContext, web: WebServer) -> None:
    assert failure(measure("http", f"https://127.0.0.1:{web.port}/", trust))[0] == "tls"


@pytest.mark.parametrize(
    ("raw", "phase", "reason"),
    [
        (b"", "first_byte", "closed the connection without an answer"),
        (b"220 smtp ready\r\n", "transfer", "does not begin like HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "transfer", "in the middle of the body, after 4 bytes"),
    ],
)
def test_broken_answers(raw: bytes, phase: str, reason: str, trust: ssl.SSLContext, web: WebServer) -> None:
    web.pages["/"] = Page(raw=raw)
    failed_in, said = failure(measure("http", f"http://127.0.0.1:{web.port}/", trust))
    assert failed_in == phase
    assert reason in said


def test_timeout_fails_in_the_phase_it_met(trust: ssl.SSLContext, web: WebServer, dns: DnsServer) -> None:
    web.pages["/"] = Page(delay=1.0)
    slow = measure("http", f"http://127.0.0.1:{web.port}/", trust, budget=0.2)
    assert failure(slow) == ("first_byte", "not done after 0.2 s")
    assert 0.2 <= slow.duration < 0.9
    dns.alter = lambda _query, _answer, _tcp: []
    assert failure(measure("http", f"http://{NAME}/", trust, dns=dns, budget=0.2))[0] == "dns"
    with socket.create_server(("127.0.0.1", 0), backlog=8) as silent:
        port = silent.getsockname()[1]
        assert failure(measure("tls", f"https://127.0.0.1:{port}/", trust, budget=0.2))[0] == "tls"


def test_refused_connection_and_the_next_address(trust: ssl.SSLContext, web: WebServer, dns: DnsServer) -> None:
    web.pages["/"] = Page()
    dns.addresses[NAME, TYPE_A] = ["127.0.0.9", "127.0.0.1"]
    result = measure("http", f"http://{NAME}:{web.port}/", trust, dns=dns)
    assert result.failure is None
    assert any("127.0.0.9 port" in text and "Connection refused" in text for _, text in result.run.log)
    dns.addresses[NAME, TYPE_A] = ["127.0.0.9"]
    failed = measure("http", f"http://{NAME}:{web.port}/", trust, dns=dns)
    assert failure(failed) == ("connect", f"127.0.0.9 port {web.port}: Connection refused")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"interface": "gone0"}, "cannot bind to interface gone0: No such device"),
        ({"ipv4": IPv4Address("192.0.2.77")}, "cannot bind to 192.0.2.77 on lo: Cannot assign requested address"),
    ],
)
def test_channel_that_is_not_there_fails_and_is_named(
    change: dict[str, Any], reason: str, trust: ssl.SSLContext, web: WebServer
) -> None:
    target = service(f"http://127.0.0.1:{web.port}/")
    broken = replace(target, channel=replace(target.channel, **change))
    phase, said = failure(measure("tcp", broken, trust))
    assert phase == "connect"
    assert reason in said
    assert web.seen == []


def test_the_other_modules(authority: Authority, trust: ssl.SSLContext, dns: DnsServer) -> None:
    dns.addresses[NAME, TYPE_A] = ["127.0.0.1", "127.0.0.9"]
    with web_server(tls=authority.server_context(NAME)) as web:
        url = f"https://{NAME}:{web.port}/"
        looked_up = measure("dns", url, trust, dns=dns)
        connected = measure("tcp", url, trust, dns=dns)
        secured = measure("tls", url, trust, dns=dns)
        assert web.seen == []
    assert value(looked_up, metrics.PROBE_DNS_ADDRESSES) == 2
    assert looked_up.run.egress == Egress("lo", "127.0.0.1")
    assert value(connected, metrics.PROBE_TCP_ROUND_TRIP) > 0
    assert connected.run.value(metrics.PROBE_PHASE, "tls") is None
    assert value(secured, metrics.PROBE_TLS_EXPIRY) > 1.7e9
    assert [r.failure for r in (looked_up, connected, secured)] == [None, None, None]


@pytest.mark.parametrize("module", ["dns", "http", "tcp", "tls"])
def test_modules_for_services_refuse_reflectors(module: str, trust: ssl.SSLContext) -> None:
    with pytest.raises(UnsuitableTargetError, match="hub is a reflector"):
        measure(module, parsed(configuration()).reflectors[0], trust)


def test_tls_refuses_a_service_without_it(trust: ssl.SSLContext) -> None:
    with pytest.raises(UnsuitableTargetError, match="portal does not use TLS"):
        measure("tls", "http://127.0.0.1/", trust)


def test_nothing_stays_open(trust: ssl.SSLContext, web: WebServer, dns: DnsServer) -> None:
    def sockets() -> int:
        return sum(1 for entry in Path("/proc/self/fd").iterdir() if _is_socket(entry))

    web.pages["/"] = Page(delay=0.3)
    before = sockets()
    for module in ("http", "tls", "tcp", "dns"):
        measure(module, f"https://{NAME}:{web.port}/", trust, dns=dns, budget=0.1)
    measure("http", f"http://127.0.0.1:{web.port}/", trust, budget=0.1)
    # The server's ends close in threads of their own, at most as many as there were connections.
    assert sockets() - before <= 5
    assert loopback_channel().interface == "lo"


def _is_socket(entry: Path) -> bool:
    with contextlib.suppress(OSError):
        return str(entry.readlink()).startswith("socket:")
    return False
