"""A plan is for one day: what is not valid on it is left out, and the day's contracted rate is taken."""

from __future__ import annotations

import dataclasses
from datetime import date

import pytest

from tests.unit.compile_support import DAY, changed, sample, sample_plan
from wardnet.compile import compile_agent, compile_plan, compile_policy
from wardnet.inventory import warnings
from wardnet.model.intent import District
from wardnet.model.plan import Plan

GRANT = "buoi-resident-scan"


def crossing(plan: Plan) -> set[str]:
    return {flow.id for gateway in plan.gateways for flow in gateway.flows if flow.crosses}


@pytest.mark.parametrize(
    ("day", "granted"),
    [
        (date(2025, 12, 31), False),
        (date(2026, 1, 1), True),
        (date(2027, 12, 31), True),
        (date(2028, 1, 1), False),
    ],
)
def test_an_exception_holds_from_its_first_to_its_last_day(day: date, granted: bool) -> None:
    plan = compile_plan(sample(), day)
    assert crossing(plan) == ({GRANT} if granted else set())
    grants = [grant for device in compile_policy(sample(), plan).devices for grant in device.grants]
    assert bool(grants) is granted
    gateway = plan.gateway("buoi-gw")
    to_scanner = [
        route for table in gateway.tables for route in table.routes if str(route.destination) == "10.20.1.20/32"
    ]
    assert bool(to_scanner) is granted, "the way to the scanner goes with the exception"


@pytest.mark.parametrize(
    ("day", "kbps"), [(date(2023, 1, 1), 10_000), (date(2025, 12, 31), 10_000), (date(2026, 1, 1), 20_000)]
)
def test_the_rate_of_the_day_is_taken(day: date, kbps: int) -> None:
    agent = compile_agent(sample(), compile_plan(sample(), day), "buoi-gw")
    wan = next(channel for channel in agent["channels"] if channel["id"] == "wan")
    assert (wan["contracted_down_bps"], wan["contracted_up_bps"]) == (kbps * 1000, kbps * 1000)


def ending_wan() -> District:
    dates = "provider: Provider A\n        valid_from: 2024-01-01\n        valid_to: 2026-06-30"
    return changed("wards/xuan-la.yml", ("provider: Provider A", dates))


@pytest.mark.parametrize(
    ("day", "there"), [(date(2023, 12, 31), False), (date(2024, 1, 1), True), (date(2026, 6, 30), True), (DAY, False)]
)
def test_a_circuit_out_of_its_dates_is_left_out(day: date, there: bool) -> None:
    district = ending_wan()
    plan = compile_plan(district, day)
    gateway, hub = plan.gateway("xuan-la-gw"), plan.gateway("tay-ho-hub")
    assert ("wan0" in {port.name for port in gateway.ports}) is there
    assert ("xuan-la-wan" in {port.name for port in hub.ports}) is there
    assert any(flow.receiver.port == "wan0" for flow in gateway.flows) is there
    channels = {channel["id"] for channel in compile_agent(district, plan, "xuan-la-gw")["channels"]}
    assert channels == ({"wan", "internet"} if there else {"internet"})


def test_a_gateway_whose_wan_has_ended_sends_nothing_over_the_internet_instead() -> None:
    gateway = compile_plan(ending_wan(), DAY).gateway("xuan-la-gw")
    wan = next(table for table in gateway.tables if table.channel == "wan")
    assert {route.port for route in wan.routes} == {"clerks0", "mgmt0", None}


def test_what_was_left_out_is_a_warning() -> None:
    said = [str(warning) for warning in warnings(ending_wan(), date(2028, 1, 1))]
    assert len(said) == 2
    assert said[0].startswith(f"{sample().exceptions[0].source}: exception '{GRANT}' expired on 2027-12-31")
    assert said[1].startswith("wards/xuan-la.yml:9: circuit 'xuan-la-wan' ended on 2026-06-30")


def test_two_days_of_one_validity_differ_in_nothing_but_the_day() -> None:
    one, other = sample_plan(DAY), sample_plan(date(2026, 11, 25))
    assert dataclasses.replace(other, as_of=one.as_of, model_sha256=one.model_sha256) == one
