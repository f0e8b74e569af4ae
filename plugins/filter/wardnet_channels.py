"""Filters for the templates of channels: what leaves by a line, and how fast; over the gateway's plain record."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network
from typing import Any

FRAME = 1514  # bytes of a full packet on Ethernet, as a queueing discipline counts it
BENEATH_PPP = 22  # bytes that a packet has more on the line than on a dialled port: Ethernet's, PPPoE's and PPP's
LEAST_PACKETS = 10


def shapes(gateway: dict[str, Any], queue_ms: int, burst_ms: int) -> list[dict[str, Any]]:
    """One shape a line: `port`, `bits` a second, `burst` in bytes (two full packets at least), `queue` in packets,
    `overhead` bytes that each packet counts beyond what the port shows of it.

    Only what leaves is shaped. What comes in has waited at the sender's side already; over the WAN that is the hub,
    which shapes it there.
    """
    found = []
    dialled = {port["name"] for port in gateway.get("ports") or [] if port.get("dialled")}
    for shape in gateway.get("shapes") or []:
        if shape["direction"] != "egress":
            continue
        bits = int(shape["rate_bps"]) // 8 * 8  # the kernel counts bytes
        found.append(
            {
                "port": shape["port"],
                "bits": bits,
                "burst": max(2 * FRAME, bits // 8 * int(burst_ms) // 1000),
                "queue": max(LEAST_PACKETS, bits // 8 * int(queue_ms) // 1000 // FRAME),
                "overhead": BENEATH_PPP if shape["port"] in dialled else 0,
            }
        )
    return found


def neighbours(gateway: dict[str, Any]) -> list[dict[str, Any]]:
    """The gateway's BGP peers, each with the `table` that what it announces goes into, the gateway's own address there
    as `router_id`, and `own`: networks at the gateway's ports that lie within what the peer may announce. They are
    never believed from a neighbour, or it could draw a part of a LAN to itself."""
    table_of = {table["channel"]: table["number"] for table in gateway["tables"]}
    port_of = {port["name"]: port for port in gateway["ports"]}
    found = []
    for peer in gateway.get("bgp") or []:
        accepted = [ip_network(prefix) for prefix in peer["accept"]]
        addresses = [
            port[family]
            for port in gateway["ports"]
            for family in ("ipv4", "ipv6")
            if port["channel"] == peer["channel"] and port[family]
        ]
        networks = sorted({ip_interface(each).network for each in addresses}, key=lambda n: (n.version, n))
        own = [
            str(network)
            for network in networks
            if any(outer.version == network.version and network.subnet_of(outer) for outer in accepted)  # type: ignore[arg-type]
        ]
        router_id = str(ip_interface(port_of[peer["port"]]["ipv4"]).ip)
        found.append({**peer, "table": table_of[peer["channel"]], "router_id": router_id, "own": own})
    return found


def or_more_specific(prefix: str) -> str:
    """How a prefix list of FRR says that longer prefixes within this one match too; a host has none."""
    network = ip_network(prefix)
    return "" if network.prefixlen == network.max_prefixlen else f" le {network.max_prefixlen}"


def line_of(port: dict[str, Any]) -> str:
    """The interface that a session is dialled over: its parent, or the tagged line on it."""
    return f"{port['name'][:10]}-line" if port.get("tag") else str(port["parent"])


def vlans(gateway: dict[str, Any], channel: str) -> list[dict[str, Any]]:
    """The channel's ports that are VLAN subinterfaces; for a tagged session the line that it is dialled over."""
    return [
        {**port, "name": line_of(port)} if port.get("dialled") else port
        for port in gateway["ports"]
        if port["channel"] == channel and port.get("parent") and port.get("tag")
    ]


def parents(gateway: dict[str, Any], channel: str) -> list[dict[str, Any]]:
    """What the channel's subinterfaces and sessions stand on, where that is no port with a network of its own: `name`
    and the `vlans` of this channel on it."""
    own = {port["name"] for port in gateway["ports"]}
    mine = [port for port in gateway["ports"] if port["channel"] == channel and port.get("parent")]
    names = {port["parent"] for port in mine} | {line_of(port) for port in mine if port.get("dialled")}
    return [
        {"name": name, "vlans": [vlan["name"] for vlan in vlans(gateway, channel) if vlan["parent"] == name]}
        for name in sorted(names - own)
    ]


def devices(gateway: dict[str, Any], channel: str) -> list[str]:
    """Kinds of devices that this channel needs of the kernel, of: vlan, vrf, ppp."""
    ports = [port for port in gateway["ports"] if port["channel"] == channel]
    needed = {
        "vlan": any(port.get("tag") for port in ports),
        "vrf": any(port.get("vrf") for port in ports),
        "ppp": any(port.get("dialled") for port in ports),
    }
    return [kind for kind, wanted in needed.items() if wanted]


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {
            "wardnet_devices": devices,
            "wardnet_line_of": line_of,
            "wardnet_neighbours": neighbours,
            "wardnet_or_more_specific": or_more_specific,
            "wardnet_parents": parents,
            "wardnet_shapes": shapes,
            "wardnet_vlans": vlans,
        }
