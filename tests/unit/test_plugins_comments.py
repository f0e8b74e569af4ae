"""Comments of the filter's rules: from each, however long its words, a person finds the line of the inventory."""

from __future__ import annotations

import re

import pytest

from tests.unit.plugins_support import ROOT, load

comment = load("filter", "wardnet").comment


@pytest.mark.parametrize("words", ["portal", "p" * 300, "p" * 105, "đ" * 90])
def test_the_inventorys_line_is_whole_and_nft_takes_the_comment(words: str) -> None:
    said = comment(words, "wards/ha-moi.yml:38")
    assert said.endswith(" wards/ha-moi.yml:38")
    assert words.startswith(said.removesuffix(" wards/ha-moi.yml:38"))
    assert len(said.encode()) <= 120
    assert said == f"{words} wards/ha-moi.yml:38" or len(said.encode()) >= 118


def test_of_a_file_with_a_very_long_name_the_line_is_there() -> None:
    said = comment("portal", f"wards/{'đ' * 120}.yml:38")
    assert said.endswith("đđ.yml:38")
    assert len(said.encode()) <= 120


def test_no_rule_cuts_its_comment_by_itself() -> None:
    text = (ROOT / "roles/zone_firewall/templates/etc/nftables.conf.j2").read_text()
    assert not re.search(r"\[:\d+\]\s*\}\}\"", text)
    assert len(re.findall(r"wardnet_comment\(\w+\.source\)", text)) == len(re.findall(r'comment "[^"]*\.source', text))
