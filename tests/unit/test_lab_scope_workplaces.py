"""A lab of some wards: accounts and printers of the others are not in its inventory."""

from __future__ import annotations

from datetime import date

import pytest
import yaml

from lab.build import read_blueprint
from lab.scope_workplaces import without_places
from tests.unit.compile_support import INVENTORY

TEXT = """\
id: mau
workplaces:
  usb_storage: deny
  printers:
    - {id: in-1, wards: [dong, tay], hosts: [bac-pc-1]}
    - {id: in-2, wards: [tay]}   # gone with its ward
  accounts:
    - id: mot-cua
      wards:
        - dong
        - tay
    - {id: tu-phap, hosts: [tay-pc-1]}
sites: []
"""


def test_what_is_not_here_goes_and_every_other_byte_stays() -> None:
    left = without_places(TEXT, {"tay", "tay-pc-1", "bac-pc-1"})
    assert yaml.safe_load(left)["workplaces"] == {
        "usb_storage": "deny",
        "printers": [{"id": "in-1", "wards": ["dong"], "hosts": []}],
        "accounts": [{"id": "mot-cua", "wards": ["dong"]}],
    }
    assert left.startswith("id: mau\nworkplaces:\n  usb_storage: deny\n")
    assert left.endswith("sites: []\n")


def test_a_list_that_nothing_is_left_of_is_empty() -> None:
    left = yaml.safe_load(without_places(TEXT, {"dong", "tay", "tay-pc-1", "bac-pc-1"}))
    assert left["workplaces"] == {"usb_storage": "deny", "printers": [], "accounts": []}


def test_nothing_changes_where_all_are_here() -> None:
    assert without_places(TEXT, set()) == TEXT
    assert without_places("id: mau\n", {"tay"}) == "id: mau\n"


@pytest.mark.parametrize("wards", [0, 1, 2])
def test_the_sample_is_whole_with_any_number_of_wards(wards: int) -> None:
    blueprint = read_blueprint(INVENTORY, wards, date(2026, 11, 24))
    assert len(blueprint.district.wards) == wards + 1
    assert blueprint.plan.host("tay-ho-pc-1").workplace is not None
