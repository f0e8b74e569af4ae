"""The shipped rules: promtool accepts them and their own tests pass; every alert is tested, worded and documented."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporters import metrics
from tests.unit.monitoring_support import MONITORING

pytestmark = pytest.mark.long

RULES = sorted((MONITORING / "rules").glob("*.yml"))
TESTS = sorted((MONITORING / "tests").glob("*.yml"))
DOCUMENT = MONITORING.parent / "docs" / "monitoring.md"


def rules() -> list[dict[str, Any]]:
    return [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


def test_promtool_accepts_every_rule() -> None:
    result = promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_pass_their_own_tests(path: Path) -> None:
    result = promtool("test", "rules", path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_is_tested_firing_and_not_firing() -> None:
    fires: set[str] = set()
    quiet: set[str] = set()
    for path in TESTS:
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            firing = {
                name
                for check in case["promql_expr_test"]
                for sample in check["exp_samples"]
                for name in re.findall(r'alertname="(\w+)".*firing', sample["labels"])
            }
            fires |= firing
            silent = [
                c["expr"] for c in case["promql_expr_test"] if c["expr"].startswith("ALERTS") and not c["exp_samples"]
            ]
            for expression in silent:
                named = re.findall(r'alertname="(\w+)"', expression)
                quiet |= set(named or (ALERTS.keys() - {"WardnetNothingDiscovered"}))
    assert fires == ALERTS.keys()
    assert quiet == ALERTS.keys()


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_is_worded_in_both_languages_and_leads_to_its_page(alert: str) -> None:
    rule = ALERTS[alert]
    assert set(rule["annotations"]) == {"summary", "summary_vi", "description", "description_vi", "runbook"}
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["labels"]["about"] in ("line", "software", "agent", "runs", "scanner", "audit", "pc")
    assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{alert.lower()}"
    assert f"### {alert}\n" in DOCUMENT.read_text(encoding="utf-8")


def test_every_metric_that_the_rules_read_is_one_that_the_exporters_give() -> None:
    given = {metric.name for metric in metrics.ALL}
    given |= {
        f"{m.name}{suffix}" for m in metrics.ALL if m.kind == "histogram" for suffix in ("_bucket", "_count", "_sum")
    }
    read = {name for rule in rules() for name in re.findall(r"(?<![\w:])(wardnet_\w+)(?![\w:])", str(rule["expr"]))}
    assert read
    assert read <= given


def test_every_parameter_is_read_and_every_parameter_that_is_read_exists() -> None:
    set_ = {rule["labels"]["name"] for rule in rules() if rule.get("record") == "wardnet:parameter"}
    read = {name for rule in rules() for name in re.findall(r'wardnet:parameter\{name="(\w+)"\}', str(rule["expr"]))}
    assert set_ == read
