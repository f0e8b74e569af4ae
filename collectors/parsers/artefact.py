"""What all parsers share: an artefact's text, the error that names its place, and strict JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from wardnet.model.span import Span


class ParseError(Exception):
    """An artefact that can't be read: whose, which, where, why."""

    def __init__(self, device: str, artefact: str, where: str, reason: str) -> None:
        super().__init__(device, artefact, where, reason)  # so that it gets from one process to another
        self.device = device
        self.artefact = artefact
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.device}: {self.artefact}: {self.where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Artefact:
    """One raw artefact of one device, as it was collected."""

    device: str
    name: str
    content: bytes

    def span(self, place: str) -> Span:
        return Span(self.device, self.name, place)

    def fail(self, where: str, reason: str) -> NoReturn:
        raise ParseError(self.device, self.name, where, reason)

    def text(self) -> str:
        try:
            return self.content.decode("utf-8")
        except UnicodeDecodeError as error:
            self.fail(f"offset {error.start}", "not UTF-8")

    def json(self) -> Any:
        """The artefact's one JSON value. Rejects a repeated key, a number that is none, and what follows the end."""

        def reject_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            seen = dict(pairs)
            if len(seen) != len(pairs):
                keys = [key for key, _ in pairs]
                repeated = next(key for key in keys if keys.count(key) > 1)
                self.fail("JSON object", f"key {repeated!r} stands twice")
            return seen

        def reject_constant(name: str) -> NoReturn:
            self.fail("JSON number", f"{name} is no number")

        text = self.text()
        if not text.strip():
            self.fail("offset 0", "empty")
        try:
            return json.loads(text, object_pairs_hook=reject_repeats, parse_constant=reject_constant)
        except json.JSONDecodeError as error:
            self.fail(f"offset {error.pos}", f"damaged or truncated JSON ({error.msg})")
        except RecursionError:
            self.fail("offset 0", "nested too deeply")
        except ValueError as error:  # an integer of thousands of digits
            self.fail("JSON number", str(error))

    def records(self) -> list[dict[str, Any]]:
        """The artefact as a JSON list of objects, as `ip -j` prints it."""
        value = self.json()
        if not isinstance(value, list):
            self.fail("offset 0", "not a JSON list")
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                self.fail(f"item {index}", "not a JSON object")
        return value


@dataclass(frozen=True, slots=True)
class Item:
    """One object of a JSON artefact, read key by key with the type that each must have."""

    artefact: Artefact
    where: str
    values: dict[str, Any]

    def error(self, reason: str) -> ParseError:
        return ParseError(self.artefact.device, self.artefact.name, self.where, reason)

    def fail(self, reason: str) -> NoReturn:
        raise self.error(reason)

    def string(self, key: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or not value:
            self.fail(f"{key!r} must be a text, not {_shown(value)}")
        return value

    def optional_string(self, key: str) -> str | None:
        return self.string(key) if key in self.values else None

    def integer(self, key: str, low: int = 0, high: int = 2**32 - 1) -> int:
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.fail(f"{key!r} must be a number from {low} to {high}, not {_shown(value)}")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            self.fail(f"{key!r} must be a list of texts, not {_shown(value)}")
        return tuple(value)

    def items(self, key: str) -> list[Item]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self.fail(f"{key!r} must be a list of objects, not {_shown(value)}")
        return [Item(self.artefact, f"{self.where} {key} {n}", entry) for n, entry in enumerate(value)]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
