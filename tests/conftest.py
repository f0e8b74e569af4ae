"""Rules for all tests: with CI set, a test that does not run is a failure."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

os.environ["WARDNET_LANG"] = "en"  # tests read English, whatever the machine speaks; also in processes they start
os.environ.pop("COLUMNS", None)  # and are as wide as each test says, whatever terminal they run in


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and in CI everything runs: {report.longrepr}"
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests over other people's cases, `@pytest.mark.cases(VARIABLE)`, are left out where the variable of the
    environment names no folder, and a line says so."""
    absent = [
        item for item in items if (variable := _cases(item)) and not Path(os.environ.get(variable, "/-")).is_dir()
    ]
    if absent:
        items[:] = [item for item in items if item not in absent]
        config.hook.pytest_deselected(items=absent)
        variables = ", ".join(sorted({_cases(item) for item in absent}))
        sys.stderr.write(f"\n{len(absent)} tests over captured cases are left out: {variables} names no folder\n")


def _cases(item: pytest.Item) -> str:
    marker = item.get_closest_marker("cases")
    return str(marker.args[0]) if marker is not None else ""
