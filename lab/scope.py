"""The part of an inventory that is in a lab: all but the wards that are not booted.

It is an inventory of its own, in STATE/inventory, so that Ansible, Prometheus and the audit are asked about the
hosts that exist, through the same files as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import yaml

from lab.errors import LabError
from lab.scope_workplaces import without_places
from wardnet.inventory import DISTRICT_FILE, WARDS_FOLDER, InventoryErrors, parse_district
from wardnet.locale import _
from wardnet.model.intent import District


def scoped_files(inventory: Path, district: District, wards: tuple[str, ...]) -> dict[str, bytes]:
    """Name relative to the folder -> bytes, of all that stays. `district` is the whole inventory, already checked."""
    left_out = {ward.source.file for ward in district.wards if not ward.is_district and ward.id not in wards}
    paths = [*sorted(inventory.glob("*.yml")), *sorted((inventory / WARDS_FOLDER).glob("*.yml"))]
    names = {path.relative_to(inventory).as_posix(): path for path in paths}
    files = {name: path.read_bytes() for name, path in names.items() if name not in left_out}
    absent = {
        host.id for ward in district.wards if ward.source.file in left_out for site in ward.sites for host in site.hosts
    }
    gone = {ward.id for ward in district.wards if ward.source.file in left_out}
    text = without_exceptions(files[DISTRICT_FILE].decode(), absent)
    files[DISTRICT_FILE] = without_places(text, absent | gone).encode()
    return files


def without_exceptions(text: str, absent: Set[str]) -> str:
    """The district's file without the exceptions of hosts that are not here; every other byte as it was."""
    text += "" if text.endswith("\n") else "\n"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or not absent:
        return text
    for key, value in root.value:
        if key.value == "exceptions" and isinstance(value, yaml.SequenceNode):
            gone = [item for item in value.value if absent & _hosts(item)]
            lines = text.splitlines(keepends=True)
            if len(gone) == len(value.value) and gone:
                return "".join((*lines[: key.start_mark.line], "exceptions: []\n", *lines[_end(value, lines) :]))
            dropped = {line for item in gone for line in range(item.start_mark.line, _end(item, lines))}
            return "".join(line for number, line in enumerate(lines) if number not in dropped)
    return text


def _hosts(item: yaml.Node) -> set[str]:
    if not isinstance(item, yaml.MappingNode):
        return set()
    return {value.value for key, value in item.value if key.value in ("from_host", "to_host")}


def _end(node: yaml.Node, lines: Sequence[str]) -> int:
    """The line after the node's last: a block ends where the next begins, after the blanks and comments between."""
    end = int(node.end_mark.line) + (1 if isinstance(node, yaml.CollectionNode) and node.flow_style else 0)
    while end > node.start_mark.line + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return end


def scoped_district(files: Mapping[str, bytes], wards: int) -> District:
    """LabError where what stays refers to what was left out."""
    inventory = {name: data for name, data in files.items() if name == DISTRICT_FILE or "/" in name}
    try:
        return parse_district(inventory)
    except InventoryErrors as error:
        raise LabError(
            _("with only {wards} wards the inventory is not whole; take more of them:\n{error}").format(
                wards=wards, error=error
            )
        ) from error


def write(files: Mapping[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
