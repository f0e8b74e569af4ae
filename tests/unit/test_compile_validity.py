"""The days on which a configuration stops being right, as rules for Prometheus."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from wardnet.compile import compile_hosts, compile_plan, compile_validity
from wardnet.inventory import read_district
from wardnet.model.intent import Circuit, ContractedRate, District

INVENTORY = Path(__file__).parents[2] / "inventory" / "tay-ho"
DAY = date(2026, 11, 24)


def rules(district: District, day: date = DAY) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = compile_validity(district, compile_plan(district, day))["groups"][0]["rules"]
    return found


def with_circuit(district: District, ward_id: str, **changes: Any) -> District:
    """The district with the first circuit of a ward's first site changed."""

    def changed(circuits: tuple[Circuit, ...]) -> tuple[Circuit, ...]:
        return (dataclasses.replace(circuits[0], **changes), *circuits[1:])

    wards = []
    for ward in district.wards:
        first, *rest = ward.sites
        if ward.id == ward_id:
            first = dataclasses.replace(first, circuits=changed(first.circuits))
        wards.append(dataclasses.replace(ward, sites=(first, *rest)))
    return dataclasses.replace(district, wards=tuple(wards))


def when(rule: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(rule["expr"].removeprefix("vector(").removesuffix(")")), UTC)


def test_an_exception_ends_at_the_midnight_after_its_last_day_in_the_districts_time_zone() -> None:
    district = read_district(INVENTORY)
    (grant,) = district.exceptions
    (rule,) = [r for r in rules(district) if r["labels"]["what"] == "exception"]
    assert rule["labels"]["item"] == grant.id
    assert rule["labels"]["change"] == "ends"
    assert rule["labels"]["channel"] == "all"
    assert rule["labels"]["gateway"] == "buoi-gw"
    assert when(rule) == datetime(grant.expires.year, grant.expires.month, grant.expires.day, 17, tzinfo=UTC)


def test_what_has_ended_already_is_left_out_and_what_is_to_begin_is_not() -> None:
    district = read_district(INVENTORY)
    (grant,) = district.exceptions
    after = date(grant.expires.year + 1, 1, 1)
    assert [r for r in rules(district, after) if r["labels"]["what"] == "exception"] == []
    before = date(grant.valid_from.year - 1, 1, 1)
    changes = [r["labels"]["change"] for r in rules(district, before) if r["labels"]["what"] == "exception"]
    assert changes == ["begins", "ends"]


def test_a_circuit_that_ends_and_a_rate_that_begins() -> None:
    district = read_district(INVENTORY)
    circuit = next(w for w in district.wards if w.id == "xuan-la").sites[0].circuits[0]
    later = ContractedRate(valid_from=date(2027, 1, 1), down_bps=50_000_000, up_bps=50_000_000, source=circuit.source)
    changed = with_circuit(
        district, "xuan-la", valid_to=date(2026, 12, 31), contracted=(*circuit.contracted[:1], later)
    )
    found = [r for r in rules(changed) if r["labels"]["ward"] == "xuan-la"]
    assert {(r["labels"]["what"], r["labels"]["change"], when(r)) for r in found} >= {
        ("circuit", "ends", datetime(2026, 12, 31, 17, tzinfo=UTC)),
        ("rate", "begins", datetime(2026, 12, 31, 17, tzinfo=UTC)),
    }
    assert {r["labels"]["channel"] for r in found} == {circuit.channel.value}


def test_prometheus_accepts_the_rules_with_changes_and_without(tmp_path: Path) -> None:
    district = read_district(INVENTORY)
    for number, day in enumerate((DAY, date(2099, 1, 1))):
        path = tmp_path / f"{number}.yml"
        path.write_text(json.dumps(compile_validity(district, compile_plan(district, day))), encoding="utf-8")
        result = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


def test_the_monitoring_host_is_given_them() -> None:
    district = read_district(INVENTORY)
    plan = compile_plan(district, DAY)
    given = [
        v["wardnet_prometheus_validity"]
        for v in compile_hosts(district, plan)["hosts"].values()
        if "wardnet_prometheus_validity" in v
    ]
    assert given == [compile_validity(district, plan)]
