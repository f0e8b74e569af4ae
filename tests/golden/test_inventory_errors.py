"""Every bad inventory under inventory/cases is refused with exactly the lines that its file expects."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

import wardnet.inventory
from tests.golden.inventory_cases import CASES, FOLDER, Case, build, judge, read_case
from wardnet.compile import compile_plan
from wardnet.inventory import read_district
from wardnet.inventory.problems import Problems
from wardnet.model.intent import Source

PACKAGE = Path(wardnet.inventory.__file__).parent


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_bad_inventory(path: Path, tmp_path: Path) -> None:
    case = read_case(path)
    errors, warned = judge(case, build(case, tmp_path))
    assert errors == list(case.expect)
    assert warned == list(case.warn)


def test_cases_expect_something_and_say_what_they_are_about() -> None:
    assert len(CASES) >= 100
    for path in CASES:
        case = read_case(path)
        assert case.expect or case.warn, path.name
        assert path.read_text().startswith("# "), path.name


@pytest.mark.parametrize("base", sorted(folder.name for folder in (FOLDER / "bases").iterdir()))
def test_bases_are_right(base: str) -> None:
    district = read_district(FOLDER / "bases" / base)
    assert compile_plan(district, Case().as_of).gateways


@pytest.mark.long
def test_every_place_that_reports_a_problem_is_reached_by_a_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: set[tuple[str, int]] = set()
    add = Problems.add

    def recording(self: Problems, source: Source, message: str, suggestion: str = "") -> None:
        reached.update(_callers(sys._getframe()))
        add(self, source, message, suggestion)

    monkeypatch.setattr(Problems, "add", recording)
    for path in CASES:
        case = read_case(path)
        judge(case, build(case, tmp_path / path.stem))
    assert {place for place in _reporting_places() if place not in reached} == set()


def _callers(frame: FrameType | None) -> Iterator[tuple[str, int]]:
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back


def _reporting_places() -> Iterator[tuple[str, int]]:
    """Calls of the methods `add` and `unknown` of Problems and Context, by file and line."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="add" | "unknown", value=ast.Name("context" | "problems"))):
                    yield str(path), node.lineno
                case ast.Call(func=ast.Attribute(attr="add", value=ast.Attribute(attr="problems"))):
                    yield str(path), node.lineno
