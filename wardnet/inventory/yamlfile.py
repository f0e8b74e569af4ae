"""YAML text -> plain data, with the line of every key and value. Pure: the text comes in, no file is opened."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import yaml

from wardnet.inventory.problems import Problems
from wardnet.model.intent import Source

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class YamlFile:
    """`data` is a mapping; `lines[path]` the line of the value at that path, `keys[path]` of its key."""

    name: str
    data: dict[str, Any]
    lines: dict[Path, int]
    keys: dict[Path, int]

    def source(self, path: Path) -> Source:
        """The line of the value at `path`, or of the nearest thing around it that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return Source(self.name, self.lines.get(path, 1))

    def key_source(self, path: Path) -> Source:
        return Source(self.name, self.keys[path]) if path in self.keys else self.source(path)


def parse_yaml(name: str, text: str, problems: Problems) -> YamlFile | None:
    """Parse one file. Adds to `problems` and returns None when it is not a YAML mapping."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            problems.add(Source(name, 1), "the file is empty", "write at least 'id:' and 'name:'")
            return None
        if not isinstance(node, yaml.MappingNode):
            problems.add(
                Source(name, node.start_mark.line + 1),
                f"a mapping of keys is expected, not a {_kind(node)}",
                "start with 'id: ...'",
            )
            return None
        walker = _Walker(name, loader, problems)
        data = walker.walk(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        why = error.problem or error.context or "it cannot be read"
        hint = "indent with spaces, never with tabs" if "\\t" in why or "'\t'" in why else ""
        problems.add(Source(name, line), f"not valid YAML: {why}", hint)
        return None
    except yaml.reader.ReaderError as error:
        problems.add(Source(name, 1), f"not valid YAML: {error.reason}", "save the file as UTF-8 text")
        return None
    except ValueError as error:  # a date such as 2026-13-01
        problems.add(Source(name, loader.line + 1), f"not valid YAML: {error}")
        return None
    finally:
        loader.dispose()
    return YamlFile(name, data, walker.lines, walker.keys)


def _kind(node: yaml.Node) -> str:
    return "list" if isinstance(node, yaml.SequenceNode) else "single value"


class _Walker:
    """Builds data from nodes, keeping lines. Scalars that YAML cannot make a value of stay text."""

    def __init__(self, name: str, loader: yaml.SafeLoader, problems: Problems) -> None:
        self.name = name
        self.loader = loader
        self.problems = problems
        self.lines: dict[Path, int] = {}
        self.keys: dict[Path, int] = {}

    def walk(self, node: yaml.Node, path: Path) -> Any:
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.walk(item, (*path, index)) for index, item in enumerate(node.value)]
        try:
            return self.loader.construct_object(node)
        except ValueError:
            return node.value  # the schema then says what is wrong with it, at its line

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key: Hashable = key_node.value if isinstance(key_node, yaml.ScalarNode) else str(key_node.value)
            word = str(key)
            line = key_node.start_mark.line + 1
            if word in result:
                first = self.keys[(*path, word)]
                self.problems.add(Source(self.name, line), f"key '{word}' is given twice", f"first on line {first}")
                continue
            self.keys[(*path, word)] = line
            result[word] = self.walk(value_node, (*path, word))
        return result
