"""lab.yml is read as strictly as the inventory: every error at once, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import LabError
from lab.outside import FILE, OutsideRole, parse_outside, read_outside
from wardnet.inventory import read_district
from wardnet.inventory.problems import InventoryErrors
from wardnet.model.intent import Channel, District

INVENTORY = Path(__file__).parents[2] / "inventory" / "tay-ho"


@pytest.fixture(scope="module")
def district() -> District:
    return read_district(INVENTORY)


@pytest.fixture(scope="module")
def text() -> str:
    return (INVENTORY / FILE).read_text()


def test_the_samples_outside_holds_what_the_district_measures(district: District) -> None:
    outside = read_outside(INVENTORY, district)
    assert outside.router.ipv4 in {one.ipv4 for one in district.reflectors}
    roles = {host.role for host in outside.hosts}
    assert roles == set(OutsideRole)
    assert outside.line(Channel.WAN).delay == pytest.approx(0.004)
    assert outside.line(Channel.INTERNET).buffer == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("203.0.113.53,", "203.0.113.54,", "the internet channel's resolver 203.0.113.53 is no host here"),
        ("203.0.113.80,", "203.0.113.81,", "service 'public-web' stands at 203.0.113.80, which is no host here"),
        ("role: web", "role: wbe", "did you mean 'web'?"),
        ("delay_ms: 4", "delay: 4", "unknown key 'delay' in circuits (did you mean 'delay_ms'?)"),
        ("delay_ms: 4", "delay_ms: -4", "delay_ms"),
        ("loss_percent: 0}", "loss_percent: 101}", "loss_percent"),
        ("buffer_ms: 100", "buffer_ms: 0", "buffer_ms"),
        ("id: isp,", "id: buoi-gw,", "host 'buoi-gw' is already in the district"),
        ("id: isp-resolver", "id: isp", "isp is given twice (first to host 'isp')"),
        ("203.0.113.10,", "203.0.113.1,", "203.0.113.1 is given twice"),
        ("203.0.113.10,", "192.0.2.10,", "host 'portal-public' is not in 203.0.113.0/24"),
        ('"2001:db8:cafe::/64"', '"2001:db8:20::/64"', "overlaps 2001:db8:20::/47, which is the district's"),
        ("role: router", "role: web", "one host with role router is needed, not 0"),
        ("channel: internet", "channel: wan", "one line for channel internet is needed, not 0"),
        ("channel: internet", "channel: lan", "'lan'"),
        ("internet:\n", "internet: 5\nx:\n", "unknown key 'x'"),
    ],
)
def test_bad_content_is_named_with_its_line(district: District, text: str, old: str, new: str, message: str) -> None:
    assert old in text
    with pytest.raises(InventoryErrors) as caught:
        parse_outside(text.replace(old, new, 1), district)
    assert message in str(caught.value)
    assert all(problem.file == FILE and problem.line > 0 for problem in caught.value.problems)


def test_all_errors_come_together(district: District, text: str) -> None:
    bad = text.replace("delay_ms: 4", "delay: 4").replace("role: web", "role: wbe")
    with pytest.raises(InventoryErrors) as caught:
        parse_outside(bad, district)
    wrong = {number for number, line in enumerate(bad.splitlines(), 1) if "delay: 4" in line or "role: wbe" in line}
    assert {problem.line for problem in caught.value.problems} == wrong


@pytest.mark.parametrize("bad", ["", "- a list\n", "internet: [\n", "\tx: 1\n"])
def test_what_is_no_mapping_is_refused(district: District, bad: str) -> None:
    with pytest.raises(InventoryErrors):
        parse_outside(bad, district)


def test_a_missing_file_says_what_to_do(district: District, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"lab\.yml is missing.*copy inventory/tay-ho/lab\.yml"):
        read_outside(tmp_path, district)


def test_a_file_that_is_not_utf8_is_refused(district: District, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"internet: \xff\n")
    with pytest.raises(LabError, match="not UTF-8"):
        read_outside(tmp_path, district)
