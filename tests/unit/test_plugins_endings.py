"""The filter's rules of exceptions that end: when, for whom, and that a kernel takes them as they were meant."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import date
from functools import cache

from tests.unit.compile_support import changed
from tests.unit.gateway_support import ruleset
from wardnet.compile import compile_plan
from wardnet.model.plan import GatewayPlan

FIRST_END, SECOND_END = 1_830_272_400, 1_861_894_800  # midnights in Hà Nội after 2027-12-31 and 2028-12-31

SECOND = """exceptions:
  - id: buoi-second
    from_host: buoi-scanner-1
    to_host: buoi-citizen-1
    allow: [tcp/9100]
    owner: x
    approver: x
    document: x
    reason: x
    valid_from: 2026-01-01
    expires: 2028-12-31
"""


@cache
def gateway(*, second: bool) -> GatewayPlan:
    district = changed("district.yml", ("exceptions:\n", SECOND)) if second else changed("district.yml")
    return compile_plan(district, date(2026, 11, 24)).gateway("buoi-gw")


def lines(text: str, comment: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if f'comment "{comment}' in line]


def test_what_an_exception_lets_through_has_its_end_in_seconds() -> None:
    accepts = lines(ruleset(gateway(second=False)), "buoi-resident-scan district.yml")
    assert len(accepts) == 2
    assert all(f" meta time < {FIRST_END} counter accept " in line for line in accepts)


def test_from_then_on_nothing_of_the_other_channel_reaches_either_host() -> None:
    """Before the answers are let through: also what began before."""
    text = ruleset(gateway(second=False))
    ends = lines(text, "buoi-resident-scan has ended")
    assert len(ends) == 4
    assert all(f" meta time >= {FIRST_END} counter drop " in line for line in ends)
    to_scanner = [line for line in ends if 'oifname "clerks0"' in line]
    assert {re.findall(r"daddr (\S+)", line)[0] for line in to_scanner} == {"10.20.1.20", "fd20:20:1::20"}
    assert all('iifname { "inet0", "citizen0", "wifi0" }' in line for line in to_scanner)
    assert max(text.index(line) for line in ends) < text.index("ct state established,related")


def test_a_host_of_two_exceptions_is_closed_when_the_last_one_ends() -> None:
    text = ruleset(gateway(second=True))
    assert lines(text, "buoi-resident-scan has ended") == []
    ends = lines(text, "buoi-second has ended")
    assert len(ends) == 4
    assert all(f" meta time >= {SECOND_END} counter drop " in line for line in ends)
    assert all(f" meta time < {FIRST_END} " in line for line in lines(text, "buoi-resident-scan district.yml"))


def test_the_kernel_holds_the_end_whatever_zone_the_gateway_is_in() -> None:
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = "nft -f - && nft -j list ruleset"
    for zone in ("UTC", "Asia/Ho_Chi_Minh"):
        loaded = subprocess.run(
            ["unshare", *root, "--net", "env", f"TZ={zone}", "sh", "-c", script.replace("nft -j", "TZ=UTC nft -j")],
            input=ruleset(gateway(second=False)), capture_output=True, text=True, check=True,
        )  # fmt: skip
        times = re.findall(r'"key": "time"\}\}, "right": "([^"]+)"', loaded.stdout)
        assert json.loads(loaded.stdout)
        assert times == ["2027-12-31 17:00:00"] * 6
