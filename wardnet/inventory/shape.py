"""Holds a file's data against its schema and says what does not fit in words a technician can act on."""

from __future__ import annotations

import typing
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from wardnet.inventory.problems import Problems, closest, did_you_mean, shown
from wardnet.inventory.yamlfile import Path, YamlFile
from wardnet.locale import _

R = TypeVar("R", bound=BaseModel)


def parse_shape(schema: type[R], file: YamlFile, problems: Problems) -> R | None:
    """The file as a record of `schema`, or None with every misfit added to `problems`."""
    try:
        return schema.model_validate(file.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        meant = {(*detail["loc"][:-1], _meant(schema, detail)) for detail in details}
        for detail in details:
            if detail["type"] != "missing" or detail["loc"] not in meant:  # a slip in a key is said once
                _report(schema, file, detail, problems)
        return None


def _meant(schema: type[BaseModel], detail: ErrorDetails) -> str:
    """The key that an unknown one resembles; '' for none, and for what is no unknown key."""
    path = tuple(detail["loc"])
    known = _keys_at(schema, path[:-1]) if detail["type"] == "extra_forbidden" else []
    return closest(str(path[-1]), known) if path else ""


def _report(schema: type[BaseModel], file: YamlFile, detail: ErrorDetails, problems: Problems) -> None:
    path: Path = tuple(part for part in detail["loc"] if isinstance(part, int | str))
    while path and path not in file.lines and path[:-1] not in file.lines:
        path = path[:-1]  # pydantic's own steps inside a union are not places in the file
    kind, value, name = detail["type"], detail["input"], str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        known = _keys_at(schema, path[:-1])
        problems.add(
            file.key_source(path),
            _("unknown key {key}{within}").format(key=shown(name), within=_within(file, path)),
            did_you_mean(name, known),
        )
    elif kind == "missing":
        problems.add(
            file.source(path[:-1]),
            _("'{name}' is missing{within}").format(name=name, within=_within(file, path)),
            _("add '{name}: ...'").format(name=name),
        )
    elif kind == "enum":
        choices = _choices_at(schema, path)
        what = _("is not one word") if isinstance(value, dict | list) else _("is not known")
        problems.add(file.source(path), f"{_label(path)}: {shown(value)} {what}", did_you_mean(str(value), choices))
    elif kind == "secret":
        problems.add(
            file.source(path),
            f"{_label(path)}: {detail['msg']}",
            _("put the secret into Ansible's vault, and its name here"),
        )
    elif kind == "misfit":
        problems.add(file.source(path), f"{_label(path)}: {detail['msg']}", detail["ctx"]["hint"])
    elif kind == "value_error":
        problems.add(file.source(path), f"{_label(path)}: {shown(value)} {detail['ctx']['error']}", _quotes(value))
    else:
        problems.add(file.source(path), f"{_label(path)}: {_plain(detail)}", _quotes(value, kind))


def _plain(detail: ErrorDetails) -> str:
    value, context = shown(detail["input"]), detail.get("ctx", {})
    match detail["type"]:
        case "string_type":
            return _("a text is expected, not {value}").format(value=_as_read(detail["input"]))
        case "int_type" | "int_from_float" | "int_parsing":
            return _("a whole number is expected, not {value}").format(value=value)
        case "bool_type":
            return _("true or false is expected, not {value}").format(value=value)
        case "list_type":
            return _("a list is expected ('- ...' on each line), not {value}").format(value=value)
        case "model_type" | "model_attributes_type" | "dict_type":
            return _("a mapping of keys is expected, not {value}").format(value=value)
        case "greater_than_equal":
            return _("{value} is too small: at least {least}").format(value=value, least=context["ge"])
        case "less_than_equal":
            return _("{value} is too large: at most {most}").format(value=value, most=context["le"])
        case "too_short" if not context["actual_length"]:
            return _("the list is empty")
        case "too_short" | "too_long":
            wanted = context.get("min_length", context.get("max_length"))
            return _("{wanted} items are expected, not {given}").format(wanted=wanted, given=context["actual_length"])
    return detail["msg"]


def _as_read(value: Any) -> str:
    """The value with what YAML made of it, where a text was meant."""
    if isinstance(value, bool):
        return _("the yes-or-no value {value}").format(value=shown(value))
    return _("the number {value}").format(value=shown(value)) if isinstance(value, int) else shown(value)


def _quotes(value: Any, kind: str = "value_error") -> str:
    """A hint where quotes would have made the value the text that was meant."""
    if kind == "string_type" and isinstance(value, int):
        return _("put it in quotes")
    if kind == "int_type" and isinstance(value, str) and value.isdigit():
        return _("write it without quotes and leading zeros")
    if kind in ("value_error", "string_type") and isinstance(value, dict):
        return _("a text with ':' at its end or '{' at its start needs quotes")
    return ""


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
            return _(" in {kind} '{name}'").format(kind=kind, name=around["id"])
        if isinstance(around, dict):
            return _(" in {key}").format(key=_label(path[:length]))
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
