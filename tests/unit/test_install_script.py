"""The installer on a PC: which host it takes the PC for, which disk it takes, and that it touches none where it is in
doubt. What it does to a disk is shown in tests/qemu."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.install_support import CITIZEN_MAC, CLERK_MAC, Machine, machine, touched

BOTH = ("buoi-pc-1", "buoi-building-citizen-1")


def refused(pc: Machine) -> str:
    """What is said where nothing is installed; no disk is touched, and the PC goes off."""
    said, called = pc.run()
    assert "KHONG CAI DAT" in said, said
    assert "NOT INSTALLED" in said
    assert touched(called) == []
    assert called[-1] == "poweroff -f"
    return said


def first_written(pc: Machine) -> str:
    """The disk that is divided."""
    said, called = pc.run()
    assert touched(called), said
    return touched(called)[0].rsplit("/", 1)[-1]


def test_the_host_is_the_one_whose_address_a_card_has(tmp_path: Path) -> None:
    pc = machine(tmp_path, *BOTH)
    pc.has_card("02:aa:aa:aa:aa:aa", "enp0s1")
    pc.has_card(CITIZEN_MAC)
    pc.has_disk("sda", 100)
    said, called = pc.run()
    assert "This PC is buoi-building-citizen-1." in said
    assert touched(called)[0] == f"wipefs --all --force --quiet {pc.root}/dev/sda"


def test_a_pc_that_is_not_on_the_medium_is_left_alone(tmp_path: Path) -> None:
    pc = machine(tmp_path, *BOTH)
    pc.has_card("02:aa:aa:aa:aa:aa")
    pc.has_disk("sda", 100)
    said = refused(pc)
    assert "02:aa:aa:aa:aa:aa" in said
    assert f"{CLERK_MAC}  buoi-pc-1\n" in said
    assert f"{CITIZEN_MAC}  buoi-building-citizen-1\n" in said


def test_addresses_of_two_hosts_in_one_pc_are_refused(tmp_path: Path) -> None:
    pc = machine(tmp_path, *BOTH)
    pc.has_card(CLERK_MAC, "enp0s1")
    pc.has_card(CITIZEN_MAC, "enp0s2")
    pc.has_disk("sda", 100)
    assert "more than one host (buoi-building-citizen-1 buoi-pc-1)" in refused(pc)


@pytest.mark.parametrize("name", ["sda", "vda", "nvme0n1", "mmcblk0"])
def test_the_only_fixed_disk_is_taken(tmp_path: Path, name: str) -> None:
    """Not the stick itself, nor a disk on USB that calls itself fixed, nor one that is too small."""
    pc = machine(tmp_path, *BOTH)
    pc.has_card(CLERK_MAC)
    pc.has_disk(name, 128)
    pc.has_disk("sdx", 16, usb=True, removable=True)
    pc.has_disk("sdy", 1000, usb=True)
    pc.has_disk("sdz", 4)
    pc.has_disk("sr0", 9, removable=True)
    pc.has_disk("loop0", 9)
    assert first_written(pc) == name


def test_of_several_disks_none_is_guessed(tmp_path: Path) -> None:
    pc = machine(tmp_path, *BOTH)
    pc.has_card(CLERK_MAC)
    pc.has_disk("nvme0n1", 256)
    pc.has_disk("sda", 1000)
    said = refused(pc)
    assert "more than one disk" in said
    assert "256 GB" in said


def test_of_several_disks_the_named_one_is_taken(tmp_path: Path) -> None:
    pc = machine(tmp_path, *BOTH, disk="sda")
    pc.has_card(CLERK_MAC)
    pc.has_disk("nvme0n1", 256)
    pc.has_disk("sda", 1000)
    assert first_written(pc) == "sda"


def test_a_named_disk_that_is_not_there_is_not_replaced_by_another(tmp_path: Path) -> None:
    pc = machine(tmp_path, *BOTH, disk="sda")
    pc.has_card(CLERK_MAC)
    pc.has_disk("nvme0n1", 256)
    assert "there is no disk sda" in refused(pc)


def test_without_a_disk_nothing_happens(tmp_path: Path) -> None:
    pc = machine(tmp_path, *BOTH)
    pc.has_card(CLERK_MAC)
    assert "no fixed disk" in refused(pc)


def test_a_disk_that_holds_something_is_not_erased_unasked(tmp_path: Path) -> None:
    pc = machine(tmp_path, *BOTH)
    pc.has_card(CLERK_MAC)
    pc.has_disk("sda", 256)
    pc.answers["wipefs"] = "gpt"
    said = refused(pc)
    assert "is not empty" in said
    assert "ERASE" in said


def test_a_disk_with_partitions_alone_counts_as_holding_something(tmp_path: Path) -> None:
    pc = machine(tmp_path, *BOTH)
    pc.has_card(CLERK_MAC)
    pc.has_disk("sda", 256)
    (pc.root / "sys/block/sda/sda1").mkdir()
    assert "is not empty" in refused(pc)


def test_what_the_technician_chose_to_erase_is_erased(tmp_path: Path) -> None:
    pc = machine(tmp_path, *BOTH)
    pc.has_card(CLERK_MAC)
    pc.has_disk("sda", 256)
    pc.answers["wipefs"] = "gpt"
    pc.start_with("wardnet.erase=yes")
    said, called = pc.run()
    assert "Erasing all that is on" in said
    assert touched(called)[0].startswith("wipefs --all")


def test_a_damaged_medium_is_found_before_the_disk_is_touched(tmp_path: Path) -> None:
    pc = machine(tmp_path, *BOTH)
    pc.has_card(CLERK_MAC)
    pc.has_disk("sda", 256)
    pc.whole = False
    assert "damaged or incomplete" in refused(pc)
