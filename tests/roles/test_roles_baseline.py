"""Tools that are none of wardnet find nothing on a gateway and a PC that is neither mended nor waived with a reason."""

from __future__ import annotations

import pytest

from bench import hardening
from lab import Lab

# What each asks at least: of SSH, the algorithms that a hardened server has still.
TESTS = {"lynis": 200, "ssh-audit": 10}

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.mark.parametrize("host", hardening.HOSTS)
def test_others_find_nothing_that_is_neither_mended_nor_waived(converged: Lab, host: str) -> None:
    reports = hardening.measure(converged, host)
    assert [str(finding) for _, finding in hardening.open_findings(reports, hardening.read_waivers())] == []
    assert all(report.tests > TESTS[report.tool] for report in reports), "a tool that asks nothing finds nothing"
