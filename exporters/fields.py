"""Strict reading of JSON objects: each key is asked for once, with its type; whatever goes wrong is collected."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import TypeVar

T = TypeVar("T")

_IDENTIFIER = r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?"
_NAMES = {bool: "a boolean", int: "an integer", float: "a number", str: "a text", list: "a list", dict: "an object"}


def read_json(text: str, file: str, problems: list[str]) -> dict[str, object] | None:
    """The object in a JSON text, or None with a problem added. Keys written twice are problems."""

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        keys = [key for key, _ in items]
        problems.extend(
            f"{file}: key {key!r} is written twice" for key in sorted({k for k in keys if keys.count(k) > 1})
        )
        return dict(items)

    try:
        document = json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        problems.append(f"{file}:{error.lineno}: is not JSON: {error.msg} (column {error.colno})")
        return None
    except RecursionError:
        problems.append(f"{file}: is nested too deeply")
        return None
    if not isinstance(document, dict):
        problems.append(f"{file}: must hold an object, holds {_kind(document)}")
        return None
    return document


class Fields:
    """The keys of one object. A getter that fails adds a problem and returns a value that is never used."""

    def __init__(self, document: Mapping[str, object], file: str, path: str, problems: list[str]) -> None:
        self._document = document
        self._file = file
        self._path = path
        self._problems = problems
        self._asked: set[str] = set()

    @property
    def sound(self) -> bool:
        return not self._problems

    def problem(self, key: str, message: str) -> None:
        self._problems.append(f"{self._file}: {self._path}{key}: {message}")

    def finish(self) -> None:
        """Call when every key was asked for: what is left over is unknown."""
        for key in self._document:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, n=1)
                self.problem(key, "unknown key" + (f"; did you mean {near[0]!r}?" if near else ""))

    def text(self, key: str, pattern: str = r"[^\x00-\x1f]+") -> str:
        value = self._get(key, str)
        if value is None:
            return ""
        if re.fullmatch(pattern, value) is None:
            self.problem(key, f"{value!r} does not have the form {pattern}")
        return value

    def identifier(self, key: str) -> str:
        return self.text(key, _IDENTIFIER)

    def integer(self, key: str, lowest: int, highest: int) -> int:
        value = self._get(key, int)
        if value is None:
            return lowest
        if not lowest <= value <= highest:
            self.problem(key, f"must be from {lowest} to {highest}, is {value}")
        return value

    def number(self, key: str, lowest: float, highest: float) -> float:
        value = self._get(key, float)
        if value is None:
            return lowest
        if not lowest <= value <= highest:
            self.problem(key, f"must be from {lowest:g} to {highest:g}, is {value:g}")
        return float(value)

    def ipv4(self, key: str) -> IPv4Address:
        text = self._get(key, str)
        try:
            return IPv4Address(text if text is not None else "0.0.0.0")  # noqa: S104 - a placeholder beside a problem
        except AddressValueError:
            self.problem(key, f"{text!r} is not an IPv4 address")
            return IPv4Address(0)

    def ipv6(self, key: str) -> IPv6Address:
        text = self._get(key, str)
        try:
            return IPv6Address(text if text is not None else "::")
        except AddressValueError:
            self.problem(key, f"{text!r} is not an IPv6 address")
            return IPv6Address(0)

    def addresses(self, key: str, at_least: int = 0) -> tuple[IPv4Address | IPv6Address, ...]:
        """A list of addresses of either family, each once."""
        found: list[IPv4Address | IPv6Address] = []
        for index, item in enumerate(self._list(key, at_least)):
            try:
                address = ip_address(item) if isinstance(item, str) else None
            except ValueError:
                address = None
            if address is None:
                self.problem(f"{key}[{index}]", f"{item!r} is not an IP address")
            elif address in found:
                self.problem(f"{key}[{index}]", f"{item} is listed twice")
            else:
                found.append(address)
        return tuple(found)

    def records(self, key: str, build: Callable[[Fields], T | None], at_least: int = 0) -> list[T]:
        """A list of objects, each with an `id` of its own, built by `build` (None where it could not be)."""
        found: list[T] = []
        ids: set[object] = set()
        for index, item in enumerate(self._list(key, at_least)):
            if not isinstance(item, dict):
                self.problem(f"{key}[{index}]", f"must be an object, is {_kind(item)}")
                continue
            identifier = item.get("id")
            if isinstance(identifier, str):
                if identifier in ids:
                    self.problem(f"{key}[{index}].id", f"{identifier!r} is used twice")
                ids.add(identifier)
            built = build(Fields(item, self._file, f"{self._path}{key}[{index}].", self._problems))
            if built is not None:
                found.append(built)
        return found

    def record(self, key: str, build: Callable[[Fields], T | None]) -> T | None:
        """One object, built by `build`."""
        value = self._get(key, dict)
        return None if value is None else build(Fields(value, self._file, f"{self._path}{key}.", self._problems))

    def choice(self, key: str, known: Mapping[str, T]) -> T | None:
        value = self._get(key, str)
        if value is None:
            return None
        if value not in known:
            self.problem(key, f"{value!r} is none of: {', '.join(sorted(known)) or 'nothing'}")
        return known.get(value)

    def _list(self, key: str, at_least: int) -> list[object]:
        value = self._get(key, list)
        if value is None:
            return []
        if len(value) < at_least:
            self.problem(key, "must not be empty")
        return value

    def _get(self, key: str, kind: type[T]) -> T | None:
        self._asked.add(key)
        if key not in self._document:
            self.problem(key, "is missing")
            return None
        value = self._document[key]
        # JSON's true is an int in Python, and 10 is as good a number as 10.0.
        fits = type(value) in (int, float) if kind is float else type(value) is kind
        if not fits:
            self.problem(key, f"must be {_NAMES[kind]}, is {_kind(value)}")
            return None
        return value  # type: ignore[return-value]  # just checked


def _kind(value: object) -> str:
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)
