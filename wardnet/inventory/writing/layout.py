"""A ward's plain data -> YAML as the files of the inventory have it: what is one thing on one line. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wardnet.inventory.writing.edit import scalar

# Keys whose items stand on one line each.
ON_ONE_LINE = ("networks", "ports", "contracted_kbps", "gateway", "pppoe", "bgp")


def ward_yaml(ward: Mapping[str, Any]) -> str:
    """The whole file."""
    lines = [f"# Ward {ward['name']}: its office."]
    lines += _mapping(ward, 0)
    return "\n".join(lines) + "\n"


def _mapping(values: Mapping[str, Any], indent: int) -> list[str]:
    pad = " " * indent
    found = []
    for key, value in values.items():
        if key == "interfaces" or (isinstance(value, Mapping) and key in ON_ONE_LINE):
            found.append(f"{pad}{key}: {_flow(value)}")
        elif isinstance(value, Mapping):
            found += [f"{pad}{key}:", *_mapping(value, indent + 2)]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            found.append(f"{pad}{key}:")
            inner = indent + (0 if not indent and key != "sites" else 2)
            found += [line for item in value for line in _item(key, item, inner)]
        else:
            found.append(f"{pad}{key}: {scalar(value)}")
    return found


def _item(key: str, item: Mapping[str, Any], indent: int) -> list[str]:
    pad = " " * indent
    if key in ON_ONE_LINE:
        return [f"{pad}- {_flow(item)}"]
    lines = _mapping(item, indent + 2)
    return [f"{pad}- {lines[0].strip()}", *lines[1:]]


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    return scalar(value, flow=True)
