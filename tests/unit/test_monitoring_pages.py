"""The board, the page of a ward and the dashboard, against a real Prometheus with data."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from monitoring.dashboards.__main__ import DASHBOARDS
from monitoring.dashboards.elements import STATES
from monitoring.dashboards.rendering import queries, render
from tests.unit.monitoring_support import MONITORING, Gateway, Line, free_port, prometheus, served
from wardnet.live.prometheus import Prometheus

pytestmark = pytest.mark.long

WORDS = {
    "ok": "Tốt",
    "line_slow": "Đường truyền chậm",
    "server_slow": "Máy chủ chậm",
    "circuit_down": "Đứt đường truyền",
    "no_data": "Không có dữ liệu",
}


@pytest.fixture(scope="module")
def district() -> Iterator[str]:
    gateways = [
        Gateway("buoi", "Bưởi", {"wan": Line(), "internet": Line()}, pcs={"buoi-pc-1": 0.0005, "buoi-pc-2": 0.09}),
        Gateway("nhat-tan", "Nhật Tân", {"wan": Line(added=0.4), "internet": Line()}),
        Gateway(
            "quang-an",
            "Quảng An <b>&",
            {"wan": Line(server=0.9), "internet": Line(carrier=False)},
            scanners={"quang-an-scanner-1": "jam", "quang-an-scanner-2": "ready"},
        ),
        Gateway("xuan-la", "Xuân La", {"wan": Line()}, silent={"link", "software"}),
    ]
    with served(gateways) as port, prometheus(gateways, port, free_port()) as url:
        client = Prometheus(url)
        deadline = time.monotonic() + 90
        while len(client.query('count by (alertname) (ALERTS{alertstate="firing"})')) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        yield url


def page(url: str, path: str) -> str:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", f"/consoles/{path}")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, text[:2000]
    return text


class Board(HTMLParser):
    """The rows of the board as lists of their cells' texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, _attributes: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self._cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())


def rows(text: str) -> dict[tuple[str, str], list[str]]:
    """(ward, channel) -> the other cells; a ward's name spans its channels."""
    found: dict[tuple[str, str], list[str]] = {}
    ward = ""
    for cells in Board(text).rows:
        if len(cells) == 8:
            ward = cells.pop(0)
        if len(cells) == 7:
            found[ward, cells[0]] = cells[1:]
    return found


def test_the_board_says_the_state_of_every_channel_in_words(district: str) -> None:
    found = {key: cells[0] for key, cells in rows(page(district, "index.html")).items()}
    assert {key: next(k for k, w in WORDS.items() if w in text) for key, text in found.items()} == {
        ("Bưởi", "WAN"): "ok",
        ("Bưởi", "Internet"): "ok",
        ("Nhật Tân", "WAN"): "line_slow",
        ("Nhật Tân", "Internet"): "ok",
        ("Quảng An <b>&", "WAN"): "server_slow",
        ("Quảng An <b>&", "Internet"): "circuit_down",
        ("Xuân La", "–"): "no_data",
    }


def test_the_board_shows_figures_and_a_dash_where_there_are_none(district: str) -> None:
    found = rows(page(district, "index.html"))
    _state, speed, round_trip, loss, software, age = found["Nhật Tân", "WAN"]
    assert re.search(r"/ 20\b.*/ 10\b", speed)
    assert 300 < int(round_trip.split()[0]) < 600
    assert loss == "0,0 %"
    assert "portal" in software
    assert "mỗi bước đều chờ đường truyền" in software
    assert re.match(r"\d+m?s", age)
    assert re.search(r"chủ yếu: máy chủ \d+ ms", found["Quảng An <b>&", "WAN"][4])
    assert found["Quảng An <b>&", "Internet"][4].count("không trả lời") == 2
    assert found["Xuân La", "–"][1:] == ["–", "– ms nền –", "– %", "–", "chưa có"]


