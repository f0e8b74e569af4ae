"""Rules for all tests: with CI set, a test that does not run is a failure."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

os.environ["WARDNET_LANG"] = "en"  # tests read English, whatever the machine speaks; also in processes they start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and in CI everything runs: {report.longrepr}"
    return report
