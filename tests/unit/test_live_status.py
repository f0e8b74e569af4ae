"""The state of wards and channels: as records, and as the command shows it, from a real Prometheus with our rules."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.unit.monitoring_support import Gateway, Line, free_port, prometheus, served
from wardnet.cli.main import build
from wardnet.live import status as live
from wardnet.live.prometheus import Alert, Prometheus, Sample
from wardnet.live.status import ChannelStatus, State, build_status, read_status

pytestmark = pytest.mark.long

WAN = {"ward": "buoi", "ward_name": "Bưởi", "site": "buoi-office", "gateway": "buoi-gw", "channel": "wan"}


def answers(**given: list[tuple[dict[str, str], float]]) -> dict[str, tuple[Sample, ...]]:
    """Answers to EXPRESSIONS, none but those given by the name of their constant."""
    found: dict[str, tuple[Sample, ...]] = dict.fromkeys(live.EXPRESSIONS, ())
    for name, samples in given.items():
        found[getattr(live, name)] = tuple(Sample(labels, value, 0) for labels, value in samples)
    return found


def alert(name: str, firing: bool = True, **labels: str) -> Alert:
    annotations = {"summary": f"{name} in English", "summary_vi": f"{name} bằng tiếng Việt"}
    since = datetime(2026, 11, 24, tzinfo=UTC)
    return Alert({"alertname": name, "severity": "warning", **labels}, annotations, firing, since)


def test_a_channel_gathers_what_is_its_own() -> None:
    other = WAN | {"channel": "internet"}
    (internet, wan) = sorted(
        build_status(
            answers(
                _STATE=[(WAN | {"condition": "line_slow"}, 50), (other | {"condition": "ok"}, 0)],
                _CONTRACTED=[(WAN | {"direction": "down"}, 2e7), (WAN | {"direction": "up"}, 1e7)],
                _ROUND_TRIP=[(WAN, 0.2), (other, 0.01)],
                _PART=[(WAN | {"service": "portal", "part": p}, 0.1) for p in ("server", "dns", "line")],
                _UP=[(WAN | {"service": "portal"}, 1)],
            ),
            [],
        ),
        key=lambda s: s.channel or "",
    )
    assert wan.state is State.LINE_SLOW
    assert (wan.contracted_down_bps, wan.contracted_up_bps) == (2e7, 1e7)
    assert (wan.round_trip_seconds, internet.round_trip_seconds) == (0.2, 0.01)
    (portal,) = wan.services
    assert list(portal.parts) == ["dns", "line", "server"]
    assert portal.total_seconds == pytest.approx(0.3)
    assert portal.up is True
    assert internet.services == ()


def test_what_was_not_measured_is_none_and_not_zero() -> None:
    (status,) = build_status(answers(_STATE=[(WAN | {"condition": "ok"}, 0)], _LOSS=[(WAN, float("nan"))]), [])
    assert status.loss_ratio is None
    assert status.round_trip_seconds is None
    assert status.age_seconds is None


def test_alerts_belong_to_their_channel_their_gateway_or_everybody() -> None:
    elsewhere = WAN | {"ward": "xuan-la", "gateway": "xuan-la-gw"}
    (status,) = build_status(
        answers(_STATE=[(WAN | {"condition": "ok"}, 0)]),
        [
            alert("Own", **WAN),
            alert("OfTheGateway", **(WAN | {"channel": "all"})),
            alert("OfAll", ward="all", channel="all"),
            alert("OtherChannel", **(WAN | {"channel": "internet"})),
            alert("OtherWard", **elsewhere),
            alert("Pending", firing=False, **WAN),
        ],
    )
    assert [a.name for a in status.alerts] == ["Own", "OfTheGateway", "OfAll"]
    assert status.alerts[0].summary == {"en": "Own in English", "vi": "Own bằng tiếng Việt"}
    assert not status.well


def test_wards_are_in_order_with_the_wan_first_and_an_unknown_state_is_said_to_be_one() -> None:
    quang_an = {k: v.replace("buoi", "quang-an") for k, v in WAN.items()}
    found = build_status(
        answers(
            _STATE=[
                (quang_an | {"condition": "ok"}, 0),
                (WAN | {"channel": "internet", "condition": "from_the_future"}, 5),
                (WAN | {"condition": "ok"}, 0),
            ]
        ),
        [],
    )
    assert [(s.ward, s.channel) for s in found] == [("buoi", "wan"), ("buoi", "internet"), ("quang-an", "wan")]
    assert found[1].state is State.UNKNOWN
    assert not found[1].well


def test_the_states_are_those_that_the_rules_can_give() -> None:
    rules = Path(__file__).parents[2] / "monitoring" / "rules" / "conditions.yml"
    given = {
        line.split("condition: ")[1].rstrip("}\n") for line in rules.open(encoding="utf-8") if "{condition: " in line
    }
    assert given == {state.value for state in State} - {"unknown"}


# --- with a real Prometheus, scraping every second ---------------------------------------------------------


@pytest.fixture(scope="module")
def district() -> Iterator[str]:
    """Prometheus's URL: a ward that is well, and one of each trouble."""
    gateways = [
        Gateway("buoi", "Bưởi", {"wan": Line(), "internet": Line()}),
        Gateway("nhat-tan", "Nhật Tân", {"wan": Line(added=0.4), "internet": Line()}),
        Gateway("quang-an", "Quảng An", {"wan": Line(server=0.9), "internet": Line(carrier=False)}),
        Gateway("xuan-la", "Xuân La", {"wan": Line(), "internet": Line()}, silent={"link", "software"}),
    ]
    with served(gateways) as port, prometheus(gateways, port, free_port()) as url:
        yield url