def test_clerks_pcs_stand_beneath_their_gateway_and_say_what_lies_between(district: str) -> None:
    deadline = time.monotonic() + 90  # a round is 30 s, and one PC may be judged a round before the other
    while True:
        rows = Board(page(district, "ward.html?ward=buoi")).rows
        fine, slow = (next((cells for cells in rows if cells and cells[0] == f"buoi-pc-{n}"), [""]) for n in (1, 2))
        if "✓" in fine[-1] and "Mạng nội bộ chậm" in slow[-1]:
            break
        assert time.monotonic() < deadline, (fine, slow)
        time.sleep(1)
    assert 70 < int(slow[-2].split()[1]) < 110
    assert int(slow[7]) > int(fine[7]), "the whole takes longer where the LAN does"
    assert "buoi-pc" not in page(district, "ward.html?ward=nhat-tan")


def test_the_pages_hold_nothing_from_elsewhere_and_no_unfilled_template(district: str) -> None:
    for path in ("index.html", "ward.html?ward=nhat-tan", "ward.html?ward=xuan-la"):
        text = page(district, path)
        assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", text)
        assert "{{" not in text
        assert "ZgotmplZ" not in text  # what html/template writes where it refuses a value
        assert "&lt;no value" not in text


def test_a_ward_that_does_not_exist_is_said_so_whatever_its_name(district: str) -> None:
    for name in ("hoan-kiem", "%22%7D%20or%20vector(1)", "%3Cscript%3Ealert(1)%3C/script%3E"):
        text = page(district, f"ward.html?ward={name}")
        assert "Không có phường này" in text
        assert "<script>alert" not in text


def test_the_page_of_a_ward_has_its_alerts_and_services(district: str) -> None:
    text = page(district, "ward.html?ward=quang-an")
    assert "Máy chủ chậm" in text
    assert "WardnetServerSlow" in text
    assert "WardnetCircuitDown" in text
    assert "portal, ms" in text
    assert "Nhật Tân" not in text


def test_the_page_of_a_ward_says_how_its_scanners_are(district: str) -> None:
    found = Board(page(district, "ward.html?ward=quang-an")).rows
    assert ["quang-an-scanner-1", "▲ Kẹt giấy jam"] in found
    assert ["quang-an-scanner-2", "✓ Sẵn sàng ready"] in found
    assert "Máy quét" not in page(district, "ward.html?ward=nhat-tan")


def test_the_graphs_of_a_ward_ask_what_prometheus_answers(district: str) -> None:
    client = Prometheus(district)
    text = page(district, "ward.html?ward=nhat-tan")
    asked = re.findall(r'data-(?:series|mark)="([^"]+)"', text)
    assert len(asked) == 12
    for expression in asked:
        assert client.query(expression.replace("&#34;", '"').replace("&quot;", '"').replace("&#43;", "+")), expression


def test_a_prometheus_without_data_shows_a_page_that_says_so() -> None:
    with prometheus([], 1, free_port()) as url:
        assert "Chưa có phường nào được đo" in page(url, "index.html")


# --- the dashboard ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_dashboard_is_generated_to_the_same_bytes(name: str) -> None:
    text = render(DASHBOARDS[name]())
    assert text == render(DASHBOARDS[name]())
    kept = MONITORING / "dashboards" / "generated" / f"{name}.json"
    assert text == kept.read_text(encoding="utf-8"), "run python -m monitoring.dashboards"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_query_of_the_dashboard_returns_data(name: str, district: str) -> None:
    client = Prometheus(district)
    asked = list(queries(render(DASHBOARDS[name]())))
    assert len(asked) >= 15
    for title, expression in asked:
        filled = expression.replace("$ward", ".*").replace("$channel", ".*")
        deadline = time.monotonic() + 30
        while not client.query(filled):
            assert time.monotonic() < deadline, f"{title}: {expression}"
            time.sleep(0.5)


def test_the_variables_of_the_dashboard_name_labels_that_exist(district: str) -> None:
    client = Prometheus(district)
    variables = json.loads(render(DASHBOARDS["district"]()))["templating"]["list"]
    asked = [v["query"] for v in variables if v["type"] == "query"]
    assert len(asked) == 2
    for query in asked:
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert match
        samples = client.query(match[1].replace("$ward", ".*"))
        assert any(match[2] in sample.labels for sample in samples)


def test_the_dashboard_has_words_for_every_rank_of_the_rules() -> None:
    text = (MONITORING / "rules" / "conditions.yml").read_text(encoding="utf-8")
    ranks = {int(rank) for rank in re.findall(r"^# +(\d+) \w+", text, re.MULTILINE)}
    assert ranks == STATES.keys()
