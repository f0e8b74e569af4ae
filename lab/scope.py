"""The part of an inventory that is in a lab: all but the wards that are not booted.

It is an inventory of its own, in STATE/inventory, so that Ansible, Prometheus and the audit are asked about the
hosts that exist, through the same files as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lab.errors import LabError
from wardnet.inventory import DISTRICT_FILE, WARDS_FOLDER, InventoryErrors, parse_district
from wardnet.model.intent import District


def scoped_files(inventory: Path, district: District, wards: tuple[str, ...]) -> dict[str, bytes]:
    """Name relative to the folder -> bytes, of all that stays. `district` is the whole inventory, already checked."""
    left_out = {ward.source.file for ward in district.wards if not ward.is_district and ward.id not in wards}
    paths = [*sorted(inventory.glob("*.yml")), *sorted((inventory / WARDS_FOLDER).glob("*.yml"))]
    names = {path.relative_to(inventory).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if name not in left_out}


def scoped_district(files: Mapping[str, bytes], wards: int) -> District:
    """LabError where what stays refers to what was left out."""
    inventory = {name: data for name, data in files.items() if name == DISTRICT_FILE or "/" in name}
    try:
        return parse_district(inventory)
    except InventoryErrors as error:
        raise LabError(f"with only {wards} wards the inventory is not whole; take more of them:\n{error}") from error


def write(files: Mapping[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
