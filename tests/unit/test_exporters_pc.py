"""The agent on a clerk's PC: strict about its file, modest in what it takes, and told what the PC itself is told."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from exporters import metrics, pc
from exporters.config import ConfigError
from exporters.endpoints import Endpoints
from exporters.exposition import Labels
from exporters.httpwire import RequestHead
from exporters.metrics import Metric
from exporters.pc import DAY, PC, Budget, PcPlane
from exporters.pc_config import PcConfig, parse_pc_config
from tests.unit.exporters_support import Page, web_server
from tests.unit.test_exporters_agent import free_ports, services, started

PORTAL4: Labels = ("wan", "portal", "ipv4")


def document(**changes: Any) -> dict[str, Any]:
    """The configuration of a PC whose one channel is the loopback interface."""
    channel = {"id": "wan", "interface": "lo", "ipv4": "127.0.0.1", "ipv6": "::1", "resolvers": ["127.0.0.1"]}
    return {
        "model_sha256": "ab" * 32, "ward": "buoi", "site": "buoi-office", "pc": "buoi-pc-1", "listen": ["127.0.0.1"],
        "port": 9811, "interval_seconds": 10, "day_bytes": 1_000_000, "channel": channel,
        "services": [{"id": "portal", "url": "http://127.0.0.1/"}],
    } | changes  # fmt: skip


def parsed(**changes: Any) -> PcConfig:
    return parse_pc_config(json.dumps(document(**changes)), "pc-agent.json")


def values(plane: PcPlane, metric: Metric) -> dict[tuple[str, ...], float]:
    """A metric's samples, by the values of its labels in their order."""
    name = metric.name.removesuffix("_total")
    (family,) = [family for family in plane.collect() if family.name == name]
    return {tuple(sample.labels[label] for label in metric.labels): sample.value for sample in family.samples}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"port": 0}, "port: must be from 1 to 65535"),
        ({"interval_seconds": 1}, "interval_seconds: must be from 10 to 3600"),
        ({"listen": ["0.0.0.0"]}, "listen[0]: must be one address of this host, not 0.0.0.0"),
        ({"channel": {"id": "wan"}}, "channel.interface: is missing"),
        ({"channel": []}, "channel: must be an object, is a list"),
        ({"reflectors": []}, "reflectors: unknown key"),
        ({"services": [{"id": "portal", "url": "ftp://x/"}]}, "services[0].url: must begin with http"),
        ({"services": [{"id": "portal", "channel": "internet", "url": "http://x/"}]}, "channel: unknown key"),
    ],
)
def test_a_bad_configuration_is_refused_by_name(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(**changes)
    assert [line for line in caught.value.problems if problem in line], caught.value.problems


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("module=http&target=10.20.200.10", HTTPStatus.FORBIDDEN),
        ("module=http&target=https%3A%2F%2Fdvctt.tayho.example%2F", HTTPStatus.FORBIDDEN),
        ("module=http&target=portal-public", HTTPStatus.FORBIDDEN),
        ("module=icmp&target=hub", HTTPStatus.FORBIDDEN),
        ("module=icmp&target=portal", HTTPStatus.BAD_REQUEST),  # it has no raw socket
        ("module=scanner&target=portal", HTTPStatus.BAD_REQUEST),
    ],
)
def test_probe_takes_an_id_of_its_services_and_nothing_else(query: str, status: HTTPStatus) -> None:
    config, trust = parsed(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    endpoints = Endpoints(lambda: config, lambda: trust, str, lambda: None, PC.modules)
    answer = asyncio.run(endpoints.handle(RequestHead("GET", f"/probe?{query}", True, {})))
    assert answer.status is status


def test_a_day_has_its_bytes_and_the_next_has_them_again() -> None:
    now = [1_000.0 * DAY + 5]
    budget = Budget(now=lambda: now[0])
    assert budget.affords(100)
    budget.spend(99)
    assert budget.affords(100)
    budget.spend(40)
    assert (budget.affords(100), budget.affords(100), budget.refused, budget.spent) == (False, False, 2, 139)
    now[0] += DAY
    assert (budget.affords(100), budget.spent, budget.refused) == (True, 0, 2)


def run_once(plane: PcPlane, config: PcConfig) -> None:
    """Every job of a configuration, each once, one after the other."""

    async def run() -> None:
        for job in plane.configure(config, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)).values():
            await job.run()

    asyncio.run(run())


def test_a_page_is_measured_in_its_parts_and_what_it_took_is_counted() -> None:
    with web_server() as web:
        web.pages["/"] = Page(body=(b"x" * 5000,))
        config = parsed(services=[{"id": "portal", "url": f"http://127.0.0.1:{web.port}/"}])
        plane = PcPlane()
        run_once(plane, config)
        assert values(plane, metrics.PC_SERVICE_UP) == {PORTAL4: 1.0, ("wan", "portal", "ipv6"): 0.0}
        assert {phase for *key, phase in values(plane, metrics.PC_SERVICE_PHASE) if tuple(key) == PORTAL4} == {
            "dns", "connect", "first_byte", "transfer",
        }  # fmt: skip
        assert values(plane, metrics.PC_SERVICE_ROUND_TRIP)[PORTAL4] > 0
        assert values(plane, metrics.PC_SERVICE_FAILURE) == {("wan", "portal", "ipv6", "dns"): 1.0}
        assert values(plane, metrics.PC_EGRESS) == {("wan", "ipv4", "lo", "127.0.0.1"): 1.0}
        # The page, its head and the request; the kernel counts a sign more for the connection's begin or end.
        assert 5000 < values(plane, metrics.PC_SPENT)[()] < 6000

        asked = len(web.seen)
        run_once(plane, replace(config, day_bytes=5000))
        assert len(web.seen) == asked, "the day's bytes are spent"
        assert values(plane, metrics.PC_UNAFFORDABLE)[()] == 2
        assert values(plane, metrics.PC_SERVICE_UP)[PORTAL4] == 1.0, "what was measured last, with its age"


def test_a_service_that_leaves_the_configuration_is_forgotten() -> None:
    plane = PcPlane()
    with web_server() as web:
        web.pages["/"] = Page()
        run_once(plane, parsed(services=[{"id": "portal", "url": f"http://127.0.0.1:{web.port}/"}]))
    assert values(plane, metrics.PC_SERVICE_UP)
    plane.configure(parsed(services=[]), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert values(plane, metrics.PC_SERVICE_UP) == {}


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "pc-agent.json"
    path.write_text(json.dumps(document()))
    return path


def test_the_command_checks_its_file(config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--config.file", str(config_file), "--config.check", "--config.ca-dir", str(tmp_path)]
    assert pc.main(options) == 0
    assert capsys.readouterr().out.endswith("good, for buoi-pc-1: 1 services over wan by lo\n")
    config_file.write_text("{}")
    assert pc.main(options) == 1
    assert "pc: is missing" in capsys.readouterr().err


def test_it_serves_few_series_and_none_that_the_rules_take_for_a_gateways(tmp_path: Path) -> None:
    with web_server() as web:
        web.pages["/"] = Page()
        port = free_ports()[0]
        served = [{"id": each["id"], "url": each["url"]} for each in services(web, "portal")]
        with started("pc", tmp_path, document(port=port, services=served), port) as agent:
            samples = agent.wait_for(lambda now: any(name.startswith("wardnet_pc_service_up") for name in now))
            assert agent.get("/probe?module=http&target=portal")[0] == 200
            assert agent.get("/probe?module=http&target=127.0.0.1")[0] == 403
    assert all(name.startswith("wardnet_pc_") for name in samples)
    assert len(samples) <= 40
