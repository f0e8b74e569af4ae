"""Records -> plain data for JSON and for Ansible: mappings, lists, text, numbers. Nothing else."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any

from wardnet.model.intent import Source

_AS_TEXT = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, Source, date)


def to_plain(value: Any) -> Any:
    """Dataclasses become mappings by field name; addresses, dates and sources become their text."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, _AS_TEXT):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"no plain form for {type(value).__name__}")


def to_json(value: Any) -> str:
    """Canonical JSON: the same value gives the same bytes."""
    return json.dumps(to_plain(value), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
