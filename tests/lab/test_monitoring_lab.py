"""What the lab's Prometheus measures is shown by every page and query, and each fault gets its own word."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection

import pytest

from lab import Lab
from monitoring.dashboards.district import district
from monitoring.dashboards.rendering import queries, render
from wardnet.live.errors import LiveError
from wardnet.live.prometheus import Prometheus
from wardnet.live.status import PARTS, ChannelStatus, State, read_status

pytestmark = pytest.mark.lab

CHANNELS = {("buoi", "wan"), ("buoi", "internet"), ("tay-ho", "wan"), ("tay-ho", "internet")}
Statuses = dict[tuple[str, str | None], ChannelStatus]


@pytest.fixture(autouse=True)
def healed(provisioned: Lab) -> Iterator[None]:
    yield
    provisioned.heal()


@pytest.fixture
def url(provisioned: Lab) -> str:
    return f"http://127.0.0.1:{provisioned.record.window}"


def until(url: str, wanted: Callable[[Statuses], bool], seconds: float = 150) -> Statuses:
    deadline = time.monotonic() + seconds
    while True:
        found: Statuses = {}
        why = ""
        try:
            found = {(s.ward, s.channel): s for s in read_status(url)}
        except LiveError as error:
            why = str(error)
        if found and wanted(found):
            return found
        assert time.monotonic() < deadline, why or found
        time.sleep(1)


def well(found: Statuses) -> bool:
    return found.keys() == CHANNELS and all(s.well for s in found.values())


def alerts(status: ChannelStatus) -> set[str]:
    return {alert.name for alert in status.alerts}


def test_line_and_software_of_every_channel_are_measured(url: str) -> None:
    services = {"wan": {"portal"}, "internet": {"portal-public", "public-web"}}

    def measured(status: ChannelStatus) -> bool:
        line = (status.contracted_down_bps, status.contracted_up_bps, status.rate_down_bps, status.rate_up_bps)
        probes = (status.round_trip_seconds, status.base_round_trip_seconds, status.loss_ratio)
        return (
            None not in (*line, *probes)
            and {v.service for v in status.services} == services[status.channel or ""]
            and all(v.up and len(v.parts) == len(PARTS) for v in status.services)
        )

    until(url, lambda found: well(found) and all(map(measured, found.values())))


def test_every_query_of_the_dashboard_returns_data(url: str) -> None:
    until(url, well)
    client = Prometheus(url)
    for title, expression in queries(render(district())):
        if "ALERTS" in expression:  # nothing fires while all is well
            continue
        filled = expression.replace("$ward", ".*").replace("$channel", ".*")
        deadline = time.monotonic() + 60
        while not client.query(filled):
            assert time.monotonic() < deadline, f"{title}: {expression}"
            time.sleep(1)


def test_the_pages_are_served_with_every_ward_on_them(provisioned: Lab, url: str) -> None:
    names = {s.ward: s.ward_name for s in until(url, well).values()}
    for path in ("index.html", *(f"ward.html?ward={ward}" for ward in names)):
        connection = HTTPConnection("127.0.0.1", provisioned.record.window or 0, timeout=10)
        connection.request("GET", f"/consoles/{path}")
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status == 200
        wanted = names.values() if path == "index.html" else [names[path.rpartition("=")[2]]]
        assert all(name in text for name in wanted)
        assert "Tốt" in text


def test_a_slow_line_is_named_on_its_channel_alone_announced_and_taken_back(provisioned: Lab, url: str) -> None:
    until(url, well)
    provisioned.break_("slow-line", "buoi", "wan")
    found = until(url, lambda f: "WardnetLineSlow" in alerts(f["buoi", "wan"]))
    assert found["buoi", "wan"].state is State.LINE_SLOW
    assert {key for key, status in found.items() if not status.well} == {("buoi", "wan")}
    heard = json.loads(_told(provisioned))
    assert {a["labels"]["alertname"] for a in heard} == {"WardnetLineSlow"}
    provisioned.heal()
    until(url, well)


def test_a_slow_server_is_not_laid_on_the_line(provisioned: Lab, url: str) -> None:
    until(url, well)
    provisioned.break_("slow-server", "buoi", "wan")
    found = until(url, lambda f: all("WardnetServerSlow" in alerts(f[w, "wan"]) for w in ("buoi", "tay-ho")))
    for (_ward, channel), status in found.items():
        assert status.state is (State.SERVER_SLOW if channel == "wan" else State.OK)
    (portal,) = found["buoi", "wan"].services
    assert portal.parts["server"] > 1
    assert portal.parts["line"] < 0.2
    provisioned.heal()
    until(url, well)


def test_an_agent_that_stops_is_told_apart_from_a_gateway_that_is_gone(provisioned: Lab, url: str) -> None:
    until(url, well)
    unit = "wardnet-software-exporter.service"
    assert provisioned.shell("buoi-gw", ["systemctl", "stop", unit]).returncode == 0
    try:
        found = until(url, lambda f: "WardnetAgentDown" in alerts(f["buoi", "wan"]))
        assert found["buoi", "wan"].state is State.SOFTWARE_UNMEASURED
        assert alerts(found["buoi", "internet"]) == {"WardnetAgentDown"}
        assert found["tay-ho", "wan"].well
    finally:
        assert provisioned.shell("buoi-gw", ["systemctl", "start", unit]).returncode == 0
    until(url, well)


def _told(lab: Lab) -> bytes:
    """What Alertmanager holds, once Prometheus has told it something."""
    fetch = (
        "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9093/api/v2/alerts').read().decode())"
    )
    deadline = time.monotonic() + 60
    while True:
        done = lab.run("monitoring", ["python3", "-c", fetch])
        assert done.returncode == 0, done.stderr.decode()
        if json.loads(done.stdout):
            return done.stdout
        assert time.monotonic() < deadline, "Alertmanager was told nothing"
        time.sleep(1)
