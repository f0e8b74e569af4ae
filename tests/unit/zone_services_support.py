"""A gateway of the sample district that serves its networks, and what the role zone_services writes there."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2

from tests.unit.plugins_support import ROOT, gateway, load

TEMPLATES = ROOT / "roles" / "zone_services" / "templates"
RESOLVERS = {"wan": ["10.20.200.53", "fd20:20:200::53"], "internet": ["203.0.113.53", "2001:db8:cafe::53"]}


@cache
def _compiled(gateway_id: str) -> dict[str, Any]:
    return gateway(gateway_id)


def service(port: str, **more: Any) -> dict[str, Any]:
    """As compiled for the port's network of buoi-gw, with leases, names and time."""
    found = next(p for p in _compiled("buoi-gw")["ports"] if p["name"] == port)
    three = found["ipv4"].rpartition(".")[0]
    return {
        "network": found["reference"], "zone": found["zone"], "channel": found["channel"], "port": port,
        "ipv4": found["ipv4"], "ipv6": found["ipv6"], "dhcp_first": f"{three}.100", "dhcp_last": f"{three}.199",
        "leases": [], "names": True, "resolvers": RESOLVERS[found["channel"]], "time": True,
        "time_sources": RESOLVERS[found["channel"]], "domain": "tayho.example", "source": "wards/buoi.yml:38", **more,
    }  # fmt: skip


def serving(*services: dict[str, Any], gateway_id: str = "buoi-gw") -> dict[str, Any]:
    """The gateway with these services alone."""
    return {**_compiled(gateway_id), "services": list(services)}


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(  # noqa: S701 - configurations, as Ansible renders them
        loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True, undefined=jinja2.StrictUndefined
    )


def rendered(name: str, **variables: Any) -> str:
    return _environment().get_template(name).render(zone_services_lease="8h", **variables)


def configurations(plain: dict[str, Any]) -> dict[str, str]:
    """What is written below /etc/wardnet/zones, by file name."""
    wanted = {"dhcp": "dhcp_first", "names": "names", "time": "time"}
    return {
        f"{item['network']}.{kind}.conf": rendered(f"etc/wardnet/zones/network.{kind}.conf.j2", item=item)
        for item in load("filter", "wardnet_services").served(plain)
        for kind, key in wanted.items()
        if item[key]
    }


def listed(plain: dict[str, Any]) -> bytes:
    """The configurations as the audit's artefact services.txt has them."""
    return "".join(
        f"/etc/wardnet/zones/{name}:{line}\n"
        for name, text in configurations(plain).items()
        for line in text.splitlines()
    ).encode()
