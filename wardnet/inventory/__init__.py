"""inventory/NAME/{district.yml,wards/*.yml} -> District. Strict; every error at once, each with file and line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from wardnet.inventory import schema
from wardnet.inventory.build import build_district, build_ward
from wardnet.inventory.checks import check
from wardnet.inventory.checks.days import errors_on
from wardnet.inventory.checks.exceptions import warnings
from wardnet.inventory.problems import InventoryErrors, Problem, Problems
from wardnet.inventory.shape import parse_shape
from wardnet.inventory.yamlfile import YamlFile, parse_yaml
from wardnet.locale import _
from wardnet.model.intent import District, Source, Ward

__all__ = [
    "DISTRICT_FILE",
    "InventoryErrors",
    "Problem",
    "errors_on",
    "find_inventory",
    "inventory_sha256",
    "parse_district",
    "read_district",
    "warnings",
]

DISTRICT_FILE = "district.yml"
WARDS_FOLDER = "wards"


def find_inventory(root: Path) -> Path:
    """The only folder of `root` that is an inventory. Raises InventoryErrors when there is none, or several."""
    found = sorted(path.parent for path in root.glob(f"*/{DISTRICT_FILE}"))
    if len(found) == 1:
        return found[0]
    if found:
        message = _("there are {count} inventories: {names}").format(
            count=len(found), names=", ".join(path.name for path in found)
        )
    else:
        message = _("there is no inventory in this folder")
    raise InventoryErrors([Problem(str(root), 1, message, _("name the folder that holds district.yml"))])


def read_district(folder: Path) -> District:
    """Read and check the inventory in `folder`.

    Raises InventoryErrors with all that is wrong. Paths in it are relative to `folder`.
    """
    problems = Problems()
    return _district(_read_files(folder, problems), problems)


def parse_district(files: dict[str, bytes]) -> District:
    """The same from bytes that are already in memory, by name relative to the inventory's folder."""
    return _district(files, Problems())


def _district(files: dict[str, bytes], problems: Problems) -> District:
    parsed = {name: _parse(name, content, problems) for name, content in sorted(files.items())}
    district_file, district_record, wards = None, None, []
    for name, file in parsed.items():
        if file is None:
            continue
        if name == DISTRICT_FILE:
            district_file, district_record = file, parse_shape(schema.DistrictFile, file, problems)
            if district_record:
                wards.append(build_ward(file, district_record, is_district=True))
        elif record := parse_shape(schema.WardFile, file, problems):
            wards.append(build_ward(file, record, is_district=False))
    complete = not problems.found
    for ward in wards:
        if not ward.is_district:
            _check_name(ward, problems)
    if DISTRICT_FILE not in files and not any(problem.file == DISTRICT_FILE for problem in problems.found):
        problems.add(
            Source(DISTRICT_FILE, 1),
            _("there is no {name} in the inventory's folder").format(name=DISTRICT_FILE),
        )
    if district_file is None or district_record is None:
        raise InventoryErrors(problems.found)
    district = build_district(district_file, district_record, wards, inventory_sha256(files))
    check(district, problems, complete=complete)
    if problems.found:
        raise InventoryErrors(problems.found)
    return district


def _read_files(folder: Path, problems: Problems) -> dict[str, bytes]:
    if not folder.is_dir():
        message = _("this is a file, not a folder") if folder.exists() else _("there is no such folder")
        raise InventoryErrors([Problem(str(folder), 1, message, _("name the folder that holds district.yml"))])
    district = folder / DISTRICT_FILE
    wards = sorted((folder / WARDS_FOLDER).glob("*.yml"))
    files: dict[str, bytes] = {}
    for path in [district, *wards] if district.exists() else wards:  # its absence is said with all the rest
        name = path.relative_to(folder).as_posix()
        try:
            files[name] = path.read_bytes()
        except OSError as error:
            problems.add(Source(name, 1), _("the file cannot be read: {strerror}").format(strerror=error.strerror))
    for path in sorted([*folder.glob("district.yaml"), *(folder / WARDS_FOLDER).glob("*.yaml")]):
        name = path.relative_to(folder).as_posix()
        problems.add(
            Source(name, 1),
            _("files of an inventory end in .yml"),
            _("rename it to {name}").format(name=f"{path.stem}.yml"),
        )
    return files


def _parse(name: str, content: bytes, problems: Problems) -> YamlFile | None:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problems.add(Source(name, line), _("the file is not UTF-8 text"), _("save it with the encoding UTF-8"))
        return None
    return parse_yaml(name, text, problems)


def _check_name(ward: Ward, problems: Problems) -> None:
    name = Path(ward.source.file)
    if name.stem != ward.id:
        problems.add(
            ward.source,
            _("ward '{ward}' is in a file named {name}").format(ward=ward.id, name=name.name),
            _("name the file {name}").format(name=f"{ward.id}.yml"),
        )


def inventory_sha256(files: Mapping[str, bytes]) -> str:
    """Of an inventory's files by name relative to its folder: names, sizes and contents."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
