"""Alertmanager's configuration and messages: amtool accepts them, and a real Alertmanager inhibits as it should."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from shutil import copytree, which
from typing import Any

import jinja2
import pytest

from tests.unit.monitoring_support import MONITORING, free_port

DEFAULT_TEMPLATE = Path("/usr/share/prometheus/alertmanager/default.tmpl")
WAN = {"ward": "buoi", "ward_name": "Bưởi", "site": "buoi-office", "gateway": "buoi-gw", "channel": "wan"}
INTERNET = WAN | {"channel": "internet"}
GATEWAY = WAN | {"channel": "all", "about": "agent"}


def configuration(folder: Path, **variables: Any) -> Path:
    """Rendered with Ansible's settings of jinja, with the messages beside it."""
    environment = jinja2.Environment(  # noqa: S701 - YAML, escaped by to_json
        loader=jinja2.FileSystemLoader(MONITORING / "alertmanager"), trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["to_json"] = json.dumps
    defaults = {f"monitoring_server_alert_{key}": "" for key in ("smarthost", "sender")}
    lists: dict[str, Any] = {f"monitoring_server_alert_{key}": [] for key in ("webhooks", "emails")}
    given = {f"monitoring_server_alert_{key}": value for key, value in variables.items()}
    text = environment.get_template("alertmanager.yml.j2").render(**(defaults | lists | given))
    copytree(MONITORING / "alertmanager", folder / "alertmanager")
    path = folder / "alertmanager.yml"
    path.write_text(text, encoding="utf-8")
    return path


def amtool(*arguments: str | Path) -> str:
    result = subprocess.run(["amtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"webhooks": ["http://127.0.0.1:9/a", "http://127.0.0.1:9/b"]},
        {"emails": ["it@tayho.example"], "smarthost": "mail.tayho.example:25", "sender": "wardnet@tayho.example"},
    ],
    ids=["nobody", "webhooks", "mail"],
)
def test_amtool_accepts_the_configuration(tmp_path: Path, variables: dict[str, Any]) -> None:
    output = amtool("check-config", configuration(tmp_path, **variables))
    assert "4 inhibit rules" in output
    assert "1 templates" in output


def rendered(tmp_path: Path, template: str, *alerts: dict[str, Any]) -> str:
    status = "firing" if any(a["status"] == "firing" for a in alerts) else "resolved"
    data = {"receiver": "operators", "status": status, "alerts": alerts, "groupLabels": {}, "commonLabels": {}}
    path = tmp_path / "data.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    text = '{{ template "' + template + '" . }}'
    return amtool(
        "template", "render", f"--template.glob={MONITORING}/alertmanager/*.tmpl", f"--template.text={text}",
        f"--template.type={'html' if template.endswith('html') else 'text'}", f"--template.data={path}",
    )  # fmt: skip


def sample(status: str, severity: str = "critical") -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": "WardnetCircuitDown", "severity": severity, **WAN},
        "annotations": {
            "summary": "Bưởi: the wan line is down",
            "summary_vi": "Bưởi: đường truyền wan bị đứt",
            "description": "No carrier & no <probe>.",
            "description_vi": "Mất tín hiệu.",
            "runbook": "docs/monitoring.md#wardnetcircuitdown",
        },
        "startsAt": "2026-11-24T07:05:16Z",
        "endsAt": "2026-11-24T07:15:16Z",
    }


def test_a_message_is_in_vietnamese_with_english_beneath(tmp_path: Path) -> None:
    text = rendered(tmp_path, "wardnet.text", sample("firing"), sample("resolved"))
    assert "✖ NGHIÊM TRỌNG: Bưởi: đường truyền wan bị đứt\nMất tín hiệu.\n" in text
    assert "EN: Bưởi: the wan line is down. No carrier & no <probe>." in text
    assert "docs/monitoring.md#wardnetcircuitdown" in text
    assert "✓ ĐÃ HẾT / resolved: Bưởi: đường truyền wan bị đứt" in text


