"""The really configured gateway that the benchmarks of the audit start from, and the district that it is of."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from wardnet.compile import compile_plan, compile_policy
from wardnet.inventory import read_district
from wardnet.model.intent import District
from wardnet.model.policy import AuditPolicy
from wardnet.model.snapshot import LINUX

ROOT = Path(__file__).resolve().parent.parent
ARTEFACTS = ROOT / "tests" / "unit" / "fixtures" / "buoi-gw"
INVENTORY = ROOT / "inventory" / "tay-ho"
GATEWAY, WARD = "buoi-gw", "buoi"
DAY = date(2026, 11, 24)


def artefacts() -> dict[str, bytes]:
    return {artefact.name: (ARTEFACTS / artefact.name).read_bytes() for artefact in LINUX}


def district() -> District:
    return read_district(INVENTORY)


def policy() -> AuditPolicy:
    return compile_policy(district(), compile_plan(district(), DAY))


def inventory_files() -> dict[str, bytes]:
    """As a snapshot has them."""
    paths = [INVENTORY / "district.yml", *sorted((INVENTORY / "wards").glob("*.yml"))]
    return {path.relative_to(INVENTORY).as_posix(): path.read_bytes() for path in paths}
