"""The documents say what is there: every key of the inventory, messages as they come, links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.unit.compile_support import files
from wardnet.inventory import InventoryErrors, parse_district, schema
from wardnet.model.intent import HostRole, OperatingSystem, Platform, SiteKind

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "inventory.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_every_key_of_the_inventory_is_explained() -> None:
    records = [item for item in vars(schema).values() if isinstance(item, type) and issubclass(item, BaseModel)]
    keys = {key for record in records for key in record.model_fields}
    prose = re.sub(r"(?ms)^```.*?^```$", "", DOCUMENT)
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", prose))))
    assert keys - named == set()


@pytest.mark.parametrize("words", [HostRole, OperatingSystem, Platform, SiteKind])
def test_every_word_that_a_key_may_have_is_named(words: type) -> None:
    assert [word for word in words if f"`{word}`" not in DOCUMENT] == []  # type: ignore[attr-defined]


def test_the_errors_in_the_document_are_those_that_come() -> None:
    content = files()
    text = content["wards/buoi.yml"].decode().replace("provider: Provider A", "provder: Provider A")
    text = text.replace("vlan: 10,", "vlan: 4095,", 1)
    with pytest.raises(InventoryErrors) as caught:
        parse_district({**content, "wards/buoi.yml": text.encode()})
    for problem in caught.value.problems:
        assert str(problem) in DOCUMENT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []
