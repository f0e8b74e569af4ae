"""Reading an inventory: what is accepted, what is kept of it, and where each record says that it was written."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from tests.unit.compile_support import INVENTORY, files, sample
from wardnet.inventory import InventoryErrors, find_inventory, parse_district, read_district
from wardnet.model.intent import Channel, SiteKind


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    return Path(shutil.copytree(INVENTORY, tmp_path / "district"))


def test_the_sample_is_the_district_with_its_wards_and_two_buildings() -> None:
    district = sample()
    assert [ward.id for ward in district.wards] == [
        "tay-ho", "buoi", "nhat-tan", "phu-thuong", "quang-an", "thuy-khue", "tu-lien", "xuan-la", "yen-phu",
    ]  # fmt: skip
    assert [ward.is_district for ward in district.wards] == [True] + [False] * 8
    buildings = [site.id for _, site in district.sites if site.kind is SiteKind.APARTMENT_BUILDING]
    assert buildings == ["buoi-building", "nhat-tan-building"]
    offices = [s for _, s in district.sites if s.kind in (SiteKind.WARD_OFFICE, SiteKind.DISTRICT_OFFICE)]
    for office in offices:
        assert {circuit.channel for circuit in office.circuits} == set(Channel)
        assert [host.role for host in office.hosts].count("counter") == 3


def test_records_carry_the_line_they_were_written_at() -> None:
    lines = files()["wards/buoi.yml"].decode().splitlines()
    (ward,) = (ward for ward in sample().wards if ward.id == "buoi")
    for site in ward.sites:
        for record in (*site.circuits, *site.networks, *site.hosts, site.gateway):
            assert record.source.file == "wards/buoi.yml"
            assert f"id: {record.id}" in lines[record.source.line - 1]


def test_rates_are_in_bits_a_second_oldest_first() -> None:
    (circuit,) = (c for _, site in sample().sites for c in site.circuits if c.id == "buoi-wan")
    assert [(rate.down_bps, rate.valid_from) for rate in circuit.contracted] == [
        (10_000_000, date(2024, 1, 1)),
        (20_000_000, date(2026, 1, 1)),
    ]


def test_a_day_may_stand_in_quotes() -> None:
    content = files()
    quoted = content["district.yml"].replace(b"expires: 2027-12-31", b'expires: "2027-12-31"')
    assert parse_district({**content, "district.yml": quoted}).exceptions == sample().exceptions


@pytest.mark.parametrize("word", ["no", "yes", "on", "12.5", "010", "2026-01-01", "10:30", "0x1F"])
def test_texts_that_yaml_1_1_would_change_are_kept_as_written(word: str) -> None:
    content = files()
    text = content["wards/buoi.yml"].replace(b"name: B\xc6\xb0\xe1\xbb\x9fi\n", f"name: {word}\n".encode())
    (ward,) = (w for w in parse_district({**content, "wards/buoi.yml": text}).wards if w.id == "buoi")
    assert ward.name == word


def test_vietnamese_letters_are_kept_in_one_form() -> None:
    content = files()
    decomposed = content["wards/buoi.yml"].decode().replace("name: Bưởi", "name: Bu\u031bo\u031b\u0309i")
    district = parse_district({**content, "wards/buoi.yml": decomposed.encode()})
    assert next(ward.name for ward in district.wards if ward.id == "buoi") == "Bưởi"


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_files_of_windows_editors_are_read(ending: bytes, mark: bytes) -> None:
    changed = {name: mark + content.replace(b"\n", ending) for name, content in files().items()}
    assert parse_district(changed).wards == sample().wards


def test_the_hash_follows_names_and_bytes_of_all_files(inventory: Path) -> None:
    before = read_district(inventory).sha256
    assert before == sample().sha256
    ward = inventory / "wards" / "yen-phu.yml"
    ward.write_bytes(ward.read_bytes() + b"\n")
    assert read_district(inventory).sha256 != before


def test_other_files_beside_the_inventory_are_left_alone(inventory: Path) -> None:
    for name in ("README.md", "wards/notes.txt", "wards/buoi.yml~", "lab-notes.yml"):
        (inventory / name).write_text("not: [an inventory")
    assert read_district(inventory).sha256 == sample().sha256


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InventoryErrors, match="there is no such folder"):
        read_district(tmp_path / "hanoi")


def test_a_file_in_the_place_of_the_folder_is_called_a_file(inventory: Path) -> None:
    with pytest.raises(InventoryErrors, match="this is a file, not a folder"):
        read_district(inventory / "district.yml")


def test_the_only_inventory_of_a_folder_is_found_and_none_or_several_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(InventoryErrors, match="there is no inventory in this folder"):
        find_inventory(tmp_path)
    for name in ("east", "west"):
        shutil.copytree(INVENTORY, tmp_path / name)
    with pytest.raises(InventoryErrors, match="there are 2 inventories: east, west"):
        find_inventory(tmp_path)
    shutil.rmtree(tmp_path / "west")
    assert find_inventory(tmp_path) == tmp_path / "east"


def test_a_link_to_nowhere_is_not_overlooked(inventory: Path) -> None:
    (inventory / "wards" / "ha-dong.yml").symlink_to(inventory / "gone.yml")
    with pytest.raises(InventoryErrors, match=r"wards/ha-dong.yml:1: the file cannot be read"):
        read_district(inventory)


def test_errors_come_in_the_order_of_files_and_lines(inventory: Path) -> None:
    for ward in ("yen-phu", "buoi", "tu-lien"):
        path = inventory / "wards" / f"{ward}.yml"
        path.write_text(path.read_text().replace("role: counter", "role: clerk"))
    with pytest.raises(InventoryErrors) as caught:
        read_district(inventory)
    places = [(problem.file, problem.line) for problem in caught.value.problems]
    assert places == sorted(places)
    assert len(places) == 9


def test_a_district_of_forty_eight_wards_is_read_and_checked(inventory: Path) -> None:
    template = (inventory / "wards" / "yen-phu.yml").read_text()
    for number in range(20, 60):
        text = template.replace("yen-phu", f"ward-{number}")
        for prefix in ("10.20.", "10.30.", "10.31.", "172.20.", "172.21."):
            text = text.replace(f"{prefix}8.", f"{prefix}{number}.")
        for prefix in ("fd20:20:", "fd20:30:", "fd20:31:", "2001:db8:20:", "2001:db8:21:", "2001:db8:ff:"):
            text = text.replace(f"{prefix}8::", f"{prefix}{number}::")
        for end, offset in (("34/30", 2), ("33", 1)):
            text = text.replace(f"198.51.100.{end}", f"198.51.100.{4 * number + offset}{end[2:]}")
        (inventory / "wards" / f"ward-{number}.yml").write_text(text)
    assert len(read_district(inventory).wards) == 1 + 48
