"""The exporters as processes on loopback, as systemd and Prometheus meet them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporters import metrics
from tests.unit.exporters_support import Page, WebServer, configuration, web_server

MEMORY_BUDGET_KB = 40 * 1024


@dataclass
class Agent:
    process: subprocess.Popen[str]
    config: Path
    port: int
    log: Path

    def get(self, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str]:
        request = urllib.request.Request(f"http://{host}:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def samples(self) -> dict[str, float]:
        """Series as text, each with its value."""
        found = {}
        for line in self.get("/metrics")[1].splitlines():
            if not line.startswith("#"):
                series, _, value = line.rpartition(" ")
                found[series] = float(value)
        return found

    def wait_for(self, condition: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            samples = self.samples()
            if condition(samples):
                return samples
            time.sleep(0.1)
        raise AssertionError(f"never came true; the last metrics: {samples}")


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


def launcher(plane: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; from exporters.{plane} import main; sys.exit(main())"]


@contextmanager
def running(plane: str, folder: Path, **changes: Any) -> Iterator[Agent]:
    """One exporter of a gateway, from its readiness notice to its end."""
    link_port, software_port = free_ports()
    document = configuration(link_port=link_port, software_port=software_port, listen=["127.0.0.1"], **changes)
    with started(plane, folder, document, link_port if plane == "link" else software_port) as agent:
        yield agent


@contextmanager
def started(plane: str, folder: Path, document: dict[str, Any], port: int) -> Iterator[Agent]:
    """The same with a configuration that listens on `port`."""
    config, log = folder / "agent.json", folder / "log"
    config.write_text(json.dumps(document))
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.settimeout(20)
    notices.bind(str(folder / "notify"))
    command = [*launcher(plane), "--config.file", str(config), "--config.ca-dir", str(folder)]
    environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify")}
    with notices, log.open("w") as errors:
        process = subprocess.Popen(command, stderr=errors, text=True, env=environment)
        try:
            assert notices.recv(100) == b"READY=1"
            yield Agent(process, config, port, log)
        finally:
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            process.kill()
            process.wait()


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        server.pages["/"] = Page()
        yield server


def services(web: WebServer, *ids: str) -> list[dict[str, str]]:
    return [{"id": i, "channel": "wan", "url": f"http://127.0.0.1:{web.port}/"} for i in ids]


def runs(service: str) -> str:
    return f'wardnet_service_runs_total{{channel="wan",family="ipv4",service="{service}"}}'


@pytest.mark.parametrize("plane", ["link", "software"])
def test_metrics_are_the_documented_ones(plane: str, tmp_path: Path, web: WebServer) -> None:
    """Name, kind, help and labels of all that is served; nothing is served that is not listed."""
    listed = {metric.name: metric for metric in metrics.ALL}
    with running(plane, tmp_path, services=services(web, "portal")) as agent:
        if plane == "software":
            agent.wait_for(lambda samples: samples.get(runs("portal"), 0) >= 1)
        text = agent.get("/metrics")[1]
    served = set()
    for family in text_string_to_metric_families(text):
        if family.name.startswith("process_"):
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        served.add(name)
        metric = listed[name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)
    prefixes = {"link": ("wardnet_circuit_", "wardnet_link_"), "software": ("wardnet_service_", "wardnet_scanner_")}[
        plane
    ]
    assert served == {name for name in listed if name.startswith((*prefixes, "wardnet_agent_"))}


def test_software_is_measured_every_interval(tmp_path: Path, web: WebServer) -> None:
    labels = 'channel="wan",family="ipv4",service="portal"'
    with running("software", tmp_path, services=services(web, "portal")) as agent:
        first = agent.wait_for(lambda samples: samples.get(runs("portal"), 0) >= 1)
        begun = time.monotonic()
        count = first[runs("portal")]
        samples = agent.wait_for(lambda now: now[runs("portal")] >= count + 3)
        assert 1.5 < time.monotonic() - begun < 6
        assert samples[f"wardnet_service_up{{{labels}}}"] == 1
        assert samples[f"wardnet_service_http_status{{{labels}}}"] == 200
        assert samples[f"wardnet_service_received_bytes{{{labels}}}"] == 5
        assert samples[f"wardnet_service_tcp_min_round_trip_seconds{{{labels}}}"] > 0
        assert samples[f"wardnet_service_duration_seconds_count{{{labels}}}"] == samples[runs("portal")]
        assert abs(samples[f"wardnet_service_last_run_timestamp_seconds{{{labels}}}"] - time.time()) < 5
        egress = 'channel="wan",family="ipv4",interface="lo",source="127.0.0.1"'
        assert samples[f"wardnet_service_egress_info{{{egress}}}"] == 1
        # An address of one family has nothing in the other: that fails by name, and stays apart.
        six = labels.replace("ipv4", "ipv6")
        agent.wait_for(lambda now: now.get(f"wardnet_service_up{{{six}}}") == 0)

        web.pages["/"] = Page(status=500)
        failed = labels.replace('family="ipv4"', 'family="ipv4",phase="status"')
        samples = agent.wait_for(lambda now: now.get(f"wardnet_service_failures_total{{{failed}}}", 0) >= 2)
        assert samples[f"wardnet_service_up{{{labels}}}"] == 0
    warnings = [line for line in agent.log.read_text().splitlines() if "status is 500" in line]
    assert len(warnings) == 1, "a service that stays down is logged once"
    assert warnings[0].startswith("WARNING ward=buoi gateway=buoi-gw exporters.software: channel wan, service portal")


def test_slow_service_delays_no_other(tmp_path: Path, web: WebServer) -> None:
    web.pages["/slow"] = Page(delay=30)
    slow = {"id": "slow", "channel": "wan", "url": f"http://127.0.0.1:{web.port}/slow"}
    with running("software", tmp_path, services=[slow, *services(web, "portal")]) as agent:
        samples = agent.wait_for(lambda now: now.get(runs("portal"), 0) >= 3)
        assert samples.get(runs("slow"), 0) <= samples[runs("portal")]
        assert samples['wardnet_agent_lateness_seconds{plane="software"}'] < 1


@pytest.mark.parametrize("how", ["SIGHUP", "POST"])
def test_reload_forgets_what_is_gone_and_keeps_the_rest(how: str, tmp_path: Path, web: WebServer) -> None:
    def reload(agent: Agent, document: dict[str, Any]) -> int:
        agent.config.write_text(json.dumps(document))
        if how == "POST":
            return agent.get("/-/reload", "POST")[0]
        agent.process.send_signal(signal.SIGHUP)
        return 0

    with running("software", tmp_path, services=services(web, "portal", "goes")) as agent:
        before = agent.wait_for(lambda now: now.get(runs("portal"), 0) >= 1 and now.get(runs("goes"), 0) >= 1)
        document = json.loads(agent.config.read_text())
        document["services"] = services(web, "portal", "third")
        assert reload(agent, document) in (0, 200)
        after = agent.wait_for(lambda now: now.get(runs("third"), 0) >= 1)
        assert not [series for series in after if "goes" in series]
        assert after[runs("portal")] >= before[runs("portal")]
        assert agent.get("/probe?module=http&target=second")[0] == 403
        assert agent.get("/probe?module=http&target=third")[0] == 200

        document["surprise"] = 1
        assert reload(agent, document) in (0, 500)
        if how == "POST":
            status, reason = agent.get("/-/reload", "POST")
            assert (status, "agent.json: surprise: unknown key" in reason) == (500, True)
        else:
            deadline = time.monotonic() + 10
            while "not reloaded" not in agent.log.read_text() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert "agent.json: surprise: unknown key" in agent.log.read_text()
        agent.wait_for(lambda now: now[runs("third")] > after[runs("third")])


def test_reload_moves_to_another_port(tmp_path: Path, web: WebServer) -> None:
    with running("software", tmp_path, services=services(web, "portal")) as agent:
        document = json.loads(agent.config.read_text())
        old, agent.port = agent.port, free_ports()[0]
        document["software_port"] = agent.port
        agent.config.write_text(json.dumps(document))
        agent.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        status = 0
        while status != 200 and time.monotonic() < deadline:
            with suppress(OSError):
                status, _ = agent.get("/-/healthy")
        assert status == 200
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", old)):
            pass


@pytest.mark.parametrize("plane", ["link", "software"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly_and_at_once_in_the_middle_of_work(
    plane: str, number: signal.Signals, tmp_path: Path, web: WebServer
) -> None:
    web.pages["/"] = Page(delay=5)
    with running(plane, tmp_path, services=services(web, "portal")) as agent:
        scrape = socket.create_connection(("127.0.0.1", agent.port))
        scrape.sendall(b"GET /probe?module=http&target=portal HTTP/1.1\r\n\r\n")
        seen = len(web.seen)
        deadline = time.monotonic() + 10
        while len(web.seen) == seen and time.monotonic() < deadline:
            time.sleep(0.02)
        begun = time.monotonic()
        agent.process.send_signal(number)
        assert agent.process.wait(10) == 0
        assert time.monotonic() - begun < 2
        assert scrape.recv(100) == b""
        scrape.close()
    assert "Traceback" not in agent.log.read_text()
    assert "never retrieved" not in agent.log.read_text()


@pytest.mark.parametrize("plane", ["link", "software"])
def test_memory_stays_within_the_budget(plane: str, tmp_path: Path, web: WebServer) -> None:
    with running(plane, tmp_path, services=services(web, "portal")) as agent:
        for _ in range(200):
            assert agent.get("/probe?module=http&target=portal")[0] == 200
        assert agent.get("/metrics")[0] == 200
        status = Path(f"/proc/{agent.process.pid}/status").read_text()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert peak is not None
    assert int(peak[1]) < MEMORY_BUDGET_KB


def test_listens_on_the_configured_address_only(tmp_path: Path, web: WebServer) -> None:
    with running("software", tmp_path, services=services(web, "portal")) as agent:
        assert agent.get("/-/healthy") == (200, "healthy\n")
        for other in ("127.0.0.2", "::1"):
            with pytest.raises(ConnectionRefusedError), socket.create_connection((other, agent.port)):
                pass


def test_address_in_use_is_said(tmp_path: Path, web: WebServer) -> None:
    with running("software", tmp_path, services=services(web, "portal")) as agent:
        command = [*launcher("software"), "--config.file", str(agent.config)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {agent.port}: Address already in use" in second.stderr
    assert "Traceback" not in second.stderr
