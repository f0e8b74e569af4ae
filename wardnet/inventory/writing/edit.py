"""Edits of YAML text that leave every other byte as it was: comments, order and the person's own style. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from wardnet.inventory.writing.errors import WritingError
from wardnet.locale import _

Step = str | int
_PLAIN = re.compile(r"[^\W_][\w .()/+@'-]*")
_NOT_TEXT = re.compile(r"true|false|null|~|[-+]?[0-9][0-9_.eExXoO+-]*", re.IGNORECASE)


def scalar(value: object, *, flow: bool = False) -> str:
    """A value as the inventory's files have it: quoted only where it must be."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    text = str(value)
    day = re.fullmatch(r"\d{4}-\d\d-\d\d", text) or re.fullmatch(r"\d+(\.\d+){3}(/\d+)?", text)
    if day or (not flow and re.fullmatch(r"[0-9a-f]{1,4}:[0-9a-f:]*[0-9a-f](/\d+)?", text)):
        return text
    plain = _PLAIN.fullmatch(text) and text == text.strip() and not _NOT_TEXT.fullmatch(text)
    return text if plain else json.dumps(text, ensure_ascii=False)


def find(text: str, path: tuple[Step, ...]) -> yaml.Node:
    """The node at the path: keys, and in lists positions or the `id` of the item. WritingError where there is none."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for step in path:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next((value for key, value in node.value if key.value == step), None)
        elif isinstance(node, yaml.SequenceNode):
            if isinstance(step, int):
                found = node.value[step] if step < len(node.value) else None
            else:
                found = next((item for item in node.value if _id_of(item) == step), None)
        if found is None:
            raise WritingError(_("nothing is written at {path}").format(path=".".join(map(str, path))))
        node = found
    return node  # type: ignore[no-any-return]


def _id_of(item: yaml.Node) -> str | None:
    if not isinstance(item, yaml.MappingNode):
        return None
    return next((value.value for key, value in item.value if key.value == "id"), None)


def add_item(text: str, path: tuple[Step, ...], value: object) -> str:
    """The text with one more scalar at the end of the list at `path`, in the list's own style."""
    node = find(text, path)
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise WritingError(_("there is no list at {path}").format(path=".".join(map(str, path))))
    last = node.value[-1]
    if node.flow_style:
        at = int(last.end_mark.index)
        return f"{text[:at]}, {scalar(value, flow=True)}{text[at:]}"
    end = text.find("\n", int(last.end_mark.index))
    at = len(text) if end < 0 else end
    return f"{text[:at]}\n{' ' * (int(last.start_mark.column) - 2)}- {scalar(value)}{text[at:]}"


def set_key(text: str, path: tuple[Step, ...], key: str, value: object) -> str:
    """The text with `key` of the mapping at `path` set: replaced where it stands, else put behind the last key."""
    node = find(text, path)
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise WritingError(_("there is no mapping at {path}").format(path=".".join(map(str, path))))
    written = scalar(value, flow=bool(node.flow_style))
    for own, old in node.value:
        if own.value == key:
            return text[: old.start_mark.index] + written + text[old.end_mark.index :]
    last = node.value[-1][1]
    at = int(last.end_mark.index)
    if node.flow_style:
        return f"{text[:at]}, {key}: {written}{text[at:]}"
    end = text.find("\n", at)
    at = len(text) if end < 0 else end
    return f"{text[:at]}\n{' ' * int(node.value[0][0].start_mark.column)}{key}: {written}{text[at:]}"
