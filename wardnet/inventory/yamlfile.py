"""YAML text -> plain data, with the line of every key and value. Pure: the text comes in, no file is opened.

Scalars are read as YAML 1.2 does: a whole number, true, false, null, or text. `no`, `10:30`, `010` and dates
are text, so that none of YAML 1.1's surprises reaches the schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from wardnet.inventory.problems import Problems, shown
from wardnet.locale import N_, _
from wardnet.model.intent import Source

Path = tuple[str | int, ...]

MAX_DEPTH = 30  # an inventory is 8 deep; far below what recursion can bear

_CORE = "tag:yaml.org,2002:"
_BOOLEANS = {"true": True, "false": False}

# A part of what PyYAML says; what it means and how to mend it; and whether the place to look at is where it began.
_MEANINGS: tuple[tuple[str, str, str, bool], ...] = (
    ("'\\t'", N_("a tab"), N_("indent with spaces, never with tabs"), False),
    (
        "mapping values are not allowed",
        N_("a ':' where none can stand"),
        N_("quote a text that holds ': ', and put a key under the key above it"),
        False,
    ),
    ("could not find expected ':'", N_("a key without its ':'"), N_("a key ends in ':' and a space"), True),
    ("cannot start any token", N_("a text cannot begin with this character"), N_("put it in quotes"), False),
    (
        "expected ',' or ']'",
        N_("the list that begins here with '[' cannot be read"),
        N_("close it with ']', put ',' between its items, and quote a text that holds ': '"),
        True,
    ),
    (
        "expected ',' or '}'",
        N_("the mapping that begins here with '{' cannot be read"),
        N_("close it with '}', put ',' between its keys, and quote a text that ends in ':'"),
        True,
    ),
    (
        "expected <block end>",
        N_("this line does not go on with the list or mapping above it"),
        N_("indent alike what belongs together, and close every quote"),
        False,
    ),
    ("another document", N_("a second document begins"), N_("a file holds one: remove the '---'"), False),
    ("end of stream", N_("a quote is opened here and never closed"), N_("close it"), True),
)


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
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as error:
        _report(name, error, problems)
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.add(
            Source(name, line),
            _("not valid YAML: character U+{code:04X} is not text").format(code=_code(error)),
            _("remove the character"),
        )
        return None
    if node is None:
        problems.add(Source(name, 1), _("the file is empty"), _("write at least 'id:' and 'name:'"))
        return None
    if not isinstance(node, yaml.MappingNode):
        problems.add(
            Source(name, node.start_mark.line + 1),
            _("a mapping of keys is expected, not {value}").format(value=_kind(node)),
            _("start with 'id: ...'"),
        )
        return None
    walker = _Walker(name, problems)
    return YamlFile(name, walker.walk(node, ()), walker.lines, walker.keys)


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _report(name: str, error: yaml.MarkedYAMLError, problems: Problems) -> None:
    said = error.problem or error.context or N_("it cannot be read")
    why, hint, at_start = next((meaning[1:] for meaning in _MEANINGS if meaning[0] in said), (said, "", False))
    marks = [error.context_mark, error.problem_mark] if at_start else [error.problem_mark, error.context_mark]
    line = next((mark.line + 1 for mark in marks if mark), 1)
    problems.add(Source(name, line), _("not valid YAML: {why}").format(why=_(why)), _(hint) if hint else "")


def _code(error: yaml.reader.ReaderError) -> int:
    return error.character if isinstance(error.character, int) else ord(error.character)


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return _("a mapping")
    return _("a list") if isinstance(node, yaml.SequenceNode) else _("a single value")


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses aliases, since each line stands for itself, and depths that no inventory has."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own protocol

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise self._refusal(_("'*' stands for another part of the file: write it out"))
        if self._depth == MAX_DEPTH:
            raise self._refusal(_("more than {most} levels deep").format(most=MAX_DEPTH))
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _refusal(self, why: str) -> yaml.composer.ComposerError:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call] # of PyYAML's stubs
        return yaml.composer.ComposerError(None, None, why, event.start_mark)


_Loader.add_implicit_resolver(f"{_CORE}bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))
_Loader.add_implicit_resolver(f"{_CORE}int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z"), list("-+0123456789"))
_Loader.add_implicit_resolver(f"{_CORE}null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])


class _Walker:
    """Builds data from nodes, keeping lines."""

    def __init__(self, name: str, problems: Problems) -> None:
        self.name = name
        self.problems = problems
        self.lines: dict[Path, int] = {}
        self.keys: dict[Path, int] = {}

    def walk(self, node: yaml.Node, path: Path) -> Any:
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, "map")
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq")
            return [self.walk(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        text: str = node.value
        match node.tag.removeprefix(_CORE):
            case "null":
                return None
            case "bool":
                return _BOOLEANS.get(text.lower(), text)
            case "int":
                try:
                    return int(text)
                except ValueError:  # thousands of digits, or '!!int ten'
                    return text
        self._check_tag(node, "str")
        return text

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.add(
                    Source(self.name, line),
                    _("a key is a word, not {value}").format(value=_kind(key_node)),
                    _("a value that begins with '{' or '[' needs quotes"),
                )
                continue
            word = key_node.value
            if word in result:
                first = self.keys[(*path, word)]
                self.problems.add(
                    Source(self.name, line),
                    _("key {key} is given twice").format(key=shown(word)),
                    _("first on line {line}").format(line=first),
                )
                continue
            self.keys[(*path, word)] = line
            result[word] = self.walk(value_node, (*path, word))
        return result

    def _check_tag(self, node: yaml.Node, usual: str) -> None:
        if node.tag != f"{_CORE}{usual}":
            tag = node.tag.replace(_CORE, "!!")
            self.problems.add(
                Source(self.name, node.start_mark.line + 1),
                _("tag '{tag}' is not used here").format(tag=tag),
                _("remove it"),
            )
