"""Filters for the role zone_services: what each served network of a gateway needs, from the compiled gateway."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from ipaddress import ip_interface, ip_network
from typing import Any

EVERYTHING = ("0.0.0.0/0", "::/0")
LOOPBACK = ("127.0.0.0/8", "::1/128")
LEASED6 = (0x1000, 0x1FFF)  # of the last 64 bits: what DHCPv6 gives out
LINK_LOCAL = "fe80::/10"
NAME_LENGTH = 31  # of a user
ZONES, UNITS = "/etc/wardnet/zones", "/etc/systemd/system"


def served(gateway: dict[str, Any]) -> list[dict[str, Any]]:
    """The compiled services, each with what follows from the gateway around it: `uplink` (port of its channel's line,
    empty where there is not exactly one), `own` addresses and `lan` prefixes, both families, and `elsewhere`, to which
    no answer about a name may point. ValueError names the inventory's line where something cannot be served."""
    return [_served(gateway, service) for service in gateway["services"]]


def _served(gateway: dict[str, Any], service: dict[str, Any]) -> dict[str, Any]:
    ipv4, ipv6 = ip_interface(service["ipv4"]), ip_interface(service["ipv6"])
    lines = [p for p in gateway["ports"] if p["kind"] == "circuit" and p["channel"] == service["channel"]]
    two_channels = len({port["channel"] for port in gateway["ports"]}) > 1
    if two_channels and len(lines) != 1:
        raise ValueError(
            f"{service['source']}: network {service['network']} can't be served: {gateway['id']} has {len(lines)} "
            f"{service['channel']} circuits, and which of them its questions leave by must be clear"
        )
    if service["dhcp_first"] and ipv6.network.prefixlen != 64:
        raise ValueError(
            f"{service['source']}: network {service['network']} can't be advertised: {ipv6.network} is not a /64, "
            "without which hosts make no addresses of their own"
        )
    low, high = (ipv6.network.network_address + offset for offset in LEASED6)
    own = [str(ipv4.ip), str(ipv6.ip)]
    return {
        **service,
        "public": service["channel"] == "internet",
        "uplink": lines[0]["name"] if len(lines) == 1 else "",
        "own": own,
        "ipv4_own": own[0],
        "ipv6_own": own[1],
        "lan": [str(ipv4.network), str(ipv6.network)],
        "netmask": str(ipv4.netmask),
        "dhcp6_first": str(low),
        "dhcp6_last": str(high),
        "elsewhere": list(_elsewhere(gateway, service)),
    }


def _elsewhere(gateway: dict[str, Any], service: dict[str, Any]) -> Iterator[str]:
    """Prefixes of the other channel: those that the channel's table makes unreachable, but for its own."""
    routes = next(table["routes"] for table in gateway["tables"] if table["channel"] == service["channel"])
    mine = [
        ip_interface(address)
        for port in gateway["ports"]
        if port["channel"] == service["channel"]
        for address in (port["ipv4"], port["ipv6"])
        if address
    ]
    for route in routes:
        destination = route["destination"]
        prefix = ip_network(destination)
        within = any(address.version == prefix.version and address.ip in prefix for address in mine)
        if route["kind"] == "unreachable" and destination not in EVERYTHING and not within:
            yield destination
    if service["channel"] == "internet":
        yield from LOOPBACK
        for port in gateway["ports"]:
            if port["channel"] == "internet" and port["kind"] == "network":
                yield from (str(ip_interface(port[family]).network) for family in ("ipv4", "ipv6"))


def processes(gateway: dict[str, Any]) -> list[dict[str, Any]]:
    """All processes that serve: `process` (dhcp, names or time), `network`, `user`, `peers` (prefixes; with nobody else
    has it to do), `check` (the command that validates its configuration) and `held` (its unit, as of a candidate)."""
    found = []
    for item in served(gateway):
        peers = {
            "dhcp": [*item["lan"], "0.0.0.0/32", "255.255.255.255/32", LINK_LOCAL, "ff02::/16"],
            "names": [*item["lan"], LINK_LOCAL, *item["resolvers"]],
            "time": [*item["lan"], LINK_LOCAL, *item["time_sources"]],
        }
        wanted = {"dhcp": item["dhcp_first"], "names": item["names"], "time": item["time"]}
        found += [_process(item, name, peers[name]) for name in peers if wanted[name]]
    return found


def _process(item: dict[str, Any], name: str, peers: list[str]) -> dict[str, Any]:
    config = f"{ZONES}/{item['network']}.{name}.conf"
    unit = f"wardnet-{name}@{item['network']}.service"
    reads = [config, f"{UNITS}/wardnet-{name}@.service", f"{UNITS}/{unit}.d/wardnet.conf"]
    check = {"time": ["/usr/sbin/chronyd", "-p", "-f", "{root}" + config]}
    return {
        "process": name,
        "network": item["network"],
        "user": _user(name, item["network"]),
        "source": item["source"],
        "peers": peers,
        "check": check.get(name, ["/usr/sbin/dnsmasq", "--test", "--conf-file={root}" + config]),
        "held": {"name": unit, "files": reads},
    }


def _user(process: str, network: str) -> str:
    """A name of its own, since without one systemd gives all instances of a unit the same user; at most 31 long."""
    name = f"wardnet-{process}-{network}"
    return name if len(name) <= NAME_LENGTH else f"wardnet-{process}-{sha256(network.encode()).hexdigest()[:12]}"


def clock(gateway: dict[str, Any]) -> dict[str, Any]:
    """What the gateway's own clock follows: `sources`, `channel`, and `uplink`, the port that it asks by (empty where
    several lead there); empty where there is no time source that it can ask."""
    follows = gateway["clock"]
    if not follows:
        return {}
    ports = follows["ports"]
    return {
        "sources": follows["sources"],
        "channel": follows["channel"],
        "uplink": ports[0] if len(ports) == 1 else "",
    }


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"wardnet_served": served, "wardnet_processes": processes, "wardnet_clock": clock}
