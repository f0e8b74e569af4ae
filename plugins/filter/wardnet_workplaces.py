"""Filters for the roles of workplaces: what the inventory says of people and units, in the shape of a step."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_interface
from typing import Any

MAIN = 254  # the main routing table
METRIC = 100  # as at gateways
WAYS = (("ipv4", "gateway_ipv4", "0.0.0.0/0"), ("ipv6", "gateway_ipv6", "::/0"))


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {
            "wardnet_host_ports": host_ports,
            "wardnet_masked": masked,
            "wardnet_people": people,
            "wardnet_scanner_flows": scanner_flows,
        }


def host_ports(host: dict[str, Any]) -> dict[str, Any]:
    """A host's ports and the ways by them, in the shape of a gateway's record, as role channel_ports takes it: one
    channel, whose routes are those of the main table. The default routes leave by the first port."""
    ports: list[dict[str, Any]] = []
    routes: list[dict[str, Any]] = []
    for index, port in enumerate(host["ports"]):
        ports.append(
            {
                "name": port["name"],
                "kind": "network",
                "reference": port["network"],
                "channel": host["channel"],
                "addressing": "static",
                "ipv4": port["ipv4"],
                "ipv6": port["ipv6"],
            }
        )
        for family, gateway, everything in WAYS:
            link = str(ip_interface(port[family]).network)
            way = {"kind": "connected", "via": None, "port": port["name"], "metric": METRIC}
            routes.append({**way, "destination": link})
            if index == 0:
                routes.append({**way, "destination": everything, "kind": "via", "via": port[gateway]})
    table = {"number": MAIN, "channel": host["channel"], "routes": routes}
    return {"id": host["id"], "source": host["source"], "ports": ports, "tables": [table], "rules": []}


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
