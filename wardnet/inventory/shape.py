"""Holds a file's data against its schema and says what does not fit in words a technician can act on."""

from __future__ import annotations

import typing
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from wardnet.inventory.problems import Problems, did_you_mean
from wardnet.inventory.yamlfile import Path, YamlFile

R = TypeVar("R", bound=BaseModel)


def parse_shape(schema: type[R], file: YamlFile, problems: Problems) -> R | None:
    """The file as a record of `schema`, or None with every misfit added to `problems`."""
    try:
        return schema.model_validate(file.data)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _report(schema, file, detail, problems)
        return None


def _report(schema: type[BaseModel], file: YamlFile, detail: ErrorDetails, problems: Problems) -> None:
    path: Path = tuple(part for part in detail["loc"] if isinstance(part, int | str))
    while path and path not in file.lines and path[:-1] not in file.lines:
        path = path[:-1]  # pydantic's own steps inside a union are not places in the file
    kind, value, name = detail["type"], detail["input"], str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        known = _keys_at(schema, path[:-1])
        problems.add(file.key_source(path), f"unknown key '{name}'{_within(file, path)}", did_you_mean(name, known))
    elif kind == "missing":
        problems.add(file.source(path[:-1]), f"'{name}' is missing{_within(file, path)}", f"add '{name}: ...'")
    elif kind == "enum":
        choices = _choices_at(schema, path)
        problems.add(file.source(path), f"'{value}' is not a valid {name}", did_you_mean(str(value), choices))
    elif kind == "value_error":
        problems.add(file.source(path), f"{_label(path)}: {detail['ctx']['error']}")
    else:
        problems.add(file.source(path), f"{_label(path)}: {_plain(detail)}")


def _plain(detail: ErrorDetails) -> str:
    value, context = detail["input"], detail.get("ctx", {})
    shown = "nothing" if value is None else f"'{value}'"
    match detail["type"]:
        case "string_type":
            hint = " (put it in quotes)" if isinstance(value, int | float | bool) else ""
            return f"a text is expected, not {shown}{hint}"
        case "int_type" | "int_from_float" | "int_parsing":
            return f"a whole number is expected, not {shown}"
        case "bool_type":
            return f"true or false is expected, not {shown}"
        case "list_type":
            return f"a list is expected ('- ...' on each line), not {_shape(value)}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"a mapping of keys is expected, not {_shape(value)}"
        case "greater_than_equal":
            return f"{shown} is too small: at least {context['ge']}"
        case "less_than_equal":
            return f"{shown} is too large: at most {context['le']}"
        case "too_short":
            return f"at least {context['min_length']} expected, {context['actual_length']} given"
        case "too_long":
            return f"at most {context['max_length']} expected, {context['actual_length']} given"
    return detail["msg"]


def _shape(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"'{value}'"


def _label(path: Path) -> str:
    """The key that a person looks for: the nearest named step, since list positions are only numbers."""
    return next((str(part) for part in reversed(path) if isinstance(part, str)), "file")


def _within(file: YamlFile, path: Path) -> str:
    """' in network clerks': the nearest thing around `path` that has an id."""
    for length in range(len(path) - 1, 0, -1):
        around: Any = file.data
        for step in path[:length]:
            around = around[step]
        if isinstance(around, dict) and isinstance(around.get("id"), str):
            kind = _label(path[:length]).removesuffix("s")
            return f" in {kind} '{around['id']}'"
        if isinstance(around, dict):
            return f" in {_label(path[:length])}"
    return ""


def _model_at(schema: type[BaseModel], path: Path) -> type[BaseModel] | None:
    model: type[BaseModel] | None = schema
    for part in path:
        if isinstance(part, int) or model is None:
            continue
        field = model.model_fields.get(part)
        model = _inner_model(field.annotation) if field else None
    return model


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *_flatten(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _flatten(annotation: Any) -> list[Any]:
    found: list[Any] = []
    for inner in typing.get_args(annotation):
        found += [inner, *_flatten(inner)]
    return found


def _keys_at(schema: type[BaseModel], path: Path) -> list[str]:
    model = _model_at(schema, path)
    return list(model.model_fields) if model else []


def _choices_at(schema: type[BaseModel], path: Path) -> list[str]:
    model = _model_at(schema, path[:-1])
    field = model.model_fields.get(str(path[-1])) if model else None
    annotation = field.annotation if field else None
    for candidate in (annotation, *_flatten(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, StrEnum):
            return [member.value for member in candidate]
    return []
