"""Filters for the roles of workplaces: what the inventory says of people and units, in the shape of a step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"wardnet_people": people, "wardnet_masked": masked}


def people(accounts: Iterable[dict[str, Any]], common: Iterable[str]) -> list[dict[str, Any]]:
    """Each account as {name, ssh_keys, password, account}: the last is what part `accounts` takes, with the groups that
    are common to all."""
    everybody = list(common)
    return [
        {
            "name": one["id"],
            "ssh_keys": list(one.get("ssh_keys") or []),
            "password": one.get("password"),
            "account": {
                "name": one["id"],
                "comment": one["name"],
                "groups": sorted({*everybody, *(one.get("groups") or [])}),
            },
        }
        for one in accounts
    ]


def masked(names: Iterable[str]) -> list[dict[str, str]]:
    """Units of a step that are held masked."""
    return [{"name": name, "state": "masked"} for name in names]
