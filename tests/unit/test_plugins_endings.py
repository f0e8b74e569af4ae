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
    ends = lines(text, "buoi-second has ended")
    assert len(ends) == 4
    assert all(f" meta time >= {SECOND_END} counter drop " in line for line in ends)
    assert all(f" meta time < {FIRST_END} " in line for line in lines(text, "buoi-resident-scan district.yml"))


SAME_PAIR = """exceptions:
  - id: buoi-short
    from_host: buoi-citizen-1
    to_host: buoi-scanner-1
    allow: [{allow}]
    owner: x
    approver: x
    document: x
    reason: x
    valid_from: 2026-01-01
    expires: 2026-12-31
"""
SHORT_END = 1_798_736_400  # midnight in Hà Nội after 2026-12-31


def short(allow: str) -> list[str]:
    """What ends a shorter exception between the two hosts of the sample's, whose TCP port 80 is let through longer."""
    district = changed("district.yml", ("exceptions:\n", SAME_PAIR.format(allow=allow)))
    text = ruleset(compile_plan(district, date(2026, 11, 24)).gateway("buoi-gw"))
    found = lines(text, "buoi-short has ended")
    assert all(f" meta time >= {SHORT_END} counter drop " in line for line in found)
    assert all(text.index(line) < text.index("ct state established,related") for line in found)
    return [re.sub(r" meta time .*", "", line) for line in found]


def test_of_two_exceptions_of_the_same_hosts_each_ends_at_its_own_end() -> None:
    """Both ways: what its open connections still send, and the answers."""
    there = 'iifname "citizen0" oifname "clerks0" ip saddr 172.20.1.11 ip daddr 10.20.1.20'
    back = 'iifname "clerks0" oifname "citizen0" ip saddr 10.20.1.20 ip daddr 172.20.1.11'
    found = short("tcp/443, icmp")
    assert len(found) == 8
    assert [line for line in found if " ip saddr " in line] == [
        f"{there} icmp type echo-request", f"{back} icmp type echo-reply",
        f"{there} tcp dport 443", f"{back} tcp sport 443",
    ]  # fmt: skip


def test_what_a_later_one_lets_through_too_goes_on() -> None:
    assert short("tcp/80") == []
    assert all("sport 443" in line or "dport 443" in line for line in short("tcp/80, tcp/443"))
    for line in short("tcp/any"):
        assert line.endswith(("meta l4proto tcp tcp dport != 80", "meta l4proto tcp tcp sport != 80"))


def test_what_a_later_one_in_the_other_direction_uses_goes_on() -> None:
    ended = lines(ruleset(gateway(second=True)), "buoi-resident-scan has ended")
    found = [line for line in ended if " ip saddr " in line]
    assert [line.split("tcp ", 1)[1].split(" meta")[0] for line in found] == [
        "dport 80 tcp sport != 9100", "sport 80 tcp dport != 9100",
    ]  # fmt: skip


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


def test_the_kernel_takes_what_ends_one_of_two() -> None:
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    district = changed("district.yml", ("exceptions:\n", SAME_PAIR.format(allow="tcp/any, icmp")))
    loaded = subprocess.run(
        ["unshare", *root, "--net", "sh", "-c", "nft -f - && nft list ruleset"],
        input=ruleset(compile_plan(district, date(2026, 11, 24)).gateway("buoi-gw")),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(lines(loaded.stdout, "buoi-short has ended")) == 8
