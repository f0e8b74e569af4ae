"""The section `workplaces` of a district's file without what is for wards and hosts that are not here."""

from __future__ import annotations

from collections.abc import Iterator, Set

import yaml

PLACED = ("printers", "accounts")
PLACES = ("wards", "hosts")
_Edit = tuple[int, int, str]  # from, to, what stands there instead


def without_places(text: str, absent: Set[str]) -> str:
    """`absent` are ids of wards and hosts. An item that stands nowhere any more goes with its lines; every other byte
    stays as it was."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or not absent:
        return text
    edits = sorted(
        edit
        for key, value in _pairs(root)
        if key.value == "workplaces"
        for kind, items in _pairs(value)
        if kind.value in PLACED and isinstance(items, yaml.SequenceNode)
        for edit in _section(text, kind, items, absent)
    )
    for start, end, instead in reversed(edits):
        text = text[:start] + instead + text[end:]
    return text


def _section(text: str, kind: yaml.Node, items: yaml.SequenceNode, absent: Set[str]) -> Iterator[_Edit]:
    gone = [item for item in items.value if not _left(item, absent)]
    if gone and len(gone) == len(items.value):
        start, end = _lines(text, kind.start_mark.index, items.end_mark.index)
        yield start, end, f"{' ' * kind.start_mark.column}{kind.value}: []\n"
        return
    for item in items.value:
        if item in gone:
            yield (*_lines(text, item.start_mark.index, item.end_mark.index), "")
            continue
        for key, places in _pairs(item):
            if key.value in PLACES and any(place.value in absent for place in places.value):
                left = [place.value for place in places.value if place.value not in absent]
                flow = f"[{', '.join(left)}]"
                if isinstance(places, yaml.CollectionNode) and places.flow_style:
                    yield places.start_mark.index, places.end_mark.index, flow
                else:
                    start, end = _lines(text, key.start_mark.index, places.end_mark.index)
                    yield start, end, f"{' ' * key.start_mark.column}{key.value}: {flow}\n"


def _left(item: yaml.Node, absent: Set[str]) -> bool:
    """Whether it still stands somewhere, or never said where."""
    named = [place.value for key, places in _pairs(item) if key.value in PLACES for place in places.value]
    return not named or any(name not in absent for name in named)


def _pairs(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def _lines(text: str, start: int, end: int) -> tuple[int, int]:
    """The same, from the beginning of its first line to the end of its last that holds anything."""
    last = len(text[:end].rstrip())
    newline = text.find("\n", last)
    return text.rfind("\n", 0, start) + 1, len(text) if newline < 0 else newline + 1
