"""Filters for the roles of workplaces: what the inventory says of people and units, in the shape of a step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"wardnet_people": people, "wardnet_masked": masked, "wardnet_scanner_flows": scanner_flows}


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


def scanner_flows(scanners: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a PC opens to the scanners that it may use, as the admits of a workplace. SANE has the pages fetched from
    ports that it tells."""
    return [
        {
            "id": f"scanner {one['id']}",
            "prefixes": [f"{one['ipv4']}/32"],
            "protocol": "tcp",
            "ports": [one["port"]] if one["kind"] == "escl" else [],
            "source": one["by"],
        }
        for one in scanners
    ]
