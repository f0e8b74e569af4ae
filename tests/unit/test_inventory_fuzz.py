"""Whatever stands in the files, reading an inventory ends in a district or in errors of its files' own lines."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardnet.compile import compile_hosts, compile_plan, compile_policy, compile_targets, to_json
from wardnet.inventory import InventoryErrors, parse_district, warnings
from wardnet.model.intent import District

pytestmark = pytest.mark.long

INVENTORY = Path(__file__).parents[2] / "inventory" / "tay-ho"
NAMES = ("district.yml", "wards/buoi.yml")
FILES = {name: (INVENTORY / name).read_bytes() for name in NAMES}
DAY = date(2026, 11, 24)

# Texts that YAML, Python's parsers or the schema could stumble over.
NASTY = (
    *("", " ", "~", "null", "no", "yes", "true", "010", "1_000", "1:30", "0x1F", "-1", "9" * 5000, "0x" + "f" * 5000),
    *(".inf", ".nan", "1e400", "=", "<<", "<<: *a", "&a", "*a", "&a [*a]", "!!int x", "!!bool x", "!!timestamp x"),
    *("!!binary '*'", "!!python/object:os.system x", "!vault x", "!!set {a}", "{{ x }}", "{", "}", "[", "]", "'", '"'),
    *("[" * 400, "{a: " * 400, "- " * 400, "? x", "? [a, b]", "---", "...", "%YAML 3.0", "@", "`", "|", ">", "#", "\t"),
    *("2026-13-01", "2026-02-30", "31/12/2026", "2026-01-01T99:99:99Z", '"\\0"', '"\\e[31m"', '"\\ud800"', "\ufeff"),
    *("10.20.1.1/33", "fd20::1%eth0", "fd20:20:1::", "::/0", "0.0.0.0/0", "https://[::1", "https://x:99999/", "tcp/0"),
    *("../../etc/passwd", "Asia", "\u2028", "\x85", "e\u0301", "wardnet", "gateway", "internet", "wan", "x" * 5000),
)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, bytes]:
    files = dict(FILES)
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(NAMES))
        files[name] = _mutate(draw, files[name].decode()).encode(errors="replace")
    return files


def _mutate(draw: st.DrawFn, text: str) -> str:
    lines = text.split("\n")
    at = draw(st.integers(0, len(lines) - 1))
    line = lines[at]
    nasty = draw(st.sampled_from(NASTY))
    match draw(st.sampled_from(("drop", "double", "value", "indent", "cut", "insert", "swap", "append"))):
        case "drop":
            del lines[at]
        case "double":
            lines.insert(at, line)
        case "value":
            key, colon, _ = line.partition(":")
            lines[at] = f"{key}{colon} {nasty}" if colon else nasty
        case "indent":
            lines[at] = draw(st.sampled_from((" ", "  ", "\t", ""))) + line.strip()
        case "cut":
            del lines[at:]
        case "insert":
            place = draw(st.integers(0, len(line)))
            lines[at] = line[:place] + nasty + line[place:]
        case "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        case "append":
            lines[at] = f"{line} {nasty}"
    return "\n".join(lines)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_a_mutated_inventory_gives_a_district_or_errors(files: dict[str, bytes]) -> None:
    _read(files)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(NAMES))
def test_bytes_that_are_no_inventory(content: bytes, name: str) -> None:
    _read({**FILES, name: content})


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(NASTY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(ANYTHING, st.data())
def test_a_value_of_any_kind_at_any_place(value: object, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    content = yaml.safe_load(FILES[name])
    around, key = data.draw(st.sampled_from(list(_places(content))))
    around[key] = value
    _read({**FILES, name: yaml.safe_dump(content, allow_unicode=True).encode(errors="replace")})


def _places(value: object) -> list[tuple[dict | list, str | int]]:  # type: ignore[type-arg]
    if isinstance(value, dict):
        return [(value, key) for key in value] + [place for inner in value.values() for place in _places(inner)]
    if isinstance(value, list):
        return [(value, at) for at in range(len(value))] + [place for inner in value for place in _places(inner)]
    return []


def _read(files: dict[str, bytes]) -> None:
    try:
        district = parse_district(files)
    except InventoryErrors as errors:
        problems = errors.problems
    else:
        _compile(district)
        return
    assert problems
    for problem in problems:
        lines = files[problem.file].decode(errors="replace").splitlines()
        assert 1 <= problem.line <= len(lines) + 1, problem
        assert str(problem).isprintable(), problem  # one line, and no control code for a terminal
        assert len(str(problem)) < 1000, problem


def _compile(district: District) -> None:
    warnings(district, DAY)
    plan = compile_plan(district, DAY)
    for compiled in (
        plan,
        compile_hosts(district, plan),
        compile_targets(district, plan),
        compile_policy(district, plan),
    ):
        assert to_json(compiled)
