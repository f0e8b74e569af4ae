"""The verdict written beside each fault is the one that the tool reaches, on a provisioned lab."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from lab.faults import FAULTS

pytestmark = pytest.mark.lab

LEAKS = [name for name, fault in FAULTS.items() if fault.verdict.startswith("audit: ")]


@pytest.fixture(autouse=True)
def healed(provisioned: Lab) -> Iterator[None]:
    yield
    provisioned.heal()


def audit(lab: Lab, folder: Path) -> tuple[int, dict[str, Any]]:
    """Collect at the auditor's station, and audit; the exit status and the report."""
    collect = ["wardnet", "collect", "-i", str(lab.state / "inventory"), "-o", str(folder)]
    keys = ["--known-hosts", str(lab.layout.known_hosts), "--key", str(lab.layout.ssh / "auditor")]
    done = lab.run("auditor", [*collect, *keys], timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    wardnet = str(Path(sys.executable).with_name("wardnet"))
    judged = lab.run("auditor", [wardnet, "audit", str(folder), "--json"], timeout=120)
    return judged.returncode, json.loads(judged.stdout)


def test_a_provisioned_lab_is_proved(provisioned: Lab, tmp_path: Path) -> None:
    status, report = audit(provisioned, tmp_path / "snapshot")
    assert (status, report["verdict"]) == (0, "proved")


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_is_found_in_the_families_that_its_verdict_names(provisioned: Lab, leak: str, tmp_path: Path) -> None:
    made = provisioned.break_(leak, "buoi")
    status, report = audit(provisioned, tmp_path / "snapshot")
    assert status == 1
    assert made.verdict.startswith(f"audit: {report['verdict']}, ")
    crossings = {device["device"]: device["crossings"] for device in report["devices"]}
    assert [device for device, found in crossings.items() if found] == ["buoi-gw"]
    families = {f"ipv{ip_address(one['packet']['source']).version}" for one in crossings["buoi-gw"]}
    assert families == {word for word in ("ipv4", "ipv6") if word in made.verdict}
    provisioned.heal()
    status, report = audit(provisioned, tmp_path / "after")
    assert (status, report["verdict"]) == (0, "proved")