def test_the_subject_is_one_line(tmp_path: Path) -> None:
    firing = rendered(tmp_path, "wardnet.subject", sample("firing"), sample("firing"))
    assert firing == "[2 cảnh báo] Bưởi: đường truyền wan bị đứt"
    assert rendered(tmp_path, "wardnet.subject", sample("resolved")) == "[đã hết] Bưởi: đường truyền wan bị đứt"


def test_html_is_escaped(tmp_path: Path) -> None:
    assert "No carrier &amp; no &lt;probe&gt;." in rendered(tmp_path, "wardnet.html", sample("firing"))


# --- a real Alertmanager -------------------------------------------------------------------------------------


def with_its_templates(argv: list[str]) -> list[str]:
    """The command where it finds its own templates: Debian's looks for them at one fixed place of the system, which is
    not there when it was unpacked beside the code and not installed."""
    if DEFAULT_TEMPLATE.exists():
        return argv
    program = which(argv[0])
    assert program is not None, f"{argv[0]} is not on PATH: `make check` puts it there"
    unpacked = Path(program).parents[1] / "share"
    assert (unpacked / DEFAULT_TEMPLATE.relative_to("/usr/share")).exists(), unpacked
    script = 'mount -t overlay overlay -o "lowerdir=$0:/usr/share" /usr/share && exec "$@"'
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, str(unpacked), *argv]


@contextmanager
def alertmanager(folder: Path) -> Iterator[int]:
    port = free_port()
    path = configuration(folder)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            with_its_templates([
                "prometheus-alertmanager", f"--config.file={path}", f"--storage.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
            ]),
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                if ask(port, "GET", "/-/ready")[0] == 200:
                    break
            except OSError:
                pass
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


def ask(port: int, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, body=content, headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def line(name: str, severity: str = "warning", **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, "about": "line", **(WAN | labels)}


def software(name: str, severity: str = "warning", **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, "about": "software", **(WAN | labels)}


@pytest.mark.parametrize(
    ("cause", "silenced", "heard"),
    [
        (
            line("WardnetCircuitDown", "critical"),
            [line("WardnetLineSlow"), software("WardnetServiceDown", "critical")],
            [line("WardnetEgressMismatch", "critical"), line("WardnetLineSlow", **INTERNET)],
        ),
        (
            {"alertname": "WardnetGatewayUnreachable", "severity": "critical", **GATEWAY},
            [line("WardnetCircuitDown", "critical"), {"alertname": "WardnetModelMismatch", **GATEWAY}],
            [line("WardnetLineSlow", ward="xuan-la", site="xuan-la-office", gateway="xuan-la-gw")],
        ),
        (
            {"alertname": "WardnetAgentLate", "severity": "warning", **GATEWAY},
            [software("WardnetServerSlow"), line("WardnetLineLossy", **INTERNET)],
            [line("WardnetCircuitDown", "critical")],
        ),
        (
            line("WardnetLineLossy"),
            [software("WardnetServerSlow"), software("WardnetServiceDown", "critical")],
            [software("WardnetServerSlow", **INTERNET)],
        ),
    ],
    ids=["circuit down", "gateway unreachable", "agent late", "line lossy"],
)
def test_the_cause_is_heard_and_what_follows_is_not(
    tmp_path: Path, cause: dict[str, str], silenced: list[dict[str, str]], heard: list[dict[str, str]]
) -> None:
    def key(labels: dict[str, str]) -> tuple[str, str, str]:
        return labels["alertname"], labels["channel"], labels["ward"]

    everything = [cause, *silenced, *heard]
    with alertmanager(tmp_path) as port:
        status, answer = ask(port, "POST", "/api/v2/alerts", [{"labels": labels} for labels in everything])
        assert status == 200, answer
        expected = {key(labels) for labels in silenced}
        deadline = time.monotonic() + 40
        while True:
            alerts = json.loads(ask(port, "GET", "/api/v2/alerts")[1])
            inhibited = {key(a["labels"]) for a in alerts if a["status"]["inhibitedBy"]}
            done = all(a["status"]["state"] != "unprocessed" for a in alerts)
            # What inhibits learns of an alert by itself, perhaps after it was processed.
            if done and len(alerts) == len(everything) and inhibited == expected:
                break
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
    assert inhibited == expected
    assert done, alerts
    assert len(alerts) == len(everything), alerts