def until(
    url: str, wanted: Callable[[tuple[ChannelStatus, ...]], bool], seconds: float = 90
) -> tuple[ChannelStatus, ...]:
    deadline = time.monotonic() + seconds
    while not wanted(found := read_status(url)):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    return found


def firing(found: tuple[ChannelStatus, ...]) -> set[tuple[str, str | None, str]]:
    return {(s.ward, s.channel, a.name) for s in found for a in s.alerts}


def test_every_trouble_is_named_and_nothing_else(district: str) -> None:
    expected = {
        ("nhat-tan", "wan", "WardnetLineSlow"),
        ("quang-an", "wan", "WardnetServerSlow"),
        ("quang-an", "internet", "WardnetCircuitDown"),
        ("xuan-la", None, "WardnetGatewayUnreachable"),
    }
    found = until(district, lambda f: firing(f) >= expected)
    assert firing(found) == expected
    assert {(s.ward, s.channel): s.state.value for s in found} == {
        ("buoi", "wan"): "ok",
        ("buoi", "internet"): "ok",
        ("nhat-tan", "wan"): "line_slow",
        ("nhat-tan", "internet"): "ok",
        ("quang-an", "wan"): "server_slow",
        ("quang-an", "internet"): "circuit_down",
        ("xuan-la", None): "no_data",
    }


def test_the_figures_are_those_that_were_served(district: str) -> None:
    def complete(found: tuple[ChannelStatus, ...]) -> bool:
        # rate() over 30 s reads low until it has seen 30 s.
        ours = [s for s in found if s.ward == "nhat-tan"]
        return all(s.base_round_trip_seconds and (s.rate_down_bps or 0) > 500_000 for s in ours)

    found = {(s.ward, s.channel): s for s in until(district, complete)}
    slow, well = found["nhat-tan", "wan"], found["buoi", "wan"]
    assert (slow.contracted_down_bps, slow.contracted_up_bps) == (2e7, 1e7)
    assert slow.circuit == "nhat-tan-wan"
    assert slow.provider == "Nhà mạng Một"
    assert slow.rate_down_bps == pytest.approx(8 * 80_000, rel=0.35)
    assert slow.round_trip_seconds == pytest.approx(0.42, rel=0.25)
    assert well.round_trip_seconds == pytest.approx(0.021, abs=0.004)
    assert well.loss_ratio == 0
    assert well.age_seconds == pytest.approx(1, abs=5)
    (portal,) = found["quang-an", "wan"].services
    assert portal.parts["server"] == pytest.approx(0.9, rel=0.35)
    assert portal.parts["line"] == pytest.approx(0.021, abs=0.005)
    (portal,) = slow.services
    assert portal.parts["server"] < 0.05
    assert portal.parts["line"] > 0.3


def test_no_alert_leaves_a_hole_in_its_text(district: str) -> None:
    alerts = until(district, lambda f: len(firing(f)) >= 4) and Prometheus(district).alerts()
    for text in (text for a in alerts for text in a.annotations.values()):
        assert "<no value>" not in text
        assert "error" not in text
        assert "{{" not in text


# --- the command --------------------------------------------------------------------------------------------


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(build(["status"]), ["status", *arguments], env={"COLUMNS": "120", **environment})
    return result.exit_code, result.output


def test_the_command_shows_both_tables_and_ends_with_1_when_something_is_wrong(district: str) -> None:
    until(district, lambda f: len(firing(f)) >= 4)
    code, output = run("--prometheus", district)
    assert code == 1
    assert "▲ line slow" in output
    assert "▲ server slow" in output
    assert "✖ line down" in output
    assert "○ no data" in output
    assert "Nhật Tân: the wan line is slow" in output


def test_alerts_are_in_the_users_language(district: str) -> None:
    until(district, lambda f: len(firing(f)) >= 4)
    _code, output = run("--prometheus", district, WARDNET_LANG="vi")
    assert "Nhật Tân: đường truyền wan chậm" in output


def test_one_ward_that_is_well_ends_with_0(district: str) -> None:
    until(district, lambda f: any(s.ward == "buoi" and s.services for s in f))
    code, output = run("--prometheus", district, "--ward", "buoi")
    assert code == 0, output
    assert "Nhật Tân" not in output


def test_the_records_as_json(district: str) -> None:
    until(district, lambda f: len(firing(f)) >= 4)
    code, output = run("--prometheus", district, "--json", "--ward", "nhat-tan")
    records = json.loads(output)
    assert code == 1
    assert [(r["channel"], r["state"], r["well"]) for r in records] == [
        ("wan", "line_slow", False),
        ("internet", "ok", True),
    ]
    assert records[0]["alerts"][0]["name"] == "WardnetLineSlow"


def test_a_ward_that_is_not_there_is_told_with_those_that_are(district: str) -> None:
    until(district, lambda f: len(f) >= 7)
    code, output = run("--prometheus", district, "--ward", "hoan-kiem")
    assert code == 2
    assert "no ward 'hoan-kiem'; known: buoi, nhat-tan, quang-an, xuan-la" in output


def test_prometheus_down_is_one_clear_line_and_2() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    code, output = run("--prometheus", url)
    assert code == 2
    assert output == f"wardnet: {url} refuses the connection: Prometheus does not run there\n"


def test_a_prometheus_that_knows_nothing_cannot_tell() -> None:
    with prometheus([], 1, free_port()) as url:
        code, output = run("--prometheus", url)
    assert code == 2
    assert "knows no ward" in output
