"""Filters for the templates of channels: what leaves by a line, and how fast; over the gateway's plain record."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

FRAME = 1514  # bytes of a full packet on Ethernet, as a queueing discipline counts it
LEAST_PACKETS = 10


def shapes(gateway: dict[str, Any], queue_ms: int, burst_ms: int) -> list[dict[str, Any]]:
    """One shape a line: `port`, `bits` a second, `burst` in bytes (two full packets at least), `queue` in packets.

    Only what leaves is shaped. What comes in has waited at the sender's side already; over the WAN that is the hub,
    which shapes it there.
    """
    found = []
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
            }
        )
    return found


def first(gateway: dict[str, Any]) -> list[dict[str, Any]]:
    """What goes first on each shaped port, for the packet filter: `port`, `family`, `protocol`, `number` and `prefix`
    of a service's end; the packets to it and from it."""
    return [
        {
            "port": shape["port"],
            "family": ip_network(each["prefix"]).version,
            "prefix": each["prefix"].removesuffix("/32").removesuffix("/128"),
            "protocol": each["protocol"],
            "number": int(each["port"]),
        }
        for shape in gateway.get("shapes") or []
        if shape["direction"] == "egress"
        for each in shape["priority"]
    ]


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"wardnet_shapes": shapes, "wardnet_first": first}
