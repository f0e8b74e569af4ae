"""Filters for the access point's templates."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from typing import Any


def octets(text: str) -> str:
    """The UTF-8 of a text in hexadecimal, as hostapd takes names of networks without a doubt."""
    return text.encode().hex()


def network(interface: str) -> str:
    """'172.21.1.0/24' of '172.21.1.2/24'."""
    return str(ip_interface(interface).network)


def number(address: str) -> str:
    """An address as a number in hexadecimal, as nft takes what stands at a place of a packet."""
    return hex(int(ip_address(address)))


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"wardnet_bytes": octets, "wardnet_network": network, "wardnet_number": number}
